/** decodeAttention: the newest queries of sequences in a cache. */
import { wrongValue } from '../call/arguments.js';
import { ATTENTION_CACHED } from '../backend/operators.js';
import { backend } from '../backend/choice.js';
import { attentionKernels } from '../js/attention/attention.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { count } from '../call/options.js';
import type { NewFloat32Array, Returned } from '../call/types.js';
import type { AttentionResult, ResultWithLse, WithLse, WithoutLse } from './dense.js';
import { shapeArray, viewOf, type KVCache, type SequenceId } from './kv-cache.js';
import {
  copyOptions, dimension, floats, idsOf, MASK_OPTIONS, masksOf, NO_STATE, perHead, RESULT_OPTIONS, resultsOf, SCORE_NAMES, SCORE_OPTIONS,
  scoresOf, slopesOf, type MaskOptions, type ResultOptions, type ScoreOptions,
} from './options.js';

/** What is said of q. */
export interface CachedOptions extends ScoreOptions, MaskOptions {
  /** Query positions, the last of each sequence. Default: 1. */
  queries?: number | undefined;
  /** Query heads, a multiple of the cache's kvHeads. Default: what the length of `q` says. */
  heads?: number | undefined;
}

export type DecodeOptions<Out extends Float32Array = Float32Array> = CachedOptions & ResultOptions<Out>;

export const CACHED_OPTIONS = ['queries', 'heads', ...SCORE_OPTIONS, ...MASK_OPTIONS] as const;

/** The checked arguments of a call on a cache; `options` is a copy that no getter can change. */
export function cachedArguments(q: Float32Array, cache: KVCache, sequences: SequenceId | readonly SequenceId[], options: CachedOptions) {
  const scores = scoresOf(options, true);
  const { queries: m, heads: h, mask: seen, bias: added } = options;
  const ids = idsOf(sequences);
  const view = viewOf(cache, ids); // may run the caller's code, as reading `sequences` may: lengths come after both
  const queries = m === undefined ? 1 : count(m, 'queries');
  const { kvHeads, headDim, valueDim, pageSize } = view;
  floats(q, 'q');
  const heads = dimension(h, 'heads', q, 'q', { sequences: ids.length, queries, headDim });
  if (heads === 0 || heads % kvHeads !== 0) throw wrongValue(`a multiple of the cache's kvHeads = ${kvHeads}`, 'heads', String(heads));
  const slopes = slopesOf(scores.alibi, heads);
  const { positionsFirst, causal, window, softcap } = scores;
  const scale = scores.scale === scores.scale ? scores.scale : 1 / Math.sqrt(headDim);
  const keys = view.lengths.reduce((longest, length) => Math.max(longest, length), 0);
  const { mask, bias, strides } = masksOf({ mask: seen, bias: added }, { batch: ids.length, heads, queries, keys });
  const shape = shapeArray({ batch: ids.length, heads, kvHeads, queries, headDim, valueDim, pageSize, positionsFirst, causal, window, scale, softcap, ...strides });
  return { shape, slopes, mask, bias, view, heads, queries, valueDim, rows: ids.length * heads * queries };
}

/**
 * Attention of the newest queries of some sequences over all of their keys in a cache: what a step of decoding needs, after
 * the tokens' own keys and values have been appended. See {@link attention} for the formula; `causal` is true here unless
 * it is set, so that of several queries each sees what was before it.
 *
 * The pages of a sequence are read once for all query heads that share a key/value head, as they lie in memory, converted
 * in registers and summed in float32 and float64. A sequence given twice is read twice.
 *
 * Bounds are those of {@link attention}, over the keys and values that are stored. In an int8 cache these are the
 * products scale · int8, exact. {@link KVCache.read} rounds them to float32, so that attention over its result
 * differs by what this rounding does to scores: 2 · 10⁻⁵ of the largest value, where scores are some hundreds. The
 * output of a row that sees one key is scale · int8, rounded once.
 *
 * @param q Queries, [sequences, heads, queries, headDim], or [sequences, queries, heads, headDim] with `layout` 'bshd'.
 * @param sequences Sequences of the cache, of any lengths; one without tokens has an output of 0.
 * @param options See {@link CachedOptions}, {@link ScoreOptions} and {@link ResultOptions}.
 * @returns [sequences, heads, queries, valueDim] or, with `layout` 'bshd', [sequences, queries, heads, valueDim]; or
 *   { out, lse } if `lse` is asked for, lse being [sequences, heads, queries] in both layouts.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for sizes that do not fit, naming the dimension, and for sequences
 *   that are unknown or freed. Nothing was written then.
 */
export function decodeAttention<Lse extends true | Float64Array, Out extends Float32Array = NewFloat32Array>(
  q: Float32Array, cache: KVCache, sequences: SequenceId | readonly SequenceId[],
  options: DecodeOptions<Out> & WithLse<Lse>,
): ResultWithLse<Out, Lse>;
export function decodeAttention<Out extends Float32Array = NewFloat32Array>(
  q: Float32Array, cache: KVCache, sequences: SequenceId | readonly SequenceId[],
  options?: DecodeOptions<Out> & WithoutLse,
): Returned<Out>;
export function decodeAttention(
  q: Float32Array, cache: KVCache, sequences: SequenceId | readonly SequenceId[], options?: DecodeOptions,
): Float32Array | AttentionResult;
export function decodeAttention(q: Float32Array, cache: KVCache, sequences: SequenceId | readonly SequenceId[], options: DecodeOptions = {}): Float32Array | AttentionResult {
  return runNow(decodeCall(q, cache, sequences, options));
}

/** The same call, to be run later. */
export function decodeCall(
  q: Float32Array, cache: KVCache, sequences: SequenceId | readonly SequenceId[], options: DecodeOptions, more: readonly string[] = [],
): Call<Float32Array | AttentionResult> {
  const own = copyOptions(options, [...CACHED_OPTIONS, ...RESULT_OPTIONS, ...more]);
  const { sinks, out, lse } = own;
  const { shape, slopes, mask, bias, view, heads, valueDim, rows } = cachedArguments(q, cache, sequences, own);
  const sinksOf = sinks === undefined ? null : perHead(sinks, heads, 'sinks');
  const results = resultsOf(out, lse, rows, valueDim, { q, mask, bias, sinks: sinksOf, alibi: slopes });
  const { slabs, scales, table, lengths } = view;
  return callOf(ATTENTION_CACHED, {
    backend: backend(attentionKernels),
    type: view.kind,
    args: {
      shape, spans: null, q, slabs, scales, table, lengths, slopes, sinks: sinksOf, mask, bias,
      out: results.out, lse: results.lse, ...NO_STATE,
    },
    own: ['shape', 'table', 'lengths', ...results.own],
    names: SCORE_NAMES,
    work: (rows / lengths.length) * lengths.reduce((a, b) => a + b, 0),
    hold: () => view.hold(),
    finish: () => (results.lse ? { out: results.out, lse: results.lse } : results.out),
  });
}
