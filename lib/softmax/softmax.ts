/** softmax: logits to probabilities. */
import { SOFTMAX } from '../backend/operators.js';
import { elementCalls } from '../call/call.js';
import { AXIS_NAMES, type AxesOptions } from '../call/options.js';
import { elementFunction } from '../call/plain.js';
import type { FloatArray, KindOf, LogitArray, NewResult, OptionsFor, ResultOf, Returned } from '../call/types.js';
import { softmaxKernels } from '../js/softmax/softmax.js';

export type SoftmaxOptions<A extends LogitArray = FloatArray, Out = A> = AxesOptions<A, Out>;

/**
 * The probabilities that belong to logits, row by row:
 *
 *     y[i] = exp((x[i] + bias[i]) / temperature) / Σⱼ exp((x[j] + bias[j]) / temperature)
 *
 * The sum is kept as a mantissa and an exponent (the two-pass algorithm of Dukhan & Ablavatski, arXiv 2001.04438), so
 * any finite logits are fine, and results below the normal range are rounded like all others.
 *
 * A row with an unmasked NaN or +∞ is NaN at every unmasked position, as is a row of nothing but −∞ unless a mask was
 * given; −∞ beside other logits gives 0. Masked positions always give 0, in a row of NaN too. The sum of a logit and
 * its bias is exact, and finite where both are. A larger logit never gets a smaller probability.
 *
 * @param x Logits, row-major: all of them one row, or rows as `cols` or `shape` and `axis` say. Not written, unless
 *   `out`.
 * @param rest `options`:
 *   See {@link AxesOptions}: `cols`, `shape`, `axis`, `temperature`, `mask`, `maskFormat`, `bias`, `out`,
 *   and `dtype` for half types, whose results are the float32 results rounded once; float32 `out` is allowed there.
 * @returns `out`, or a new array of the type and length of `x`. An empty `x` gives an empty array.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a number that makes no sense, lengths that do not
 *   fit, `out` that overlaps `x` in part. Nothing was written then.
 * @example
 * import { softmax } from 'flash-softmax';
 * const p = softmax(Float32Array.of(1, 2, 3, 0, 0, -Infinity), { cols: 3 });
 * console.log([...p].map((y) => y.toFixed(3)).join(' ')); // → 0.090 0.245 0.665 0.500 0.500 0.000
 */
export function softmax<A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  x: A,
  ...rest: OptionsFor<A, SoftmaxOptions<KindOf<A>, Out>>
): Returned<Out> {
  return softmaxNow(x, ...rest);
}

export const softmaxCall = /* @__PURE__ */ elementCalls(SOFTMAX, softmaxKernels, AXIS_NAMES);

const softmaxNow = /* @__PURE__ */ elementFunction(SOFTMAX, softmaxKernels, AXIS_NAMES);
