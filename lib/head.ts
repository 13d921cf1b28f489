/** flash-softmax/head: from hidden states to tokens, log-probabilities and sums, through the last matrix of a model. */
export type { CandidateOptions, ClassList } from './head/candidates.js';
export type { HeadGradient, HeadLoss, HeadLossOptions } from './head/cross-entropy.js';
export type { HeadFormat } from './head/formats.js';
export type { HeadLogitsOptions, HeadSumOptions, HeadTopK, HeadTopKOptions } from './head/logits.js';
export type { HeadArray, OutputHeadOptions } from './head/matrix.js';
export { OutputHead } from './head/output-head.js';
export type { HeadLogProbsOptions } from './head/log-probs.js';
export type { HeadSampleOptions } from './head/sample.js';
export type { HiddenStates, StateOptions } from './head/states.js';
export type { HeadFileOptions, OnnxHeadOptions } from './head/from-file.js';
export type { HeadSource } from './head/source.js';
