/** The functions of flash-softmax/ood, a block at each turn of the event loop, for flash-softmax/promises. */
import { fitSteps } from './fit.js';
import { mahalanobisSteps } from './mahalanobis.js';
import { inTurns } from './steps.js';

/** As fitGaussians of flash-softmax/ood. Features are copied first; blocks of samples are added in turns. */
export const fitGaussians = /* @__PURE__ */ inTurns(fitSteps, 2);

/** As mahalanobis of flash-softmax/ood. Features are copied first; blocks of samples are measured in turns. */
export const mahalanobis = /* @__PURE__ */ inTurns(mahalanobisSteps, 2);
