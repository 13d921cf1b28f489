/** Attention without softmax as promises, with turns of the event loop between some queries. */
import { stepsLater } from '../call/steps.js';
import { softmaxFreeAttentionSteps } from './gaussian-kernel.js';
import { lucidAttentionSteps } from './lucid.js';
import { l2NormalizedAttentionSteps, softplusAttentionSteps, taylorAttentionSteps } from './softmax-free.js';

/** As l2NormalizedAttention of flash-softmax/attention. */
export const l2NormalizedAttention = /* @__PURE__ */ stepsLater(l2NormalizedAttentionSteps, 3);

/** As lucidAttention of flash-softmax/attention. */
export const lucidAttention = /* @__PURE__ */ stepsLater(lucidAttentionSteps, 3);

/** As softmaxFreeAttention of flash-softmax/attention. */
export const softmaxFreeAttention = /* @__PURE__ */ stepsLater(softmaxFreeAttentionSteps, 2);

/** As softplusAttention of flash-softmax/attention. */
export const softplusAttention = /* @__PURE__ */ stepsLater(softplusAttentionSteps, 3);

/** As taylorAttention of flash-softmax/attention. */
export const taylorAttention = /* @__PURE__ */ stepsLater(taylorAttentionSteps, 3);
