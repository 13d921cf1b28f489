/** decodeAttention: the newest queries of sequences in a cache. */
import { ATTENTION_CACHED } from '../backend/operators.js';
import { backend } from '../backend/choice.js';
import { wrongValue } from '../call/errors.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { count } from '../call/checks.js';
import type { LogitArray, NewResult, OptionsFor, ResultOf } from '../call/types.js';
import { attentionKernels } from '../js/attention/attention.js';
import type { CacheView } from './cache-view.js';
import { floatQueries, halfOutput } from './half-queries.js';
import { scoreInputs } from './inputs.js';
import { viewOf, type KVCache, type SequenceId } from './kv-cache.js';
import {
  copyOptions,
  idsOf,
  MASK_OPTIONS,
  OPTION_NAMES,
  RESULT_OPTIONS,
  SCORE_OPTIONS,
  scoresOf,
  type MaskOptions,
  type ResultOptions,
  type ScoreOptions,
} from './options.js';
import { finishedResults } from './results.js';
import { dimension, floats } from './sizes.js';
import type { Attended } from './typed-results.js';

/** Sizes of q. */
export interface CachedOptions extends ScoreOptions, MaskOptions {
  /** Query positions, the last of each sequence. Default: 1. */
  queries?: number | undefined;
  /** Query heads, a multiple of the cache's kvHeads. Default: as the length of `q` implies. */
  heads?: number | undefined;
  /** What the bits of a Uint16Array `q` are, and of its output. For a Uint16Array only, and needed there. */
  dtype?: 'float16' | 'bfloat16' | undefined;
}

/** Queries of a call on a cache. */
export type SingleArray = Exclude<LogitArray, Float64Array>;

export type DecodeOptions<Out extends LogitArray = Float32Array> = CachedOptions & ResultOptions<Out>;

export const CACHED_OPTIONS = ['queries', 'heads', 'dtype', ...SCORE_OPTIONS, ...MASK_OPTIONS] as const;

/** The checked arguments of a call on a cache; `options` is a copy that no getter can change. */
export function cachedArguments(
  q: Float32Array,
  cache: KVCache,
  sequences: SequenceId | readonly SequenceId[],
  options: CachedOptions,
) {
  const scores = scoresOf(options, true);
  const ids = idsOf(sequences);
  const view = viewOf(cache, ids); // may run the caller's code, as reading `sequences` may: lengths come after both
  const queries = options.queries === undefined ? 1 : count(options.queries, 'queries');
  const { kvHeads, headDim, valueDim, pageSize } = view;
  floats(q, 'q');
  const batch = ids.length;
  const heads = dimension(options.heads, 'heads', q, 'q', { sequences: batch, queries, headDim });
  if (heads === 0 || heads % kvHeads !== 0) {
    throw wrongValue(`a multiple of the cache's kvHeads = ${kvHeads}`, 'heads', String(heads));
  }
  const longest = view.lengths.reduce((most, length) => Math.max(most, length), 0);
  const sizes = { batch, heads, kvHeads, queries, headDim, valueDim, pageSize };
  const rows = batch * heads * queries;
  const { slabs, scales, table, lengths } = view;
  return {
    ...scoreInputs(scores, options, sizes, longest),
    view,
    pages: { slabs, scales, table, lengths },
    heads,
    queries,
    valueDim,
    rows,
    work: workOf(view, rows),
  };
}

/** Scores of a call: rows times the mean length of the sequences. */
function workOf({ lengths }: CacheView, rows: number): number {
  return (rows / lengths.length) * lengths.reduce((a, b) => a + b, 0);
}

