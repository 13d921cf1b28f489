/** Linear attention of all queries at once, off the event loop. */
import { stepsLater } from '../call/steps.js';
import { injectiveLinearAttentionSteps, magnitudeAwareAttentionSteps } from './linear-attention.js';

/**
 * As magnitudeAwareAttention of flash-softmax/attention.
 *
 * @example
 * import { magnitudeAwareAttention } from 'flash-softmax/promises';
 * const q = Float32Array.of(1, 0), k = Float32Array.of(1, 0, 0, 1), v = Float32Array.of(1, 2, 3, 4);
 * console.log((await magnitudeAwareAttention(q, k, v, { heads: 1, headDim: 2 }))[0].toFixed(4)); // → 1.5353
 */
export const magnitudeAwareAttention = /* @__PURE__ */ stepsLater(magnitudeAwareAttentionSteps, 3);

/**
 * As injectiveLinearAttention of flash-softmax/attention.
 *
 * @example
 * import { injectiveLinearAttention } from 'flash-softmax/promises';
 * const q = Float32Array.of(1, 0), k = Float32Array.of(1, 0, 0, 1), v = Float32Array.of(1, 2, 3, 4);
 * console.log((await injectiveLinearAttention(q, k, v, { heads: 1, headDim: 2 }))[0].toFixed(4)); // → 1.6464
 */
export const injectiveLinearAttention = /* @__PURE__ */ stepsLater(injectiveLinearAttentionSteps, 3);
