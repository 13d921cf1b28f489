/**
 * Every check of what a caller passes, and every message: "Expected X for Y but received Z". A wrong kind of thing is a
 * TypeError, a wrong value of the right kind a RangeError, and both have a `code`.
 *
 * Options are read once each and first of all: a getter may do anything, detach a buffer too, so that lengths are taken
 * only afterwards. Nothing is written before every check passed.
 */
import { MASK_BITS, MASK_BYTES, MASK_NONE, MASK_ROW_BITS, MASK_ROW_BYTES } from './backend/backend.js';
import { types } from './types.js';

const { isFloat32Array, isFloat64Array, isUint8Array, isTypedArray } = types;

export type FloatArray = Float32Array | Float64Array;

/** Float16Array as far as this package uses it: not every runtime that it supports has one. */
export interface Float16ArrayLike extends ArrayBufferView {
  readonly length: number;
  readonly BYTES_PER_ELEMENT: number;
  readonly [Symbol.toStringTag]: 'Float16Array';
  [index: number]: number;
}

/** What logits come in. A Uint16Array holds the bits of the half type that `dtype` names. */
export type LogitArray = FloatArray | Uint16Array | Float16ArrayLike;

/** Element types by the names that kernels have for them. */
export type ElementType = 'f32' | 'f64' | 'f16' | 'bf16';

/** Options of every operator that works along one axis of a dense, row-major tensor of logits. */
export interface AxisOptions<A extends LogitArray = LogitArray, Out = A> {
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
  /** Where results go: `x` itself where they are as long, or memory that it does not share. Default: a new array. */
  out?: Out | undefined;
  /** What the bits of a Uint16Array are, in `x` and in all other arrays of logits. For a Uint16Array only, and needed there. */
  dtype?: 'float16' | 'bfloat16' | undefined;
}

const AXIS_OPTIONS = ['cols', 'shape', 'axis', 'temperature', 'mask', 'maskFormat', 'bias', 'out', 'dtype'];

/** What an operator gives: a number for each element, like x (or float32 for halves), a double for each row, or states of its own. */
export type Result = 'element' | 'row' | 'state';

/** Options of an operator whose results are states of its own. */
export type ReductionOptions<A extends LogitArray = LogitArray> = Omit<AxisOptions<A>, 'out'>;

/** What kernels take for logits: a Float16Array as the bits of its elements. */
export type KernelArray = FloatArray | Uint16Array;

