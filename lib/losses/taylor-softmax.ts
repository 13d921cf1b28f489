/** taylorSoftmax: probabilities from the Taylor polynomial of exp. */
import { TAYLOR_SOFTMAX } from '../backend/operators.js';
import { backendFor } from '../backend/choice.js';
import type { AsyncOptions } from '../call/abort.js';
import { axisCall, type AxisOperator } from '../call/axis.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { count } from '../call/checks.js';
import { outOfRange } from '../call/errors.js';
import { AXIS_NAMES, optionNames, readable, type AxisOptions, type Form } from '../call/options.js';
import type { FloatArray, KindOf, LogitArray, NewResult, OptionsFor, ResultOf, Returned } from '../call/types.js';
import { taylorSoftmaxKernels } from '../js/losses/taylor-softmax.js';

export interface TaylorSoftmaxOptions<A extends LogitArray = FloatArray, Out = A> extends AxisOptions<A, Out> {
  /** The order n of the polynomial: an even integer from 2 to 16. Odd orders go negative. Default: 2. */
  order?: number | undefined;
}

/**
 * Taylor softmax (de Brébisson & Vincent, arXiv 1511.05042, for order 2; used for attention as a recurrence by "On the
 * Expressiveness of Softmax Attention: A Recurrent Neural Network Perspective", arXiv 2507.23632), row by row:
 *
 *     y[i] = T(z[i]) / Σⱼ T(z[j])      T(z) = Σ_{k ≤ n} z^k / k!      z = (x + bias) / temperature
 *
 * T is positive for even n, and not monotone: far below 0 it grows again, so that a logit of −3 may get more than one
 * of 0. −∞ and masked positions give 0; other edge values are those of softmax. Rows whose sum no double holds
 * are read in a smaller unit. For Float64Arrays z is rounded to double first, and nothing is promised for a row in
 * which a finite logit and its bias have a sum beyond 1.8e308.
 *
 * Largest error seen: 0.51 ULP (float32, any order up to 8), 3 ULP (float64, order 2) and 20 ULP (float64, order 4),
 * where T cancels below 0; it grows with the order. One thread takes a row.
 *
 * @param x Logits, row-major: all of them one row, or rows as `cols` or `shape` and `axis` say. Not written, unless
 *   `out`.
 * @param rest `options`:
 *   `order`; and `cols`, `shape`, `axis`, `temperature`, `mask`, `maskFormat`, `bias`, `out` and `dtype`, as
 *   softmax has them.
 * @returns `out`, or a new array of the type and length of `x`.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for an order that is odd or not within 2 … 16, and as
 *   softmax does. Nothing was written then.
 * @example
 * import { taylorSoftmax } from 'flash-softmax/losses';
 * console.log(taylorSoftmax(Float64Array.of(0, 2))[1].toFixed(4)); // 5 / 6, as 1 + 2 + 2²/2 is 5 → 0.8333
 */
export function taylorSoftmax<A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  x: A,
  ...rest: OptionsFor<A, TaylorSoftmaxOptions<KindOf<A>, Out>>
): Returned<Out> {
  return runNow(taylorSoftmaxCall('now', x, ...rest));
}

const CHECKS: AxisOperator = {
  logits: 'x',
  result: 'element',
  names: /* @__PURE__ */ optionNames<TaylorSoftmaxOptions>({ ...AXIS_NAMES.now, order: true }),
};

function orderOf(order: unknown): number {
  const n = count(order, 'order');
  if (n % 2 !== 0 || n > 16) throw outOfRange('an even integer from 2 to 16', 'order', order);
  return n;
}

export function taylorSoftmaxCall<A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  form: Form,
  x: A,
  ...[options]: OptionsFor<A, TaylorSoftmaxOptions<KindOf<A>, Out> & AsyncOptions>
): Call<Returned<Out>> {
  // All that could run a caller's code is read before axisCall takes lengths.
  const { order = 2 } = readable(options as TaylorSoftmaxOptions | undefined);
  const n = orderOf(order);
  const { args, elements, type, out, isOutNew } = axisCall(
    CHECKS,
    form,
    x,
    options as AxisOptions<LogitArray, LogitArray> | undefined,
  );
  return callOf(TAYLOR_SOFTMAX, {
    backend: backendFor(elements, taylorSoftmaxKernels),
    type,
    args: { ...args, order: n },
    own: isOutNew ? ['out'] : [],
    work: elements,
    finish: () => out as Returned<Out>,
  });
}
