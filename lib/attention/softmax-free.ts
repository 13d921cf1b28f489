/** Attention without softmax, composed in double: l2-normalised, Taylor and softplus (LSSA, LSSAR) attention. */
import type { AsyncOptions } from '../call/abort.js';
import { count, positive } from '../call/checks.js';
import { outOfRange } from '../call/errors.js';
import type { Form } from '../call/options.js';
import { runSteps, type Steps } from '../call/steps.js';
import type { NewFloat32Array, Returned } from '../call/types.js';
import { finite } from '../call/values.js';
import { ln, log1p } from '../math/log.js';
import {
  composedCall,
  composedOptions,
  addRows,
  divideRow,
  dots,
  eachHead,
  eachQuery,
  expBelow,
  lengthOfRow,
  seenBy,
  type ComposedOptions,
  type Head,
  type Sizes,
} from './composed.js';
import { causalOf, type Causal } from './visible-options.js';

interface ScaledOptions<Out extends Float32Array> extends ComposedOptions<Out> {
  /** The factor of q · k: finite. Default: 1/√headDim. */
  scale?: number | undefined;
  /**
   * Each query sees the keys at its own position and at earlier ones only: `true` or 'bottomRight', with the last query
   * at the last key, or 'topLeft', with query m at key m. Default: false.
   */
  causal?: Causal | undefined;
}

export type L2NormalizedAttentionOptions<Out extends Float32Array = Float32Array> = ScaledOptions<Out>;

export interface TaylorAttentionOptions<Out extends Float32Array = Float32Array> extends ScaledOptions<Out> {
  /** The order of the polynomial: 2 or 4, or another even one up to 16. Default: 2. */
  order?: number | undefined;
}

export interface SoftplusAttentionOptions<Out extends Float32Array = Float32Array> extends ComposedOptions<Out> {
  /** The power of LSSAR, finite and > 0; the paper has 15. Default: none, which is LSSA. */
  sharpen?: number | undefined;
}

/**
 * Attention whose output has the length 1 instead of weights that sum to 1 ("On the Expressiveness of Softmax
 * Attention: A Recurrent Neural Network Perspective", arXiv 2507.23632):
 *
 *     u[m] = Σₙ exp(scale · q[m] · k[n]) v[n]      out[m] = u[m] / |u[m]|      0 where u is 0, or no key is visible
 *
 * Computed in double, relative to a row's largest score. Largest error seen: 1 ULP of the largest output of a row.
 *
 * @param q Queries, [batch, heads, queries, headDim]. @param k Keys, [batch, kvHeads, keys, headDim].
 * @param v Values, [batch, kvHeads, keys, valueDim]. @param options `heads`, `headDim`, …
 * @returns [batch, heads, queries, valueDim]: `out`, or a new Float32Array.
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) as attention does.
 * @example
 * import { l2NormalizedAttention } from 'flash-softmax/attention';
 * const q = Float32Array.of(1, 0), k = Float32Array.of(1, 0, 0, 1), v = Float32Array.of(1, 2, 3, 4);
 * console.log(Math.hypot(...l2NormalizedAttention(q, k, v, { heads: 1, headDim: 2 })).toFixed(4)); // → 1.0000
 */
export function l2NormalizedAttention<Out extends Float32Array = NewFloat32Array>(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  options: L2NormalizedAttentionOptions<Out>,
): Returned<Out> {
  return runSteps(l2NormalizedAttentionSteps('now', q, k, v, options)) as Returned<Out>;
}

export function l2NormalizedAttentionSteps(
  form: Form,
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  options: L2NormalizedAttentionOptions & AsyncOptions,
): Steps<Float32Array> {
  const own = composedOptions(options, ['scale', 'causal'], form);
  const causal = causalOf(own.causal === undefined ? false : own.causal);
  const call = composedCall(q, k, v, own);
  const scale = finite(own.scale ?? 1 / Math.sqrt(call.sizes.headDim), 'scale');
  return eachHead(form, call, (head, sizes) => {
    const { out } = head;
    return eachQuery(sizes, (m) => {
      const scores = scoresOf(head, m, sizes, { causal, scale });
      let top = -Infinity;
      for (let j = 0; j < scores.length; j++) if (!(scores[j]! <= top)) top = scores[j]!;
      for (let j = 0; j < scores.length; j++) scores[j] = expBelow(scores[j]! - top);
      addRows(out, m, head.v, scores, sizes.valueDim);
      divideRow(out, m, sizes.valueDim, lengthOfRow(out, m, sizes.valueDim));
    });
  });
}

