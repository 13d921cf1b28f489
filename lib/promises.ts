/**
 * flash-softmax/promises: the functions of the package's root, off the event loop, with an AbortSignal.
 *
 * The arrays of a call may be written, transferred or resized as soon as it returned its promise, without harm to the process:
 * they are copied in slices before the job starts, while the event loop goes on (what is written meanwhile may be in the
 * result; an array that loses its buffer meanwhile rejects the promise). `out` is written in slices when the job has ended,
 * and not at all if it has lost its buffer by then. Arrays on SharedArrayBuffers are not copied but used where they are:
 * leave them alone until the promise settles, or accept any numbers; an aborted call leaves such an `out` half written.
 */
import { signalOf, offLoop, type AsyncOptions } from './async/off-loop.js';
import type { Call } from './call.js';
import type { AxisOptions, FloatArray } from './arguments.js';
import { expSumCall, normalizeCall, type ExpSumOptions, type ExpSums } from './exp-sum.js';
import { softmaxCall, type SoftmaxOptions } from './softmax.js';

export type { AsyncOptions } from './async/off-loop.js';
export type { AxisOptions } from './arguments.js';
export type { BackendName } from './backend/backend.js';
export type { Caches } from './backend/native.js';
export type { ChunkOptions } from './exp-sum-accumulator.js';
export type { ExpSumOptions, ExpSums } from './exp-sum.js';
export type { SoftmaxOptions } from './softmax.js';
// What takes no time is the same here.
export { capabilities, type Capabilities } from './capabilities.js';
export { logSumExpOfState, mergeExpSums } from './exp-sum.js';
export { ExpSumAccumulator } from './exp-sum-accumulator.js';

/** As softmax of the package's root. Rejects with what that throws, and with the reason of `signal`. */
export function softmax(x: Float32Array, options?: SoftmaxOptions<Float32Array> & AsyncOptions): Promise<Float32Array>;
export function softmax(x: Float64Array, options?: SoftmaxOptions<Float64Array> & AsyncOptions): Promise<Float64Array>;
export async function softmax(x: FloatArray, options?: SoftmaxOptions & AsyncOptions): Promise<FloatArray> {
  const signal = signalOf(options);
  return offLoop(softmaxCall(x, options, ['signal']) as Call<FloatArray>, signal);
}

/** As expSum of the package's root. Rejects with what that throws, and with the reason of `signal`. */
export async function expSum<A extends FloatArray>(x: A, options?: ExpSumOptions<A> & AsyncOptions): Promise<ExpSums> {
  const signal = signalOf(options);
  return offLoop(expSumCall(x, options, ['signal']), signal);
}

/** As normalize of the package's root. Rejects with what that throws, and with the reason of `signal`. */
export async function normalize<A extends FloatArray>(x: A, state: ExpSums, options?: AxisOptions<A> & AsyncOptions): Promise<A> {
  const signal = signalOf(options);
  return offLoop(normalizeCall(x, state, options, ['signal']), signal);
}
