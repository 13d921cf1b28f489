/** softmax: logits to probabilities. */
import { axisCall } from '../call/arguments.js';
import type { AxisOptions, Float16ArrayLike, FloatArray, KernelArray, LogitArray } from '../call/arguments.js';
import type { SoftmaxKernel } from '../backend/backend.js';
import { SOFTMAX } from '../backend/operators.js';
import { backendFor } from '../backend/choice.js';
import { softmaxKernels } from '../js/softmax/softmax.js';
import { elementCall, type Call } from '../call/call.js';
import type { NewFloat32Array, NewFloat64Array, NewLike, NewUint16Array, Returned } from '../call/types.js';

export type SoftmaxOptions<A extends LogitArray = FloatArray, Out = A> = AxisOptions<A, Out>;

/**
 * The probabilities that belong to logits, row by row:
 *
 *     y[i] = exp((x[i] + bias[i]) / temperature) / Σⱼ exp((x[j] + bias[j]) / temperature)
 *
 * The sum is kept as a mantissa and an exponent (the two-pass algorithm of Dukhan & Ablavatski, arXiv 2001.04438), so any
 * finite logits are fine, and results below the normal range are rounded like all others.
 *
 * A row with an unmasked NaN or +∞ is NaN at every unmasked position, as is a row of nothing but −∞ unless a mask was given;
 * −∞ beside other logits gives 0. Masked positions always give 0, in a row of NaN too. The sum of a logit and its bias is
 * exact, and finite where both are. A larger logit never gets a smaller probability.
 *
 * @param x Logits, row-major: all of them one row, or rows as `cols` or `shape` and `axis` say. Not written, unless `out`.
 * @param options See {@link AxisOptions}: `cols`, `shape`, `axis`, `temperature`, `mask`, `maskFormat`, `bias`, `out`,
 *   and `dtype` for half types, whose results are the float32 results rounded once; float32 `out` is allowed there.
 * @returns `out`, or a new array of the type and length of `x`. An empty `x` gives an empty array.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a number that makes no sense, lengths that do not fit,
 *   `out` that overlaps `x` in part. Nothing was written then.
 */
export function softmax<Out extends Float32Array = NewFloat32Array>(
  x: Float32Array, options?: SoftmaxOptions<Float32Array, Out>,
): Returned<Out>;
export function softmax<Out extends Float64Array = NewFloat64Array>(
  x: Float64Array, options?: SoftmaxOptions<Float64Array, Out>,
): Returned<Out>;
export function softmax<Out extends Uint16Array | Float32Array = NewUint16Array>(
  x: Uint16Array, options: SoftmaxOptions<Uint16Array, Out>,
): Returned<Out>;
export function softmax<
  A extends Float16ArrayLike, Out extends Float16ArrayLike | Float32Array = NewLike<A, Float16ArrayLike>,
>(
  x: A, options?: SoftmaxOptions<A, Out>,
): Returned<Out>;
// An x of either type. The last one, as TypeScript shows the errors of that.
export function softmax<A extends FloatArray>(x: A, options?: SoftmaxOptions<A>): FloatArray;
export function softmax(logits: LogitArray, options?: AxisOptions<LogitArray, LogitArray>): LogitArray {
  const { x, elements, out, kernelOut, kernel, outer, cols, inner, temperature, mask, maskLayout, bias } = axisCall(logits, options);
  if (elements === 0) return out;
  const backend = backendFor(elements, softmaxKernels);
  if (kernel === 'f32') {
    backend.softmax_f32(x as Float32Array, kernelOut as Float32Array, outer, cols, inner, temperature, mask, maskLayout, bias as Float32Array | null);
  } else {
    const run = backend[`softmax_${kernel}`] as SoftmaxKernel<KernelArray>;
    run(x, kernelOut, outer, cols, inner, temperature, mask, maskLayout, bias);
  }
  return out;
}

/** The same call, to be run later. */
export function softmaxCall(logits: LogitArray, options: AxisOptions<LogitArray, LogitArray> | undefined, more: readonly string[]): Call<LogitArray> {
  return elementCall(SOFTMAX, softmaxKernels, axisCall(logits, options, more));
}
