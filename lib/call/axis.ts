/**
 * The checks of a call along one axis of a tensor of logits.
 *
 * Options are read first and once: a getter may do anything, detach a buffer too, so that lengths are taken only
 * afterwards, and by intrinsic getters (arrays.ts). Nothing is written before every check has passed.
 */
import { MASK_NONE, type KernelArray } from '../backend/backend.js';
import { byteOffsetOf, bytesPerElement, kindOf, overlap, type ArrayKind } from './arrays.js';
import { apart, bitsOf, count, isLike, oneOf, positive } from './checks.js';
import { axesOf, rowsOver, type CompactOrder, type Rows } from './axes.js';
import { compactCall } from './compact.js';
import { describe, outOfRange, trueLength, wrongType, wrongValue } from './errors.js';
import { biasOf, maskOf } from './mask.js';
import { allocate } from './allocate.js';
import { checkNames, type AxesOptions, type Form, type OptionNames } from './options.js';
import { isFloat32Array, isFloat64Array, type ElementType, type LogitArray } from './types.js';

/** What an operator gives: a number for each element, a double for each row, or a state of its own. */
export type ResultKind = 'element' | 'row' | 'state';

/** What the checks must know of an operator. */
export interface AxisOperator {
  /** What callers know the logits as. */
  readonly logits: string;
  readonly result: ResultKind;
  /** The names of its options; absent: they are not checked here. */
  readonly names?: OptionNames;
  /** Whether `axis` may be a list. Its calls run `gather` before their kernel and `scatter` after it. */
  readonly takesAxes?: boolean;
}

/** Checked arguments by name, as kernels take them. */
export interface AxisArguments {
  readonly x: KernelArray;
  readonly out: KernelArray;
  readonly outer: number;
  readonly cols: number;
  readonly inner: number;
  readonly temperature: number;
  readonly mask: Uint8Array | null;
  readonly maskLayout: number;
  readonly bias: KernelArray | null;
}

/** The names of arguments that are arrays. */
type ArrayName = 'x' | 'out' | 'mask' | 'bias';

export interface AxisCall {
  readonly args: AxisArguments;
  readonly elements: number;
  /** The element type of x, with `_f32` behind it if halves have float32 results. */
  readonly type: ElementType | 'f16_f32' | 'bf16_f32';
  /** The caller's `out`, or a new array. */
  readonly out: LogitArray;
  readonly isOutNew: boolean;
  /** The names of arguments that are arrays of this call. */
  readonly own: readonly ArrayName[];
  /** The order of the arguments, if it is not the tensor's. */
  readonly order?: CompactOrder;
  /** Fills the arguments from the caller's arrays, with a turn for others between slices. */
  gather?(): Generator<undefined, void>;
  /** Moves results to `out`. */
  scatter?(): Generator<undefined, void>;
}

type Options = AxesOptions<LogitArray, LogitArray>;

/** Options after they have been read. */
export interface ReadOptions extends Options {
  readonly temperature: number;
  readonly maskFormat: 'bytes' | 'bits';
}

/** Checks the names of options, and reads each once. */
export function readOptions(options: Options = NONE, names?: Readonly<Record<string, true>>): ReadOptions {
  if (names !== undefined) checkNames(options, names);
  const { cols, shape, axis, temperature = 1, mask, maskFormat = 'bytes', bias, out, dtype } = options;
  return { cols, shape, axis, temperature, mask, maskFormat, bias, out, dtype };
}

const NONE: Options = {};

/** Checks the logits and the options of a call, which has either form of the operator's function. */
export const axisCall = (operator: AxisOperator, form: Form, x: LogitArray, options?: Options): AxisCall =>
  checkedCall(operator, form, x, readOptions(options, operator.names?.[form]));

/** As {@link axisCall}, with options that have been read. */
export function checkedCall(operator: AxisOperator, form: Form, x: LogitArray, options: ReadOptions): AxisCall {
  const { logits, result } = operator;
  const { cols, shape, axis, temperature, mask, maskFormat, bias, out, dtype } = options;
  const type = elementTypeOf(x, dtype, logits);
  positive(temperature, 'temperature');
  const sizes = sizesOf(shape, axis, cols);
  const axes: unknown = Array.isArray(axis) ? Array.from(axis as readonly unknown[]) : axis;

  const elements = trueLength(x, logits); // behind all that could run a caller's code
  const rows = sizes === undefined ? rowsOf(elements, cols) : rowsAlong(sizes, axes, elements, operator.takesAxes);
  const kernelMask = mask === undefined ? undefined : maskOf(mask, maskFormat, elements, wordRows(rows));
  const kernelBias = bias === undefined ? null : biasOf(bias, x, elements, rows.cols, logits);
  if (out !== undefined) {
    checkOut(operator, out, x, result === 'row' ? rows.outer * rows.inner : elements);
    if (mask !== undefined) apart(mask, 'mask', out, 'out');
    if (bias !== undefined) apart(bias, 'bias', out, 'out');
  }
  const results = out ?? newResults(result, x, elements, rows);
  const { outer, cols: length, inner, order } = rows;
  const call: AxisCall = {
    args: {
      x: bitsOf(x),
      out: bitsOf(results),
      outer,
      cols: length,
      inner,
      temperature,
      mask: kernelMask?.mask ?? null,
      maskLayout: kernelMask?.maskLayout ?? MASK_NONE,
      bias: kernelBias,
    },
    elements,
    type: (type === 'f16' || type === 'bf16') && isFloat32Array(results) ? `${type}_f32` : type,
    out: results,
    isOutNew: out === undefined,
    own: out === undefined ? ['out'] : [],
  };
  return order === undefined ? call : compactCall(call, { form, result, logits, order });
}

