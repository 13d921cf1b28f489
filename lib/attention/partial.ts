/** attentionPartial: attention over some of the keys, as a state that can be taken elsewhere and added to others. */
import { describe, outOfRange, wrongType, wrongValue } from '../call/arguments.js';
import { NO_EXPONENT } from '../backend/backend.js';
import { ATTENTION, ATTENTION_CACHED } from '../backend/operators.js';
import { backend } from '../backend/choice.js';
import { attentionKernels } from '../js/attention/attention.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { unify, type Unified } from '../softmax/exp-sum.js';
import { elementsOf } from '../call/arrays.js';
import { copyOptions, floats, SCORE_NAMES } from './options.js';
import { AttentionPartial, newState, unifyPartial } from './state.js';
import { CACHED_OPTIONS, cachedArguments, type CachedOptions } from './decode.js';
import { DENSE_OPTIONS, denseArguments, type DenseOptions } from './dense.js';
import { isCache, type KVCache, type SequenceId } from './kv-cache.js';

/** Where a part of the keys belongs, and how its state is held. */
export interface PartOptions {
  /** The position of the first key of the part: of all sequences, or of each. Default: 0. */
  keyOffset?: number | readonly number[] | undefined;
  /** How many keys there are in all parts; the last query is at the last position. Default: keyOffset + those of this part. */
  totalKeys?: number | readonly number[] | undefined;
  /** As in expSum: a score near the largest of all parts, whose exponent all states get, so that merging them is an addition. */
  unifiedMax?: number | undefined;
  /** How far below and above `unifiedMax` the log-sum-exp of a row may lie to have that exponent. Default and most: ±600. */
  range?: readonly [below: number, above: number] | undefined;
}

export type DensePartOptions = DenseOptions & PartOptions;
export type CachedPartOptions = CachedOptions & PartOptions;

export const PART_OPTIONS = ['keyOffset', 'totalKeys', 'unifiedMax', 'range'] as const;

/**
 * Attention over a part of the keys, wherever the others are: in other threads, processes, machines. The states of all parts
 * are added with {@link mergeAttentionPartials}, and `finish` makes the output and lse of all keys from that:
 *
 *     mergeAttentionPartials(attentionPartial(q, k1, v1, …), attentionPartial(q, k2, v2, …)).finish()
 *
 * Without `causal`, `window` and `alibi` it does not matter where a part begins; with them `keyOffset` and `totalKeys` say so.
 * Sinks are no part of any part: they are given to `finish`, which counts them once.
 *
 * Over arrays: as {@link attention}, `k` and `v` being the part's. Over a cache: as {@link decodeAttention}, the sequences
 * being the part's; `causal` is true unless it is set, which then needs `totalKeys` for all parts but the last.
 *
 * @returns A state with a row for each query row, in the order of the output.
 * @throws What {@link attention} and {@link decodeAttention} throw; RangeError (ERR_INVALID_ARG_VALUE) also for a row whose exponent does
 *   not fit 32 bits, which takes scores of about ±1.49e9.
 */
export function attentionPartial(q: Float32Array, k: Float32Array, v: Float32Array, options: DensePartOptions): AttentionPartial;
export function attentionPartial(q: Float32Array, cache: KVCache, sequences: SequenceId | readonly SequenceId[], options?: CachedPartOptions): AttentionPartial;
export function attentionPartial(q: Float32Array, a: Float32Array | KVCache, b: Float32Array | SequenceId | readonly SequenceId[], options?: DensePartOptions | CachedPartOptions): AttentionPartial {
  return runNow(partialCall(q, a, b, options));
}

