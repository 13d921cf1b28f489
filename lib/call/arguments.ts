/**
 * The checks of an operator's arguments along an axis.
 *
 * Options are read once each and first of all: a getter may do anything, detach a buffer too, so that lengths are taken
 * only afterwards, and by intrinsic getters (arrays.ts). Nothing is written before every check passed.
 */
import {
  bufferOf,
  byteLengthOf,
  byteOffsetOf,
  bytesPerElement,
  kindOf,
  lengthOf,
  newArray,
  overlap,
} from './arrays.js';
import { describe, outOfRange, trueLength, wrongType, wrongValue } from './errors.js';
import { MASK_BITS, MASK_BYTES, MASK_NONE, MASK_ROW_BITS, MASK_ROW_BYTES } from '../backend/backend.js';
import { types } from './types.js';

export { describe, outOfRange, wrongType, wrongValue, type ErrorCode } from './errors.js';

const { isFloat32Array, isFloat64Array, isUint8Array } = types;

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
  /** How many of them. */
  readonly elements: number;
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

/** Checks the arguments of an operator along an axis; `more` names the options that it has beyond the common ones. */
export function axisCall(x: LogitArray, options?: AxisOptions<LogitArray, LogitArray>, more: readonly string[] = [], result: Result = 'element', name = 'x'): AxisCall {
  if (options === undefined && result === 'element') {
    if (isFloat32Array(x)) return plainCall(x, new Float32Array(trueLength(x, name)), 'f32');
    if (isFloat64Array(x)) return plainCall(x, new Float64Array(trueLength(x, name)), 'f64');
  }
  if (options !== undefined) checkNames(options, more, result !== 'state');
  const { cols, shape, axis, temperature = 1, mask, maskFormat = 'bytes', bias, out, dtype } = options ?? {};
  const type = elementType(x, dtype, name);

  if (typeof temperature !== 'number') throw wrongType('a number', 'temperature', temperature);
  if (!(temperature > 0 && temperature < Infinity)) throw outOfRange('a finite number above 0', 'temperature', temperature);

  if (shape === undefined && axis !== undefined) throw wrongValue('no value', 'axis without shape', describe(axis));
  if (shape !== undefined && cols !== undefined) throw wrongValue('no value', 'cols beside shape', describe(cols));
  const sizes = shape === undefined ? undefined : Array.isArray(shape) ? Array.from(shape as readonly unknown[]) : shape;
  const elements = trueLength(x, name); // behind all that could run a caller's code
  const rows = sizes === undefined ? rowsOf(elements, cols) : rowsAlong(sizes, axis, elements);

  const maskLayout = mask === undefined ? MASK_NONE : layoutOf(mask, maskFormat, elements, rows.cols);
  if (bias !== undefined) {
    if (!isLike(bias, x)) throw wrongType(`a ${kindOf(x)}, as ${name} is,`, 'bias', bias);
    const biases = trueLength(bias, 'bias');
    if (biases !== elements && biases !== rows.cols) throw wrongValue(lengths(elements, rows.cols, 'element'), 'bias', String(biases));
  }
  const isHalf = type === 'f16' || type === 'bf16';
  const { outer, cols: length, inner } = rows;
  if (out !== undefined) {
    checkOut(out, x, { result, name, isHalf, elements, rows: outer * inner });
    if (mask !== undefined && overlap(out, mask)) throw wrongValue('memory apart from out', 'mask', 'an overlap');
    if (bias !== undefined && overlap(out, bias)) throw wrongValue('memory apart from out', 'bias', 'an overlap');
  }
  const results = out ?? (result === 'state' ? x : result === 'row' ? new Float64Array(outer * inner) : newLike(x, elements));
  const kernel = isHalf && isFloat32Array(results) ? (`${type}_f32` as const) : type;
  return {
    x: bitsOf(x), elements, out: results, kernelOut: bitsOf(results), isOutNew: out === undefined, kernel, outer, cols: length, inner,
    temperature, mask: mask ?? null, maskLayout, bias: bias === undefined ? null : bitsOf(bias),
  };
}

