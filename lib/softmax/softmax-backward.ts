/** softmaxBackward: the gradient of softmax. */
import { backendFor } from '../backend/choice.js';
import { SOFTMAX_BACKWARD } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { axisCall, type AxisOperator } from '../call/axis.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { likeArray, sameOrApart } from '../call/checks.js';
import { wrongType } from '../call/errors.js';
import { AXIS_NAMES, type AxisOptions, type Form } from '../call/options.js';
import type { KindOf, LogitArray, NewResult, OptionsFor, ResultOf, Returned } from '../call/types.js';
import { softmaxBackwardKernels } from '../js/softmax/softmax-backward.js';

/** The options of softmax without the bias, which y contains. */
export type SoftmaxBackwardOptions<A extends LogitArray = LogitArray, Out = A> = Omit<AxisOptions<A, Out>, 'bias'>;

/**
 * From y = softmax(x) and the gradient dy of something by y, its gradient by x:
 *
 *     dx[i] = y[i] · (dy[i] − Σⱼ y[j] · dy[j]) / temperature
 *
 * The sum is taken in double (float32) or with every rounding carried along (float64). Masked positions give 0, and
 * their dy, NaN included, does not matter.
 *
 * @param y What softmax gave for the same options. Not written, unless `out`.
 * @param dy As y. Not written, unless `out`.
 * @param rest `options`:
 *   `cols`, `shape`, `axis`, `temperature`, `mask`, `maskFormat`, `out`, `dtype`: see {@link AxisOptions}.
 * @returns `out`, or a new array of the type and length of `y`. Half types: the float32 result rounded once.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a number that makes no sense, lengths that do not
 *   fit, `out` that overlaps `y` or `dy` in part. Nothing was written then.
 * @example
 * import { softmax, softmaxBackward } from 'flash-softmax';
 * const y = softmax(Float64Array.of(0, 0));
 * console.log(softmaxBackward(y, Float64Array.of(1, 0)).join(' ')); // → 0.25 -0.25
 */
export function softmaxBackward<A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  y: A,
  dy: KindOf<A>,
  ...rest: OptionsFor<A, SoftmaxBackwardOptions<KindOf<A>, Out>>
): Returned<Out> {
  return runNow(softmaxBackwardCall('now', y, dy, ...rest));
}

const CHECKS: AxisOperator = { logits: 'y', result: 'element', names: AXIS_NAMES };

export const softmaxBackwardCall = <A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  form: Form,
  y: A,
  dy: KindOf<A>,
  ...rest: OptionsFor<A, SoftmaxBackwardOptions<KindOf<A>, Out> & AsyncOptions>
): Call<Returned<Out>> => backwardCall(0, form, y, dy, ...rest);

/** The call of softmaxBackward, or with `isLog` 1 of logSoftmaxBackward. */
export function backwardCall<A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  isLog: 0 | 1,
  form: Form,
  y: A,
  dy: KindOf<A>,
  ...[options]: OptionsFor<A, SoftmaxBackwardOptions<KindOf<A>, Out> & AsyncOptions>
): Call<Returned<Out>> {
  const call = axisCall(CHECKS, form, y, options);
  const { args, elements, type, out, isOutNew } = call;
  const { x, outer, cols, inner, temperature, mask, maskLayout, bias } = args;
  if (bias !== null) throw wrongType('no bias, which y has in it already,', 'options', 'bias');
  const other = likeArray(dy, y, 'dy', 'y');
  sameOrApart(args.out, 'out', other, 'dy');
  return callOf(SOFTMAX_BACKWARD, {
    backend: backendFor(elements, softmaxBackwardKernels),
    type,
    args: { y: x, dy: other, out: args.out, isLog, outer, cols, inner, temperature, mask, maskLayout },
    own: isOutNew ? ['out'] : [],
    work: elements,
    finish: () => out as Returned<Out>,
  });
}
