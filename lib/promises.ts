/**
 * flash-softmax/promises: the functions of the package's root, and those of flash-softmax/sampling that take time, off the event loop, with an
 * AbortSignal.
 *
 * The arrays of a call may be written, transferred or resized as soon as it returned its promise, without harm to the process:
 * they are copied in slices before the job starts, while the event loop goes on (what is written meanwhile may be in the
 * result; an array that loses its buffer meanwhile rejects the promise). `out` is written in slices when the job has ended,
 * and not at all if it has lost its buffer by then. Arrays on SharedArrayBuffers are not copied but used where they are:
 * leave them alone until the promise settles, or accept any numbers; an aborted call leaves such an `out` half written.
 *
 * Each function takes what that of its name takes, and `signal`. It rejects with what that throws, and with the reason of `signal`.
 */
import type { AxisOptions, Float16ArrayLike, FloatArray, LogitArray } from './call/arguments.js';
import { signalOf, type AsyncOptions } from './call/abort.js';
import { offLoop } from './call/off-loop.js';
import type { Call } from './call/call.js';
import { crossEntropyCall, type CrossEntropyOptions, type Targets } from './losses/cross-entropy.js';
import { expSumCall, logSumExpOfState, normalizeCall } from './softmax/exp-sum.js';
import type { ExpSumOptions, ExpSums, NewExpSums } from './softmax/exp-sum.js';
import { logSoftmaxCall } from './softmax/log-softmax.js';
import { logSumExpCall, type LogSumExpOptions } from './softmax/log-sum-exp.js';
import type { RowOptions } from './sampling/rows.js';
import {
  filterCall,
  sampleCall,
  sampleManyCall,
  type FilteredLogits,
  type FilterOptions,
  type SampleOptions,
} from './sampling/sample.js';
import { topKCall, type TopK } from './selection/select.js';
import { softmaxBackwardCall, type SoftmaxBackwardOptions } from './softmax/softmax-backward.js';
import { softmaxCall } from './softmax/softmax.js';
import type {
  NewFloat32Array, NewFloat64Array, NewLike, NewUint16Array, NewUint32Array, Returned,
} from './call/types.js';

export type { AbortSignalLike, AsyncOptions } from './call/abort.js';
export type { AxisOptions, Float16ArrayLike, LogitArray } from './call/arguments.js';
export type { BackendName } from './backend/backend.js';
export type { Caches, Plan } from './backend/native.js';
export type { CrossEntropyOptions, Targets } from './losses/cross-entropy.js';
export type { ChunkOptions } from './softmax/exp-sum-accumulator.js';
export type { ExpSumOptions, ExpSums, NewExpSums } from './softmax/exp-sum.js';
export type { LogSumExpOptions } from './softmax/log-sum-exp.js';
export type { FilteredLogits, FilterOptions, SampleOptions } from './sampling/sample.js';
export type { RowOptions } from './sampling/rows.js';
export type { TopK } from './selection/select.js';
export type { SoftmaxBackwardOptions } from './softmax/softmax-backward.js';
export type { SoftmaxOptions } from './softmax/softmax.js';
export type { NewLike, Returned } from './call/types.js';
// What takes no time is the same here. (An accumulator takes the states of expSum: `accumulator.merge(await expSum(chunk))`.)
export { capabilities, type Capabilities } from './capabilities.js';
export { logSumExpOfState, mergeExpSums } from './softmax/exp-sum.js';
export { ExpSumAccumulator } from './softmax/exp-sum-accumulator.js';
export { setThreads } from './threads.js';
export {
  AttentionPartial,
  KVCache,
  alibiSlopes,
  mergeAttentionPartials,
  type AttentionOptions,
  type AttentionResult,
  type DecodeOptions,
  type KVCacheOptions,
  type SequenceId,
} from './attention.js';
export { attention, attentionPartial, decodeAttention } from './attention/promises.js';

/** The one option that all have here besides their own. */
const SIGNAL = ['signal'];

type Options = AxisOptions<LogitArray, LogitArray> & AsyncOptions;

/** `options` are read twice, the signal first: before any lengths are taken, as a getter may do anything. */
async function later<R>(options: AsyncOptions | undefined, call: () => Call<R>): Promise<R> {
  const signal = signalOf(options);
  return offLoop(call(), signal);
}

