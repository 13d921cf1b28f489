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
export {
  FILTER_ORDERS,
  type DynamicTemperature,
  type FilterName,
  type FilterOptions,
  type MirostatOptions,
  type XtcOptions,
} from './sampling/filter-options.js';
export { logProbs, type LogProbs, type LogProbsOptions, type TopLogProbs } from './sampling/log-probs.js';
export type { PerRow } from './sampling/per-row.js';
export { penalize, type PenalizeOptions } from './sampling/penalties.js';
export type { DryOptions, PenaltyOptions, Tokens } from './sampling/penalty-options.js';
export { filterLogits, sample, sampleMany } from './sampling/sample.js';
export type {
  FilteredLogits,
  FilterLogitsOptions,
  SampleOneOptions,
  SampleOptions,
  SampleResult,
} from './sampling/sample-options.js';
export { Sampler } from './sampling/sampler.js';
export type { SampleAllOptions, SamplerOptions } from './sampling/sampler-options.js';
export type { SamplerState } from './sampling/sampler-state.js';
export type { RowSeedOptions, SeedOptions } from './sampling/random.js';
export type { MaskedOptions, RowOptions } from './sampling/rows.js';
export { argmax, topK, type TopK, type TopKOptions } from './selection/select.js';
export type { NewLike, Returned } from './call/types.js';
export { beamStep, type BeamStep, type BeamStepOptions } from './sampling/beam-step.js';
export {
  verifyDraft,
  type VerifiedDraft,
  type VerifiedTree,
  type VerifyDraftOptions,
} from './sampling/verify-draft.js';
export { softToken, type SoftToken, type SoftTokenOptions } from './sampling/soft-token.js';
