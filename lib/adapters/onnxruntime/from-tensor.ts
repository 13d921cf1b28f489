/** fromTensor and lastLogits: the numbers of a tensor, with the options that describe them. */
import { allocate } from '../../call/allocate.js';
import { copyInto, kindOf, lengthOf, viewOf, type ArrayKind } from '../../call/arrays.js';
import { count, oneOf } from '../../call/checks.js';
import { describe, outOfRange, trueLength, wrongType, wrongValue } from '../../call/errors.js';
import { checkOptions } from '../../call/options.js';
import type { Float16ArrayLike, LogitArray } from '../../call/types.js';
import { listOf } from '../../sampling/options.js';

/**
 * A tensor, as far as it is read here: `Tensor` of onnxruntime-node, onnxruntime-web, onnxruntime-react-native and
 * transformers.js.
 */
export interface TensorLike {
  /** The element type: 'float32', 'float64' or 'float16'. */
  readonly type: string;
  /** The elements, row-major. */
  readonly data: unknown;
  readonly dims: readonly number[];
  /** Where the elements are: 'cpu', 'cpu-pinned' or elsewhere. */
  readonly location?: unknown;
}

/** The array of a tensor. Float16Array exists from Node 24 on; before, a Uint16Array holds the bits of halves. */
export type TensorData<T extends TensorLike> = T extends { readonly type: 'float32' }
  ? Float32Array
  : T extends { readonly type: 'float64' }
    ? Float64Array
    : T extends { readonly type: 'float16' }
      ? Uint16Array | Float16ArrayLike
      : LogitArray;

/** The numbers of a tensor: `data`, and beside it options as the functions of this package take them. */
export interface TensorArray<A extends LogitArray = LogitArray> {
  /** The tensor's own elements: what writes to them writes to the tensor. */
  readonly data: A;
  /** The dimensions, a copy. */
  readonly shape: readonly number[];
  /** 'float16' beside a Uint16Array; else absent. */
  readonly dtype?: 'float16';
}

/** The logits of the last position of each sequence. */
export interface LastLogits<A extends LogitArray = LogitArray> {
  /** [batch, cols]. A view of the tensor where these rows follow one another, else a copy. */
  readonly data: A;
  /** The length of a row: the size of the vocabulary. */
  readonly cols: number;
  /** 'float16' beside a Uint16Array; else absent. */
  readonly dtype?: 'float16';
}

const KINDS: Readonly<Record<string, readonly string[]>> = {
  float32: ['Float32Array'],
  float64: ['Float64Array'],
  float16: ['Float16Array', 'Uint16Array'],
};

interface Read {
  readonly data: LogitArray;
  readonly shape: readonly number[];
  readonly dtype: { readonly dtype?: 'float16' };
}

/** Reads each property once: onnxruntime's are getters, and `data` throws for a tensor that is not on the CPU. */
function read(tensor: unknown): Read {
  if (typeof tensor !== 'object' || tensor === null || !('dims' in tensor) || !('type' in tensor)) {
    throw wrongType('a tensor with type, dims and data', 'tensor', tensor);
  }
  const { type, location, dims } = tensor as TensorLike;
  if (location !== undefined && location !== 'cpu' && location !== 'cpu-pinned') {
    throw wrongValue('elements on the CPU (await tensor.getData())', 'tensor.location', describe(location));
  }
  const wanted = KINDS[oneOf(type, ['float32', 'float64', 'float16'], 'tensor.type')]!;
  const shape = listOf(dims, 'tensor.dims', (size) => count(size, 'tensor.dims', 0));
  const { data } = tensor as TensorLike;
  const kind = kindOf(data);
  if (kind === undefined || !wanted.includes(kind)) throw wrongType(`a ${wanted.join(' or ')}`, 'tensor.data', data);
  const elements = shape.reduce((product, size) => product * size, 1);
  const length = trueLength(data as LogitArray, 'tensor.data');
  if (length !== elements) throw wrongValue(`${elements} elements`, 'tensor.data', String(length));
  return { data: data as LogitArray, shape, dtype: kind === 'Uint16Array' ? { dtype: 'float16' } : {} };
}