/**
 * Attention with a Taylor polynomial instead of exp (arXiv 2507.23632): weights T(scale · q · k) over their sum, as
 * taylorSoftmax of flash-softmax/losses has them. Computed in double. Largest error seen: 1 ULP of the largest
 * |v| that a row sees.
 *
 * @param q Queries, [batch, heads, queries, headDim]. @param k Keys, [batch, kvHeads, keys, headDim].
 * @param v Values, [batch, kvHeads, keys, valueDim]. @param options `heads`, `headDim`, `order`, …
 * @returns [batch, heads, queries, valueDim]: `out`, or a new Float32Array. A query that sees no key gives 0.
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) as attention does.
 * @example
 * import { taylorAttention } from 'flash-softmax/attention';
 * const q = Float32Array.of(1, 0), k = Float32Array.of(1, 0, 0, 1), v = Float32Array.of(1, 2, 3, 4);
 * console.log(taylorAttention(q, k, v, { heads: 1, headDim: 2, order: 2 })[0].toFixed(4)); // → 1.6763
 */
export function taylorAttention<Out extends Float32Array = NewFloat32Array>(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  options: TaylorAttentionOptions<Out>,
): Returned<Out> {
  return runSteps(taylorAttentionSteps('now', q, k, v, options)) as Returned<Out>;
}

export function taylorAttentionSteps(
  form: Form,
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  options: TaylorAttentionOptions & AsyncOptions,
): Steps<Float32Array> {
  const own = composedOptions(options, ['scale', 'causal', 'order'], form);
  const causal = causalOf(own.causal === undefined ? false : own.causal);
  const order = count(own.order ?? 2, 'order');
  if (order % 2 !== 0 || order > 16) throw outOfRange('an even integer from 2 to 16', 'order', order);
  const call = composedCall(q, k, v, own);
  const scale = finite(own.scale ?? 1 / Math.sqrt(call.sizes.headDim), 'scale');
  return eachHead(form, call, (head, sizes) => {
    return eachQuery(sizes, (m) => {
      const scores = scoresOf(head, m, sizes, { causal, scale });
      const sum = toPolynomials(scores, order);
      addRows(head.out, m, head.v, scores, sizes.valueDim);
      divideRow(head.out, m, sizes.valueDim, sum);
    });
  });
}

/** The scores of query m with all keys that it sees. */
function scoresOf(head: Head, m: number, sizes: Sizes, by: { causal: 0 | 1 | 2; scale: number }): Float64Array {
  const scores = new Float64Array(seenBy(m, sizes, by.causal));
  dots(head.q, m, head.k, scores, sizes.headDim);
  for (let j = 0; j < scores.length; j++) scores[j]! *= by.scale;
  return scores;
}

/**
 * Puts Taylor polynomials in the place of scores; returns their sum. In a unit in which the largest score is at most 1,
 * no power of it overflows.
 */
function toPolynomials(scores: Float64Array, order: number): number {
  let size = 1;
  for (let j = 0; j < scores.length; j++) size = Math.max(size, Math.abs(scores[j]!));
  let sum = 0;
  for (let j = 0; j < scores.length; j++) {
    const x = scores[j]! / size;
    let term = 1;
    for (let i = order, power = 1 / size; i > 0; i--, power /= size) term = (term * x) / i + power;
    sum += term;
    scores[j] = term;
  }
  return sum;
}

