/** logSoftmax: the logarithms of the probabilities that belong to logits. */
import { LOG_SOFTMAX } from '../backend/operators.js';
import { elementCalls } from '../call/call.js';
import { AXIS_NAMES, type AxesOptions } from '../call/options.js';
import { elementFunction } from '../call/plain.js';
import type { KindOf, LogitArray, NewResult, OptionsFor, ResultOf, Returned } from '../call/types.js';
import { logSoftmaxKernels } from '../js/softmax/log-softmax.js';

/**
 * The logarithm of softmax, row by row, and not of its rounded results:
 *
 *     y[i] = (z[i] − max z) / temperature − log(1 + S)        z = x + bias
 *     S = Σⱼ exp((z[j] − max z) / temperature), one element that is the maximum left out
 *
 * Both terms have one sign, so nothing cancels: at the maximum of a row that towers over the others the result is
 * −log1p(S), however small, and not 0, and logits of 1e8 lose nothing. float32 results are within 1 ULP of exact,
 * float64 ones within 3. (With max and S as in Milakov & Gimelshein, arXiv 1805.02867, who keep the maximum's own term
 * in S.)
 *
 * −∞ beside other logits gives −∞. A row with an unmasked NaN or +∞ is NaN at every unmasked position, as is a row of
 * nothing but −∞ unless a mask was given. Masked positions always give −∞, in a row of NaN too.
 *
 * @param x Logits, row-major: all of them one row, or rows as `cols` or `shape` and `axis` say. Not written, unless
 *   `out`.
 * @param rest `options`:
 *   See {@link AxesOptions}: `cols`, `shape`, `axis`, `temperature`, `mask`, `maskFormat`, `bias`, `out`,
 *   `dtype`.
 * @returns `out`, or a new array of the type and length of `x`. Half types: the float32 result rounded once.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a number that makes no sense, lengths that do not
 *   fit, `out` that overlaps `x` in part. Nothing was written then.
 * @example
 * import { logSoftmax } from 'flash-softmax';
 * console.log(logSoftmax(Float32Array.of(1000, 0))[1]); // → -1000
 */
export function logSoftmax<A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  x: A,
  ...rest: OptionsFor<A, AxesOptions<KindOf<A>, Out>>
): Returned<Out> {
  return logSoftmaxNow(x, ...rest);
}

export const logSoftmaxCall = /* @__PURE__ */ elementCalls(LOG_SOFTMAX, logSoftmaxKernels, AXIS_NAMES);

const logSoftmaxNow = /* @__PURE__ */ elementFunction(LOG_SOFTMAX, logSoftmaxKernels, AXIS_NAMES);
