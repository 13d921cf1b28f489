/**
 * Every check of what a caller passes, and every message: "Expected X for Y but received Z". A wrong kind of thing is a
 * TypeError, a wrong value of the right kind a RangeError, and both have a `code`.
 *
 * Options are read once each and first of all: a getter may do anything, detach a buffer too, so that lengths are taken
 * only afterwards. Nothing is written before every check passed.
 */
import { types } from 'node:util';
import { MASK_BITS, MASK_BYTES, MASK_NONE, MASK_ROW_BITS, MASK_ROW_BYTES } from './backend/backend.js';

const { isFloat32Array, isFloat64Array, isUint8Array, isTypedArray } = types;

export type FloatArray = Float32Array | Float64Array;

/** Options of every operator that works along one axis of a dense, row-major tensor of logits. */
export interface AxisOptions<A extends FloatArray = FloatArray> {
  /** The length of a row, for rows that follow one another in `x`. Default: all of `x` is one row. */
  cols?: number | undefined;
  /** The dimensions of `x`, if rows do not follow one another, or there are more than two. Excludes `cols`. */
  shape?: readonly number[] | undefined;
  /** The axis of `shape` that rows run along; negative ones count from the end. Default: −1, the last. */
  axis?: number | undefined;
  /** What the logits are divided by: finite and > 0. It costs no accuracy. Default: 1. */
  temperature?: number | undefined;
  /**
   * Which positions count; the others have probability 0 and their logits, NaN included, do not matter. One entry for
   * each element of `x`, or for each position of a row and the same for all rows. Default: all of them.
   */
  mask?: Uint8Array | undefined;
  /**
   * 'bytes': an entry is a byte, any but 0 counts. 'bits': an entry is a bit, bit i & 7 of byte i >> 3. So few of them
   * that one row and all rows take the same number of bytes are an error, as nobody can tell. Default: 'bytes'.
   */
  maskFormat?: 'bytes' | 'bits' | undefined;
  /** Added to the logits before the temperature, exactly: as long as `x`, or as a row and the same for all rows. */
  bias?: A | undefined;
  /** Where results go, as long as `x`: `x` itself, or memory that it does not share. Default: a new array. */
  out?: A | undefined;
}

/** Options of an operator with one result a row. */
export type ReductionOptions<A extends FloatArray = FloatArray> = Omit<AxisOptions<A>, 'out'>;

const AXIS_OPTIONS = ['cols', 'shape', 'axis', 'temperature', 'mask', 'maskFormat', 'bias', 'out'];

/** A checked call, as the kernels take it. */
export interface AxisCall<A extends FloatArray> {
  readonly out: A;
  /** The caller gave none. */
  readonly isOutNew: boolean;
  readonly outer: number;
  readonly cols: number;
  readonly inner: number;
  readonly temperature: number;
  readonly mask: Uint8Array | null;
  readonly maskLayout: number;
  readonly bias: A | null;
}

export type ErrorCode = 'ERR_INVALID_ARG_TYPE' | 'ERR_INVALID_ARG_VALUE' | 'ERR_OUT_OF_RANGE';

function coded<E extends Error>(error: E, code: ErrorCode): E & { code: ErrorCode } {
  return Object.assign(error, { code });
}

/** For a wrong kind of thing. */
export function wrongType(expected: string, name: string, received: unknown): TypeError & { code: ErrorCode } {
  return coded(new TypeError(`Expected ${expected} for ${name} but received ${describe(received)}`), 'ERR_INVALID_ARG_TYPE');
}

/** For a number outside of what makes sense. */
export function outOfRange(expected: string, name: string, received: unknown): RangeError & { code: ErrorCode } {
  return coded(new RangeError(`Expected ${expected} for ${name} but received ${describe(received)}`), 'ERR_OUT_OF_RANGE');
}

/** For anything else that does not fit; `received` is a phrase. */
export function wrongValue(expected: string, name: string, received: string): RangeError & { code: ErrorCode } {
  return coded(new RangeError(`Expected ${expected} for ${name} but received ${received}`), 'ERR_INVALID_ARG_VALUE');
}

