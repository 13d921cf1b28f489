/** Arrays as text: nested lists of JSON, and lines of CSV. Numbers are float64. */
import { Failure } from './command.js';
import { checkShape, type Floats } from './floats.js';
import type { Npy } from './npy.js';

// ---- JSON ---------------------------------------------------------------------------------------------

/** Words for what JSON has no number for; Python writes them bare. */
const WORDS: Readonly<Record<string, number>> = { NaN: NaN, Infinity: Infinity, '-Infinity': -Infinity };
const BARE_WORD = /"?(-?Infinity|NaN)"?/g;
const DEEPEST = 32;

/** Nested lists of one shape. null is NaN. */
export function parseJson(bytes: Uint8Array): Npy {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString().replace(BARE_WORD, '"$1"'));
  } catch (error) {
    throw new Failure(`Expected JSON but received something else (${(error as Error).message})`);
  }
  const shape: number[] = [];
  for (let list = value; Array.isArray(list) && shape.length < DEEPEST; list = (list as unknown[])[0]) {
    shape.push(list.length);
  }
  checkShape(shape);
  const data: number[] = [];
  append(value, shape, 0, data);
  return { type: 'float64', shape, data: Float64Array.from(data) };
}

function append(value: unknown, shape: readonly number[], axis: number, data: number[]): void {
  if (axis === shape.length) {
    const number = value === null ? NaN : typeof value === 'string' ? WORDS[value] : value;
    if (typeof number !== 'number') {
      throw new Failure(`Expected a number as element ${data.length} but received ${JSON.stringify(value)}`);
    }
    data.push(number);
    return;
  }
  if (!Array.isArray(value) || value.length !== shape[axis]) {
    const received = Array.isArray(value) ? String(value.length) : JSON.stringify(value);
    throw new Failure(`Expected lists of ${shape[axis]} at depth ${axis + 1} but received ${received}`);
  }
  for (const item of value) append(item, shape, axis + 1, data);
}

/** Nested lists; null for NaN. A float32 has as few digits as tell it from its neighbours. */
export function formatJson(data: Floats, shape: readonly number[]): Uint8Array[] {
  const cell = (i: number): string => (Number.isNaN(data[i]) ? 'null' : numberText(data, i));
  const list = (axis: number, at: number, size: number): string => {
    if (axis === shape.length) return cell(at);
    const step = size / shape[axis]!;
    const items = Array.from({ length: shape[axis]! }, (_, i) => list(axis + 1, at + i * step, step));
    return `[${items.join(axis === shape.length - 1 ? ',' : ',\n')}]`;
  };
  return [Buffer.from(`${list(0, 0, data.length)}\n`)];
}

/** The shortest text that reads as this element again. */
function numberText(data: Floats, i: number): string {
  const x = data[i]!;
  if (data instanceof Float64Array) return String(x);
  for (let digits = 6; digits < 9; digits++) {
    const text = x.toPrecision(digits);
    if (Math.fround(Number(text)) === x) return String(Number(text));
  }
  return String(Number(x.toPrecision(9)));
}

// ---- CSV ----------------------------------------------------------------------------------------------

const SEPARATOR = /\s*[,;\t]\s*|\s+/;

function numberOf(cell: string): number | undefined {
  if (/^[+-]?inf(inity)?$/i.test(cell)) return cell.startsWith('-') ? -Infinity : Infinity;
  if (/^[+-]?nan$/i.test(cell)) return NaN;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(cell) ? Number(cell) : undefined;
}

/**
 * A line a row, cells apart by commas, semicolons, tabs or blanks. A first line of words is a header; lines that begin
 * with # and empty ones are skipped. One line, or one number a line, is one row.
 */
export function parseCsv(bytes: Uint8Array): Npy {
  const rows: number[][] = [];
  let isFirst = true;
  Buffer.from(bytes)
    .toString()
    .split('\n')
    .forEach((line, i) => {
      const text = line.trim();
      if (text === '' || text.startsWith('#')) return;
      const cells = text.split(SEPARATOR).map(numberOf);
      const isHeader = isFirst && cells.every((cell) => cell === undefined);
      isFirst = false;
      if (isHeader) return;
      const bad = cells.indexOf(undefined);
      if (bad >= 0) throw new Failure(`Expected a number in line ${i + 1}, column ${bad + 1}`);
      if (rows.length > 0 && cells.length !== rows[0]!.length) {
        throw new Failure(`Expected ${rows[0]!.length} numbers in line ${i + 1} but received ${cells.length}`);
      }
      rows.push(cells as number[]);
    });
  if (rows.length === 0) throw new Failure('Expected numbers but received none');
  const cols = rows[0]!.length;
  const shape = rows.length === 1 || cols === 1 ? [rows.length * cols] : [rows.length, cols];
  return { type: 'float64', shape, data: Float64Array.from(rows.flat()) };
}

/** A line for each of the last axis. */
export function formatCsv(data: Floats, shape: readonly number[]): Uint8Array[] {
  const cols = shape.at(-1)!;
  const lines: string[] = [];
  for (let at = 0; at < data.length; at += cols) {
    lines.push(Array.from({ length: cols }, (_, c) => numberText(data, at + c)).join(','));
  }
  return [Buffer.from(`${lines.join('\n')}\n`)];
}
