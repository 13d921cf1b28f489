/** flash-softmax/adapters/transformers: sampling and classification for transformers.js (@huggingface/transformers). */
export { fromGenerationConfig, type GenerationConfigLike } from './transformers/config.js';
export { topLabels, type Label, type LabelConfig, type TopLabelsOptions } from './transformers/labels.js';
export type { LogitsProcessors, LogitsTensor, Processor } from './transformers/processors.js';
export {
  filtering,
  sampling,
  type DrawnRows,
  type DrawOptions,
  type FilteringParameters,
  type SamplingOptions,
  type SamplingParameters,
} from './transformers/sampling.js';