/** As softmax of the package's root. */
export function softmax<Out extends Float32Array = NewFloat32Array>(
  x: Float32Array, options?: AxisOptions<Float32Array, Out> & AsyncOptions,
): Promise<Returned<Out>>;
export function softmax<Out extends Float64Array = NewFloat64Array>(
  x: Float64Array, options?: AxisOptions<Float64Array, Out> & AsyncOptions,
): Promise<Returned<Out>>;
export function softmax<Out extends Uint16Array | Float32Array = NewUint16Array>(
  x: Uint16Array, options: AxisOptions<Uint16Array, Out> & AsyncOptions,
): Promise<Returned<Out>>;
export function softmax<
  A extends Float16ArrayLike, Out extends Float16ArrayLike | Float32Array = NewLike<A, Float16ArrayLike>,
>(
  x: A, options?: AxisOptions<A, Out> & AsyncOptions,
): Promise<Returned<Out>>;
export function softmax<A extends FloatArray>(x: A, options?: AxisOptions<A> & AsyncOptions): Promise<FloatArray>;
export function softmax(x: LogitArray, options?: Options): Promise<LogitArray> {
  return later(options, () => softmaxCall(x, options, SIGNAL));
}

/** As logSoftmax of the package's root. */
export function logSoftmax<Out extends Float32Array = NewFloat32Array>(
  x: Float32Array, options?: AxisOptions<Float32Array, Out> & AsyncOptions,
): Promise<Returned<Out>>;
export function logSoftmax<Out extends Float64Array = NewFloat64Array>(
  x: Float64Array, options?: AxisOptions<Float64Array, Out> & AsyncOptions,
): Promise<Returned<Out>>;
export function logSoftmax<Out extends Uint16Array | Float32Array = NewUint16Array>(
  x: Uint16Array, options: AxisOptions<Uint16Array, Out> & AsyncOptions,
): Promise<Returned<Out>>;
export function logSoftmax<
  A extends Float16ArrayLike, Out extends Float16ArrayLike | Float32Array = NewLike<A, Float16ArrayLike>,
>(
  x: A, options?: AxisOptions<A, Out> & AsyncOptions,
): Promise<Returned<Out>>;
export function logSoftmax<A extends FloatArray>(x: A, options?: AxisOptions<A> & AsyncOptions): Promise<FloatArray>;
export function logSoftmax(x: LogitArray, options?: Options): Promise<LogitArray> {
  return later(options, () => logSoftmaxCall(x, options, SIGNAL));
}

/** As logSumExp of the package's root. */
export function logSumExp(state: ExpSums): Promise<NewFloat64Array>;
export function logSumExp<A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  x: A, options?: LogSumExpOptions<A, Out> & AsyncOptions,
): Promise<Returned<Out>>;
export async function logSumExp(x: LogitArray | ExpSums, options?: LogSumExpOptions & AsyncOptions): Promise<Float64Array> {
  if (typeof x === 'object' && x !== null && 'mantissa' in x) return logSumExpOfState(x);
  return later(options, () => logSumExpCall(x, options, SIGNAL));
}

/** As crossEntropy of the package's root. `gradient` is written when the job has ended, as `out` is. */
export function crossEntropy<A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  logits: A, targets: Targets, options?: CrossEntropyOptions<A, Out> & AsyncOptions,
): Promise<Returned<Out>>;
export function crossEntropy(logits: LogitArray, targets: Targets, options?: CrossEntropyOptions & AsyncOptions): Promise<Float64Array> {
  return later(options, () => crossEntropyCall(logits, targets, options, SIGNAL));
}

/** As softmaxBackward of the package's root. */
export function softmaxBackward<Out extends Float32Array = NewFloat32Array>(
  y: Float32Array, dy: Float32Array, options?: SoftmaxBackwardOptions<Float32Array, Out> & AsyncOptions,
): Promise<Returned<Out>>;
export function softmaxBackward<Out extends Float64Array = NewFloat64Array>(
  y: Float64Array, dy: Float64Array, options?: SoftmaxBackwardOptions<Float64Array, Out> & AsyncOptions,
): Promise<Returned<Out>>;
export function softmaxBackward<Out extends Uint16Array | Float32Array = NewUint16Array>(
  y: Uint16Array, dy: Uint16Array, options: SoftmaxBackwardOptions<Uint16Array, Out> & AsyncOptions,
): Promise<Returned<Out>>;
export function softmaxBackward<
  A extends Float16ArrayLike, Out extends Float16ArrayLike | Float32Array = NewLike<A, Float16ArrayLike>,
