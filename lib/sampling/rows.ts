/** What the functions of flash-softmax/sampling have in common: rows of logits, the names of options, and rows that have no answer. */
import {
  axisCall,
  outOfRange,
  wrongType,
  wrongValue,
  type AxisCall,
  type ElementType,
  type KernelArray,
  type LogitArray,
} from '../call/arguments.js';
import { bfloat16, float16 } from '../js/rows/half.js';
import { lengthOf } from '../call/arrays.js';
import { twoSum } from '../js/softmax/log.js';
import { counts } from '../js/rows/masks.js';
import type { Given } from './options.js';

export interface RowOptions {
  /** The length of a row, for rows that follow one another. Default: all is one row. */
  cols?: number | null | undefined;
  /** What the bits of a Uint16Array are. For a Uint16Array only, and needed there. */
  dtype?: 'float16' | 'bfloat16' | null | undefined;
}

export interface MaskedOptions<A extends LogitArray = LogitArray> extends RowOptions {
  /** Which positions count, as for softmax: an entry for each element, or for each position of a row and the same for all rows. */
  mask?: Uint8Array | null | undefined;
  /** 'bytes' or 'bits', as for softmax. Default: 'bytes'. */
  maskFormat?: 'bytes' | 'bits' | null | undefined;
  /** Added to the logits before all else, in double: as long as the logits, or as a row and the same for all rows. */
  bias?: A | null | undefined;
}

export const ROW_OPTIONS = ['cols', 'dtype'] as const;
export const MASKED_OPTIONS = [...ROW_OPTIONS, 'mask', 'maskFormat', 'bias'] as const;

export interface Rows {
  readonly x: KernelArray;
  readonly type: ElementType;
  readonly rows: number;
  readonly cols: number;
  readonly mask: Uint8Array | null;
  readonly maskLayout: number;
  readonly bias: KernelArray | null;
}

/** Checks logits and how they are cut into rows. Lengths are taken here: copy a caller's lists before. */
export function rowsOf(logits: LogitArray, options: Given<MaskedOptions>, name = 'logits'): Rows {
  const { cols, dtype, mask, maskFormat, bias } = options;
  const call: AxisCall = axisCall(logits, { cols, dtype, mask, maskFormat: maskFormat ?? 'bytes', bias }, [], 'row', name);
  if (call.cols >= 2 ** 32 - 1) throw outOfRange('rows of less than 2^32 − 1 logits', name, call.cols);
  return { x: call.x, type: call.kernel as ElementType, rows: call.outer, cols: call.cols, mask: call.mask, maskLayout: call.maskLayout, bias: call.bias };
}

/** Reads elements as numbers. */
export function reader({ x, type }: Pick<Rows, 'x' | 'type'>): (i: number) => number {
  if (type === 'f16') return (i) => float16.toFloat(x[i]!);
  if (type === 'bf16') return (i) => bfloat16.toFloat(x[i]!);
  return (i) => x[i]!;
}

/** Numbers from here on are read as quarters: a sum of two, and the difference of two such sums, are doubles then. */
const LARGE = 2 ** 1020;

/** Reads logits with their bias as exact sums (high + low) · unit; what is masked is −∞. */
export class LogitSums {
  /** What the last sum had beside what `read` returned. */
  low = 0;
  /** 1, or 4 for a call with numbers so large that their sums or differences may be beyond the doubles. */
  readonly unit: 1 | 4;
  readonly #rows: Rows;
  readonly #logit: (i: number) => number;
  readonly #bias: ((i: number) => number) | null;
  readonly #isShared: boolean;

  constructor(rows: Rows) {
    const { x, type, cols, bias } = rows;
    this.#rows = rows;
    this.#logit = reader(rows);
    this.#bias = bias && reader({ x: bias, type });
    this.#isShared = bias !== null && lengthOf(bias) === cols;
    this.unit = type === 'f64' && (hasLarge(x) || (bias !== null && hasLarge(bias))) ? 4 : 1;
  }

  read(row: number, column: number): number {
    const { cols, mask, maskLayout } = this.#rows;
    const i = row * cols + column;
    this.low = 0;
    if (mask !== null && !counts(mask, maskLayout, i, column)) return -Infinity;
    const logit = this.#logit(i) / this.unit;
    if (this.#bias === null) return logit;
    const [high, low] = twoSum(logit, this.#bias(this.#isShared ? column : i) / this.unit);
    if (Math.abs(high) < Infinity) this.low = low;
    return high;
  }

  /** (sum − other sum) / temperature; −∞ where that is below all doubles. */
  distance(high: number, low: number, other: number, otherLow: number, temperature: number): number {
    return ((high - other + (low - otherLow)) / temperature) * this.unit;
  }
}

function hasLarge(x: KernelArray): boolean {
  const n = lengthOf(x);
  for (let i = 0; i < n; i++) if (Math.abs(x[i]!) >= LARGE && Math.abs(x[i]!) < Infinity) return true;
  return false;
}

export const hasNaN = (row: number, name = 'logits') => wrongValue('no NaN', `row ${row} of ${name}`, 'one');
export const nothingFinite = (row: number, name = 'logits') => wrongValue('a finite largest logit', `row ${row} of ${name}`, 'none');

/** A number from 0 to 1. */
export function share(value: unknown, name: string): number {
  if (typeof value !== 'number') throw wrongType('a number from 0 to 1', name, value);
  if (!(value >= 0 && value <= 1)) throw outOfRange('a number from 0 to 1', name, value);
  return value;
}
