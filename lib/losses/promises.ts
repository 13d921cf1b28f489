/** The functions of flash-softmax/losses as promises, off the event loop. */
import type { AsyncOptions } from '../call/abort.js';
import { later } from '../call/off-loop.js';
import type { LogitArray, NewFloat64Array, Returned } from '../call/types.js';
import { stepsLater } from '../call/steps.js';
import { compSumCall, focalLossCall } from './comp-sum.js';
import { crossEntropyCall } from './cross-entropy.js';
import { decoupledSoftmaxSteps } from './decoupled-softmax.js';
import { elasticMarginsSteps } from './elastic-margins.js';
import { logSoftmaxBackwardCall } from './log-softmax-backward.js';
import { marginCrossEntropySteps } from './margins.js';
import { softTopKBackwardCall, softTopKCall } from './soft-top-k.js';
import { safeStepRadiusCall, type SafeStepRadiusOptions } from './step-radius.js';
import { logStableMaxCall, stableMaxCall } from './stable-max.js';
import { stableMaxCrossEntropyCall } from './stable-max-cross-entropy.js';
import { taylorSoftmaxCall } from './taylor-softmax.js';
import { zLossCall } from './z-loss.js';

export {
  ClusteredVocabulary,
  type CodeLossOptions,
  type CodeOptions,
  type CodeSampleOptions,
} from './clustered-vocabulary.js';
export type { DecoupledSoftmaxOptions, Positives } from './decoupled-softmax.js';
export type { ElasticMarginsOptions } from './elastic-margins.js';
export type { SoftTopKBackwardOptions, SoftTopKOptions } from './soft-top-k.js';
export type { SafeStepRadiusOptions } from './step-radius.js';
export type { StableMaxLossOptions } from './stable-max-cross-entropy.js';
export type { TaylorSoftmaxOptions } from './taylor-softmax.js';
export type { ZLossOptions } from './z-loss.js';

/**
 * As stableMax of the package's root.
 *
 * @example
 * import { stableMax } from 'flash-softmax/promises';
 * console.log((await stableMax(Float32Array.of(3, 0, 0)))[0].toFixed(4)); // → 0.6667
 */
export const stableMax = /* @__PURE__ */ later(stableMaxCall, 1);

/**
 * As logStableMax of the package's root.
 *
 * @example
 * import { logStableMax } from 'flash-softmax/promises';
 * console.log((await logStableMax(Float32Array.of(3, 0, 0)))[0].toFixed(4)); // → -0.4055
 */
export const logStableMax = /* @__PURE__ */ later(logStableMaxCall, 1);

/**
 * As crossEntropy of the package's root. `gradient` is written when the job has ended, as `out` is.
 *
 * @example
 * import { crossEntropy } from 'flash-softmax/promises';
 * console.log((await crossEntropy(Float32Array.of(2, 0, 0), [0]))[0].toFixed(4)); // → 0.2395
 */
export const crossEntropy = /* @__PURE__ */ later(crossEntropyCall, 2);

/**
 * As compSum of flash-softmax/losses.
 *
 * @example
 * import { compSum } from 'flash-softmax/promises';
 * console.log((await compSum(Float32Array.of(2, 0, 0), [0], { tau: 2 }))[0].toFixed(4)); // → 0.2130
 */
export const compSum = /* @__PURE__ */ later(compSumCall, 2);

/**
 * As focalLoss of flash-softmax/losses.
 *
 * @example
 * import { focalLoss } from 'flash-softmax/promises';
 * console.log((await focalLoss(Float32Array.of(2, 0, 0), [0], { gamma: 2 }))[0].toFixed(4)); // → 0.0109
 */
export const focalLoss = /* @__PURE__ */ later(focalLossCall, 2);

/**
 * As logSoftmaxBackward of flash-softmax/losses.
 *
 * @example
 * import { logSoftmaxBackward } from 'flash-softmax/promises';
 * const y = Float64Array.of(-Math.LN2, -Math.LN2);
 * console.log((await logSoftmaxBackward(y, Float64Array.of(-1, 0))).join(' ')); // → -0.5 0.5
 */
export const logSoftmaxBackward = /* @__PURE__ */ later(logSoftmaxBackwardCall, 2);

/**
 * As marginCrossEntropy of flash-softmax/losses.
 *
 * @example
 * import { marginCrossEntropy } from 'flash-softmax/promises';
 * const cosines = Float32Array.of(0.8, 0.1, -0.3);
 * const loss = await marginCrossEntropy(cosines, [0], { kind: 'arc', margin: 0.5, scale: 16 });
 * console.log(loss[0].toFixed(4)); // → 0.0065
 */