/** Checks the array for results: its kind, its length, and that it is x itself or apart from it. */
function checkOut(out: LogitArray, x: LogitArray, { result, name, isHalf, elements, rows }: { result: Result; name: string; isHalf: boolean; elements: number; rows: number }): void {
  if (result === 'row') {
    if (!isFloat64Array(out)) throw wrongType('a Float64Array', 'out', out);
    const given = trueLength(out, 'out');
    if (given !== rows) throw wrongValue(`${rows} elements, one a row,`, 'out', String(given));
    if (overlap(out, x)) throw wrongValue(`memory apart from ${name}`, 'out', 'an overlap');
    return;
  }
  if (!isLike(out, x) && !(isHalf && isFloat32Array(out))) {
    throw wrongType(`a ${kindOf(x)}, as ${name} is,${isHalf ? ' or a Float32Array' : ''}`, 'out', out);
  }
  const given = trueLength(out, 'out');
  if (given !== elements) throw wrongValue(`${elements} elements, as in ${name},`, 'out', String(given));
  // One byteOffset and one length mean the same memory or none in common. Where they differ `buffer` is looked at, which
  // costs more: V8 makes it the first time it is asked for.
  const mayBeSame = byteOffsetOf(out) === byteOffsetOf(x) && bytesPerElement(out) === bytesPerElement(x);
  if (!mayBeSame && overlap(out, x)) throw wrongValue(`${name} itself or memory apart from it`, 'out', `a part of ${name}`);
}

function plainCall<A extends FloatArray>(x: A, out: A, kernel: ElementType): AxisCall {
  const elements = lengthOf(x);
  return { x, elements, out, kernelOut: out, isOutNew: true, kernel, outer: 1, cols: elements, inner: 1, temperature: 1, mask: null, maskLayout: MASK_NONE, bias: null };
}

/** Checks another array of logits that belongs to a call: of the kind and length of x. */
export function likeArray(value: unknown, x: LogitArray, name: string, owner: string): KernelArray {
  if (!isLike(value, x)) throw wrongType(`a ${kindOf(x)}, as ${owner} is,`, name, value);
  const [given, wanted] = [trueLength(value, name), lengthOf(x)];
  if (given !== wanted) throw wrongValue(`${wanted} elements, as in ${owner},`, name, String(given));
  return bitsOf(value);
}

/** Checks that an array that is written is apart from another one, or, if it may be, the same. */
export function apart(written: ArrayBufferView, name: string, other: ArrayBufferView | null, otherName: string, maySame = false): void {
  if (other === null || (maySame && byteOffsetOf(written) === byteOffsetOf(other) && byteLengthOf(written) === byteLengthOf(other))) return;
  if (overlap(written, other)) throw wrongValue(`memory apart from ${otherName}`, name, 'an overlap');
}

/** The type of an array's elements, with what is said of a Uint16Array. */
function elementType(x: LogitArray, dtype: unknown, name: string): ElementType {
  const kind = kindOf(x) ?? '';
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

/** Rows along one axis of a shape. */
function rowsAlong(sizes: readonly unknown[], axis: number = -1, elements: number): Rows {
  if (!Array.isArray(sizes)) throw wrongType('an array of integers', 'shape', sizes);
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
  if (total !== elements) throw wrongValue(`a product of ${elements}, the length of x,`, 'shape', `[${sizes.join(', ')}]`);

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
  const given = trueLength(mask, 'mask');
  const isAll = given === all;
  const isRow = given === row;
  if (isAll && isRow && length !== cols) {
    throw wrongValue("maskFormat 'bytes', as so few bits may be one row's or all rows',", 'mask', "'bits'");
  }
  if (isAll) return format === 'bits' ? MASK_BITS : MASK_BYTES;
  if (isRow) return format === 'bits' ? MASK_ROW_BITS : MASK_ROW_BYTES;
  throw wrongValue(lengths(all, row, 'byte'), 'mask', String(given));
}

function lengths(all: number, row: number, unit: string): string {
  const some = `${all} ${unit}${all === 1 ? '' : 's'}`;
  return all === row ? some : `${some}, or ${row} for one row,`;
}

const isLike = <A extends LogitArray>(value: unknown, x: A): value is A => kindOf(value) === kindOf(x);

/** By kind and not by constructor, which can be anything. */
const newLike = (x: LogitArray, length: number): LogitArray =>
  newArray(kindOf(x) as 'Float32Array' | 'Float64Array' | 'Uint16Array' | 'Float16Array', length) as LogitArray;

/** A typed array as kernels take it. */
export function bitsOf(x: LogitArray): KernelArray {
  if (isFloat32Array(x) || isFloat64Array(x)) return x;
  return types.isUint16Array(x) ? x : new Uint16Array(bufferOf(x), byteOffsetOf(x), lengthOf(x));
}
