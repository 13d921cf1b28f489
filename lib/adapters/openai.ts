/** flash-softmax/adapters/openai: requests, log-probabilities and streams in the shapes of OpenAI's API. */
export { errorBody, type OpenAIErrorBody } from './openai/errors.js';
export {
  chatLogprobs,
  completionLogprobs,
  type ChatLogprob,
  type CompletionLogprobs,
  type Decode,
  type DrawnTokens,
  type TopLogprob,
} from './openai/logprobs.js';
export { fromRequest, type FromRequestOptions, type Generation } from './openai/request.js';
export { StopText, type StopTextStep } from './openai/stop-text.js';
export {
  CompletionStream,
  readStream,
  STREAM_END,
  type CompletionStreamOptions,
  type FinishReason,
  type StreamedToken,
} from './openai/stream.js';
