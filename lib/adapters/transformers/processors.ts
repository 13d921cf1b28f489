/** Logits processors as generate() of transformers.js takes them, without its classes. */
import { kindOf } from '../../call/arrays.js';
import { trueLength, wrongType, wrongValue } from '../../call/errors.js';
import { listOf } from '../../sampling/options.js';

/** The logits of a step: a Tensor of transformers.js, [batch, vocabulary], float32. */
export interface LogitsTensor {
  readonly dims: readonly number[];
  readonly data: unknown;
}

/** What generate() calls in each step, with the tokens of each sequence so far, prompt and output. */
export type Processor = <T extends LogitsTensor>(inputIds: readonly (readonly bigint[])[], logits: T) => T;

/**
 * What `generate()` takes as `logits_processor`: a LogitsProcessorList of transformers.js, as its type says. Processors
 * that are pushed run before the one that is there.
 */
export interface LogitsProcessors {
  <T extends LogitsTensor>(inputIds: readonly (readonly bigint[])[], logits: T): T;
  /** Those that were pushed. */
  processors: unknown[];
  push(item: unknown): void;
  extend(items: Iterable<unknown>): void;
  _call<T extends LogitsTensor>(inputIds: readonly (readonly bigint[])[], logits: T): T;
  [Symbol.iterator](): ReturnType<Processor[]['values']>;
}

/** A list whose last processor is `last`. */
export function processorsWith(last: Processor): LogitsProcessors {
  const pushed: Processor[] = [];
  const call: Processor = (inputIds, logits) => {
    const processed = pushed.reduce((each, processor) => processor(inputIds, each), logits);
    return last(inputIds, processed);
  };
  return Object.assign(call, {
    processors: pushed,
    push: (item: unknown) => void pushed.push(item as Processor),
    extend: (items: Iterable<unknown>) => {
      for (const item of items) pushed.push(item as Processor);
    },
    _call: call,
    [Symbol.iterator]: () => [...pushed, last].values(),
  });
}

/** The rows of a step. */
export interface LogitRows {
  readonly data: Float32Array;
  readonly rows: number;
  readonly cols: number;
}

/** Checks the logits of a step: a row for each sequence. */
export function rowsOf(inputIds: unknown, logits: LogitsTensor): LogitRows {
  if (!Array.isArray(inputIds)) throw wrongType('an array of sequences', 'input_ids', inputIds);
  const { data, dims } = logits;
  if (kindOf(data) !== 'Float32Array') throw wrongType('a tensor of float32', 'logits', data);
  const [rows, cols] = [inputIds.length, Number(dims[dims.length - 1])];
  const length = trueLength(data as Float32Array, 'logits');
  if (length !== rows * cols) throw wrongValue(`${rows} rows of ${cols} logits`, 'logits', `${length} elements`);
  return { data: data as Float32Array, rows, cols };
}

/** The tokens of a sequence as numbers. */
export const tokensOfSequence = (ids: unknown): number[] =>
  listOf(ids, 'input_ids', (id) => {
    if (typeof id !== 'bigint' && typeof id !== 'number') throw wrongType('tokens', 'input_ids', id);
    return Number(id);
  });
