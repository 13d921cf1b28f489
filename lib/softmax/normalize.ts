/** normalize: probabilities of a chunk of logits from the sums of whole rows. */
import { backend } from '../backend/choice.js';
import { NORMALIZE } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { copyOf } from '../call/arrays.js';
import { axisCall, type AxisOperator } from '../call/axis.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { AXIS_NAMES, type AxisOptions, type Form } from '../call/options.js';
import type { KindOf, LogitArray, NewResult, OptionsFor, ResultOf, Returned } from '../call/types.js';
import { normalizeKernels } from '../js/softmax/normalize.js';
import { checkFields, fieldsOf, settle, type ExpSums } from './exp-sum-state.js';

/**
 * The probabilities of a chunk of logits, given the sums of the whole rows that it is part of:
 *
 *     y[i] = exp((x[i] + bias[i]) / temperature) / (mantissa · 2^exponent)
 *
 * @param x Logits, row-major, as for {@link expSum}: any part of each row.
 * @param state One sum for each row; its temperature is taken to be that of this call.
 * @param rest `options`:
 *   `cols`, `shape`, `axis`, `temperature`, `mask`, `maskFormat`, `bias`, `out`, `dtype`: see {@link
 *   AxisOptions}.
 * @returns `out`, or a new array of the type and length of `x` (half types: the float32 result rounded once, or a
 *   float32 `out`). A sum of NaN or Infinity gives NaN, as does 0, except in a chunk of a row that is masked
 *   throughout, which is 0. Masked positions are always 0. A logit that the sum was made without may give anything.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for values that do not fit. Nothing was written then.
 * @example
 * import { expSum, mergeExpSums, normalize } from 'flash-softmax';
 * const [left, right] = [Float32Array.of(1, 2), Float32Array.of(3)];
 * const whole = mergeExpSums(expSum(left), expSum(right));
 * console.log(normalize(right, whole)[0].toFixed(4)); // → 0.6652
 */
export function normalize<A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  x: A,
  state: ExpSums,
  ...rest: OptionsFor<A, AxisOptions<KindOf<A>, Out>>
): Returned<Out> {
  return runNow(normalizeCall('now', x, state, ...rest));
}

const CHECKS: AxisOperator = { logits: 'x', result: 'element', names: AXIS_NAMES };

export function normalizeCall<A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  form: Form,
  logits: A,
  state: ExpSums,
  ...[options]: OptionsFor<A, AxisOptions<KindOf<A>, Out> & AsyncOptions>
): Call<Returned<Out>> {
  const sums = fieldsOf(state, 'state');
  const call = axisCall(CHECKS, form, logits, options);
  const { args, elements, type, out, isOutNew } = call;
  checkFields(sums, 'state', args.outer * args.inner);
  const [mantissa, exponent] = [copyOf(sums.mantissa), copyOf(sums.exponent)];
  for (let r = 0; r < mantissa.length; r++) settle(mantissa, exponent, r);
  return callOf(NORMALIZE, {
    backend: backend(normalizeKernels),
    type,
    args: { ...args, mantissa, exponent },
    own: isOutNew ? ['mantissa', 'exponent', 'out'] : ['mantissa', 'exponent'],
    work: elements,
    finish: () => out as Returned<Out>,
  });
}
