/** An earlier report of `bench --format json`, to compare with. */
import { capabilities } from '../../index.js';
import { Failure, type Output } from '../command.js';
import { readWhole } from '../files.js';

interface Key {
  readonly work: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly contender: string;
}

export interface Base {
  readonly name: string;
  /** Milliseconds of a call then; undefined for what was not measured. */
  median(key: Key): number | undefined;
}

interface Record extends Key {
  readonly nanoseconds: { readonly median: number };
}

const textOf = ({ work, dtype, shape, contender }: Key): string => [work, dtype, shape.join('x'), contender].join(' ');

function isRecord(value: unknown): value is Record {
  const { work, dtype, shape, contender, nanoseconds } = (value ?? {}) as Partial<Record>;
  const isNamed = [work, dtype, contender].every((each) => typeof each === 'string');
  return isNamed && Array.isArray(shape) && typeof nanoseconds?.median === 'number' && nanoseconds.median > 0;
}

/** Reads a report; says on `stderr` where it is of another processor. Throws a Failure for a file that is none. */
export function readBase(file: string, stderr: Output): Base {
  let report: { processor?: unknown; results?: unknown };
  try {
    report = JSON.parse(Buffer.from(readWhole(file)).toString()) as typeof report;
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(`Expected a report of bench --format json in ${file}, which is no JSON`);
  }
  const results: unknown[] = Array.isArray(report?.results) ? report.results : [];
  if (results.length === 0 || !results.every(isRecord)) {
    throw new Failure(`Expected a report of bench --format json in ${file}`);
  }
  const { processor } = capabilities();
  if (report.processor !== processor) {
    stderr.write(`flash-softmax: ${file} is of another processor: ${String(report.processor)}\n`);
  }
  const medians = new Map(results.map((each) => [textOf(each), each.nanoseconds.median / 1e6]));
  return { name: file, median: (key) => medians.get(textOf(key)) };
}
