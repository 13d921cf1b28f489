/** softmaxBackward: the gradient of softmax. */
import { apart, axisCall, likeArray, wrongType } from '../call/arguments.js';
import type { AxisOptions, Float16ArrayLike, FloatArray, LogitArray } from '../call/arguments.js';
import { SOFTMAX_BACKWARD } from '../backend/operators.js';
import { backendFor } from '../backend/choice.js';
import { backwardKernels } from '../js/softmax/backward-kernels.js';
import { callOf, runNow, type Call } from '../call/call.js';
import type { NewFloat32Array, NewFloat64Array, NewLike, NewUint16Array, Returned } from '../call/types.js';

/** Those of softmax, without the bias: y has it in it already. */
export type SoftmaxBackwardOptions<A extends LogitArray = LogitArray, Out = A> = Omit<AxisOptions<A, Out>, 'bias'>;

/**
 * From y = softmax(x) and the gradient dy of something by y, its gradient by x:
 *
 *     dx[i] = y[i] · (dy[i] − Σⱼ y[j] · dy[j]) / temperature
 *
 * The sum is taken in double (float32) or with every rounding carried along (float64). Masked positions give 0, and their
 * dy, NaN included, does not matter.
 *
 * @param y What softmax gave for the same options. Not written, unless `out`.
 * @param dy As y. Not written, unless `out`.
 * @param options `cols`, `shape`, `axis`, `temperature`, `mask`, `maskFormat`, `out`, `dtype`: see {@link AxisOptions}.
 * @returns `out`, or a new array of the type and length of `y`. Half types: the float32 result rounded once.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a number that makes no sense, lengths that do not fit,
 *   `out` that overlaps `y` or `dy` in part. Nothing was written then.
 */
export function softmaxBackward<Out extends Float32Array = NewFloat32Array>(
  y: Float32Array, dy: Float32Array, options?: SoftmaxBackwardOptions<Float32Array, Out>,
): Returned<Out>;
export function softmaxBackward<Out extends Float64Array = NewFloat64Array>(
  y: Float64Array, dy: Float64Array, options?: SoftmaxBackwardOptions<Float64Array, Out>,
): Returned<Out>;
export function softmaxBackward<Out extends Uint16Array | Float32Array = NewUint16Array>(
  y: Uint16Array, dy: Uint16Array, options: SoftmaxBackwardOptions<Uint16Array, Out>,
): Returned<Out>;
export function softmaxBackward<
  A extends Float16ArrayLike, Out extends Float16ArrayLike | Float32Array = NewLike<A, Float16ArrayLike>,
>(
  y: A, dy: A, options?: SoftmaxBackwardOptions<A, Out>,
): Returned<Out>;
export function softmaxBackward<A extends FloatArray>(y: A, dy: A, options?: SoftmaxBackwardOptions<A>): FloatArray;
export function softmaxBackward(y: LogitArray, dy: LogitArray, options?: SoftmaxBackwardOptions<LogitArray, LogitArray>): LogitArray {
  return runNow(softmaxBackwardCall(y, dy, options));
}

export function softmaxBackwardCall(y: LogitArray, dy: LogitArray, options?: SoftmaxBackwardOptions<LogitArray, LogitArray>, more: readonly string[] = []): Call<LogitArray> {
  const call = axisCall(y, options, more, 'element', 'y');
  if (call.bias !== null) throw wrongType('no bias, which y has in it already,', 'options', 'bias');
  const { x, elements, out, kernelOut, isOutNew, kernel, outer, cols, inner, temperature, mask, maskLayout } = call;
  const other = likeArray(dy, y, 'dy', 'y');
  apart(kernelOut, 'out', other, 'dy', true);
  return callOf(SOFTMAX_BACKWARD, {
    backend: backendFor(elements, backwardKernels),
    type: kernel,
    args: { y: x, dy: other, out: kernelOut, outer, cols, inner, temperature, mask, maskLayout },
    own: isOutNew ? ['out'] : [],
    work: elements,
    finish: () => out,
  });
}
