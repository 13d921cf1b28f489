/** The functions of flash-softmax/ood, a block at each turn of the event loop, for flash-softmax/promises. */
import { fitSteps } from './fit.js';
import { mahalanobisSteps } from './mahalanobis.js';
import { inTurns } from './steps.js';

/**
 * As fitGaussians of flash-softmax/ood. Features are copied first; blocks of samples are added in turns.
 *
 * @example
 * import { fitGaussians } from 'flash-softmax/promises';
 * const features = Float64Array.of(0, 0, 2, 0, 10, 10, 10, 12); // four samples of two numbers
 * console.log((await fitGaussians(features, [0, 0, 1, 1], { classes: 2 })).means.join(' ')); // → 1 0 10 11
 */
export const fitGaussians = /* @__PURE__ */ inTurns(fitSteps, 2);

/**
 * As mahalanobis of flash-softmax/ood. Features are copied first; blocks of samples are measured in turns.
 *
 * @example
 * import { fitGaussians, mahalanobis } from 'flash-softmax/promises';
 * const model = await fitGaussians(Float64Array.of(0, 0, 2, 0, 10, 10, 10, 12), [0, 0, 1, 1], { classes: 2 });
 * console.log((await mahalanobis(Float64Array.of(1, 0, 50, 50), model)).classes.join(' ')); // → 0 1
 */
export const mahalanobis = /* @__PURE__ */ inTurns(mahalanobisSteps, 2);
