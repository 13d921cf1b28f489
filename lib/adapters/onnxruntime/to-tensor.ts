/** toTensor: a tensor of a typed array. */
import { allocate } from '../../call/allocate.js';
import { bufferOf, byteOffsetOf, copyInto, isShared, kindOf, viewOf, type ArrayKind } from '../../call/arrays.js';
import { count, oneOf } from '../../call/checks.js';
import { outOfRange, trueLength, wrongType, wrongValue } from '../../call/errors.js';
import { checkOptions } from '../../call/options.js';
import { listOf } from '../../sampling/options.js';

/** The element types that {@link toTensor} makes. */
export type TensorType = keyof typeof KINDS;

/** The array kind of each element type. 'float16' has a Float16Array where the runtime has one. */
const KINDS = {
  float32: 'Float32Array',
  float64: 'Float64Array',
  float16: 'Uint16Array',
  int8: 'Int8Array',
  uint8: 'Uint8Array',
  bool: 'Uint8Array',
  int16: 'Int16Array',
  uint16: 'Uint16Array',
  int32: 'Int32Array',
  uint32: 'Uint32Array',
  int64: 'BigInt64Array',
  uint64: 'BigUint64Array',
} as const satisfies Record<string, ArrayKind>;

const TYPES = Object.keys(KINDS) as TensorType[];
/** The element type of a kind of array, where no option says otherwise. */
const TYPE_OF = new Map<string, TensorType>([
  ...TYPES.filter((type) => type !== 'bool' && type !== 'float16').map((type) => [KINDS[type], type] as const),
  ['Float16Array', 'float16'],
]);

/** A module of onnxruntime, or any object with its class `Tensor`. */
export interface TensorMaker<T> {
  readonly Tensor: new (type: never, data: never, dims: readonly number[]) => T;
}

/** The elements of a tensor: a typed array, or for integers a list of numbers. */
export type TensorSource = ArrayBufferView | readonly number[];

export interface ToTensorOptions {
  /**
   * The element type. Default: that of the array; 'float16' for a Float16Array; 'int64' for a list of numbers. Integers
   * are converted to another integer type, which copies them: tokens of `sample`, a Uint32Array, as 'int64'.
   */
  readonly type?: TensorType | null | undefined;
  /** What the bits of a Uint16Array are. Default: integers. */
  readonly dtype?: 'float16' | null | undefined;
}

/**
 * A tensor of an array, without a copy of a typed array whose elements are of the wanted type:
 *
 *     const probabilities = toTensor(softmax(data, options), options.shape, ort);
 *     const input_ids = toTensor(tokens, [1, tokens.length], ort, { type: 'int64' });
 *
 * Halves are a Float16Array, or a Uint16Array with `dtype: 'float16'`: the tensor has the array that this version of
 * the runtime wants, with the same memory. An array in shared memory is copied, which onnxruntime does not take.
 *
 * @param array The elements, row-major.
 * @param dims The dimensions: integers from 0, whose product is the number of elements.
 * @param ort The module onnxruntime-node or onnxruntime-web, or what has its class `Tensor`.
 * @returns A new `ort.Tensor`.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type, and for floats where integers are
 *   wanted. RangeError (ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE) for dimensions that do not fit, and for an element
 *   that the wanted type cannot hold.
 * @example
 * import { toTensor } from 'flash-softmax/adapters/onnxruntime';
 * class Tensor { constructor(type, data, dims) { Object.assign(this, { type, data, dims }); } } // theirs
 * console.log(toTensor(Uint32Array.of(7), [1, 1], { Tensor }, { type: 'int64' }).data[0]); // → 7n
 */
export function toTensor<T>(
  array: TensorSource,
  dims: ArrayLike<number>,
  ort: TensorMaker<T>,
  options?: ToTensorOptions,
): T {
  checkOptions(options, ['type', 'dtype']);
  const { type: wanted, dtype } = { ...options };
  const type = typeOf(array, wanted ?? undefined, dtype ?? undefined);
  const shape = listOf(dims, 'dims', (size) => count(size, 'dims', 0));
  const { Tensor } = (ort ?? {}) as { Tensor?: new (type: string, data: unknown, dims: readonly number[]) => T };
  if (typeof Tensor !== 'function') throw wrongType('a module with the class Tensor', 'ort', ort);
  const data = elementsFor(type, array);
  const elements = shape.reduce((product, size) => product * size, 1);
  const length = trueLength(data, 'array');
  if (length !== elements) throw wrongValue(`${elements} elements, as dims say,`, 'array', String(length));
  return new Tensor(type, isShared(data) ? ownCopy(data, length) : data, shape);
}

/** The element type of the tensor. */
function typeOf(array: unknown, wanted: unknown, dtype: unknown): TensorType {
  const kind = kindOf(array);
  if (kind === undefined && !Array.isArray(array)) throw wrongType('a typed array or an array', 'array', array);
  if (dtype !== undefined && (oneOf(dtype, ['float16'], 'dtype'), kind !== 'Uint16Array')) {
    throw wrongType("a Uint16Array beside dtype 'float16'", 'array', array);
  }
  const own = dtype !== undefined ? 'float16' : kind === undefined ? 'int64' : TYPE_OF.get(kind);
  if (own === undefined) throw wrongType('an array of an element type of ONNX', 'array', array);
  if (wanted === undefined) return own;
  const type = oneOf(wanted, TYPES, 'type');
  if (type !== own && (isFloat(type) || isFloat(own))) throw wrongType(`an array of ${type}`, 'array', array);
  return type;
}

const isFloat = (type: TensorType): boolean => type.startsWith('float');

/** The elements in an array that `new Tensor` takes for a type: the caller's memory where it can be. */
function elementsFor(type: TensorType, array: TensorSource): ArrayBufferView {
  const kind = kindOf(array);
  const x = array as ArrayBufferView;
  if (type === 'float16') return halves(x);
  if (kind === KINDS[type]) return viewOf(x);
  return converted(type, array as ArrayLike<number | bigint>);
}

/** The array of halves that this runtime's tensors have. */
function halves(x: ArrayBufferView): ArrayBufferView {
  const { Float16Array } = globalThis as { Float16Array?: new (...rest: unknown[]) => ArrayBufferView };
  if (kindOf(x) === 'Float16Array' || Float16Array === undefined) return viewOf(x);
  return new Float16Array(bufferOf(x), byteOffsetOf(x), trueLength(x, 'array'));
}

/** Integers in an array of another type. Each must be one that the type holds. */
function converted(type: TensorType, array: ArrayLike<number | bigint>): ArrayBufferView {
  const isBig = type === 'int64' || type === 'uint64';
  const list = listOf(array, 'array', (element) => {
    if (typeof element === 'bigint') return element;
    if (typeof element !== 'number') throw wrongType('integers', 'array', element);
    if (!Number.isSafeInteger(element)) throw outOfRange(`integers for ${type}`, 'array', element);
    return BigInt(element);
  });
  const result = allocate(KINDS[type], list.length, 'the tensor');
  list.forEach((element, i) => {
    (result as unknown as (number | bigint)[])[i] = isBig ? element : Number(element);
    const stored = (result as unknown as (number | bigint)[])[i]!;
    if (BigInt(stored) !== element) throw outOfRange(`integers for ${type}`, 'array', element);
  });
  return result;
}

function ownCopy(x: ArrayBufferView, length: number): ArrayBufferView {
  const copy = allocate(kindOf(x) as ArrayKind, length, 'the tensor');
  copyInto(copy, x);
  return copy;
}
