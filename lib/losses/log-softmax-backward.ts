/** logSoftmaxBackward: the gradient of logSoftmax. */
import type { AsyncOptions } from '../call/abort.js';
import { runNow, type Call } from '../call/call.js';
import type { Form } from '../call/options.js';
import type { KindOf, LogitArray, NewResult, OptionsFor, ResultOf, Returned } from '../call/types.js';
import { backwardCall, type SoftmaxBackwardOptions } from '../softmax/softmax-backward.js';

/**
 * From y = logSoftmax(x) and the gradient dy of something by y, its gradient by x:
 *
 *     dx[i] = (dy[i] − exp(y[i]) · Σⱼ dy[j]) / temperature
 *
 * The sum is taken as in `softmaxBackward`. Masked positions give 0, and their dy, NaN included, does not matter.
 * Largest error seen, relative to the larger of dy[i] and exp(y[i]) · Σ dy: 0.51 ULP (float32), 5 · 2⁻⁵³ (float64).
 *
 * @param y What logSoftmax gave for the same options. Not written, unless `out`.
 * @param dy As y. Not written, unless `out`.
 * @param rest `options`:
 *   `cols`, `shape`, `axis`, `temperature`, `mask`, `maskFormat`, `out`, `dtype`, as softmaxBackward has them.
 * @returns `out`, or a new array of the type and length of `y`. Half types: computed from float32, rounded once.
 * @throws TypeError, RangeError as softmaxBackward does.
 * @example
 * import { logSoftmax } from 'flash-softmax';
 * import { logSoftmaxBackward } from 'flash-softmax/losses';
 * const y = logSoftmax(Float64Array.of(0, 0));
 * console.log(logSoftmaxBackward(y, Float64Array.of(-1, 0)).join(' ')); // the gradient of −y[0] → -0.5 0.5
 */
export function logSoftmaxBackward<A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  y: A,
  dy: KindOf<A>,
  ...rest: OptionsFor<A, SoftmaxBackwardOptions<KindOf<A>, Out>>
): Returned<Out> {
  return runNow(logSoftmaxBackwardCall('now', y, dy, ...rest));
}

export const logSoftmaxBackwardCall = <A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  form: Form,
  y: A,
  dy: KindOf<A>,
  ...rest: OptionsFor<A, SoftmaxBackwardOptions<KindOf<A>, Out> & AsyncOptions>
): Call<Returned<Out>> => backwardCall(1, form, y, dy, ...rest);
