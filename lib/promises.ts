/**
 * flash-softmax/promises: the functions of the package's root, and the slow functions of flash-softmax/sampling,
 * flash-softmax/attention and flash-softmax/detection, off the event loop, with an AbortSignal.
 *
 * The arrays of a call may be written, transferred or resized as soon as it returned its promise, without harm to the
 * process: they are copied in slices before the job starts, while the event loop goes on. A write in that time may be
 * in the result; an array that loses its buffer in that time rejects the promise. `out` is written in slices when the
 * job has ended, and not at all if it has lost its buffer by then. Arrays on SharedArrayBuffers are not copied but used
 * where they are: leave them alone until the promise settles, or accept any numbers; an aborted call leaves such an
 * `out` half written.
 *
 * Each function takes the arguments of the function of its name, and the option `signal`. It rejects with the error
 * that the function throws, or with the reason of `signal`.
 */
import type { AsyncOptions } from './call/abort.js';
import { later } from './call/off-loop.js';
import { stepsLater } from './call/steps.js';
import type { LogitArray, NewFloat32Array, NewFloat64Array, NewUint32Array, Returned } from './call/types.js';
import { compSumCall, focalLossCall } from './losses/comp-sum.js';
import { crossEntropyCall } from './losses/cross-entropy.js';
import { logSoftmaxBackwardCall } from './losses/log-softmax-backward.js';
import { marginCrossEntropySteps } from './losses/margins.js';
import { logStableMaxCall, stableMaxCall } from './losses/stable-max.js';
import { expSumCall } from './softmax/exp-sum.js';
import type { ExpSums } from './softmax/exp-sum-state.js';
import { logSoftmaxCall } from './softmax/log-softmax.js';
import { isState, logSumExpCall, type LogSumExpOptions } from './softmax/log-sum-exp.js';
import { isWeighted, weightedSteps, type SignedLogSums } from './softmax/weighted-log-sum-exp.js';
import { filterSteps, sampleManySteps, sampleSteps } from './sampling/sample.js';
import type {
  Detailed,
  FilteredLogits,
  FilterLogitsOptions,
  Plain,
  SampleOneOptions,
  SampleOptions,
  SampleResult,
} from './sampling/sample-options.js';
import { topKCall } from './selection/select.js';
import { logSumExpOfState } from './softmax/merge-exp-sums.js';
import { normalizeCall } from './softmax/normalize.js';
import { softmaxBackwardCall } from './softmax/softmax-backward.js';
import { softmaxCall } from './softmax/softmax.js';

export type { AbortSignalLike, AsyncOptions } from './call/abort.js';
export type { AxesOptions, AxisOptions } from './call/options.js';
export type { Float16ArrayLike, LogitArray } from './call/types.js';
export type { BackendName } from './backend/backend.js';
export type { Caches, Plan } from './backend/native.js';
export type { CrossEntropyOptions } from './losses/cross-entropy.js';
export type { Targets } from './losses/targets.js';
export type { ChunkOptions } from './softmax/exp-sum-accumulator.js';
export type { ExpSumOptions } from './softmax/exp-sum.js';
export type { ExpSums, NewExpSums } from './softmax/exp-sum-state.js';
export type { LogSumExpOptions } from './softmax/log-sum-exp.js';
export type { FilterOptions } from './sampling/filter-options.js';
export type {
  FilteredLogits,
  FilterLogitsOptions,
  SampleOneOptions,
  SampleOptions,
  SampleResult,
} from './sampling/sample-options.js';
export type { RowOptions } from './sampling/rows.js';
export type { TopK, TopKOptions } from './selection/select.js';
export type { SoftmaxBackwardOptions } from './softmax/softmax-backward.js';
export type { SoftmaxOptions } from './softmax/softmax.js';
export type { NewLike, Returned } from './call/types.js';
// Fast functions have one form. (An accumulator takes the states of expSum: `accumulator.merge(await expSum(chunk))`.)
export { capabilities, type Capabilities } from './capabilities.js';
export { logSumExpOfState, mergeExpSums } from './softmax/merge-exp-sums.js';
export { ExpSumAccumulator } from './softmax/exp-sum-accumulator.js';
export { setThreads } from './threads.js';
export {
  AttentionPartial,
  KVCache,
  LinearAttentionState,
  alibiSlopes,
  mergeAttentionPartials,
  type AttentionBackwardOptions,
  type AttentionGradients,
  type AttentionOptions,
  type AttentionResult,
  type DecodeOptions,
  type KVCacheOptions,
  type PrefillOptions,
  type SequenceId,
} from './attention.js';
export {
  attention,
  attentionBackward,
  attentionPartial,
  decodeAttention,
  prefillAttention,
} from './attention/promises.js';
export type {
  BatchedDecodedBoxes,
  BatchedDetections,
  BoxOptions,
  DecodedBoxes,
  DecodeYoloOptions,
  Detections,
  NMSOptions,
  SoftNMSOptions,
} from './detection.js';
export { decodeYolo, iouMatrix, nms, softNMS } from './detection/promises.js';
export type {
  DispatchPlan,
  ExpertLogits,
  LoadBalanceOptions,
  RouteBackwardOptions,
  RouteOptions,
  Routes,
  RoutesLike,
  RoutingOptions,
  SelectBiasOptions,
} from './routing.js';
export type { FitOptions, GaussianModel, GaussianModelLike, MahalanobisOptions, MahalanobisScores } from './ood.js';
export { fitGaussians, mahalanobis } from './ood/promises.js';
export { dispatchPlan, loadBalanceLoss, route, routeBackward, updateSelectBias } from './routing/promises.js';
export type * from './head.js';
export { OutputHead } from './head/promises.js';
export * from './attention/linear-promises.js';
export * from './attention/softmax-free-promises.js';
export * from './losses/promises.js';
export * from './sampling/decoding-promises.js';