/** A value in a few words: 3, 'abc', an Array, a Float32Array of 5. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 40 ? `${value.slice(0, 40)}…` : value}'`;
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return String(value);
  const kind = Object.prototype.toString.call(value).slice(8, -1);
  const article = /^[AEIO]/.test(kind) ? 'an' : 'a';
  return isTypedArray(value) ? `${article} ${kind} of ${value.length}` : `${article} ${kind}`;
}

/** Checks the arguments of an operator along an axis; `more` names the options that it has beyond the common ones. */
export function axisCall<A extends FloatArray>(x: A, options?: AxisOptions<A>, more: readonly string[] = []): AxisCall<A> {
  return checkedCall(x, options, more, true);
}

/** The same for an operator with one result a row, which has no `out` of its own. */
export function reductionCall<A extends FloatArray>(x: A, options?: ReductionOptions<A>, more: readonly string[] = []): Omit<AxisCall<A>, 'out' | 'isOutNew'> {
  return checkedCall(x, options, more, false);
}

function checkedCall<A extends FloatArray>(x: A, options: AxisOptions<A> | undefined, more: readonly string[], hasOut: boolean): AxisCall<A> {
  if (!isFloat32Array(x) && !isFloat64Array(x)) throw wrongType('a Float32Array or Float64Array', 'x', x);
  if (options === undefined) {
    return { out: hasOut ? newLike(x) : x, isOutNew: true, outer: 1, cols: x.length, inner: 1, temperature: 1, mask: null, maskLayout: MASK_NONE, bias: null };
  }
  checkNames(options, more, hasOut);
  const { cols, shape, axis, temperature = 1, mask, maskFormat = 'bytes', bias, out } = options;

  if (typeof temperature !== 'number') throw wrongType('a number', 'temperature', temperature);
  if (!(temperature > 0 && temperature < Infinity)) throw outOfRange('a finite number above 0', 'temperature', temperature);

  if (shape === undefined && axis !== undefined) throw wrongValue('no value', 'axis without shape', describe(axis));
  if (shape !== undefined && cols !== undefined) throw wrongValue('no value', 'cols beside shape', describe(cols));
  const rows = shape === undefined ? rowsOf(x.length, cols) : rowsAlong(shape, axis, x);

  const maskLayout = mask === undefined ? MASK_NONE : layoutOf(mask, maskFormat, x.length, rows.cols);
  if (bias !== undefined) {
    if (!isLike(bias, x)) throw wrongType(`a ${kindOf(x)}, as x is,`, 'bias', bias);
    if (bias.length !== x.length && bias.length !== rows.cols) {
      throw wrongValue(lengths(x.length, rows.cols, 'element'), 'bias', String(bias.length));
    }
  }
  if (out !== undefined) {
    if (!isLike(out, x)) throw wrongType(`a ${kindOf(x)}, as x is,`, 'out', out);
    if (out.length !== x.length) throw wrongValue(`${x.length} elements, as in x,`, 'out', String(out.length));
    // One byteOffset and one length mean the same memory or none in common. Where they differ `buffer` is looked at, which
    // costs more: V8 makes it the first time it is asked for.
    if (out.byteOffset !== x.byteOffset && overlap(out, x)) {
      throw wrongValue('x itself or memory apart from it', 'out', 'a part of x');
    }
    if (mask !== undefined && overlap(out, mask)) throw wrongValue('memory apart from out', 'mask', 'an overlap');
    if (bias !== undefined && overlap(out, bias)) throw wrongValue('memory apart from out', 'bias', 'an overlap');
  }
  return {
    out: out ?? (hasOut ? newLike(x) : x),
    isOutNew: out === undefined,
    outer: rows.outer,
    cols: rows.cols,
    inner: rows.inner,
    temperature,
    mask: mask ?? null,
    maskLayout,
    bias: bias ?? null,
  };
}

/** Unknown names are errors: a misspelt option would otherwise be ignored without a word. */
function checkNames(options: object, more: readonly string[], hasOut: boolean): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) throw wrongType('an object', 'options', options);
  for (const name in options) {
    switch (name) { // and not a look into a list: half of the time that all checks take
      case 'cols': case 'shape': case 'axis': case 'temperature': case 'mask': case 'maskFormat': case 'bias':
        break;
      default:
        if (!(hasOut && name === 'out') && !more.includes(name) && Object.hasOwn(options, name)) {
          throw wrongType(`only ${[...AXIS_OPTIONS.filter((each) => hasOut || each !== 'out'), ...more].join(', ')}`, 'options', name);
        }
    }
  }
}

