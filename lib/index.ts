/** flash-softmax: what the package's root exports. */
export type { AxisOptions, Float16ArrayLike, LogitArray } from './arguments.js';
export type { BackendName } from './backend/backend.js';
export type { Caches, Plan } from './backend/native.js';
export { capabilities, type Capabilities } from './capabilities.js';
export { crossEntropy, type CrossEntropyOptions, type Targets } from './cross-entropy.js';
export { logSoftmax } from './log-softmax.js';
export { logSumExp, type LogSumExpOptions } from './log-sum-exp.js';
export { expSum, logSumExpOfState, mergeExpSums, normalize } from './exp-sum.js';
export type { ExpSumOptions, ExpSums, NewExpSums } from './exp-sum.js';
export { ExpSumAccumulator, type ChunkOptions } from './exp-sum-accumulator.js';
export { softmax, type SoftmaxOptions } from './softmax.js';
export { softmaxBackward, type SoftmaxBackwardOptions } from './softmax-backward.js';
export { setThreads } from './threads.js';
export type { Returned } from './types.js';