/** The same call, to be run later. */
export function partialCall(
  q: Float32Array, a: Float32Array | KVCache, b: Float32Array | SequenceId | readonly SequenceId[], options: DensePartOptions | CachedPartOptions = {} as CachedPartOptions, more: readonly string[] = [],
): Call<AttentionPartial> {
  const isCached = isCache(a);
  if (typeof options === 'object' && options !== null && 'sinks' in options) throw wrongType('sinks for finish(), where they count once, and not', 'options', 'sinks');
  const names = [...(isCached ? CACHED_OPTIONS : DENSE_OPTIONS), ...PART_OPTIONS, ...more];
  const own = copyOptions(options, names, !isCached);
  const { unifiedMax } = own;
  const [keyOffset, totalKeys, range] = [copied(own.keyOffset) ?? 0, copied(own.totalKeys), copied(own.range)];
  const unified = unifiedMax === undefined ? undefined : unify(unifiedMax, range, 1);
  if (unified === undefined && range !== undefined) throw wrongValue('no value', 'range without unifiedMax', describe(range));

  if (isCached) {
    const checked = cachedArguments(q, a, b as SequenceId[], own as CachedPartOptions);
    const { shape, slopes, mask, bias, view, valueDim, rows } = checked;
    const state = newState(rows, valueDim);
    const spans = spansOf(keyOffset, totalKeys, Array.from(view.lengths));
    const { slabs, scales, table, lengths } = view;
    return callOf(ATTENTION_CACHED, {
      backend: backend(attentionKernels),
      type: view.kind,
      args: { shape, spans, q, slabs, scales, table, lengths, slopes, mask, bias, ...NOT_FINISHED, ...state },
      own: ['shape', 'spans', 'table', 'lengths', ...STATE],
      names: SCORE_NAMES,
      work: (rows / lengths.length) * lengths.reduce((x, y) => x + y, 0),
      hold: () => view.hold(),
      finish: () => finished(state, unified),
    });
  }
  const checked = denseArguments(q, floats(a, 'k'), floats(b, 'v'), own as DensePartOptions);
  const { shape, slopes, mask, bias, batch, keys, valueDim, rows } = checked;
  const state = newState(rows, valueDim);
  const spans = spansOf(keyOffset, totalKeys, new Array<number>(batch).fill(keys));
  return callOf(ATTENTION, {
    backend: backend(attentionKernels),
    type: 'f32',
    args: { shape, spans, q, k: a, v: b as Float32Array, slopes, mask, bias, ...NOT_FINISHED, ...state },
    own: ['shape', 'spans', ...STATE],
    names: SCORE_NAMES,
    work: rows * keys,
    finish: () => finished(state, unified),
  });
}

/** A call for a state: what finish() gives is not wanted of the kernel. */
const NOT_FINISHED = { sinks: null, out: null, lse: null } as const;
const STATE = ['sums', 'mantissa', 'exponent'] as const;

/** An option as it is, or a copy of its elements. */
const copied = (value: unknown): unknown => (Array.isArray(value) ? elementsOf(value) : value);

function finished({ sums, mantissa, exponent }: ReturnType<typeof newState>, unified: Unified | undefined): AttentionPartial {
  const beyond = exponent.indexOf(NO_EXPONENT);
  if (beyond >= 0) throw wrongValue('scores within 1.48e9, for an exponent of 32 bits,', `row ${beyond}`, 'larger ones');
  const state = new AttentionPartial(sums, mantissa, exponent);
  return unified === undefined ? state : unifyPartial(state, unified);
}

/** For each sequence, the position of its first key and the number of all. */
function spansOf(offset: unknown, total: unknown, keys: readonly number[]): Float64Array {
  const each = (value: unknown, name: string, least: number[], otherwise: number[]): number[] => {
    if (value === undefined) return otherwise;
    const all: unknown[] = Array.isArray(value) ? value : new Array<unknown>(keys.length).fill(value);
    if (all.length !== keys.length) throw wrongValue(`one number, or one for each of ${keys.length} sequences,`, name, String(all.length));
    return all.map((n, i) => {
      if (typeof n !== 'number') throw wrongType('an integer', name, n);
      if (!(Number.isSafeInteger(n) && n >= least[i]!)) throw outOfRange(`an integer from ${least[i]}`, name, n);
      return n;
    });
  };
  const zeros = keys.map(() => 0);
  const offsets = each(offset, 'keyOffset', zeros, zeros);
  const ends = keys.map((n, i) => offsets[i]! + n);
  const totals = each(total, 'totalKeys', ends, ends);
  return Float64Array.from(keys.flatMap((_, i) => [offsets[i]!, totals[i]!]));
}
