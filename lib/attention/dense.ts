/** attention: over keys and values in two arrays. */
import { ATTENTION } from '../backend/operators.js';
import { backend } from '../backend/choice.js';
import { wrongValue } from '../call/errors.js';
import { lengthOf } from '../call/arrays.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { count } from '../call/checks.js';
import type { NewFloat32Array, Returned } from '../call/types.js';
import { attentionKernels } from '../js/attention/attention.js';
import { scoreInputs } from './inputs.js';
import { copyOptions, MASK_OPTIONS, OPTION_NAMES, RESULT_OPTIONS, SCORE_OPTIONS, scoresOf } from './options.js';
import type { MaskOptions, ResultOptions, ScoreOptions } from './options.js';
import { finishedResults, type AttentionResult, type ResultWithLse, type WithLse, type WithoutLse } from './results.js';
import { dimension, floats, headsOf } from './sizes.js';
import { keyLengthsOf, listOfLengths } from './visible-options.js';

/** Sizes of q, k and v. */
export interface DenseOptions extends ScoreOptions, MaskOptions {
  /** Sequences. Default: 1. */
  batch?: number | undefined;
  /** Query positions. Default: as the length of `q` implies. */
  queries?: number | undefined;
  /** Key positions. Default: as the length of `k` implies. */
  keys?: number | undefined;
  /** Query heads. */
  heads: number;
  /** Key/value heads, of which each serves heads / kvHeads query heads in a row. Default: heads. */
  kvHeads?: number | undefined;
  /** Numbers of a query and of a key. */
  headDim: number;
  /** Numbers of a value. Default: as the length of `v` implies. */
  valueDim?: number | undefined;
  /**
   * How many keys each sequence has, from 0 to `keys`: an entry a sequence. The keys and values behind them are
   * padding, and do not matter, NaN included; the sequence's last query is at its own last key. It is ONNX's
   * nonpad_kv_seqlen, FlashAttention's cache_seqlens, and a key padding mask whose padding is on the right. A mask or
   * bias still has `keys` entries a row. Default: all keys.
   */
  keyLengths?: Int32Array | Uint32Array | readonly number[] | undefined;
}

export type AttentionOptions<Out extends Float32Array = Float32Array> = DenseOptions & ResultOptions<Out>;

export const DENSE_OPTIONS = [
  'batch',
  'queries',
  'keys',
  'heads',
  'kvHeads',
  'headDim',
  'valueDim',
  'keyLengths',
  ...SCORE_OPTIONS,
  ...MASK_OPTIONS,
] as const;

/** The checked arguments of a call on q, k and v; `options` is a copy that no getter can change. */
export function denseArguments(q: Float32Array, k: Float32Array, v: Float32Array, options: DenseOptions) {
  const scores = scoresOf(options, false);
  const lengths = listOfLengths(options.keyLengths); // may run the caller's code: the arrays' lengths come after it
  const { batch, heads, kvHeads, headDim } = headsOf(options);
  floats(q, 'q');
  floats(k, 'k');
  floats(v, 'v');
  const queries = dimension(options.queries, 'queries', q, 'q', { batch, heads, headDim });
  const keys = dimension(options.keys, 'keys', k, 'k', { batch, kvHeads, headDim });
  const valueDim = valueDimOf(options.valueDim, v, { batch, kvHeads, keys }, headDim);
  const sizes = { batch, heads, kvHeads, queries, keys, headDim, valueDim };
  const keyLengths = keyLengthsOf(lengths, batch, keys);
  return { ...scoreInputs(scores, options, sizes, keys), ...sizes, keyLengths, rows: batch * heads * queries };
}

/** Numbers of a value; without keys `v` does not tell, and the default is headDim. */
function valueDimOf(
  given: unknown,
  v: Float32Array,
  others: Readonly<Record<'batch' | 'kvHeads' | 'keys', number>>,
  headDim: number,
): number {
  if (others.keys === 0) {
    const length = lengthOf(v);
    if (length > 0) throw wrongValue('no elements, as there are no keys,', 'v', String(length));
    return given === undefined ? headDim : count(given, 'valueDim');
  }
  const valueDim = dimension(given, 'valueDim', v, 'v', others);
  if (valueDim === 0) throw wrongValue('one element a key at least', 'v', '0');
  return valueDim;
}

