/** flash-softmax: what the package's root exports. */
export type { AxisOptions } from './call/options.js';
export type { Float16ArrayLike, LogitArray } from './call/types.js';
export type { BackendName } from './backend/backend.js';
export type { Caches, Plan } from './backend/native.js';
export { capabilities, type Capabilities } from './capabilities.js';
export { crossEntropy, type CrossEntropyOptions, type Targets } from './losses/cross-entropy.js';
export { logStableMax, stableMax, type StableMaxOptions } from './losses/stable-max.js';
export { logSoftmax } from './softmax/log-softmax.js';
export { logSumExp, type LogSumExpOptions } from './softmax/log-sum-exp.js';
export { expSum, type ExpSumOptions } from './softmax/exp-sum.js';
export type { ExpSums, NewExpSums } from './softmax/exp-sum-state.js';
export { ExpSumAccumulator, type ChunkOptions } from './softmax/exp-sum-accumulator.js';
export { logSumExpOfState, mergeExpSums } from './softmax/merge-exp-sums.js';
export { normalize } from './softmax/normalize.js';
export { softmax, type SoftmaxOptions } from './softmax/softmax.js';
export { softmaxBackward, type SoftmaxBackwardOptions } from './softmax/softmax-backward.js';
export { setThreads } from './threads.js';
export type { Returned } from './call/types.js';
