/** SOFT: attention with a Gaussian kernel, composed in double. */
import type { AsyncOptions } from '../call/abort.js';
import { elementsOf } from '../call/arrays.js';
import { count, positive } from '../call/checks.js';
import { describe, outOfRange, wrongType, wrongValue } from '../call/errors.js';
import type { Form } from '../call/options.js';
import { runSteps, type Steps } from '../call/steps.js';
import type { NewFloat32Array, Returned } from '../call/types.js';
import {
  addRows,
  composedCall,
  composedOptions,
  divideRow,
  eachHead,
  eachQuery,
  expBelow,
  rowAdder,
  type ComposedOptions,
  type Head,
  type Sizes,
} from './composed.js';

export interface SoftmaxFreeAttentionOptions<Out extends Float32Array = Float32Array> extends Omit<
  ComposedOptions<Out>,
  'kvHeads'
> {
  /** Positions of the landmarks, each once, or how many of them, evenly spaced. Default: none, the full kernel. */
  landmarks?: number | readonly number[] | undefined;
  /** What is added to the diagonal of the landmarks' kernel: > 0. Default: 0.01. */
  ridge?: number | undefined;
}

/**
 * SOFT, softmax-free attention with a Gaussian kernel (Lu et al., arXiv 2110.11945): queries are keys,
 *
 *     G[i, j] = exp(−|x[i] − x[j]|² / 2)      x = q / headDim^¼      out = G v
 *
 * and with `landmarks` L its low rank form C (M + ridge · I)⁻¹ Cᵀ v, C = G[:, L], M = G[L, L]. The paper inverts by
 * Newton's method, which does not converge where landmarks are close; this solves by Cholesky. Weights do not sum to 1.
 * Computed in double. Largest error seen: 1 ULP of Σ |G v|; with landmarks the condition of M times 2⁻⁵² more.
 *
 * @param q Queries and keys, [batch, heads, positions, headDim]. @param v Values, [batch, heads, positions, valueDim].
 * @param options `heads`, `headDim`, `landmarks`, `ridge`, …
 * @returns [batch, heads, positions, valueDim]: `out`, or a new Float32Array.
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) as attention does, and
 *   for landmarks that are no positions.
 * @example
 * import { softmaxFreeAttention } from 'flash-softmax/attention';
 * const q = Float32Array.of(1, 0, 0, 1), v = Float32Array.of(1, 2, 3, 4); // q is queries and keys
 * console.log(softmaxFreeAttention(q, v, { heads: 1, headDim: 2 })[0].toFixed(4)); // → 2.4792
 */
export function softmaxFreeAttention<Out extends Float32Array = NewFloat32Array>(
  q: Float32Array,
  v: Float32Array,
  options: SoftmaxFreeAttentionOptions<Out>,
): Returned<Out> {
  return runSteps(softmaxFreeAttentionSteps('now', q, v, options)) as Returned<Out>;
}

export function softmaxFreeAttentionSteps(
  form: Form,
  q: Float32Array,
  v: Float32Array,
  options: SoftmaxFreeAttentionOptions & AsyncOptions,
): Steps<Float32Array> {
  const own = composedOptions(options, ['landmarks', 'ridge'], form);
  if ('kvHeads' in own) throw wrongType('no kvHeads', 'options', own.kvHeads);
  const ridge = positive(own.ridge ?? 0.01, 'ridge');
  const list: unknown = Array.isArray(own.landmarks) ? elementsOf(own.landmarks as number[]) : own.landmarks;
  const call = composedCall(q, q, v, own);
  const landmarks = list === undefined ? undefined : landmarksOf(list, call.sizes.keys);
  return eachHead(form, call, (head, sizes) => softHead(head, sizes, landmarks, ridge));
}

/** The positions of landmarks. */
function landmarksOf(given: unknown, positions: number): number[] {
  if (!Array.isArray(given)) {
    const n = count(given, 'landmarks');
    if (n > positions) throw wrongValue(`at most ${positions}, the number of positions,`, 'landmarks', String(n));
    return Array.from({ length: n }, (_, i) => Math.floor((i * positions) / n));
  }
  given.forEach((at: unknown, i) => {
    if (typeof at !== 'number') throw wrongType('integers', 'landmarks', at);
    const isPosition = Number.isInteger(at) && at >= 0 && at < positions;
    if (!isPosition) throw outOfRange(`integers from 0 to ${positions - 1}`, 'landmarks', `${describe(at)} at ${i}`);
  });
  if (given.length === 0 || new Set(given).size < given.length) {
    throw wrongValue('one position at least, and each once', 'landmarks', given.join(', '));
  }
  return given as number[];
}

function* softHead({ q, v, out }: Head, sizes: Sizes, landmarks: number[] | undefined, ridge: number): Steps<void> {
  const { queries, headDim, valueDim } = sizes;
  const kernel = (i: number, j: number): number => {
    let sum = 0;
    for (let d = 0; d < headDim; d++) sum += (q[i * headDim + d]! - q[j * headDim + d]!) ** 2;
    return sum === sum ? expBelow(-sum / 2 / Math.sqrt(headDim)) : NaN;
  };
  if (landmarks === undefined) {
    const weights = new Float64Array(queries);
    return yield* eachQuery(sizes, (m) => {
      for (let j = 0; j < queries; j++) weights[j] = kernel(m, j);
      addRows(out, m, v, weights, valueDim);
    });
  }
  const n = landmarks.length;
  const shape = { ...sizes, keys: n };
  const columns = new Float64Array(n * valueDim); // Cᵀ v, then the solution
  const addToColumn = rowAdder(columns, v, valueDim);
  yield* eachQuery(shape, (i) => {
    landmarks.forEach((at, l) => addToColumn(l, i, kernel(i, at)));
  });
  const m = new Float64Array(n * n);
  landmarks.forEach((a, i) => landmarks.forEach((b, j) => (m[i * n + j] = kernel(a, b) + (i === j ? ridge : 0))));
  solve(m, columns, n, valueDim);
  const addSolution = rowAdder(out, columns, valueDim);
  yield* eachQuery(shape, (i) => {
    landmarks.forEach((at, l) => addSolution(i, l, kernel(i, at)));
  });
}

/** Solves m · x = b by Cholesky, for each of the columns of b, in place; m is symmetric and positive definite. */
function solve(m: Float64Array, b: Float64Array, n: number, columns: number): void {
  const add = rowAdder(b, b, columns);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = m[i * n + j]!;
      for (let k = 0; k < j; k++) sum -= m[i * n + k]! * m[j * n + k]!;
      m[i * n + j] = i === j ? Math.sqrt(sum) : sum / m[j * n + j]!;
    }
  }
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) add(i, k, -m[i * n + k]!);
    divideRow(b, i, columns, m[i * n + i]!);
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) add(i, k, -m[k * n + i]!);
    divideRow(b, i, columns, m[i * n + i]!);
  }
}
