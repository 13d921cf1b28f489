/** flash-softmax/ood: how unlike the training data a sample is. */
export type { FloatArray } from './call/types.js';
export type { Targets } from './losses/targets.js';
export { fitGaussians, type FitOptions, type GaussianModel } from './ood/fit.js';
export {
  mahalanobis,
  type GaussianModelLike,
  type MahalanobisOptions,
  type MahalanobisScores,
} from './ood/mahalanobis.js';
