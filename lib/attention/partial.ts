/** attentionPartial: attention over some of the keys, as a state that can be moved and added to other states. */
import { NO_EXPONENT } from '../backend/backend.js';
import { backend } from '../backend/choice.js';
import { ATTENTION, ATTENTION_CACHED, ATTENTION_EXACT } from '../backend/operators.js';
import { describe, outOfRange, wrongType, wrongValue } from '../call/errors.js';
import { elementsOf } from '../call/arrays.js';
import { callOf, runNow, type Call } from '../call/call.js';
import type { KindOf, LogitArray } from '../call/types.js';
import { attentionKernels } from '../js/attention/attention.js';
import { attentionExactKernels } from '../js/attention/exact.js';
import { unify, type Unified } from '../softmax/unified-max.js';
import { CACHED_OPTIONS, cachedArguments, type CachedOptions, type SingleArray } from './decode.js';
import { DENSE_OPTIONS, denseArguments, type DenseOptions } from './dense.js';
import { floatQueries } from './half-queries.js';
import { isCache, type KVCache, type SequenceId } from './kv-cache.js';
import { unifyPartial } from './merge.js';
import { copyOptions, OPTION_NAMES } from './options.js';
import { newState, type StateArrays } from './state-fields.js';
import { AttentionPartial } from './state.js';
import { isExact } from './typed-results.js';
import { TYPE_OPTIONS, WIDE_NAMES, type TypedOptions } from './types.js';

/** Where a part's keys are among all keys, and the exponents of its state. */
export interface PartOptions {
  /** The position of the first key of the part: of all sequences, or of each. Default: 0. */
  keyOffset?: number | readonly number[] | undefined;
  /**
   * The number of keys in all parts; the last query is at the last position, unless `causal` is 'topLeft': then query m
   * is at position m. Default: keyOffset + the keys of this part, of which `keyLengths` says the number.
   */
  totalKeys?: number | readonly number[] | undefined;
  /**
   * As in expSum: a score near the largest of all parts. All states get its exponent, so that merging them is an
   * addition.
   */
  unifiedMax?: number | undefined;
  /**
   * How far below and above `unifiedMax` the log-sum-exp of a row may lie to have that exponent. Default and most:
   * ±600.
   */
  range?: readonly [below: number, above: number] | undefined;
}

export type DensePartOptions<A extends LogitArray = Float32Array> = TypedOptions<DenseOptions, A> & PartOptions;
export type CachedPartOptions = CachedOptions & PartOptions;

export const PART_OPTIONS = ['keyOffset', 'totalKeys', 'unifiedMax', 'range'] as const;

/**
 * Attention over a part of the keys, wherever the others are: in other threads, processes, machines.
 * {@link mergeAttentionPartials} adds the states of all parts, and `finish` makes the output and lse of all keys:
 *
 *     mergeAttentionPartials(attentionPartial(q, k1, v1, …), attentionPartial(q, k2, v2, …)).finish()
 *
 * Without `causal`, `window` and `alibi` it does not matter where a part begins; with them `keyOffset` and `totalKeys`
 * say so. Sinks belong to no part: they are given to `finish`, which counts them once.
 *
 * Over arrays: as {@link attention}, with the part's `k` and `v`, of any of its types. Float64 inputs, and `accumulate:
 * 'float64'`, give a state whose sums are doubles throughout, with the errors of these. Over a cache: as
 * {@link decodeAttention}, with the part's sequences; `causal` is true unless it is set, and then all parts but the
 * last need `totalKeys`.
 *
 * @returns A state with a row for each query row, in the order of the output.
 * @throws What {@link attention} and {@link decodeAttention} throw; RangeError (ERR_INVALID_ARG_VALUE) also for a row
 *   whose exponent does not fit 32 bits, which takes scores of about ±1.49e9.
 * @example
 * import { attentionPartial } from 'flash-softmax/attention';
 * const q = Float32Array.of(1, 0), k = Float32Array.of(1, 0), v = Float32Array.of(3, 4);
 * const state = attentionPartial(q, k, v, { heads: 1, headDim: 2 });
 * console.log(state.finish().join(' ')); // of one key: its value → 3 4
 */
export function attentionPartial<A extends LogitArray>(
  q: A,
  k: KindOf<A>,
  v: KindOf<A>,
  options: DensePartOptions<A>,
): AttentionPartial;
export function attentionPartial(
  q: SingleArray,
  cache: KVCache,
  sequences: SequenceId | readonly SequenceId[],
  options?: CachedPartOptions,
): AttentionPartial;
export function attentionPartial(
  q: LogitArray,
  keys: LogitArray | KVCache,
  values: LogitArray | SequenceId | readonly SequenceId[],
  options?: DensePartOptions<LogitArray> | CachedPartOptions,
): AttentionPartial {
  return runNow(partialCall(q, keys, values, options));
}

/**
 * The checked call, not run yet. Over a cache `keys` is the cache, and `values` its sequences. `more` names options
 * that the caller handles.
 */
export function partialCall(
  q: LogitArray,
  keys: LogitArray | KVCache,
  values: LogitArray | SequenceId | readonly SequenceId[],
  options: DensePartOptions<LogitArray> | CachedPartOptions = {} as CachedPartOptions,
  more: readonly string[] = [],
): Call<AttentionPartial> {
  const isCached = isCache(keys);
  if (typeof options === 'object' && options !== null && 'sinks' in options) {
    throw wrongType('sinks for finish(), where they count once, and not', 'options', 'sinks');
  }
  const names = [...(isCached ? CACHED_OPTIONS : [...DENSE_OPTIONS, ...TYPE_OPTIONS]), ...PART_OPTIONS, ...more];
  const own = copyOptions(options, names, !isCached);
  const part = partOf(own);
  return isCached
    ? cachedCall(q, keys, values as SequenceId[], own as CachedPartOptions, part)
    : denseCall(q, keys, values as LogitArray, own as DensePartOptions<LogitArray>, part);
}

