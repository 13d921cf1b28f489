/** attention: over keys and values in two arrays. */
import { ATTENTION, ATTENTION_EXACT } from '../backend/operators.js';
import { backend } from '../backend/choice.js';
import { wrongType, wrongValue } from '../call/errors.js';
import { kindOf, lengthOf } from '../call/arrays.js';
import { elementTypeOf } from '../call/axis.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { count, isLike } from '../call/checks.js';
import type { ElementType, KindOf, LogitArray, NewResult, ResultOf } from '../call/types.js';
import { attentionKernels } from '../js/attention/attention.js';
import { attentionExactKernels } from '../js/attention/exact.js';
import { bfloat16, float16 } from '../math/half.js';
import { scoreInputs } from './inputs.js';
import { allocate } from '../call/allocate.js';
import { copyOptions, MASK_OPTIONS, OPTION_NAMES, RESULT_OPTIONS, SCORE_OPTIONS, scoresOf } from './options.js';
import type { MaskOptions, ResultOptions, ScoreOptions } from './options.js';
import { attached, dimension, headsOf } from './sizes.js';
import { ASKED_OPTIONS, isExact, isHalf, kernelArray, typedResults } from './typed-results.js';
import type { AnyAttended, Asked, Attended, ScoreStage } from './typed-results.js';
import { TYPE_OPTIONS, WIDE_NAMES, widenInto, type TypedOptions } from './types.js';
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

/** Options of attention with queries in an A. {@link Asked} has the others. */
export type AttentionOptions<Out extends LogitArray = Float32Array, A extends LogitArray = Float32Array> = TypedOptions<
  DenseOptions & Omit<ResultOptions, 'out' | 'lse'>,
  A
> & {
  /**
   * Where the output goes: an array of its length, apart from all inputs, of the type of `q`, or a Float32Array beside
   * halves. Default: a new array of the type of `q`.
   */
  out?: Out | undefined;
};

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

/** The checked arguments of a call on q, k and v of one type; `options` is a copy that no getter can change. */
export function denseArguments(q: LogitArray, k: LogitArray, v: LogitArray, options: TypedOptions<DenseOptions>) {
  const lengths = listOfLengths(options.keyLengths); // may run the caller's code: the arrays' lengths come after it
  const type = elementTypeOf(q, options.dtype, 'q');
  const isDouble = type === 'f64';
  const scores = scoresOf(options, false, isDouble);
  const { batch, heads, kvHeads, headDim } = headsOf(options);
  attached(q, 'array', 'q');
  alike(k, q, 'k');
  alike(v, q, 'v');
  const queries = dimension(options.queries, 'queries', q, 'q', { batch, heads, headDim });
  const keys = dimension(options.keys, 'keys', k, 'k', { batch, kvHeads, headDim });
  const valueDim = valueDimOf(options.valueDim, v, { batch, kvHeads, keys }, headDim);
  const sizes = { batch, heads, kvHeads, queries, keys, headDim, valueDim };
  const keyLengths = keyLengthsOf(lengths, batch, keys);
  const widened = { ...options, bias: biasOf(options.bias, q, type) };
  const inputs = scoreInputs(scores, widened, sizes, keys, isDouble);
  const arrays = { q: kernelArray(q), k: kernelArray(k), v: kernelArray(v) };
  const own = ['shape', 'keyLengths', ...(options.bias === widened.bias ? [] : ['bias' as const])] as const;
  return { ...inputs, ...sizes, keyLengths, rows: batch * heads * queries, arrays, type, own };
}

/** Refuses an array of another type than q. */
function alike(x: LogitArray, q: LogitArray, name: string): void {
  if (!isLike(x, q)) throw wrongType(`a ${kindOf(q)}, as q is,`, name, x);
  attached(x, kindOf(q)!, name);
}

/** The bias as kernels take it: one of halves becomes floats. */
function biasOf(bias: LogitArray | undefined, q: LogitArray, type: ElementType) {
  if (bias === undefined || !isHalf(type) || !isLike(bias, q)) return bias as Float32Array | undefined;
  const bits = attached(kernelArray(bias), 'array', 'bias') as unknown as Uint16Array;
  const floats = allocate('Float32Array', lengthOf(bits), 'bias');
  widenInto(floats, bits, type === 'f16' ? float16 : bfloat16);
  return floats;
}

