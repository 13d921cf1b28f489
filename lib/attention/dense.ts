/** attention: over keys and values in two arrays. */
import { wrongValue } from '../call/arguments.js';
import { lengthOf } from '../call/arrays.js';
import { ATTENTION } from '../backend/operators.js';
import { backend } from '../backend/choice.js';
import { attentionKernels } from '../js/attention/attention.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { count } from '../call/options.js';
import type { NewFloat32Array, NewFloat64Array, Returned } from '../call/types.js';
import { shapeArray } from './kv-cache.js';
import {
  copyOptions, dimension, floats, MASK_OPTIONS, masksOf, NO_STATE, perHead, RESULT_OPTIONS, resultsOf, SCORE_NAMES, SCORE_OPTIONS,
  scoresOf, slopesOf, type MaskOptions, type ResultOptions, type ScoreOptions,
} from './options.js';

/** What is said of q, k and v. */
export interface DenseOptions extends ScoreOptions, MaskOptions {
  /** Sequences. Default: 1. */
  batch?: number | undefined;
  /** Query positions. Default: what the length of `q` says. */
  queries?: number | undefined;
  /** Key positions. Default: what the length of `k` says. */
  keys?: number | undefined;
  /** Query heads. */
  heads: number;
  /** Key/value heads, of which each serves heads / kvHeads query heads in a row. Default: heads. */
  kvHeads?: number | undefined;
  /** Numbers of a query and of a key. */
  headDim: number;
  /** Numbers of a value. Default: what the length of `v` says. */
  valueDim?: number | undefined;
}

export type AttentionOptions<Out extends Float32Array = Float32Array> = DenseOptions & ResultOptions<Out>;

/** An output with the log-sum-exp of each query row. */
export interface AttentionResult<Out extends Float32Array = Float32Array, Lse extends Float64Array = Float64Array> {
  readonly out: Out;
  readonly lse: Lse;
}

/** Options with which lse is asked for: in a new array, or in this one. */
export type WithLse<Lse extends true | Float64Array = true | Float64Array> = { lse: Lse };

/** Options with which lse is not asked for. */
export type WithoutLse = { lse?: false | undefined };

/** Results for these options: arrays of the caller's have the caller's types, others are new. */
export type ResultWithLse<Out extends Float32Array, Lse extends true | Float64Array> =
  AttentionResult<Returned<Out>, Lse extends Float64Array ? Lse : NewFloat64Array>;

export const DENSE_OPTIONS = ['batch', 'queries', 'keys', 'heads', 'kvHeads', 'headDim', 'valueDim', ...SCORE_OPTIONS, ...MASK_OPTIONS] as const;

/** The checked arguments of a call on q, k and v; `options` is a copy that no getter can change. */
export function denseArguments(q: Float32Array, k: Float32Array, v: Float32Array, options: DenseOptions) {
  const scores = scoresOf(options, false);
  const { batch: b, queries: m, keys: n, heads: h, kvHeads: hkv, headDim: d, valueDim: dv, mask: seen, bias: added } = options;
  const batch = b === undefined ? 1 : count(b, 'batch');
  const heads = count(h, 'heads');
  const kvHeads = hkv === undefined ? heads : count(hkv, 'kvHeads');
  if (heads % kvHeads !== 0) throw wrongValue(`a divisor of heads = ${heads}`, 'kvHeads', String(kvHeads));
  const headDim = count(d, 'headDim');
  for (const [name, x] of [['q', q], ['k', k], ['v', v]] as const) floats(x, name);
  const queries = dimension(m, 'queries', q, 'q', { batch, heads, headDim });
  const keys = dimension(n, 'keys', k, 'k', { batch, kvHeads, headDim });
  if (keys === 0 && lengthOf(v) > 0) throw wrongValue('no elements, as there are no keys,', 'v', String(lengthOf(v)));
  const valueDim = keys > 0 ? dimension(dv, 'valueDim', v, 'v', { batch, kvHeads, keys }) : dv === undefined ? headDim : count(dv, 'valueDim');
  if (valueDim === 0) throw wrongValue('one element a key at least', 'v', '0');

  const slopes = slopesOf(scores.alibi, heads);
  const { mask, bias, strides } = masksOf({ mask: seen, bias: added }, { batch, heads, queries, keys });
  const { positionsFirst, causal, window, softcap } = scores;
  const scale = scores.scale === scores.scale ? scores.scale : 1 / Math.sqrt(headDim);
  const shape = shapeArray({
    batch, heads, kvHeads, queries, keys, headDim, valueDim, positionsFirst, causal, window, scale, softcap, ...strides,
  });
  return { shape, slopes, mask, bias, batch, heads, queries, keys, valueDim, rows: batch * heads * queries };
}

