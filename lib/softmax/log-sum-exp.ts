/** logSumExp: the logarithm of a row's sum of exponentials. */
import { backendFor } from '../backend/choice.js';
import { LOG_SUM_EXP } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { axisCall, checkedCall, type AxisArguments, type AxisCall, type AxisOperator } from '../call/axis.js';
import { callOf, type Call } from '../call/call.js';
import type { AxesOptions, Form } from '../call/options.js';
import { plainFunction } from '../call/plain.js';
import { runSteps } from '../call/steps.js';
import type { ElementType, LogitArray, NewFloat64Array, Returned } from '../call/types.js';
import { logSumExpKernels } from '../js/softmax/log-sum-exp.js';
import type { ExpSums } from './exp-sum-state.js';
import { logSumExpOfState } from './merge-exp-sums.js';
import {
  isWeighted,
  LOG_SUM_EXP_NAMES,
  weightedSteps,
  type SignedLogSums,
  type WeightedSumOptions,
} from './weighted-log-sum-exp.js';

export type LogSumExpOptions<A extends LogitArray = LogitArray, Out = Float64Array> = WeightedSumOptions<A, Out>;

/**
 * The logarithm of each sum of a state; the same as {@link logSumExpOfState}.
 *
 * @param state A state of expSum or mergeExpSums.
 * @returns A new Float64Array with an element for each sum.
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_INVALID_ARG_VALUE) for what is no state.
 * @example
 * import { logSumExp } from 'flash-softmax';
 * const rows = Float32Array.of(0, 0, 1000, 1000);
 * console.log([...logSumExp(rows, { cols: 2 })].map((sum) => sum.toFixed(4)).join(' ')); // → 0.6931 1000.6931
 */
export function logSumExp(state: ExpSums): NewFloat64Array;
/**
 * log |Σⱼ w[j] exp((x[j] + bias[j]) / temperature)| of each row, and the sign of that sum.
 *
 * Terms of either sign are summed apart, in double, and subtracted: the error of |Σ| is below 2^-46 of the larger of
 * the two sums. An element with the weight 0 does not matter, NaN included.
 *
 * @param x Logits, as below.
 * @param options As below, and `weights`, `sign`: see {@link WeightedSumOptions}.
 * @returns `{ lse, sign }`; without `sign: true` lse alone.
 * @throws TypeError, RangeError as below, and for weights that are not finite or do not fit.
 */
export function logSumExp<A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  x: A,
  options: LogSumExpOptions<A, Out> & { sign: true },
): SignedLogSums<Returned<Out>>;
/**
 * log Σⱼ exp((x[j] + bias[j]) / temperature) of each row, as doubles whatever x is:
 *
 *     max / temperature + log(1 + S)        S: the sum of the others relative to the maximum, as in logSoftmax
 *
 * S being the sum of float32 terms in float32 and half rows of more than 512 elements on native backends: good to
 * 8e-8 · min(1, S), and mostly to a hundredth of that. (With a bias, or along another axis than the last, from 129
 * elements on; other rows of 129 to 512 elements are good to 2^-34 · min(1, S).)
 * In all others within 1 ULP of exact where the two terms do not cancel, and else within 2^-52 · min(1, S). A result as
 * small as 1e-40, as of [0, −92], is kept: log(1 + S) is S.
 *
 * NaN for a row with a NaN, +∞ for one with +∞, −∞ for one of nothing but −∞ or masked positions.
 *
 * @param x Logits, row-major: all of them one row, or rows as `cols` or `shape` and `axis` (a list too) say.
 * @param options See {@link AxesOptions}; `out` is a Float64Array with an element for each row, apart from x.
 * @returns `out`, or a new Float64Array: shape without the axis or axes, row-major.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a number that makes no sense or lengths that do not
 * fit.
 */
export function logSumExp<A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  x: A,
  options?: LogSumExpOptions<A, Out>,
): Returned<Out>;
export function logSumExp(
  logits: LogitArray | ExpSums,
  options?: LogSumExpOptions,
): Float64Array | SignedLogSums<Float64Array> {
  if (isState(logits)) return logSumExpOfState(logits);
  if (isWeighted(options)) return runSteps(weightedSteps('now', logits, options));
  return logSumExpNow(logits, options) as Float64Array;
}

export const isState = (logits: LogitArray | ExpSums): logits is ExpSums =>
  typeof logits === 'object' && logits !== null && 'mantissa' in logits;

const CHECKS: AxisOperator = { logits: 'x', result: 'row', names: LOG_SUM_EXP_NAMES, takesAxes: true };

export const logSumExpCall = <A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  form: Form,
  logits: A,
  options?: AxesOptions<A, Out> & AsyncOptions,
): Call<Returned<Out>> => callFor(axisCall(CHECKS, form, logits, options)) as Call<Returned<Out>>;

function callFor(call: AxisCall): Call<Float64Array> {
  const { args, elements, type, own, gather } = call;
  const sums = call.out as Float64Array;
  return callOf(LOG_SUM_EXP, {
    backend: backendFor(elements, logSumExpKernels),
    type: type as ElementType,
    args: args as AxisArguments & { readonly out: Float64Array },
    own,
    work: elements,
    ...(gather && { before: gather }),
    finish: () => (args.cols === 0 ? sums.fill(-Infinity) : sums), // kernels leave empty rows alone
  });
}

const logSumExpNow = /* @__PURE__ */ plainFunction(LOG_SUM_EXP, logSumExpKernels, CHECKS, (x, given) =>
  callFor(checkedCall(CHECKS, 'now', x, given)),
);
