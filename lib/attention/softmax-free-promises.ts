/** Attention without softmax as promises, with turns of the event loop between some queries. */
import { stepsLater } from '../call/steps.js';
import { softmaxFreeAttentionSteps } from './gaussian-kernel.js';
import { lucidAttentionSteps } from './lucid.js';
import { l2NormalizedAttentionSteps, softplusAttentionSteps, taylorAttentionSteps } from './softmax-free.js';

/**
 * As l2NormalizedAttention of flash-softmax/attention.
 *
 * @example
 * import { l2NormalizedAttention } from 'flash-softmax/promises';
 * const q = Float32Array.of(1, 0), k = Float32Array.of(1, 0, 0, 1), v = Float32Array.of(1, 2, 3, 4);
 * console.log(Math.hypot(...(await l2NormalizedAttention(q, k, v, { heads: 1, headDim: 2 }))).toFixed(4)); // → 1.0000
 */
export const l2NormalizedAttention = /* @__PURE__ */ stepsLater(l2NormalizedAttentionSteps, 3);

/**
 * As lucidAttention of flash-softmax/attention.
 *
 * @example
 * import { lucidAttention } from 'flash-softmax/promises';
 * const q = Float32Array.of(1, 0), k = Float32Array.of(1, 0, 0, 1), v = Float32Array.of(1, 2, 3, 4);
 * console.log((await lucidAttention(q, k, v, { heads: 1, headDim: 2 }))[0].toFixed(4)); // → 1.5802
 */
export const lucidAttention = /* @__PURE__ */ stepsLater(lucidAttentionSteps, 3);

/**
 * As softmaxFreeAttention of flash-softmax/attention.
 *
 * @example
 * import { softmaxFreeAttention } from 'flash-softmax/promises';
 * const q = Float32Array.of(1, 0, 0, 1), v = Float32Array.of(1, 2, 3, 4);
 * console.log((await softmaxFreeAttention(q, v, { heads: 1, headDim: 2 }))[0].toFixed(4)); // → 2.4792
 */
export const softmaxFreeAttention = /* @__PURE__ */ stepsLater(softmaxFreeAttentionSteps, 2);

/**
 * As softplusAttention of flash-softmax/attention.
 *
 * @example
 * import { softplusAttention } from 'flash-softmax/promises';
 * const q = Float32Array.of(1, 0), k = Float32Array.of(1, 0, 0, 1), v = Float32Array.of(1, 2, 3, 4);
 * console.log((await softplusAttention(q, k, v, { heads: 1, headDim: 2 }))[0].toFixed(4)); // → 1.8376
 */
export const softplusAttention = /* @__PURE__ */ stepsLater(softplusAttentionSteps, 3);

/**
 * As taylorAttention of flash-softmax/attention.
 *
 * @example
 * import { taylorAttention } from 'flash-softmax/promises';
 * const q = Float32Array.of(1, 0), k = Float32Array.of(1, 0, 0, 1), v = Float32Array.of(1, 2, 3, 4);
 * console.log((await taylorAttention(q, k, v, { heads: 1, headDim: 2 }))[0].toFixed(4)); // → 1.6763
 */
export const taylorAttention = /* @__PURE__ */ stepsLater(taylorAttentionSteps, 3);
