/** The functions of flash-softmax/attention off the event loop, for flash-softmax/promises. */
import { signalOf, type AsyncOptions } from '../async/abort.js';
import { offLoop } from '../async/off-loop.js';
import { decodeCall, type DecodeOptions } from './decode.js';
import { attentionCall, type AttentionOptions, type AttentionResult, type WithLse } from './dense.js';
import type { KVCache, SequenceId } from './kv-cache.js';
import { partialCall, type CachedPartOptions, type DensePartOptions } from './partial.js';
import type { AttentionPartial } from './state.js';

/** As attention of flash-softmax/attention. Rejects with what that throws, and with the reason of `signal`. */
export function attention(q: Float32Array, k: Float32Array, v: Float32Array, options: AttentionOptions & WithLse & AsyncOptions): Promise<AttentionResult>;
export function attention(q: Float32Array, k: Float32Array, v: Float32Array, options: AttentionOptions & { lse?: false | undefined } & AsyncOptions): Promise<Float32Array>;
export async function attention(q: Float32Array, k: Float32Array, v: Float32Array, options: AttentionOptions & AsyncOptions): Promise<Float32Array | AttentionResult> {
  const signal = signalOf(options);
  return offLoop(attentionCall(q, k, v, options, ['signal']), signal);
}

/**
 * As decodeAttention of flash-softmax/attention. Rejects with what that throws, and with the reason of `signal`.
 *
 * The cache is read where it is, and may be used meanwhile in every way: the job has forks of its sequences, as they are when
 * the promise is returned.
 */
export function decodeAttention(q: Float32Array, cache: KVCache, sequences: SequenceId | readonly SequenceId[], options: DecodeOptions & WithLse & AsyncOptions): Promise<AttentionResult>;
export function decodeAttention(q: Float32Array, cache: KVCache, sequences: SequenceId | readonly SequenceId[], options?: DecodeOptions & { lse?: false | undefined } & AsyncOptions): Promise<Float32Array>;
export async function decodeAttention(q: Float32Array, cache: KVCache, sequences: SequenceId | readonly SequenceId[], options: DecodeOptions & AsyncOptions = {}): Promise<Float32Array | AttentionResult> {
  const signal = signalOf(options);
  const call = decodeCall(q, cache, sequences, options, ['signal']);
  return withForks(cache, sequences, () => offLoop(call, signal));
}

/** As attentionPartial of flash-softmax/attention, and with a cache as decodeAttention here. */
export function attentionPartial(q: Float32Array, k: Float32Array, v: Float32Array, options: DensePartOptions & AsyncOptions): Promise<AttentionPartial>;
export function attentionPartial(q: Float32Array, cache: KVCache, sequences: SequenceId | readonly SequenceId[], options?: CachedPartOptions & AsyncOptions): Promise<AttentionPartial>;
export async function attentionPartial(
  q: Float32Array, a: Float32Array | KVCache, b: Float32Array | SequenceId | readonly SequenceId[], options?: (DensePartOptions | CachedPartOptions) & AsyncOptions,
): Promise<AttentionPartial> {
  const signal = signalOf(options);
  const call = partialCall(q, a, b, options, ['signal']);
  if (ArrayBuffer.isView(a)) return offLoop(call, signal);
  return withForks(a, b as readonly SequenceId[], () => offLoop(call, signal));
}

/** The pages that a job reads have it as an owner, so that nobody writes to them. */
async function withForks<R>(cache: KVCache, sequences: SequenceId | readonly SequenceId[], job: () => Promise<R>): Promise<R> {
  const forks = [sequences].flat().map((sequence) => cache.fork(sequence));
  try {
    return await job();
  } finally {
    for (const fork of forks) cache.free(fork);
  }
}
