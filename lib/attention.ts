/** flash-softmax/attention: attention over arrays and over a KV cache, over all keys or some of them. */
export { attention, type AttentionOptions, type DenseOptions } from './attention/dense.js';
export {
  attentionBackward,
  type AttentionBackwardOptions,
  type AttentionGradients,
  type GradientTarget,
} from './attention/backward.js';
export { decodeAttention, type CachedOptions, type DecodeOptions } from './attention/decode.js';
export {
  KVCache,
  type AppendManyOptions,
  type AppendOptions,
  type EvictOptions,
  type KVCacheOptions,
  type KVType,
  type RestoredCache,
  type SequenceId,
} from './attention/kv-cache.js';
export { prefillAttention, type PrefillOptions, type PrefillScoreOptions } from './attention/prefill.js';
export type { AttentionResult, ResultWithLse } from './attention/results.js';
export type { StateOrigin } from './call/wire.js';
export { mergeAttentionPartials } from './attention/merge.js';
export { alibiSlopes, type ResultOptions, type ScoreOptions } from './attention/options.js';
export {
  attentionPartial,
  type CachedPartOptions,
  type DensePartOptions,
  type PartOptions,
} from './attention/partial.js';
export { AttentionPartial, type AttentionParts, type FinishOptions, type FromOptions } from './attention/state.js';
export {
  l2NormalizedAttention,
  softplusAttention,
  taylorAttention,
  type L2NormalizedAttentionOptions,
  type SoftplusAttentionOptions,
  type TaylorAttentionOptions,
} from './attention/softmax-free.js';
export { softmaxFreeAttention, type SoftmaxFreeAttentionOptions } from './attention/gaussian-kernel.js';
export {
  injectiveLinearAttention,
  magnitudeAwareAttention,
  type InjectiveLinearAttentionOptions,
  type MagnitudeAwareAttentionOptions,
} from './attention/linear-attention.js';
export type {
  FeatureMapName,
  LinearAttentionStateOptions,
  LinearFormName,
  LinearQueryOptions,
} from './attention/linear-options.js';
export { LinearAttentionState } from './attention/linear-state.js';
export { lucidAttention, type LucidAttentionOptions } from './attention/lucid.js';
export type { Asked, Attended, ScoreStage } from './attention/typed-results.js';
export type { TypeOptions, TypedOptions } from './attention/types.js';
export type { ComposedOptions } from './attention/composed.js';
export type { Returned } from './call/types.js';
