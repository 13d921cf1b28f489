/** argmax and topK: the largest logits of a row, and where they are. */
import { wrongValue, type KernelArray, type LogitArray } from '../call/arguments.js';
import { bufferOf, kindOf, newArray, type ArrayKind } from '../call/arrays.js';
import { NO_INDEX, type ArgmaxKernel, type TopKKernel } from '../backend/backend.js';
import { TOP_K } from '../backend/operators.js';
import { backendFor } from '../backend/choice.js';
import { samplingKernels } from '../js/sampling/sampling.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { count } from '../call/options.js';
import type { NewLike, NewUint32Array } from '../call/types.js';
import { optionsOf } from '../sampling/options.js';
import { hasNaN, ROW_OPTIONS, rowsOf, type RowOptions, type Rows } from '../sampling/rows.js';

/**
 * The index of the largest logit of each row, the lowest of several.
 *
 * @param x Logits, row-major: all of them one row, or rows of `cols`. −∞ and +∞ are numbers like others here.
 * @param options `cols`; `dtype` for a Uint16Array.
 * @returns An index for each row.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_INVALID_ARG_VALUE) for `cols` that does not fit, a row without elements, or one with a NaN, which it names.
 */
export function argmax(x: LogitArray, options?: RowOptions): NewUint32Array {
  const { x: logits, type, rows, cols } = rowsOf(x, optionsOf(options, ROW_OPTIONS), 'x');
  if (cols === 0) throw wrongValue('at least one element', 'x', 'none');
  const indices = new Uint32Array(rows);
  const kernel = backendFor(rows * cols, samplingKernels)[`argmax_${type}`] as ArgmaxKernel<KernelArray>;
  kernel(logits, indices, rows, cols);
  const row = indices.indexOf(NO_INDEX);
  if (row >= 0) throw hasNaN(row, 'x');
  return indices;
}

export interface TopK<A extends LogitArray = LogitArray> {
  /** Of each row, `k` indices: those of the largest first, the lower one first among equals. */
  readonly indices: NewUint32Array;
  /** The logits at these. */
  readonly values: A;
  /** How many there are of each row: k, or `cols` if that is less. */
  readonly k: number;
}

/**
 * The k largest logits of each row, in order; of equal ones those with the lowest indices.
 *
 * @param x Logits, row-major: all of them one row, or rows of `cols`.
 * @param k How many, from 1; all of a row if it has fewer.
 * @param options `cols`; `dtype` for a Uint16Array.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a `k` or `cols` that does not fit, or a row with a NaN, which it names.
 */
export function topK<A extends LogitArray>(x: A, k: number, options?: RowOptions): TopK<NewLike<A>> {
  return runNow(topKCall(x, k, options));
}

export function topKCall<A extends LogitArray>(
  x: A, k: number, options: RowOptions | undefined, more: readonly string[] = [],
): Call<TopK<NewLike<A>>> {
  const given = optionsOf(options, [...ROW_OPTIONS, ...more]);
  const wanted = count(k, 'k', 1);
  const { x: logits, type, rows, cols, mask, maskLayout, bias } = rowsOf(x, given, 'x');
  const most = Math.min(wanted, cols);
  const indices = new Uint32Array(rows * most);
  const values = likeOf(x, rows * most);
  const isFloat16 = kindOf(values) === 'Float16Array';
  const bits = isFloat16 ? new Uint16Array(bufferOf(values)) : (values as unknown as KernelArray);
  return callOf(TOP_K, {
    backend: backendFor(rows * cols, samplingKernels),
    type,
    args: { x: logits, indices, values: bits, rows: most === 0 ? 0 : rows, cols, k: most, mask, maskLayout, bias },
    own: ['indices', 'values'],
    work: rows * cols,
    finish() {
      for (let row = 0; row < rows && most > 0; row++) if (indices[row * most] === NO_INDEX) throw hasNaN(row, 'x');
      return { indices, values, k: most };
    },
  });
}

/**
 * The k ≤ cols largest of each row that has been checked already. The first index of a row with a NaN is NO_INDEX;
 * `values` are those of x.
 */
export function topOf<A extends KernelArray>(
  call: Rows & { readonly x: A }, k: number,
): { indices: NewUint32Array; values: NewLike<A> } {
  const { x, type, rows, cols, mask, maskLayout, bias } = call;
  const [indices, values] = [new Uint32Array(rows * k), likeOf(x, rows * k)];
  const kernel = backendFor(rows * cols, samplingKernels)[`top_k_${type}`] as TopKKernel<KernelArray>;
  if (k > 0) kernel(x, indices, values, rows, cols, k, mask, maskLayout, bias);
  return { indices, values };
}

/** A new array of the kind of x, whatever constructor x says it has. */
function likeOf<A extends LogitArray>(x: A, length: number): NewLike<A> {
  return newArray(kindOf(x) as ArrayKind, length) as unknown as NewLike<A>;
}