/**
 * Attention of every query over the keys and values that its mask lets it see:
 *
 *     out[m] = Σₙ softmax(s[m])ₙ · v[n]
 *     s[m, n] = cap(q[m] · k[n] · scale) − slope · |position(m) − n| + bias[m, n]
 *
 * with float32 inputs and results. One call reads keys and values once for all query heads that share them
 * (grouped-query attention), in parts whose sums are added with extended exponents (flash decoding; Hong et al.,
 * FlashDecoding++, arXiv 2311.01282): no maximum has to be known first, and the bits do not depend on the number of
 * threads. Scores that are large or were capped are computed in double, as their float32 rounding would show in the
 * result.
 *
 * The error of an output is at most 2 · 10⁻⁶ of the largest |v| that its row sees, plus 10⁻³⁹: sums of a part of the
 * keys are float32, in which values beyond 10³³ may overflow, and values near the smallest are rounded.
 *
 * A row that sees one key has that key's value as its output, and a column in which all keys that it sees have the same
 * value has that value; both to the bit, unless a sink takes its share.
 *
 * The last query is at the position of the last key; so `causal` lets it see all keys, and the first of M queries all
 * but M − 1. With `causal: 'topLeft'` the first query is at the first key instead. A query that sees no key has an
 * output of 0 and an lse of −Infinity. A NaN that it sees makes its output NaN. An infinite value that it sees makes
 * its output that infinity, or NaN if the weight is too small for a number.
 *
 * `lse` is log Σₙ exp(s[m, n]), a sink included. For a row that sees one key, without a sink, it is the score of that
 * key, each operation in double: the sum of q · k in order, times scale, capped, less the slope, plus the bias. For
 * more keys its error is at most (40 + (2 + headDim / 2) · A) · 2⁻²⁴, A being the largest Σ |q · k| · scale of a
 * visible key, as scores and weights are float32. Measured: less than 10⁻⁶ with normal q and k (A up to 40), and 8 ·
 * 10⁻⁶ in the worst cases found, with equal or opposite products. JavaScript computes in double: (n + (2 + headDim / 2)
 * · A) · 2⁻⁵² for n keys. Softcap, slopes and biases are applied in double, and add on either backend at most 2⁻⁵⁰ · B,
 * B being the largest |bias| + |slope · distance| of a visible key or the sink, and with a softcap 2⁻⁵² · softcap, or
 * 2⁻⁴² · A if that is less. If a sink has all of the weight, the lse is the sink.
 *
 * @param q Queries, [batch, heads, queries, headDim] (or as `layout` says, and so on).
 * @param k Keys, [batch, kvHeads, keys, headDim]. @param v Values, [batch, kvHeads, keys, valueDim].
 * @param options Sizes, of which `heads` and `headDim` are needed ({@link DenseOptions}), scores
 *   ({@link ScoreOptions}), and results ({@link ResultOptions}).
 * @returns [batch, heads, queries, valueDim] or, with `layout` 'bshd', [batch, queries, heads, valueDim]; or
 *   { out, lse } if `lse` is asked for, lse being [batch, heads, queries] in both layouts, as FlashAttention and
 *   PyTorch have it.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for sizes that do not fit, naming the dimension. Nothing
 *   was written then.
 */
export function attention<Lse extends true | Float64Array, Out extends Float32Array = NewFloat32Array>(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  options: AttentionOptions<Out> & WithLse<Lse>,
): ResultWithLse<Out, Lse>;
export function attention<Out extends Float32Array = NewFloat32Array>(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  options: AttentionOptions<Out> & WithoutLse,
): Returned<Out>;
export function attention(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  options: AttentionOptions,
): Float32Array | AttentionResult;
export function attention(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  options: AttentionOptions,
): Float32Array | AttentionResult {
  return runNow(attentionCall(q, k, v, options));
}

/** The checked call, not run yet. `more` names options that the caller handles. */
export function attentionCall(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  options: AttentionOptions,
  more: readonly string[] = [],
): Call<Float32Array | AttentionResult> {
  const own = copyOptions(options, [...DENSE_OPTIONS, ...RESULT_OPTIONS, ...more], true);
  const checked = denseArguments(q, k, v, own);
  const { shape, keyLengths, slopes, mask, bias, rows, keys } = checked;
  const results = finishedResults(own, checked, { q, k, v, mask, bias });
  return callOf(ATTENTION, {
    backend: backend(attentionKernels),
    type: 'f32',
    args: { shape, spans: null, keyLengths, q, k, v, slopes, mask, bias, ...results.args },
    own: ['shape', 'keyLengths', ...results.own],
    names: OPTION_NAMES,
    work: rows * keys,
    finish: results.finish,
  });
}