/** As softmax of the package's root. */
export const softmax = /* @__PURE__ */ later(softmaxCall, 1);

/** As logSoftmax of the package's root. */
export const logSoftmax = /* @__PURE__ */ later(logSoftmaxCall, 1);

const logSumExpOfLogits = /* @__PURE__ */ later(logSumExpCall, 1);

const weightedLogSumExp = /* @__PURE__ */ stepsLater(weightedSteps, 1);

/** As logSumExp of the package's root. */
export function logSumExp(state: ExpSums): Promise<NewFloat64Array>;
export function logSumExp<A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  x: A,
  options: LogSumExpOptions<A, Out> & AsyncOptions & { sign: true },
): Promise<SignedLogSums<Returned<Out>>>;
export function logSumExp<A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  x: A,
  options?: LogSumExpOptions<A, Out> & AsyncOptions,
): Promise<Returned<Out>>;
export async function logSumExp(
  x: LogitArray | ExpSums,
  options?: LogSumExpOptions & AsyncOptions,
): Promise<Float64Array | SignedLogSums<Float64Array>> {
  if (isState(x)) return logSumExpOfState(x);
  return isWeighted(options) ? weightedLogSumExp(x, options) : logSumExpOfLogits(x, options);
}

/** As stableMax of the package's root. */
export const stableMax = /* @__PURE__ */ later(stableMaxCall, 1);

/** As logStableMax of the package's root. */
export const logStableMax = /* @__PURE__ */ later(logStableMaxCall, 1);

/** As crossEntropy of the package's root. `gradient` is written when the job has ended, as `out` is. */
export const crossEntropy = /* @__PURE__ */ later(crossEntropyCall, 2);

/** As compSum of flash-softmax/losses. */
export const compSum = /* @__PURE__ */ later(compSumCall, 2);

/** As focalLoss of flash-softmax/losses. */
export const focalLoss = /* @__PURE__ */ later(focalLossCall, 2);

/** As logSoftmaxBackward of flash-softmax/losses. */
export const logSoftmaxBackward = /* @__PURE__ */ later(logSoftmaxBackwardCall, 2);

/** As marginCrossEntropy of flash-softmax/losses. */
export const marginCrossEntropy = /* @__PURE__ */ stepsLater(marginCrossEntropySteps, 2);

/** As softmaxBackward of the package's root. */
export const softmaxBackward = /* @__PURE__ */ later(softmaxBackwardCall, 2);

/** As expSum of the package's root. */
export const expSum = /* @__PURE__ */ later(expSumCall, 1);

/** As normalize of the package's root. */
export const normalize = /* @__PURE__ */ later(normalizeCall, 2);

type Later<O> = O & AsyncOptions;

/** As sample of flash-softmax/sampling. */
export const sample = /* @__PURE__ */ stepsLater(sampleSteps, 1) as {
  <A extends LogitArray>(logits: A, options: Later<SampleOneOptions<A> & Detailed>): Promise<SampleResult>;
  <A extends LogitArray>(logits: A, options?: Later<SampleOneOptions<A> & Plain>): Promise<NewUint32Array>;
  <A extends LogitArray>(logits: A, options?: Later<SampleOneOptions<A>>): Promise<NewUint32Array | SampleResult>;
};

/** As sampleMany of flash-softmax/sampling. */
export const sampleMany = /* @__PURE__ */ stepsLater(sampleManySteps, 2) as {
  <A extends LogitArray>(logits: A, n: number, options: Later<SampleOptions<A> & Detailed>): Promise<SampleResult>;
  <A extends LogitArray>(logits: A, n: number, options?: Later<SampleOptions<A> & Plain>): Promise<NewUint32Array>;
  <A extends LogitArray>(
    logits: A,
    n: number,
    options?: Later<SampleOptions<A>>,
  ): Promise<NewUint32Array | SampleResult>;
};

type FilteredOf<A> = FilteredLogits<A extends Float64Array ? NewFloat64Array : NewFloat32Array>;

/** As filterLogits of flash-softmax/sampling. */
export const filterLogits = /* @__PURE__ */ stepsLater(filterSteps, 1) as <A extends LogitArray>(
  logits: A,
  options?: Later<FilterLogitsOptions<A>>,
) => Promise<FilteredOf<A>>;

/** As topK of flash-softmax/sampling. */
export const topK = /* @__PURE__ */ later(topKCall, 2);
