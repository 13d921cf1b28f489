/**
 * Rows of logits for the functions of flash-softmax/sampling: their options, their exact sums, errors that name a row.
 */
import { axisCall, type AxisCall } from '../call/axis.js';
import { outOfRange, wrongValue } from '../call/errors.js';
import { type ElementType, type LogitArray } from '../call/types.js';
import { type KernelArray } from '../backend/backend.js';
import { readerOf } from '../math/read.js';
import { lengthOf } from '../call/arrays.js';
import { twoSum } from '../math/log.js';
import { counts } from '../backend/masks.js';
import type { Given } from './options.js';

export interface RowOptions {
  /** The length of a row, for rows that follow one another. Default: all is one row. */
  cols?: number | null | undefined;
  /** The type of the numbers in a Uint16Array. For a Uint16Array only, and needed there. */
  dtype?: 'float16' | 'bfloat16' | null | undefined;
}

export interface MaskedOptions<A extends LogitArray = LogitArray> extends RowOptions {
  /**
   * Which positions count, as for softmax: an entry for each element, or for each position of a row and the same for
   * all rows.
   */
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

/** Checks logits and their rows. Lengths are taken here: copy a caller's lists before. */
export function rowsOf(logits: LogitArray, options: Given<MaskedOptions>, name = 'logits'): Rows {
  const { cols, dtype, mask, maskFormat, bias } = options;
  const given = { cols, dtype, mask, maskFormat: maskFormat ?? 'bytes', bias } as const;
  const call: AxisCall = axisCall({ logits: name, result: 'state' }, 'now', logits, given);
  const { x, outer: rows, cols: length, mask: kernelMask, maskLayout, bias: kernelBias } = call.args;
  if (length >= 2 ** 32 - 1) throw outOfRange('rows of less than 2^32 − 1 logits', name, length);
  const type = call.type as ElementType;
  return { x, type, rows, cols: length, mask: kernelMask, maskLayout, bias: kernelBias };
}

/** A call with such numbers reads quarters: a sum of two, and the difference of two such sums, do not overflow then. */
const LARGE = 2 ** 1020;

/** Reads logits with their bias as exact sums (high + low) · unit; a masked position is −∞. */
export class LogitSums {
  /** The low part of the sum that `read` returned last. */
  low = 0;
  /** 1, or 4 for a call with numbers so large that their sums or differences may overflow. */
  readonly unit: 1 | 4;
  readonly #rows: Rows;
  readonly #logit: (i: number) => number;
  readonly #bias: ((i: number) => number) | null;
  readonly #isBiasShared: boolean;

  constructor(rows: Rows) {
    const { x, type, cols, bias } = rows;
    this.#rows = rows;
    this.#logit = readerOf(rows.x, rows.type);
    this.#bias = bias && readerOf(bias, type);
    this.#isBiasShared = bias !== null && lengthOf(bias) === cols;
    this.unit = type === 'f64' && (hasLarge(x) || (bias !== null && hasLarge(bias))) ? 4 : 1;
  }

  /** The high part of a sum; `low` becomes the rest, 0 unless the high part is finite. */
  read(row: number, column: number): number {
    const { cols, mask, maskLayout } = this.#rows;
    const i = row * cols + column;
    this.low = 0;
    if (mask !== null && !counts(mask, maskLayout, i, column)) return -Infinity;
    const logit = this.#logit(i) / this.unit;
    if (this.#bias === null) return logit;
    const [high, low] = twoSum(logit, this.#bias(this.#isBiasShared ? column : i) / this.unit);
    if (Math.abs(high) < Infinity) this.low = low;
    return high;
  }

  /** (sum − other sum) / temperature; −∞ if that overflows. */
  distance(high: number, low: number, other: number, otherLow: number, temperature: number): number {
    return ((high - other + (low - otherLow)) / temperature) * this.unit;
  }
}

function hasLarge(x: KernelArray): boolean {
  const n = lengthOf(x);
  for (let i = 0; i < n; i++) if (Math.abs(x[i]!) >= LARGE && Math.abs(x[i]!) < Infinity) return true;
  return false;
}

/** The error for a row with a NaN. */
export const hasNaN = (row: number, name = 'logits') => wrongValue('no NaN', `row ${row} of ${name}`, 'one');

/** The error for a row without a finite largest logit. */
export const nothingFinite = (row: number, name = 'logits') =>
  wrongValue('a finite largest logit', `row ${row} of ${name}`, 'none');
