/** flash-softmax/losses: losses of logits with their gradients, and the softmax-like functions that they use. */
export {
  ClusteredVocabulary,
  type CodeLossOptions,
  type CodeOptions,
  type CodeSampleOptions,
} from './losses/clustered-vocabulary.js';
export { compSum, focalLoss, type CompSumOptions, type FocalOptions } from './losses/comp-sum.js';
export { crossEntropy, type CrossEntropyOptions } from './losses/cross-entropy.js';
export { decoupledSoftmax, type DecoupledSoftmaxOptions, type Positives } from './losses/decoupled-softmax.js';
export { elasticMargins, type ElasticMarginsOptions } from './losses/elastic-margins.js';
export { logSoftmaxBackward } from './losses/log-softmax-backward.js';
export { marginCrossEntropy, type MarginOptions } from './losses/margins.js';
export { logStableMax, stableMax, type StableMaxOptions } from './losses/stable-max.js';
export { stableMaxCrossEntropy, type StableMaxLossOptions } from './losses/stable-max-cross-entropy.js';
export { safeStepRadius, type SafeStepRadiusOptions } from './losses/step-radius.js';
export { softTopK, softTopKBackward, type SoftTopKBackwardOptions, type SoftTopKOptions } from './losses/soft-top-k.js';
export { taylorSoftmax, type TaylorSoftmaxOptions } from './losses/taylor-softmax.js';
export { zLoss, type ZLossOptions } from './losses/z-loss.js';
export type { LossOf, LossOptions, Reduction } from './losses/row-loss.js';
export type { Targets } from './losses/targets.js';
export type { SeedOptions } from './call/seed.js';
export type { FloatArray, LogitArray, Returned } from './call/types.js';