/**
 * Attention of every query over the keys and values that its mask lets it see:
 *
 *     out[m] = Σₙ softmax(s[m])ₙ · v[n]        s[m, n] = cap(q[m] · k[n] · scale) − slope · |position(m) − n| + bias[m, n]
 *
 * with float32 inputs and results. One call reads keys and values once for all query heads that share them (grouped-query
 * attention), in parts whose sums are added with extended exponents (flash decoding; Hong et al., FlashDecoding++, arXiv
 * 2311.01282), so that no maximum has to be known first and the bits do not depend on the number of threads. Scores whose
 * float32 rounding would show in the result, as they are large or were capped, are computed in double.
 *
 * An output is within 2 · 10⁻⁶ of the largest |v| that its row sees, and 10⁻³⁹: sums of a part of the keys are float32,
 * in which values beyond 10³³ may overflow, and those near the smallest are rounded.
 *
 * A row that sees one key has that key's value as its output, and a column in which all keys that it sees have the same
 * value has that value; both to the bit, unless a sink takes its share.
 *
 * The last query is at the position of the last key; so `causal` lets it see all keys, and the first of M queries all but M − 1.
 * A query that sees no key has an output of 0 and an lse of −Infinity. What it sees and is NaN makes its output NaN.
 * An infinite value that it sees makes its output that infinity, or NaN where the weight is too small for a number.
 *
 * @param q Queries, [batch, heads, queries, headDim] (or as `layout` says, and so on).
 * @param k Keys, [batch, kvHeads, keys, headDim]. @param v Values, [batch, kvHeads, keys, valueDim].
 * @param options Sizes, `heads` and `headDim` being needed (see {@link DenseOptions}), what is done to scores (see
 *   {@link ScoreOptions}), and results (see {@link ResultOptions}).
 * `lse` is log Σₙ exp(s[m, n]), a sink included. Of a row that sees one key, without a sink, it is the score of that
 * key, each operation in double: the sum of q · k in order, times scale, capped, less the slope, plus the bias. Of
 * more keys it is off by at most (40 + (2 + headDim / 2) · A) · 2⁻²⁴, A being the largest Σ |q · k| · scale of a key
 * that is seen, as scores and weights are float32. Measured: less than 10⁻⁶ with normal q and k (A up to 40), and 8 ·
 * 10⁻⁶ in the worst cases found, of equal or opposite products. JavaScript computes in double: (n + (2 + headDim / 2)
 * · A) · 2⁻⁵² for n keys. What is done to scores is done in double, and adds on either at most 2⁻⁵⁰ · B, B being the
 * largest |bias| + |slope · distance| of a key that is seen or the sink, and with a softcap 2⁻⁵² · softcap, or 2⁻⁴² · A
 * if that is less. Where a sink has all of the weight, the lse is the sink.
 *
 * @returns [batch, heads, queries, valueDim] or, with `layout` 'bshd', [batch, queries, heads, valueDim]; or { out, lse }
 *   if `lse` is asked for, lse being [batch, heads, queries] in both layouts, as FlashAttention and PyTorch have it.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for sizes that do not fit, naming the dimension. Nothing was written then.
 */
export function attention<Lse extends true | Float64Array, Out extends Float32Array = NewFloat32Array>(
  q: Float32Array, k: Float32Array, v: Float32Array, options: AttentionOptions<Out> & WithLse<Lse>,
): ResultWithLse<Out, Lse>;
export function attention<Out extends Float32Array = NewFloat32Array>(
  q: Float32Array, k: Float32Array, v: Float32Array, options: AttentionOptions<Out> & WithoutLse,
): Returned<Out>;
export function attention(
  q: Float32Array, k: Float32Array, v: Float32Array, options: AttentionOptions,
): Float32Array | AttentionResult;
export function attention(q: Float32Array, k: Float32Array, v: Float32Array, options: AttentionOptions): Float32Array | AttentionResult {
  return runNow(attentionCall(q, k, v, options));
}

/** The same call, to be run later. */
export function attentionCall(q: Float32Array, k: Float32Array, v: Float32Array, options: AttentionOptions, more: readonly string[] = []): Call<Float32Array | AttentionResult> {
  const own = copyOptions(options, [...DENSE_OPTIONS, ...RESULT_OPTIONS, ...more], true);
  const { sinks, out, lse } = own;
  const { shape, slopes, mask, bias, rows, valueDim, heads, keys } = denseArguments(q, k, v, own);
  const sinksOf = sinks === undefined ? null : perHead(sinks, heads, 'sinks');
  const results = resultsOf(out, lse, rows, valueDim, { q, k, v, mask, bias, sinks: sinksOf, alibi: slopes });
  return callOf(ATTENTION, {
    backend: backend(attentionKernels),
    type: 'f32',
    args: { shape, spans: null, q, k, v, slopes, sinks: sinksOf, mask, bias, out: results.out, lse: results.lse, ...NO_STATE },
    own: ['shape', ...results.own],
    names: SCORE_NAMES,
    work: rows * keys,
    finish: () => (results.lse ? { out: results.out, lse: results.lse } : results.out),
  });
}