export const marginCrossEntropy = /* @__PURE__ */ stepsLater(marginCrossEntropySteps, 2);

/**
 * As taylorSoftmax of flash-softmax/losses.
 *
 * @example
 * import { taylorSoftmax } from 'flash-softmax/promises';
 * console.log((await taylorSoftmax(Float64Array.of(0, 2)))[1].toFixed(4)); // → 0.8333
 */
export const taylorSoftmax = /* @__PURE__ */ later(taylorSoftmaxCall, 1);

/**
 * As zLoss of flash-softmax/losses. `gradient` is written when the job has ended, as `out` is.
 *
 * @example
 * import { zLoss } from 'flash-softmax/promises';
 * console.log((await zLoss(Float32Array.of(2, -1, 0.5, 1), [0], { a: 1, b: 1 }))[0].toFixed(4)); // → 0.5672
 */
export const zLoss = /* @__PURE__ */ later(zLossCall, 2);

/**
 * As softTopK of flash-softmax/losses.
 *
 * @example
 * import { softTopK } from 'flash-softmax/promises';
 * console.log((await softTopK(Float64Array.of(3, 1, 2, 0), 2))[0].toFixed(4)); // → 0.8176
 */
export const softTopK = /* @__PURE__ */ later(softTopKCall, 2);

/**
 * As softTopKBackward of flash-softmax/losses.
 *
 * @example
 * import { softTopK, softTopKBackward } from 'flash-softmax/promises';
 * const p = await softTopK(Float64Array.of(3, 1, 2, 0), 2);
 * console.log((await softTopKBackward(p, Float64Array.of(1, 0, 0, 0)))[0].toFixed(4)); // → 0.1202
 */
export const softTopKBackward = /* @__PURE__ */ later(softTopKBackwardCall, 2);

/**
 * As decoupledSoftmax of flash-softmax/losses. `gradient` and `out` are written when all else has ended.
 *
 * @example
 * import { decoupledSoftmax } from 'flash-softmax/promises';
 * const positives = { indptr: [0, 2], indices: [0, 2] }; // of the one row: columns 0 and 2
 * console.log((await decoupledSoftmax(Float32Array.of(2, -1, 2, 0), positives))[0].toFixed(4)); // → 0.1698
 */
export const decoupledSoftmax = /* @__PURE__ */ stepsLater(decoupledSoftmaxSteps, 2);

/**
 * As stableMaxCrossEntropy of flash-softmax/losses. `gradient` is written when the job has ended, as `out` is.
 *
 * @example
 * import { stableMaxCrossEntropy } from 'flash-softmax/promises';
 * console.log((await stableMaxCrossEntropy(Float32Array.of(3, 0, 0), [0]))[0].toFixed(4)); // → 0.4055
 */
export const stableMaxCrossEntropy = /* @__PURE__ */ later(stableMaxCrossEntropyCall, 2);

/**
 * As elasticMargins of flash-softmax/losses.
 *
 * @example
 * import { elasticMargins } from 'flash-softmax/promises';
 * console.log((await elasticMargins(2, { kind: 'cos', seed: 1, step: 3 }))[0].toFixed(4)); // → 0.3569
 */
export const elasticMargins = /* @__PURE__ */ stepsLater(elasticMarginsSteps, 1);

const radii = /* @__PURE__ */ later(safeStepRadiusCall, 1);

/**
 * As safeStepRadius of flash-softmax/losses.
 *
 * @example
 * import { safeStepRadius } from 'flash-softmax/promises';
 * console.log((await safeStepRadius(Float32Array.of(0, 1, 2)))[0].toFixed(4)); // π / 2 → 1.5708
 */
export function safeStepRadius<A extends LogitArray>(
  a: A,
  options: SafeStepRadiusOptions<A> & AsyncOptions & { reduce: 'min' },
): Promise<number>;
export function safeStepRadius<A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  a: A,
  options?: SafeStepRadiusOptions<A, Out> & AsyncOptions & { reduce?: 'none' | undefined },
): Promise<Returned<Out>>;
export async function safeStepRadius(
  a: LogitArray,
  options?: SafeStepRadiusOptions & AsyncOptions,
): Promise<Float64Array | number> {
  return radii(a, options);
}