/** A checked call, as the kernels take it. */
export interface AxisCall {
  readonly x: KernelArray;
  /** What the caller gets, and the same as the kernel takes it. */
  readonly out: LogitArray;
  readonly kernelOut: KernelArray;
  /** The caller gave none. */
  readonly isOutNew: boolean;
  /** The element type of x, with `_f32` behind it if halves have float32 results. */
  readonly kernel: ElementType | 'f16_f32' | 'bf16_f32';
  readonly outer: number;
  readonly cols: number;
  readonly inner: number;
  readonly temperature: number;
  readonly mask: Uint8Array | null;
  readonly maskLayout: number;
  readonly bias: KernelArray | null;
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
export function axisCall(x: LogitArray, options?: AxisOptions<LogitArray, LogitArray>, more: readonly string[] = [], result: Result = 'element', name = 'x'): AxisCall {
  if (options === undefined && result === 'element') {
    if (isFloat32Array(x)) return plainCall(x, new Float32Array(x.length), 'f32');
    if (isFloat64Array(x)) return plainCall(x, new Float64Array(x.length), 'f64');
  }
  if (options !== undefined) checkNames(options, more, result !== 'state');
  const { cols, shape, axis, temperature = 1, mask, maskFormat = 'bytes', bias, out, dtype } = options ?? {};
  const type = elementType(x, dtype, name);

  if (typeof temperature !== 'number') throw wrongType('a number', 'temperature', temperature);
  if (!(temperature > 0 && temperature < Infinity)) throw outOfRange('a finite number above 0', 'temperature', temperature);

  if (shape === undefined && axis !== undefined) throw wrongValue('no value', 'axis without shape', describe(axis));
  if (shape !== undefined && cols !== undefined) throw wrongValue('no value', 'cols beside shape', describe(cols));
  const rows = shape === undefined ? rowsOf(x.length, cols) : rowsAlong(shape, axis, x);

  const maskLayout = mask === undefined ? MASK_NONE : layoutOf(mask, maskFormat, x.length, rows.cols);
  if (bias !== undefined) {
    if (!isLike(bias, x)) throw wrongType(`a ${kindOf(x)}, as ${name} is,`, 'bias', bias);
    if (bias.length !== x.length && bias.length !== rows.cols) {
      throw wrongValue(lengths(x.length, rows.cols, 'element'), 'bias', String(bias.length));
    }
  }
  const isHalf = type === 'f16' || type === 'bf16';
  if (out !== undefined) {
    if (result === 'row') {
      if (!isFloat64Array(out)) throw wrongType('a Float64Array', 'out', out);
      if (out.length !== rows.outer * rows.inner) throw wrongValue(`${rows.outer * rows.inner} elements, one a row,`, 'out', String(out.length));
      if (overlap(out, x)) throw wrongValue(`memory apart from ${name}`, 'out', 'an overlap');
    } else {
      if (!isLike(out, x) && !(isHalf && isFloat32Array(out))) {
        throw wrongType(`a ${kindOf(x)}, as ${name} is,${isHalf ? ' or a Float32Array' : ''}`, 'out', out);
      }
      if (out.length !== x.length) throw wrongValue(`${x.length} elements, as in ${name},`, 'out', String(out.length));
      // One byteOffset and one length mean the same memory or none in common. Where they differ `buffer` is looked at, which
      // costs more: V8 makes it the first time it is asked for.
      const mayBeSame = out.byteOffset === x.byteOffset && out.BYTES_PER_ELEMENT === x.BYTES_PER_ELEMENT;
      if (!mayBeSame && overlap(out, x)) throw wrongValue(`${name} itself or memory apart from it`, 'out', `a part of ${name}`);
    }
    if (mask !== undefined && overlap(out, mask)) throw wrongValue('memory apart from out', 'mask', 'an overlap');
    if (bias !== undefined && overlap(out, bias)) throw wrongValue('memory apart from out', 'bias', 'an overlap');
  }
  const { outer, inner } = rows;
  const results = out ?? (result === 'state' ? x : result === 'row' ? new Float64Array(outer * inner) : newLike(x));
  const kernel = isHalf && isFloat32Array(results) ? (`${type}_f32` as const) : type;
  return {
    x: bitsOf(x), out: results, kernelOut: bitsOf(results), isOutNew: out === undefined, kernel, outer, cols: rows.cols, inner, temperature, mask: mask ?? null, maskLayout,
    bias: bias === undefined ? null : bitsOf(bias),
  };
}

function plainCall<A extends FloatArray>(x: A, out: A, kernel: ElementType): AxisCall {
  return { x, out, kernelOut: out, isOutNew: true, kernel, outer: 1, cols: x.length, inner: 1, temperature: 1, mask: null, maskLayout: MASK_NONE, bias: null };
}

/** Checks another array of logits that belongs to a call: of the kind and length of x. */
export function likeArray(value: unknown, x: LogitArray, name: string, owner: string): KernelArray {
  if (!isLike(value, x)) throw wrongType(`a ${kindOf(x)}, as ${owner} is,`, name, value);
  if (value.length !== x.length) throw wrongValue(`${x.length} elements, as in ${owner},`, name, String(value.length));
  return bitsOf(value);
}

/** Checks that an array that is written is apart from another one, or, if it may be, the same. */
export function apart(written: ArrayBufferView, name: string, other: ArrayBufferView | null, otherName: string, maySame = false): void {
  if (other === null || (maySame && written.byteOffset === other.byteOffset && written.byteLength === other.byteLength)) return;
  if (overlap(written, other)) throw wrongValue(`memory apart from ${otherName}`, name, 'an overlap');
}

/** The type of an array's elements, with what is said of a Uint16Array. */
function elementType(x: LogitArray, dtype: unknown, name: string): ElementType {
  const kind = isTypedArray(x) ? kindOf(x) : '';
  if (kind === 'Uint16Array') {
    if (dtype === 'float16') return 'f16';
    if (dtype === 'bfloat16') return 'bf16';
    if (dtype === undefined) throw wrongType("dtype 'float16' or 'bfloat16' beside a Uint16Array", name, x);
    if (typeof dtype !== 'string') throw wrongType("'float16' or 'bfloat16'", 'dtype', dtype);
    throw wrongValue("'float16' or 'bfloat16'", 'dtype', describe(dtype));
  }
  if (kind !== 'Float32Array' && kind !== 'Float64Array' && kind !== 'Float16Array') {
    throw wrongType('a Float32Array or Float64Array, a Float16Array, or a Uint16Array with a dtype', name, x);
  }
  if (dtype !== undefined) throw wrongValue(`no value beside a ${kind}`, 'dtype', describe(dtype));
  return kind === 'Float32Array' ? 'f32' : kind === 'Float64Array' ? 'f64' : 'f16';
}

/** Unknown names are errors: a misspelt option would otherwise be ignored without a word. */
function checkNames(options: object, more: readonly string[], hasOut: boolean): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) throw wrongType('an object', 'options', options);
  for (const name in options) {
    switch (name) { // and not a look into a list: half of the time that all checks take
      case 'cols': case 'shape': case 'axis': case 'temperature': case 'mask': case 'maskFormat': case 'bias': case 'dtype':
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
function rowsAlong(shape: readonly number[], axis: number = -1, x: LogitArray): Rows {
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

function isLike<A extends LogitArray>(value: unknown, x: A): value is A {
  if (isFloat32Array(x)) return isFloat32Array(value);
  return isTypedArray(value) && kindOf(value) === kindOf(x);
}

function newLike(x: LogitArray): LogitArray {
  if (isFloat32Array(x)) return new Float32Array(x.length);
  if (isFloat64Array(x)) return new Float64Array(x.length);
  return new (x.constructor as new (length: number) => Uint16Array | Float16ArrayLike)(x.length);
}

/** A typed array as kernels take it. */
function bitsOf(x: LogitArray): KernelArray {
  if (isFloat32Array(x) || isFloat64Array(x)) return x;
  return types.isUint16Array(x) ? x : new Uint16Array(x.buffer, x.byteOffset, x.length);
}

/** 'Float32Array', … : what an array is, whatever it calls itself. */
const kindOf = (x: ArrayBufferView): string => arrayKind.call(x) as string;
const arrayKind = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)!.get!;

/** Whether two views have memory in common, as far as JavaScript can tell: two handles of one SharedArrayBuffer look apart. */
function overlap(a: ArrayBufferView, b: ArrayBufferView): boolean {
  return a.buffer === b.buffer && a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength;
}