>(
  y: A, dy: A, options?: SoftmaxBackwardOptions<A, Out> & AsyncOptions,
): Promise<Returned<Out>>;
export function softmaxBackward<A extends FloatArray>(
  y: A, dy: A, options?: SoftmaxBackwardOptions<A> & AsyncOptions,
): Promise<FloatArray>;
export function softmaxBackward(y: LogitArray, dy: LogitArray, options?: SoftmaxBackwardOptions<LogitArray, LogitArray> & AsyncOptions): Promise<LogitArray> {
  return later(options, () => softmaxBackwardCall(y, dy, options, SIGNAL));
}

/** As expSum of the package's root. */
export function expSum<A extends LogitArray>(x: A, options?: ExpSumOptions<A> & AsyncOptions): Promise<NewExpSums> {
  return later(options, () => expSumCall(x, options as ExpSumOptions, SIGNAL));
}

/** As normalize of the package's root. */
export function normalize<Out extends Float32Array = NewFloat32Array>(
  x: Float32Array, state: ExpSums, options?: AxisOptions<Float32Array, Out> & AsyncOptions,
): Promise<Returned<Out>>;
export function normalize<Out extends Float64Array = NewFloat64Array>(
  x: Float64Array, state: ExpSums, options?: AxisOptions<Float64Array, Out> & AsyncOptions,
): Promise<Returned<Out>>;
export function normalize<Out extends Uint16Array | Float32Array = NewUint16Array>(
  x: Uint16Array, state: ExpSums, options: AxisOptions<Uint16Array, Out> & AsyncOptions,
): Promise<Returned<Out>>;
export function normalize<
  A extends Float16ArrayLike, Out extends Float16ArrayLike | Float32Array = NewLike<A, Float16ArrayLike>,
>(
  x: A, state: ExpSums, options?: AxisOptions<A, Out> & AsyncOptions,
): Promise<Returned<Out>>;
export function normalize<A extends FloatArray>(
  x: A, state: ExpSums, options?: AxisOptions<A> & AsyncOptions,
): Promise<FloatArray>;
export function normalize(x: LogitArray, state: ExpSums, options?: Options): Promise<LogitArray> {
  return later(options, () => normalizeCall(x, state, options, SIGNAL));
}

/** As sample of flash-softmax/sampling. */
export function sample<A extends LogitArray>(
  logits: A, options?: SampleOptions<A> & AsyncOptions,
): Promise<NewUint32Array> {
  return later(options, () => sampleCall(logits, options, SIGNAL));
}

/** As sampleMany of flash-softmax/sampling. */
export function sampleMany<A extends LogitArray>(
  logits: A, n: number, options?: SampleOptions<A> & AsyncOptions,
): Promise<NewUint32Array> {
  return later(options, () => sampleManyCall(logits, n, options, SIGNAL));
}

/** As filterLogits of flash-softmax/sampling. */
export function filterLogits(
  logits: Float64Array, options?: FilterOptions<Float64Array> & AsyncOptions,
): Promise<FilteredLogits<NewFloat64Array>>;
export function filterLogits<A extends Exclude<LogitArray, Float64Array>>(
  logits: A, options?: FilterOptions<A> & AsyncOptions,
): Promise<FilteredLogits<NewFloat32Array>>;
export function filterLogits(logits: LogitArray, options?: FilterOptions & AsyncOptions): Promise<FilteredLogits<FloatArray>> {
  return later(options, () => filterCall(logits, options, SIGNAL));
}

/** As topK of flash-softmax/sampling. */
export function topK<A extends LogitArray>(
  x: A, k: number, options?: RowOptions & AsyncOptions,
): Promise<TopK<NewLike<A>>> {
  return later(options, () => topKCall(x, k, options, SIGNAL));
}
