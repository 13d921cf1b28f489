/** flash-softmax/losses: losses of logits with their gradients, and the softmax-like functions that they use. */
export type { LogitArray, Returned } from './call/types.js';
export { crossEntropy, type CrossEntropyOptions, type Targets } from './losses/cross-entropy.js';
export {
  ClusteredVocabulary,
  type CodeLossOptions,
  type CodeOptions,
  type CodeSampleOptions,
} from './losses/clustered-vocabulary.js';
export { decoupledSoftmax, type DecoupledSoftmaxOptions, type Positives } from './losses/decoupled-softmax.js';
export { elasticMargins, type ElasticMarginsOptions } from './losses/elastic-margins.js';
export { logStableMax, stableMax, type StableMaxOptions } from './losses/stable-max.js';
export { safeStepRadius, type SafeStepRadiusOptions } from './losses/step-radius.js';
export { softTopK, softTopKBackward, type SoftTopKBackwardOptions, type SoftTopKOptions } from './losses/soft-top-k.js';
export { taylorSoftmax, type TaylorSoftmaxOptions } from './losses/taylor-softmax.js';
export { zLoss, type ZLossOptions } from './losses/z-loss.js';
export type { SeedOptions } from './call/seed.js';
export type { ClassTargets } from './losses/class-targets.js';