/** The part options, read and copied. */
interface Part {
  readonly keyOffset: unknown;
  readonly totalKeys: unknown;
  readonly unified: Unified | undefined;
}

function partOf({ keyOffset, totalKeys, unifiedMax, range: givenRange }: PartOptions): Part {
  const part = { keyOffset: copied(keyOffset) ?? 0, totalKeys: copied(totalKeys) };
  const range = copied(givenRange);
  const unified = unifiedMax === undefined ? undefined : unify(unifiedMax, range, 1);
  if (unified === undefined && range !== undefined) {
    throw wrongValue('no value', 'range without unifiedMax', describe(range));
  }
  return { ...part, unified };
}

/** A copy of an array's elements; any other value as it is. */
const copied = (value: unknown): unknown => (Array.isArray(value) ? elementsOf(value) : value);

/** The kernel arguments of finished results, for a call that makes a state. */
const NOT_FINISHED = { sinks: null, out: null, lse: null } as const;
const STATE = ['sums', 'mantissa', 'exponent'] as const;

function cachedCall(
  q: LogitArray,
  cache: KVCache,
  sequences: readonly SequenceId[],
  options: CachedPartOptions,
  part: Part,
): Call<AttentionPartial> {
  const { floats, half } = floatQueries(q, options.dtype);
  const checked = cachedArguments(floats, cache, sequences, options);
  const { shape, slopes, mask, bias, view, pages, valueDim, rows, work } = checked;
  const state = newState(rows, valueDim);
  const spans = spansOf(part, Array.from(view.lengths));
  return callOf(ATTENTION_CACHED, {
    backend: backend(attentionKernels),
    type: view.kind,
    args: { shape, spans, q: floats, ...pages, slopes, mask, bias, ...NOT_FINISHED, ...state },
    own: ['shape', 'spans', 'table', 'lengths', ...(half ? ['q' as const] : []), ...STATE],
    names: OPTION_NAMES,
    work,
    hold: () => view.hold(),
    finish: () => finished(state, part.unified),
  });
}

function denseCall(
  q: LogitArray,
  k: LogitArray,
  v: LogitArray,
  options: DensePartOptions<LogitArray>,
  part: Part,
): Call<AttentionPartial> {
  const checked = denseArguments(q, k, v, options);
  const { shape, keyLengths, slopes, mask, bias, wideSlopes, wideBias } = checked;
  const { batch, keys, valueDim, rows, arrays, type } = checked;
  const exact = isExact(options, type);
  const state = newState(rows, valueDim);
  const spans = spansOf(part, keyLengths ? Array.from(keyLengths) : new Array<number>(batch).fill(keys));
  const args = { shape, spans, keyLengths, ...arrays, slopes, mask, bias, ...NOT_FINISHED, ...state };
  const parts = {
    own: [...checked.own, 'spans', ...STATE] as const,
    names: { ...OPTION_NAMES, ...WIDE_NAMES },
    work: rows * keys,
    finish: () => finished(state, part.unified),
  };
  if (!exact) {
    const half = type as Exclude<typeof type, 'f64'>;
    return callOf(ATTENTION, { backend: backend(attentionKernels), type: half, args, ...parts });
  }
  const wide = { wideSlopes, wideSinks: null, wideBias, weights: null, scores: null, stage: 0 };
  return callOf(ATTENTION_EXACT, {
    backend: backend(attentionExactKernels),
    type,
    args: { ...args, ...wide },
    ...parts,
  });
}

function finished({ sums, mantissa, exponent }: StateArrays, unified: Unified | undefined): AttentionPartial {
  const beyond = exponent.indexOf(NO_EXPONENT);
  if (beyond >= 0) {
    throw wrongValue('scores within 1.48e9, for an exponent of 32 bits,', `row ${beyond}`, 'larger ones');
  }
  const state = new AttentionPartial(sums, mantissa, exponent);
  return unified === undefined ? state : unifyPartial(state, unified);
}

/**
 * For each sequence, the position of its first key and the number of keys in all parts; `keys` is this part's number.
 */
function spansOf({ keyOffset, totalKeys }: Part, keys: readonly number[]): Float64Array {
  const zeros = keys.map(() => 0);
  const offsets = keyOffset === undefined ? zeros : onePerSequence(keyOffset, 'keyOffset', zeros);
  const ends = keys.map((n, i) => offsets[i]! + n);
  const totals = totalKeys === undefined ? ends : onePerSequence(totalKeys, 'totalKeys', ends);
  return Float64Array.from(keys.flatMap((_, i) => [offsets[i]!, totals[i]!]));
}

/** Checks a number for all sequences, or an array with one for each; `least` has the least number of each sequence. */
function onePerSequence(value: unknown, name: string, least: readonly number[]): number[] {
  const values: unknown[] = Array.isArray(value) ? value : new Array<unknown>(least.length).fill(value);
  if (values.length !== least.length) {
    throw wrongValue(`one number, or one for each of ${least.length} sequences,`, name, String(values.length));
  }
  return values.map((n, i) => {
    if (typeof n !== 'number') throw wrongType('an integer', name, n);
    if (!(Number.isSafeInteger(n) && n >= least[i]!)) throw outOfRange(`an integer from ${least[i]}`, name, n);
    return n;
  });
}