/**
 * Attention with softplus instead of exp, scaled by length and cosine (LSSA), and with `sharpen` re-weighted (LSSAR):
 * "Softplus Attention with Re-weighting Boosts Length Extrapolation in Large Language Models" (arXiv 2501.13428).
 *
 *     A[n, j] = softplus(ln d · ln n · cos(q[n], k[j])) over its sum, j ≤ n      d = headDim, n counts from 1
 *     LSSAR: relu(A n − O)^p over its sum      O = 0 in the first three rows, 1 in the others
 *
 * Always causal: n is the number of keys that a query sees, and the last query is at the last key. The cosine of a zero
 * vector is 0. A row of LSSAR with nothing above its mean stays A. Computed in double; powers are relative to a row's
 * largest. Largest error seen: 1 ULP of the largest |v| that a row sees, with `sharpen` p of them 2⁻⁵⁰ · p more.
 *
 * @param q Queries, [batch, heads, queries, headDim]. @param k Keys, [batch, kvHeads, keys, headDim].
 * @param v Values, [batch, kvHeads, keys, valueDim]. @param options `heads`, `headDim`, `sharpen`, …
 * @returns [batch, heads, queries, valueDim]: `out`, or a new Float32Array. A query that sees no key gives 0.
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) as attention does.
 * @example
 * import { softplusAttention } from 'flash-softmax/attention';
 * const q = Float32Array.of(1, 0), k = Float32Array.of(1, 0, 0, 1), v = Float32Array.of(1, 2, 3, 4);
 * console.log(softplusAttention(q, k, v, { heads: 1, headDim: 2 })[0].toFixed(4)); // → 1.8376
 */
export function softplusAttention<Out extends Float32Array = NewFloat32Array>(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  options: SoftplusAttentionOptions<Out>,
): Returned<Out> {
  return runSteps(softplusAttentionSteps('now', q, k, v, options)) as Returned<Out>;
}

export function softplusAttentionSteps(
  form: Form,
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  options: SoftplusAttentionOptions & AsyncOptions,
): Steps<Float32Array> {
  const own = composedOptions(options, ['sharpen'], form);
  const power = own.sharpen === undefined ? undefined : positive(own.sharpen, 'sharpen');
  const call = composedCall(q, k, v, own);
  return eachHead(form, call, (head, sizes) => {
    const lengths = Float64Array.from({ length: sizes.keys }, (_, j) => lengthOfRow(head.k, j, sizes.headDim));
    return eachQuery(sizes, (m) => softplusRow(head, sizes, { m, lengths, power }));
  });
}

interface SoftplusRow {
  readonly m: number;
  /** Of the keys. */
  readonly lengths: Float64Array;
  readonly power: number | undefined;
}

function softplusRow({ q, k, v, out }: Head, sizes: Sizes, { m, lengths, power }: SoftplusRow): void {
  const { headDim, valueDim } = sizes;
  const n = seenBy(m, sizes, 1);
  const factor = ln(headDim) * ln(Math.max(n, 1));
  const length = lengthOfRow(q, m, headDim);
  const weights = new Float64Array(n);
  dots(q, m, k, weights, headDim);
  let sum = 0;
  for (let j = 0; j < n; j++) {
    const both = length * lengths[j]!;
    const t = both === 0 ? 0 : factor * (weights[j]! / both);
    weights[j] = Math.max(t, 0) + log1p(expBelow(-Math.abs(t)), 0)[0];
    sum += weights[j]!;
  }
  for (let j = 0; j < n; j++) weights[j]! /= sum;
  if (power !== undefined) sharpen(weights, power);
  addRows(out, m, v, weights, valueDim);
}

/** relu(A n − O)^p over its sum; A itself where nothing is above 0. */
function sharpen(weights: Float64Array, power: number): void {
  const n = weights.length;
  const offset = n <= 3 ? 0 : 1;
  const above = weights.map((w) => Math.max(0, w * n - offset));
  const top = above.reduce((a, b) => Math.max(a, b), 0);
  if (!(top > 0)) return;
  let sum = 0;
  for (let j = 0; j < n; j++) sum += above[j] = above[j] === 0 ? 0 : expBelow(power * ln(above[j]! / top));
  for (let j = 0; j < n; j++) weights[j] = above[j]! / sum;
}
