/** What the functions of flash-softmax/sampling have in common: rows of logits, the names of options, and rows that have no answer. */
import { axisCall, outOfRange, wrongType, wrongValue, type AxisCall, type ElementType, type KernelArray, type LogitArray } from '../arguments.js';
import { bfloat16, float16 } from '../backend/js/half.js';
import { counts } from '../backend/js/masks.js';

export interface RowOptions {
  /** The length of a row, for rows that follow one another. Default: all is one row. */
  cols?: number | undefined;
  /** What the bits of a Uint16Array are. For a Uint16Array only, and needed there. */
  dtype?: 'float16' | 'bfloat16' | undefined;
}

export interface MaskedOptions<A extends LogitArray = LogitArray> extends RowOptions {
  /** Which positions count, as for softmax: an entry for each element, or for each position of a row and the same for all rows. */
  mask?: Uint8Array | undefined;
  /** 'bytes' or 'bits', as for softmax. Default: 'bytes'. */
  maskFormat?: 'bytes' | 'bits' | undefined;
  /** Added to the logits before all else, in double: as long as the logits, or as a row and the same for all rows. */
  bias?: A | undefined;
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

/** Checks logits and how they are cut into rows. */
export function rowsOf(logits: LogitArray, { cols, dtype, mask, maskFormat, bias }: MaskedOptions, name = 'logits'): Rows {
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

/** Reads logits with their bias; what is masked is −∞. */
export function logitsOf(rows: Rows): (row: number, column: number) => number {
  const { type, cols, mask, maskLayout, bias } = rows;
  const read = reader(rows);
  const more = bias && reader({ x: bias, type });
  const shared = bias?.length === cols;
  return (row, column) => {
    if (mask !== null && !counts(mask, maskLayout, row * cols + column, column)) return -Infinity;
    return read(row * cols + column) + (more === null ? 0 : more(shared ? column : row * cols + column));
  };
}

export const hasNaN = (row: number, name = 'logits') => wrongValue('no NaN', `row ${row} of ${name}`, 'one');
export const nothingFinite = (row: number, name = 'logits') => wrongValue('a finite largest logit', `row ${row} of ${name}`, 'none');

/** A number from 0 to 1. */
export function share(value: unknown, name: string): number {
  if (typeof value !== 'number') throw wrongType('a number from 0 to 1', name, value);
  if (!(value >= 0 && value <= 1)) throw outOfRange('a number from 0 to 1', name, value);
  return value;
}
