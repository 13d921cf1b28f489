/** logSumExp: the logarithm of a row's sum of exponentials. */
import { axisCall, type AxisOptions, type LogitArray } from '../call/arguments.js';
import type { ElementType } from '../call/arguments.js';
import { LOG_SUM_EXP } from '../backend/operators.js';
import { backendFor } from '../backend/choice.js';
import { logSumExpKernels } from '../js/softmax/log-kernels.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { logSumExpOfState, type ExpSums } from './exp-sum.js';
import type { NewFloat64Array, Returned } from '../call/types.js';

export type LogSumExpOptions<A extends LogitArray = LogitArray, Out = Float64Array> = AxisOptions<A, Out>;

/**
 * The logarithm of each sum of a state; the same as {@link logSumExpOfState}.
 *
 * @param state A state of expSum or mergeExpSums.
 * @returns A new Float64Array with an element for each sum.
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_INVALID_ARG_VALUE) for what is no state.
 */
export function logSumExp(state: ExpSums): NewFloat64Array;
/**
 * log Σⱼ exp((x[j] + bias[j]) / temperature) of each row, as doubles whatever x is:
 *
 *     max / temperature + log(1 + S)        S: the sum of the others relative to the maximum, as in logSoftmax
 *
 * S being the sum of float32 terms in float32 and half rows of more than 128 elements on native backends: good to
 * 8e-8 · min(1, S), and mostly to a hundredth of that. In all others within 1 ULP of exact where the two terms do not
 * cancel, and else within 2^-52 · min(1, S). A result as small as 1e-40, as of [0, −92], is kept: log(1 + S) is S.
 *
 * NaN for a row with a NaN, +∞ for one with +∞, −∞ for one of nothing but −∞ or masked positions.
 *
 * @param x Logits, row-major: all of them one row, or rows as `cols` or `shape` and `axis` say.
 * @param options See {@link AxisOptions}; `out` is a Float64Array with an element for each row, apart from x.
 * @returns `out`, or a new Float64Array: shape without the axis, row-major.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a number that makes no sense or lengths that do not
 * fit.
 */
export function logSumExp<A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  x: A,
  options?: LogSumExpOptions<A, Out>,
): Returned<Out>;
export function logSumExp(logits: LogitArray | ExpSums, options?: LogSumExpOptions): Float64Array {
  if (typeof logits === 'object' && logits !== null && 'mantissa' in logits) return logSumExpOfState(logits);
  return runNow(logSumExpCall(logits, options));
}

export function logSumExpCall(
  logits: LogitArray,
  options?: LogSumExpOptions,
  more: readonly string[] = [],
): Call<Float64Array> {
  const call = axisCall(logits, options, more, 'row');
  const { x, elements, out, isOutNew, kernel, outer, cols, inner, temperature, mask, maskLayout, bias } = call;
  const sums = out as Float64Array;
  return callOf(LOG_SUM_EXP, {
    backend: backendFor(elements, logSumExpKernels),
    type: kernel as ElementType,
    args: { x, out: sums, outer, cols, inner, temperature, mask, maskLayout, bias },
    own: isOutNew ? ['out'] : [],
    work: elements,
    finish: () => (cols === 0 ? sums.fill(-Infinity) : sums), // kernels leave empty rows alone
  });
}