const TYPES = { Float32Array: 'f32', Float64Array: 'f64', Float16Array: 'f16' } as const;

/** The type of an array's elements; `dtype` says what the bits of a Uint16Array are. */
export function elementTypeOf(x: LogitArray, dtype: unknown, name: string): ElementType {
  const kind = kindOf(x);
  if (kind === 'Uint16Array') {
    if (dtype === undefined) throw wrongType("dtype 'float16' or 'bfloat16' beside a Uint16Array", name, x);
    return oneOf(dtype, ['float16', 'bfloat16'], 'dtype') === 'float16' ? 'f16' : 'bf16';
  }
  const type: ElementType | undefined = TYPES[kind as keyof typeof TYPES];
  if (type === undefined) {
    const isNumbers = Array.isArray(x) || (kind !== undefined && !kind.startsWith('Big'));
    const hint = isNumbers ? ` (Float32Array.from(${name}) makes one of these numbers)` : '';
    throw wrongType(`a Float32Array or Float64Array, a Float16Array, or a Uint16Array with a dtype${hint}`, name, x);
  }
  if (dtype !== undefined) throw wrongValue(`no value beside a ${kind}`, 'dtype', describe(dtype));
  return type;
}

/** A copy of `shape`, each element read once; undefined without a shape. */
function sizesOf(shape: unknown, axis: unknown, cols: unknown): readonly unknown[] | undefined {
  if (shape === undefined && axis !== undefined) throw wrongValue('no value', 'axis without shape', describe(axis));
  if (shape !== undefined && cols !== undefined) throw wrongValue('no value', 'cols beside shape', describe(cols));
  if (shape === undefined) return undefined;
  return Array.isArray(shape) ? Array.from(shape as readonly unknown[]) : (shape as readonly unknown[]);
}

/** Rows of `cols`, one after the other. */
function rowsOf(elements: number, cols: number | undefined): Rows {
  if (cols === undefined) return { outer: 1, cols: elements, inner: 1 };
  count(cols, 'cols');
  if (elements % cols !== 0) throw wrongValue(`a divisor of the ${elements} elements of x`, 'cols', String(cols));
  return { outer: elements / cols, cols, inner: 1 };
}

/** Rows over axes of a shape. */
function rowsAlong(sizes: readonly unknown[], axis: unknown = -1, elements: number, takesAxes = false): Rows {
  if (!Array.isArray(sizes)) throw wrongType('an array of integers', 'shape', sizes);
  const total = sizes.reduce((product: number, n) => {
    if (typeof n !== 'number') throw wrongType('integers', 'shape', n);
    if (!(Number.isSafeInteger(n) && n >= 0)) throw outOfRange('integers from 0', 'shape', n);
    return product * n;
  }, 1) as number;
  if (sizes.length === 0) throw wrongValue('at least one dimension', 'shape', 'none');
  const axes = axesOf(axis, sizes.length, takesAxes);
  if (total !== elements) {
    throw wrongValue(`a product of ${elements}, the length of x,`, 'shape', `[${sizes.join(', ')}]`);
  }
  return rowsOver(sizes as number[], axes, elements);
}

/** The rows of a mask: rows that do not follow one another have an inner size above 1, and no words of their own. */
const wordRows = ({ outer, cols, inner, order }: Rows) => ({
  cols,
  inner: order === undefined ? inner : outer * inner,
});

/** Checks the array for results: its kind, its length, and that it is x itself or apart from x. */
function checkOut({ logits, result }: AxisOperator, out: LogitArray, x: LogitArray, length: number): void {
  if (result === 'row') {
    if (!isFloat64Array(out)) throw wrongType('a Float64Array', 'out', out);
    const given = trueLength(out, 'out');
    if (given !== length) throw wrongValue(`${length} elements, one a row,`, 'out', String(given));
    apart(out, 'out', x, logits);
    return;
  }
  const isHalf = !isFloat32Array(x) && !isFloat64Array(x);
  if (!isLike(out, x) && !(isHalf && isFloat32Array(out))) {
    throw wrongType(`a ${kindOf(x)}, as ${logits} is,${isHalf ? ' or a Float32Array' : ''}`, 'out', out);
  }
  const given = trueLength(out, 'out');
  if (given !== length) throw wrongValue(`${length} elements, as in ${logits},`, 'out', String(given));
  // With one offset and one size they are the same memory or apart. `buffer` costs more: V8 makes it when first asked.
  if (byteOffsetOf(out) === byteOffsetOf(x) && bytesPerElement(out) === bytesPerElement(x)) return;
  if (!overlap(out, x)) return;
  throw wrongValue(`${logits} itself or memory apart from it`, 'out', `a part of ${logits}`);
}

/** A new array for results, by kind and not by constructor, which can be anything. */
function newResults(result: ResultKind, x: LogitArray, elements: number, { outer, inner }: Rows): LogitArray {
  if (result === 'state') return x;
  return result === 'row' ? allocate('Float64Array', outer * inner, 'out') : newLike(x, elements);
}

/** A new array of the kind of x. */
export const newLike = (x: LogitArray, length: number): LogitArray =>
  allocate(kindOf(x) as ArrayKind, length, 'out') as unknown as LogitArray;
