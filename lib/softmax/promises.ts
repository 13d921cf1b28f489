/** softmax and its family as promises, off the event loop. */
import type { AsyncOptions } from '../call/abort.js';
import { later } from '../call/off-loop.js';
import { stepsLater } from '../call/steps.js';
import type { LogitArray, NewFloat64Array, Returned } from '../call/types.js';
import { expSumCall } from './exp-sum.js';
import type { ExpSums } from './exp-sum-state.js';
import { logSoftmaxCall } from './log-softmax.js';
import { isState, logSumExpCall, type LogSumExpOptions } from './log-sum-exp.js';
import { logSumExpOfState } from './merge-exp-sums.js';
import { normalizeCall } from './normalize.js';
import { softmaxBackwardCall } from './softmax-backward.js';
import { softmaxCall } from './softmax.js';
import { isWeighted, weightedSteps, type SignedLogSums } from './weighted-log-sum-exp.js';

/**
 * As softmax of the package's root.
 *
 * @example
 * import { softmax } from 'flash-softmax/promises';
 * console.log((await softmax(Float32Array.of(0, 0))).join(' ')); // → 0.5 0.5
 */
export const softmax = /* @__PURE__ */ later(softmaxCall, 1);

/**
 * As logSoftmax of the package's root.
 *
 * @example
 * import { logSoftmax } from 'flash-softmax/promises';
 * console.log((await logSoftmax(Float32Array.of(1000, 0)))[1]); // → -1000
 */
export const logSoftmax = /* @__PURE__ */ later(logSoftmaxCall, 1);

const logSumExpOfLogits = /* @__PURE__ */ later(logSumExpCall, 1);

const weightedLogSumExp = /* @__PURE__ */ stepsLater(weightedSteps, 1);

/**
 * As logSumExp of the package's root.
 *
 * @example
 * import { logSumExp } from 'flash-softmax/promises';
 * console.log((await logSumExp(Float32Array.of(1, 2, 3)))[0].toFixed(4)); // → 3.4076
 */
export function logSumExp(state: ExpSums): Promise<NewFloat64Array>;
export function logSumExp<A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  x: A,
  options: LogSumExpOptions<A, Out> & AsyncOptions & { sign: true },
): Promise<SignedLogSums<Returned<Out>>>;
export function logSumExp<A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  x: A,
  options?: LogSumExpOptions<A, Out> & AsyncOptions,
): Promise<Returned<Out>>;
export async function logSumExp(
  x: LogitArray | ExpSums,
  options?: LogSumExpOptions & AsyncOptions,
): Promise<Float64Array | SignedLogSums<Float64Array>> {
  if (isState(x)) return logSumExpOfState(x);
  return isWeighted(options) ? weightedLogSumExp(x, options) : logSumExpOfLogits(x, options);
}

/**
 * As softmaxBackward of the package's root.
 *
 * @example
 * import { softmaxBackward } from 'flash-softmax/promises';
 * console.log((await softmaxBackward(Float64Array.of(0.5, 0.5), Float64Array.of(1, 0))).join(' ')); // → 0.25 -0.25
 */
export const softmaxBackward = /* @__PURE__ */ later(softmaxBackwardCall, 2);

/**
 * As expSum of the package's root.
 *
 * @example
 * import { logSumExpOfState } from 'flash-softmax';
 * import { expSum } from 'flash-softmax/promises';
 * console.log(logSumExpOfState(await expSum(Float32Array.of(1, 2, 3)))[0].toFixed(4)); // → 3.4076
 */
export const expSum = /* @__PURE__ */ later(expSumCall, 1);

/**
 * As normalize of the package's root.
 *
 * @example
 * import { expSum, normalize } from 'flash-softmax/promises';
 * const x = Float32Array.of(0, 0);
 * console.log((await normalize(x, await expSum(x))).join(' ')); // → 0.5 0.5
 */
export const normalize = /* @__PURE__ */ later(normalizeCall, 2);
