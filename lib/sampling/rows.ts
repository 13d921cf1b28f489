/**
 * Rows of logits for the functions of flash-softmax/sampling: their options, their exact sums, errors that name a row.
 */
import { axisCall, type AxisCall } from '../call/axis.js';
import { outOfRange, wrongValue } from '../call/errors.js';
import { type ElementType, type LogitArray } from '../call/types.js';
import { MASK_BYTES, type KernelArray } from '../backend/backend.js';
import { readerOf } from '../math/read.js';
import { kindOf, lengthOf, newArray, type ArrayKind } from '../call/arrays.js';
import type { PrivateMemory } from '../call/private-memory.js';
import { privately } from '../call/steps.js';
import { HAS_NAN } from '../js/sampling/sample-row.js';
import { twoSum } from '../math/log.js';
import { counts, isBits, isShared } from '../backend/masks.js';
import type { Given } from './options.js';

export interface RowOptions {
  /** The length of a row, for rows that follow one another. Default: all is one row. */
  cols?: number | null | undefined;
  /**
   * The dimensions of the logits, if rows do not follow one another. Excludes `cols`. Rows, and results with a number a
   * row, have the order of the other axes.
   */
  shape?: readonly number[] | null | undefined;
  /** The axis of `shape` that rows run along; negative ones count from the end. Default: −1, the last. */
  axis?: number | null | undefined;
  /** The type of the numbers in a Uint16Array. For a Uint16Array only, and needed there. */
  dtype?: 'float16' | 'bfloat16' | null | undefined;
}

export interface MaskedOptions<A extends LogitArray = LogitArray> extends RowOptions {
  /**
   * Which positions count, as for softmax: an entry for each element, or for each position of a row and the same for
   * all rows. With 'bits' also an Int32Array of the words of grammars (xgrammar, llguidance), ⌈cols / 32⌉ a row.
   */
  mask?: Uint8Array | Int32Array | null | undefined;
  /** 'bytes' or 'bits', as for softmax. Default: 'bytes'. */
  maskFormat?: 'bytes' | 'bits' | null | undefined;
  /** Added to the logits before all else, in double: as long as the logits, or as a row and the same for all rows. */
  bias?: A | null | undefined;
}

export const ROW_OPTIONS = ['cols', 'shape', 'axis', 'dtype'] as const;
export const MASKED_OPTIONS = [...ROW_OPTIONS, 'mask', 'maskFormat', 'bias'] as const;

/** Rows that follow one another. */
export interface Rows {
  readonly x: KernelArray;
  readonly type: ElementType;
  readonly rows: number;
  readonly cols: number;
  readonly mask: Uint8Array | null;
  readonly maskLayout: number;
  readonly bias: KernelArray | null;
  /** The product of the dimensions behind the axis: 1, or the rows are a transposed copy. */
  readonly inner: number;
  /** The arrays that are not the caller's. */
  readonly own: readonly ('x' | 'mask' | 'bias')[];
}

/** Checks logits and their rows. Lengths are taken here: copy a caller's lists before. */
export function rowsOf(logits: LogitArray, options: Given<MaskedOptions>, name = 'logits'): Rows {
  const { cols, shape, axis, dtype, mask, maskFormat, bias } = options;
  const given = { cols, shape, axis, dtype, mask, maskFormat: maskFormat ?? 'bytes', bias } as const;
  const call: AxisCall = axisCall({ logits: name, result: 'state' }, 'now', logits, given);
  const { x, outer, cols: length, inner, mask: kernelMask, maskLayout, bias: kernelBias } = call.args;
  if (length >= 2 ** 32 - 1) throw outOfRange('rows of less than 2^32 − 1 logits', name, length);
  const type = call.type as ElementType;
  const rows: Rows = {
    x,
    type,
    rows: outer * inner,
    cols: length,
    mask: kernelMask,
    maskLayout,
    bias: kernelBias,
    inner,
    own: [],
  };
  return inner === 1 ? rows : transposedRows(rows);
}

/** Rows along an inner axis, copied so that they follow one another. */
function transposedRows(call: Rows): Rows {
  const { x, mask, maskLayout, bias, cols, inner, rows } = call;
  const elements = rows * cols;
  const isMaskOfAll = mask !== null && !isShared(maskLayout);
  const isBiasOfAll = bias !== null && lengthOf(bias) === elements;
  const bytes = isMaskOfAll && isBits(maskLayout) ? bytesOf(mask, elements) : mask;
  return {
    ...call,
    x: transposed(x, cols, inner),
    mask: isMaskOfAll ? transposed(bytes!, cols, inner) : mask,
    maskLayout: isMaskOfAll ? MASK_BYTES : maskLayout,
    bias: isBiasOfAll ? transposed(bias, cols, inner) : bias,
    own: ['x', ...(isMaskOfAll ? (['mask'] as const) : []), ...(isBiasOfAll ? (['bias'] as const) : [])],
  };
}

/** The bits of a mask as bytes. */
const bytesOf = (mask: Uint8Array, elements: number): Uint8Array =>
  Uint8Array.from({ length: elements }, (_, i) => (mask[Math.floor(i / 8)]! >> (i & 7)) & 1);

/** Copies [outer, n, inner] to [outer, inner, n], in tiles that the caches hold. */
export function transposed<A extends ArrayBufferView>(x: A, n: number, inner: number): A {
  const [from, length] = [x as unknown as Float32Array, lengthOf(x)];
  const to = newArray(kindOf(x) as ArrayKind, length) as unknown as Float32Array;
  const size = n * inner;
  for (let start = 0; start < length; start += size) {
    for (let c0 = 0; c0 < n; c0 += 16) {
      for (let i = 0; i < inner; i++) {
        const end = Math.min(n, c0 + 16);
        for (let c = c0; c < end; c++) to[start + i * n + c] = from[start + c * inner + i]!;
      }
    }
  }
  return to as unknown as A;
}

/** Results of [rows, n] in the caller's order of axes, [outer, n, inner]. */
export const inCallersOrder = <A extends ArrayBufferView>({ inner, rows }: Rows, values: A): A =>
  inner === 1 || rows === 0 ? values : transposed(values, inner, lengthOf(values) / rows);

/** Rows whose arrays no caller can write: copies are in `memory`. */
export function* privateRows(call: Rows, memory: PrivateMemory): Generator<undefined, Rows> {
  const { x, mask, bias, own } = call;
  const of = <A extends ArrayBufferView>(view: A, name: 'x' | 'mask' | 'bias') =>
    privately(own.includes(name) ? 'now' : 'later', view, name === 'x' ? 'logits' : name, memory);
  const copies = [
    of(x, 'x'),
    mask === null ? null : of(mask, 'mask'),
    bias === null ? null : of(bias, 'bias'),
  ] as const;
  return {
    ...call,
    x: yield* copies[0],
    mask: copies[1] === null ? null : yield* copies[1],
    bias: copies[2] === null ? null : yield* copies[2],
    own: ['x', 'mask', 'bias'],
  };
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

/** The error for a row with a status of the kernel. */
export const invalidRow = (status: number, row: number, name?: string) =>
  status === HAS_NAN ? hasNaN(row, name) : nothingFinite(row, name);