interface Rows {
  readonly outer: number;
  readonly cols: number;
  readonly inner: number;
}

/** Rows of `cols`, one after the other. */
function rowsOf(length: number, cols: number | undefined): Rows {
  if (cols === undefined) return { outer: 1, cols: length, inner: 1 };
  if (typeof cols !== 'number') throw wrongType('a positive integer', 'cols', cols);
  if (!(Number.isSafeInteger(cols) && cols > 0)) throw outOfRange('a positive integer', 'cols', cols);
  if (length % cols !== 0) throw wrongValue(`a divisor of the ${length} elements of x`, 'cols', String(cols));
  return { outer: length / cols, cols, inner: 1 };
}

/** Rows along one axis of a shape. The length of x is looked at last, as a shape can have getters too. */
function rowsAlong(shape: readonly number[], axis: number = -1, x: FloatArray): Rows {
  if (!Array.isArray(shape)) throw wrongType('an array of integers', 'shape', shape);
  const sizes: unknown[] = Array.from(shape);
  const size = (first: number, end: number) =>
    sizes.slice(first, end).reduce((product: number, n) => {
      if (typeof n !== 'number') throw wrongType('integers', 'shape', n);
      if (!(Number.isSafeInteger(n) && n >= 0)) throw outOfRange('integers from 0', 'shape', n);
      return product * n;
    }, 1);

  const rank = sizes.length;
  const total = size(0, rank);
  if (rank === 0) throw wrongValue('at least one dimension', 'shape', 'none');
  if (typeof axis !== 'number') throw wrongType('an integer', 'axis', axis);
  if (!(Number.isInteger(axis) && axis >= -rank && axis < rank)) {
    throw outOfRange(`an integer from ${-rank} to ${rank - 1}`, 'axis', axis);
  }
  if (total !== x.length) throw wrongValue(`a product of ${x.length}, the length of x,`, 'shape', `[${sizes.join(', ')}]`);

  const along = axis < 0 ? axis + rank : axis;
  return { outer: size(0, along), cols: size(along, along + 1), inner: size(along + 1, rank) };
}

function layoutOf(mask: Uint8Array, format: unknown, length: number, cols: number): number {
  if (!isUint8Array(mask)) throw wrongType('a Uint8Array', 'mask', mask);
  if (typeof format !== 'string') throw wrongType("'bytes' or 'bits'", 'maskFormat', format);
  if (format !== 'bytes' && format !== 'bits') throw wrongValue("'bytes' or 'bits'", 'maskFormat', describe(format));

  const perByte = format === 'bits' ? 8 : 1;
  const all = Math.ceil(length / perByte);
  const row = Math.ceil(cols / perByte);
  const isAll = mask.length === all;
  const isRow = mask.length === row;
  if (isAll && isRow && length !== cols) {
    throw wrongValue("maskFormat 'bytes', as so few bits may be one row's or all rows',", 'mask', "'bits'");
  }
  if (isAll) return format === 'bits' ? MASK_BITS : MASK_BYTES;
  if (isRow) return format === 'bits' ? MASK_ROW_BITS : MASK_ROW_BYTES;
  throw wrongValue(lengths(all, row, 'byte'), 'mask', String(mask.length));
}

function lengths(all: number, row: number, unit: string): string {
  const some = `${all} ${unit}${all === 1 ? '' : 's'}`;
  return all === row ? some : `${some}, or ${row} for one row,`;
}

function isLike<A extends FloatArray>(value: unknown, x: A): value is A {
  return isFloat32Array(x) ? isFloat32Array(value) : isFloat64Array(value);
}

function newLike<A extends FloatArray>(x: A): A {
  return (isFloat32Array(x) ? new Float32Array(x.length) : new Float64Array(x.length)) as A;
}

const kindOf = (x: FloatArray): string => (isFloat32Array(x) ? 'Float32Array' : 'Float64Array');

/** Whether two views have memory in common, as far as JavaScript can tell: two handles of one SharedArrayBuffer look apart. */
function overlap(a: ArrayBufferView, b: ArrayBufferView): boolean {
  return a.buffer === b.buffer && a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength;
}
