/** The functions of flash-softmax/attention, off the event loop, for flash-softmax/promises. */
import { signalOf, type AsyncOptions } from '../call/abort.js';
import { offLoop } from '../call/off-loop.js';
import { stepsLater } from '../call/steps.js';
import type { KindOf, LogitArray, NewFloat32Array, NewResult, OptionsFor, ResultOf, Returned } from '../call/types.js';
import {
  attentionBackwardCall,
  BACKWARD_OPTIONS,
  type AttentionBackwardOptions,
  type AttentionGradients,
  type GradientTarget,
} from './backward.js';
import { CACHED_OPTIONS, decodeCall, type DecodeOptions, type SingleArray } from './decode.js';
import { attentionCall, DENSE_OPTIONS, type AttentionOptions } from './dense.js';
import type { KVCache, SequenceId } from './kv-cache.js';
import { RESULT_OPTIONS } from './options.js';
import type { AttentionResult, ResultWithLse, WithLse, WithoutLse } from './results.js';
import { prefillSteps, type PrefillArguments, type PrefillOptions } from './prefill.js';
import { partialCall, PART_OPTIONS, type CachedPartOptions, type DensePartOptions } from './partial.js';
import type { AttentionPartial } from './state.js';
import { ASKED_OPTIONS, type Asked, type Attended, type ScoreStage } from './typed-results.js';
import { TYPE_OPTIONS } from './types.js';

/**
 * As attention of flash-softmax/attention. Rejects with the errors that it throws, and with the reason of `signal`.
 *
 * @example
 * import { attention } from 'flash-softmax/promises';
 * const q = Float32Array.of(1, 0), k = Float32Array.of(1, 0, 0, 1), v = Float32Array.of(1, 2, 3, 4);
 * console.log((await attention(q, k, v, { heads: 1, headDim: 2 }))[0].toFixed(4)); // → 1.6605
 */
export async function attention<
  A extends LogitArray,
  Out extends ResultOf<A> = NewResult<A>,
  Lse extends boolean | Float64Array | undefined = undefined,
  Weights extends boolean | KindOf<Out> | undefined = undefined,
  Scores extends ScoreStage | undefined = undefined,
>(
  q: A,
  k: KindOf<A>,
  v: KindOf<A>,
  options: AttentionOptions<Out, A> & Asked<Lse, Weights, Scores> & AsyncOptions,
): Promise<Attended<Out, Lse, Weights, Scores>> {
  const own = copyOf(options);
  const signal = signalOf(own);
  return (await offLoop(attentionCall(q, k, v, own, ['signal']), signal)) as Attended<Out, Lse, Weights, Scores>;
}

/**
 * As decodeAttention of flash-softmax/attention. Rejects with the errors that it throws, and with the reason of
 * `signal`.
 *
 * The cache is read where it is, and may be used meanwhile in every way: the job holds the pages of its sequences, as
 * they are when the promise is returned, until it ends, even if the cache is disposed of.
 *
 * @example
 * import { decodeAttention, KVCache } from 'flash-softmax/promises';
 * const cache = new KVCache({ kvHeads: 1, headDim: 2 }), sequence = cache.create();
 * cache.append(sequence, Float32Array.of(1, 0, 0, 1), Float32Array.of(1, 2, 3, 4));
 * console.log((await decodeAttention(Float32Array.of(1, 0), cache, sequence))[0].toFixed(4)); // → 1.6605
 */
export async function decodeAttention<
  A extends SingleArray,
  Out extends ResultOf<A> = NewResult<A>,
  Lse extends boolean | Float64Array | undefined = undefined,
>(
  q: A,
  cache: KVCache,
  sequences: SequenceId | readonly SequenceId[],
  ...rest: OptionsFor<A, DecodeOptions<Out> & { lse?: Lse } & AsyncOptions>
): Promise<Attended<Out, Lse, undefined, undefined>> {
  const own = copyOf((rest as [(DecodeOptions<LogitArray> & AsyncOptions)?])[0]);
  const signal = signalOf(own);
  const result = await offLoop(decodeCall(q, cache, sequences, own, ['signal']), signal);
  return result as Attended<Out, Lse, undefined, undefined>;
}

/**
 * As attentionPartial of flash-softmax/attention, and with a cache as decodeAttention here.
 *
 * @example
 * import { attentionPartial } from 'flash-softmax/promises';
 * const q = Float32Array.of(1, 0), k = Float32Array.of(1, 0), v = Float32Array.of(3, 4);
 * console.log((await attentionPartial(q, k, v, { heads: 1, headDim: 2 })).finish().join(' ')); // → 3 4
 */