/** Numbers of a value; without keys `v` does not tell, and the default is headDim. */
function valueDimOf(
  given: unknown,
  v: LogitArray,
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
 * for q, k and v of one type: float32, float16, bfloat16 or float64, and results of that type. One call reads keys and
 * values once for all query heads that share them (grouped-query attention), in parts whose sums are added with
 * extended exponents (flash decoding; Hong et al., FlashDecoding++, arXiv 2311.01282): no maximum has to be known
 * first, and the bits do not depend on the number of threads. Scores that are large or were capped are computed in
 * double, as their float32 rounding would show in the result.
 *
 * The error of an output is at most 2 · 10⁻⁶ of the largest |v| that its row sees, plus 10⁻³⁹: sums of a part of the
 * keys are float32, in which values beyond 10³³ may overflow, and values near the smallest are rounded.
 *
 * A row that sees one key has that key's value as its output, and a column in which all keys that it sees have the same
 * value has that value; both to the bit, unless a sink takes its share.
 *
 * Results of halves are those of a float32 call on the same numbers, rounded once. `bias` may be float32 or of the type
 * of `q`; `sinks` and `alibi` are float32, beside float64 inputs float64 too.
 *
 * Float64 inputs, and others with `accumulate: 'float64'`, `weights` or `scores`, are computed in double throughout:
 * out[m] = Σₙ weight[m, n] · v[n], of weights in double, and out and weights are then rounded to their type, once each.
 * With A and B as below and ε = (headDim + 4) · A + 3 · B + 8 · softcap, all times 2⁻⁵³, a score has an error of at
 * most ε, a weight of (2ε + (n / 8 + 12) · 2⁻⁵³) of itself, an output of (2ε + (n / 5 + 32) · 2⁻⁵³) of the largest |v|,
 * and an lse that of a weight, and 2⁻⁵² of itself. Measured: 0.46 of these bounds at most. A weight below 2⁻¹⁰⁷⁴ is 0.
 * There `lse` of a row that sees one key is its score, with q · k summed by fmas.
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
 * `scores` are those that ONNX's Attention gives, in the order of its corrected text (softcap, then mask): see
 * {@link Asked}.
 *
 * @param q Queries, [batch, heads, queries, headDim] (or as `layout` says, and so on).
 * @param k Keys, [batch, kvHeads, keys, headDim]. @param v Values, [batch, kvHeads, keys, valueDim].
 * @param options Sizes, of which `heads` and `headDim` are needed ({@link DenseOptions}), scores
 *   ({@link ScoreOptions}), types ({@link TypeOptions}), and results ({@link ResultOptions}, {@link Asked}).
 * @returns [batch, heads, queries, valueDim] or, with `layout` 'bshd', [batch, queries, heads, valueDim]; or an object
 *   of `out` and what was asked for: `lse` [batch, heads, queries], `weights` and `scores` [batch, heads, queries,
 *   keys], in both layouts, as FlashAttention, PyTorch and ONNX have it.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for sizes that do not fit, naming the dimension. Nothing
 *   was written then.
 * @example
 * import { attention } from 'flash-softmax/attention';
 * const k = Float32Array.of(1, 0, 0, 1), v = Float32Array.of(1, 2, 3, 4); // two keys of two numbers
 * console.log(attention(Float32Array.of(1, 0), k, v, { heads: 1, headDim: 2 })[0].toFixed(4)); // → 1.6605
 */
export function attention<
  A extends LogitArray,
  Out extends ResultOf<A> = NewResult<A>,
  Lse extends boolean | Float64Array | undefined = undefined,
  Weights extends boolean | KindOf<Out> | undefined = undefined,
  Scores extends ScoreStage | undefined = undefined,
>(
  q: A,
  k: KindOf<A>,
  v: KindOf<A>,
  options: AttentionOptions<Out, A> & Asked<Lse, Weights, Scores>,
): Attended<Out, Lse, Weights, Scores> {
  return runNow(attentionCall(q, k, v, options)) as Attended<Out, Lse, Weights, Scores>;
}

/** The checked call, not run yet. `more` names options that the caller handles. */
export function attentionCall(
  q: LogitArray,
  k: LogitArray,
  v: LogitArray,
  options: AttentionOptions<LogitArray, LogitArray> & Asked,
  more: readonly string[] = [],
): Call<AnyAttended> {
  const own = copyOptions(
    options,
    [...DENSE_OPTIONS, ...TYPE_OPTIONS, ...RESULT_OPTIONS, ...ASKED_OPTIONS, ...more],
    true,
  );
  const checked = denseArguments(q, k, v, own);
  const { shape, keyLengths, slopes, mask, bias, wideSlopes, wideBias, arrays, rows, keys, type } = checked;
  const exact = isExact(own, type);
  const others = { q, k, v, alibi: slopes ?? wideSlopes, mask, bias: own.bias ?? null };
  const results = typedResults(own, q, type, checked, others);
  const inputs = { shape, spans: null, keyLengths, ...arrays, slopes, sinks: results.sinks, mask, bias };
  const parts = {
    own: [...checked.own, ...results.own] as const,
    names: { ...OPTION_NAMES, ...WIDE_NAMES },
    work: rows * keys,
    finish: results.finish,
  };
  if (!exact) {
    const { own: all, ...others } = parts;
    return callOf(ATTENTION, {
      backend: backend(attentionKernels),
      type: results.type as Exclude<typeof results.type, 'f64'>,
      args: { ...inputs, ...results.args },
      ...others,
      own: all.filter((name) => name !== 'weights' && name !== 'scores'),
    });
  }
  return callOf(ATTENTION_EXACT, {
    backend: backend(attentionExactKernels),
    type: results.type,
    args: { ...inputs, wideSlopes, wideSinks: results.wideSinks, wideBias, ...results.args, ...results.scoreArgs },
    ...parts,
  });
}
