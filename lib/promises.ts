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
export { expSum, logSoftmax, logSumExp, normalize, softmax, softmaxBackward } from './softmax/promises.js';
export { filterLogits, sample, sampleMany, topK } from './sampling/promises.js';
export * from './attention/linear-promises.js';
export * from './attention/softmax-free-promises.js';
export * from './losses/promises.js';
export * from './sampling/decoding-promises.js';