export function attentionPartial<A extends LogitArray>(
  q: A,
  k: KindOf<A>,
  v: KindOf<A>,
  options: DensePartOptions<A> & AsyncOptions,
): Promise<AttentionPartial>;
export function attentionPartial(
  q: SingleArray,
  cache: KVCache,
  sequences: SequenceId | readonly SequenceId[],
  options?: CachedPartOptions & AsyncOptions,
): Promise<AttentionPartial>;
export async function attentionPartial(
  q: LogitArray,
  keys: LogitArray | KVCache,
  values: LogitArray | SequenceId | readonly SequenceId[],
  options?: (DensePartOptions<LogitArray> | CachedPartOptions) & AsyncOptions,
): Promise<AttentionPartial> {
  const own = copyOf(options);
  const signal = signalOf(own);
  return offLoop(partialCall(q, keys, values, own, ['signal']), signal);
}

/**
 * As prefillAttention of flash-softmax/attention. Rejects with the errors that it throws, and with the reason of
 * `signal`; the sequences are as they were then. They change when the promise settles: see there.
 *
 * @example
 * import { KVCache, prefillAttention } from 'flash-softmax/promises';
 * const cache = new KVCache({ kvHeads: 1, headDim: 2 }), sequence = cache.create();
 * const tokens = Float32Array.of(1, 0, 0, 1); // two of them: queries, keys and values
 * const out = await prefillAttention(tokens, tokens, tokens, cache, sequence);
 * console.log(out.length, cache.length(sequence)); // → 4 2
 */
export const prefillAttention = /* @__PURE__ */ stepsLater(prefillSteps, 5) as {
  <Lse extends true | Float64Array, Out extends Float32Array = NewFloat32Array>(
    ...rest: PrefillArguments<[options: PrefillOptions<Out> & WithLse<Lse> & AsyncOptions]>
  ): Promise<ResultWithLse<Out, Lse>>;
  <Out extends Float32Array = NewFloat32Array>(
    ...rest: PrefillArguments<[options?: PrefillOptions<Out> & WithoutLse & AsyncOptions]>
  ): Promise<Returned<Out>>;
  (...rest: PrefillArguments<[options?: PrefillOptions & AsyncOptions]>): Promise<Float32Array | AttentionResult>;
};

/**
 * As attentionBackward of flash-softmax/attention. Rejects with its errors, and with the reason of `signal`.
 *
 * @example
 * import { attention, attentionBackward } from 'flash-softmax/promises';
 * const q = Float32Array.of(1, 0), k = Float32Array.of(1, 0, 0, 1), v = Float32Array.of(1, 2, 3, 4);
 * const sizes = { heads: 1, headDim: 2 };
 * const { out, lse } = await attention(q, k, v, { ...sizes, lse: true });
 * console.log((await attentionBackward(q, k, v, q, { ...sizes, out, lse })).dq[0].toFixed(4)); // → -0.3128
 */
export async function attentionBackward<
  Q extends GradientTarget = undefined,
  K extends GradientTarget = undefined,
  V extends GradientTarget = undefined,
  Bias extends GradientTarget = undefined,
  Sinks extends GradientTarget = undefined,
>(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  dOut: Float32Array,
  options: AttentionBackwardOptions<Q, K, V, Bias, Sinks> & AsyncOptions,
): Promise<AttentionGradients<Q, K, V, Bias, Sinks>> {
  const own = copyOf(options);
  const signal = signalOf(own);
  const call = attentionBackwardCall([q, k, v, dOut], own, ['signal']);
  return (await offLoop(call, signal)) as AttentionGradients<Q, K, V, Bias, Sinks>;
}

const NAMES = [
  ...[...CACHED_OPTIONS, ...DENSE_OPTIONS, ...RESULT_OPTIONS, ...PART_OPTIONS, ...BACKWARD_OPTIONS],
  ...[...TYPE_OPTIONS, ...ASKED_OPTIONS, 'signal'],
];

/** A copy of options, each read once: `signal` is taken from the copy, and later all others. */
function copyOf<O extends object | undefined>(options: O): O {
  // checkOptions refuses what is no object.
  if (typeof options !== 'object' || options === null || Array.isArray(options)) return options;
  const copy: Record<string, unknown> = { ...options };
  for (const name of NAMES) if (!Object.hasOwn(copy, name)) copy[name] = (options as Record<string, unknown>)[name];
  for (const name of NAMES) if (copy[name] === undefined) delete copy[name];
  return copy as O;
}
