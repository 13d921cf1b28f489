/** The functions of flash-softmax/losses as promises, off the event loop. */
import type { AsyncOptions } from '../call/abort.js';
import { later } from '../call/off-loop.js';
import type { LogitArray, NewFloat64Array, Returned } from '../call/types.js';
import { stepsLater } from '../call/steps.js';
import { decoupledSoftmaxSteps } from './decoupled-softmax.js';
import { elasticMarginsSteps } from './elastic-margins.js';
import { softTopKBackwardCall, softTopKCall } from './soft-top-k.js';
import { safeStepRadiusCall, type SafeStepRadiusOptions } from './step-radius.js';
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

/** As taylorSoftmax of flash-softmax/losses. */
export const taylorSoftmax = /* @__PURE__ */ later(taylorSoftmaxCall, 1);

/** As zLoss of flash-softmax/losses. `gradient` is written when the job has ended, as `out` is. */
export const zLoss = /* @__PURE__ */ later(zLossCall, 2);

/** As softTopK of flash-softmax/losses. */
export const softTopK = /* @__PURE__ */ later(softTopKCall, 2);

/** As softTopKBackward of flash-softmax/losses. */
export const softTopKBackward = /* @__PURE__ */ later(softTopKBackwardCall, 2);

/** As decoupledSoftmax of flash-softmax/losses. `gradient` and `out` are written when all else has ended. */
export const decoupledSoftmax = /* @__PURE__ */ stepsLater(decoupledSoftmaxSteps, 2);

/** As stableMaxCrossEntropy of flash-softmax/losses. `gradient` is written when the job has ended, as `out` is. */
export const stableMaxCrossEntropy = /* @__PURE__ */ later(stableMaxCrossEntropyCall, 2);

/** As elasticMargins of flash-softmax/losses. */
export const elasticMargins = /* @__PURE__ */ stepsLater(elasticMarginsSteps, 1);

const radii = /* @__PURE__ */ later(safeStepRadiusCall, 1);

/** As safeStepRadius of flash-softmax/losses. */
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