/**
 * The numbers of a tensor, without a copy, and the options that describe them:
 *
 *     const { data, ...options } = fromTensor(outputs.logits);
 *     const probabilities = softmax(data, { ...options, axis: 1 });
 *
 * A tensor of float16 has a Float16Array where the runtime has one (Node 24), else a Uint16Array with `dtype:
 * 'float16'`; both are taken by every function for logits.
 *
 * @param tensor A tensor of float32, float64 or float16 whose elements are on the CPU.
 * @returns `data`, the tensor's own memory; `shape`, its dimensions; `dtype` where `data` is a Uint16Array.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for what is no tensor. RangeError (ERR_INVALID_ARG_VALUE) for another
 *   element type, for dimensions that are not those of the elements, and for a tensor of another device:
 *   `await tensor.getData()` brings that to the CPU.
 * @example
 * import { softmax } from 'flash-softmax';
 * import { fromTensor } from 'flash-softmax/adapters/onnxruntime';
 * const { data, ...options } = fromTensor({ type: 'float32', dims: [1, 2], data: Float32Array.of(0, 0) });
 * console.log(softmax(data, options).join(' ')); // → 0.5 0.5
 */
export function fromTensor<T extends TensorLike>(tensor: T): TensorArray<TensorData<T>> {
  const { data, shape, dtype } = read(tensor);
  return { data: data as TensorData<T>, shape, ...dtype };
}

/**
 * The logits of the last position of each sequence, from a language model's output:
 *
 *     const { data, ...options } = lastLogits(outputs.logits);
 *     const tokens = sample(data, { ...options, temperature: 0.8 });
 *
 * Of one sequence, and of a model that gives one position, it is a view and costs nothing.
 *
 * @param tensor [batch, positions, vocabulary], or [batch, vocabulary] of a model that gives the last position alone.
 * @param options `lengths`: the number of positions that count, of each sequence, in a batch that is padded on the
 *   right. Default: all.
 * @throws As {@link fromTensor}; RangeError for other dimensions, no position, and a length beyond the positions.
 * @example
 * import { lastLogits } from 'flash-softmax/adapters/onnxruntime';
 * const logits = { type: 'float32', dims: [1, 2, 3], data: Float32Array.of(0, 0, 0, 1, 3, 2) }; // two positions
 * const { data, cols } = lastLogits(logits);
 * console.log(data.join(' '), cols); // → 1 3 2 3
 */
export function lastLogits<T extends TensorLike>(
  tensor: T,
  options?: { readonly lengths?: ArrayLike<number> | null | undefined },
): LastLogits<TensorData<T>> {
  checkOptions(options, ['lengths']);
  const given: unknown = options?.lengths ?? undefined;
  const lengths =
    given === undefined ? undefined : listOf(given, 'lengths', (length) => count(length, 'lengths'), 'an array');
  const { data, shape, dtype } = read(tensor);
  if (shape.length !== 2 && shape.length !== 3) {
    throw wrongValue('2 or 3 dimensions', 'tensor.dims', `${shape.length}`);
  }
  const [batch, cols] = [shape[0]!, shape.at(-1)!];
  const positions = shape.length === 3 ? shape[1]! : 1;
  if (positions === 0 && batch > 0) throw wrongValue('at least one position', 'tensor.dims', 'none');
  if (lengths !== undefined && lengths.length !== batch) {
    throw wrongValue(`${batch} lengths, one a sequence,`, 'lengths', String(lengths.length));
  }
  for (const length of lengths ?? []) {
    if (length > positions) throw outOfRange(`lengths from 1 to ${positions}`, 'lengths', length);
  }
  const rows = lastRows(data, { batch, positions, cols }, lengths);
  return { data: rows as TensorData<T>, cols, ...dtype };
}

function lastRows(
  data: LogitArray,
  { batch, positions, cols }: { batch: number; positions: number; cols: number },
  lengths: readonly number[] | undefined,
): LogitArray {
  const startOf = (b: number): number => (b * positions + (lengths?.[b] ?? positions) - 1) * cols;
  if (batch === 1) return viewOf(data, startOf(0), startOf(0) + cols);
  if (positions === 1) return viewOf(data, 0, lengthOf(data));
  const rows = allocate(kindOf(data) as ArrayKind, batch * cols, 'the last logits') as unknown as LogitArray;
  for (let b = 0; b < batch; b++) copyInto(rows, viewOf(data, startOf(b), startOf(b) + cols), b * cols);
  return rows;
}