/**
 * Attention of the newest queries of some sequences over all of their keys in a cache: a step of decoding, after the
 * tokens' own keys and values have been appended. See {@link attention} for the formula; `causal` is true here unless
 * it is set, so that each of several queries sees the keys before it.
 *
 * The pages of a sequence are read once for all query heads that share a key/value head, as they lie in memory,
 * converted in registers and summed in float32 and float64. A sequence given twice is read twice.
 *
 * The bounds of {@link attention} hold for the keys and values that are stored. In an int8 cache these are the products
 * scale · int8, exact. {@link KVCache.read} rounds them to float32, which changes scores: attention over its result
 * differs by 2 · 10⁻⁵ of the largest value, where scores are some hundreds. The output of a row that sees one key is
 * scale · int8, rounded once.
 *
 * `q` may be halves: a Float16Array, or a Uint16Array with `dtype`. The output is then the float32 output, rounded once
 * to the type of `q`, unless `out` is a Float32Array.
 *
 * @param q Queries, [sequences, heads, queries, headDim], or [sequences, queries, heads, headDim] with `layout` 'bshd'.
 * @param sequences Sequences of the cache, of any lengths; one without tokens has an output of 0.
 * @param rest `options`: see {@link CachedOptions}, {@link ScoreOptions} and {@link ResultOptions}.
 * @returns [sequences, heads, queries, valueDim] or, with `layout` 'bshd', [sequences, queries, heads, valueDim]; or
 *   { out, lse } if `lse` is asked for, lse being [sequences, heads, queries] in both layouts.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for sizes that do not fit, naming the dimension, and for
 *   sequences that are unknown or freed. Nothing was written then.
 * @example
 * import { decodeAttention, KVCache } from 'flash-softmax/attention';
 * const cache = new KVCache({ kvHeads: 1, headDim: 2 });
 * const sequence = cache.create();
 * cache.append(sequence, Float32Array.of(1, 0, 0, 1), Float32Array.of(1, 2, 3, 4)); // two tokens
 * console.log(decodeAttention(Float32Array.of(1, 0), cache, sequence)[0].toFixed(4)); // → 1.6605
 */
export function decodeAttention<
  A extends SingleArray,
  Out extends ResultOf<A> = NewResult<A>,
  Lse extends boolean | Float64Array | undefined = undefined,
>(
  q: A,
  cache: KVCache,
  sequences: SequenceId | readonly SequenceId[],
  ...rest: OptionsFor<A, DecodeOptions<Out> & { lse?: Lse }>
): Attended<Out, Lse, undefined, undefined> {
  const [options] = rest as [DecodeOptions<LogitArray>?];
  return runNow(decodeCall(q, cache, sequences, options)) as Attended<Out, Lse, undefined, undefined>;
}

/** The checked call, not run yet. `more` names options that the caller handles. */
export function decodeCall(
  q: SingleArray,
  cache: KVCache,
  sequences: SequenceId | readonly SequenceId[],
  options: DecodeOptions<LogitArray> = {},
  more: readonly string[] = [],
): Call<LogitArray | { readonly out: LogitArray; readonly lse?: Float64Array }> {
  const own = copyOptions(options, [...CACHED_OPTIONS, ...RESULT_OPTIONS, ...more]);
  const queries = floatQueries(q, own.dtype);
  const checked = cachedArguments(queries.floats, cache, sequences, own);
  const { shape, slopes, mask, bias, view, pages, work, rows, valueDim } = checked;
  const { sinks, lse } = own;
  const inputs = { q, alibi: slopes, mask, bias, sinks, lse };
  const halves = halfOutput(q, queries, own.out, rows * valueDim, inputs);
  const floats = { ...own, out: halves ? undefined : own.out } as ResultOptions;
  const results = finishedResults(floats, checked, { q, mask, bias });
  return callOf(ATTENTION_CACHED, {
    backend: backend(attentionKernels),
    type: view.kind,
    args: { shape, spans: null, q: queries.floats, ...pages, slopes, mask, bias, ...results.args },
    own: ['shape', 'table', 'lengths', ...(queries.half ? ['q' as const] : []), ...results.own],
    names: OPTION_NAMES,
    work,
    hold: () => view.hold(),
    ...(halves && { check: halves.check }),
    finish: () => (halves ? halves.finish(results.finish()) : results.finish()),
  });
}
