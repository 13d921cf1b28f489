/** flash-softmax/sampling: from logits to tokens. */
export type { Float16ArrayLike, FloatArray, LogitArray } from './call/types.js';
export { dirichletResample, type DirichletOptions } from './sampling/dirichlet.js';
export {
  gumbelMax,
  gumbelSoftmax,
  gumbelTopK,
  type GumbelMaxOptions,
  type GumbelOptions,
  type GumbelSoftmaxOptions,
  type GumbelTopK,
} from './sampling/gumbel.js';
export { logProbs, type LogProbs, type LogProbsOptions } from './sampling/log-probs.js';
export { penalize, type PenalizeOptions, type PenaltyOptions, type Tokens } from './sampling/penalties.js';
export {
  filterLogits,
  sample,
  sampleMany,
  type FilteredLogits,
  type FilterOptions,
  type SampleOptions,
} from './sampling/sample.js';
export { Sampler, type SamplerOptions, type SamplerState } from './sampling/sampler.js';
export type { SeedOptions } from './sampling/random.js';
export type { MaskedOptions, RowOptions } from './sampling/rows.js';
export { argmax, topK, type TopK } from './selection/select.js';
export type { NewLike, Returned } from './call/types.js';
export { softToken, type SoftToken, type SoftTokenOptions } from './sampling/soft-token.js';
