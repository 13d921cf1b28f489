/** flash-softmax/attention: attention over arrays and over a KV cache, whole and in parts. */
export { attention } from './attention/dense.js';
export type { AttentionOptions, AttentionResult, DenseOptions, ResultWithLse } from './attention/dense.js';
export { decodeAttention, type CachedOptions, type DecodeOptions } from './attention/decode.js';
export {
  KVCache,
  type AppendOptions,
  type KVCacheOptions,
  type KVType,
  type SequenceId,
} from './attention/kv-cache.js';
export { alibiSlopes, type ResultOptions, type ScoreOptions } from './attention/options.js';
export {
  attentionPartial,
  type CachedPartOptions,
  type DensePartOptions,
  type PartOptions,
} from './attention/partial.js';
export {
  AttentionPartial,
  mergeAttentionPartials,
  type AttentionParts,
  type FinishOptions,
} from './attention/state.js';
export type { Returned } from './call/types.js';
