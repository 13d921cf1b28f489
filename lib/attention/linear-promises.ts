/** Linear attention of all queries at once, off the event loop. */
import { stepsLater } from '../call/steps.js';
import { injectiveLinearAttentionSteps, magnitudeAwareAttentionSteps } from './linear-attention.js';

/** As magnitudeAwareAttention of flash-softmax/attention. */
export const magnitudeAwareAttention = /* @__PURE__ */ stepsLater(magnitudeAwareAttentionSteps, 3);

/** As injectiveLinearAttention of flash-softmax/attention. */
export const injectiveLinearAttention = /* @__PURE__ */ stepsLater(injectiveLinearAttentionSteps, 3);
