/** flash-softmax: what the package's root exports. */
export type { AxisOptions } from './arguments.js';
export type { BackendName } from './backend/backend.js';
export type { Caches, Plan } from './backend/native.js';
export { capabilities, type Capabilities } from './capabilities.js';
export { expSum, logSumExpOfState, mergeExpSums, normalize, type ExpSumOptions, type ExpSums } from './exp-sum.js';
export { ExpSumAccumulator, type ChunkOptions } from './exp-sum-accumulator.js';
export { softmax, type SoftmaxOptions } from './softmax.js';
export { setThreads } from './threads.js';
