/** crossEntropy: the loss of logits against the right classes, and its gradient. */
import type { AsyncOptions } from '../call/abort.js';
import { runNow, type Call } from '../call/call.js';
import type { Form } from '../call/options.js';
import type { LogitArray, NewFloat64Array } from '../call/types.js';
import { lossCalls, PLAIN, type LossOf, type LossOptions, type Reduction } from './row-loss.js';
import type { Targets } from './targets.js';

export interface CrossEntropyOptions<
  A extends LogitArray = LogitArray,
  Out = Float64Array,
  R extends Reduction = Reduction,
> extends LossOptions<A, Out, R> {
  /** A weight w for each class: a finite number from 0. Default: 1 for all. */
  weight?: Float32Array | Float64Array | readonly number[] | undefined;
  /** ε from 0 to 1: the target has 1 − ε, and all C classes that are not masked share the rest. Default: 0. */
  labelSmoothing?: number | undefined;
  /** c ≥ 0: adds c · logSumExp² to each loss, the z-loss of PaLM and ST-MoE. Default: 0. */
  lsePenalty?: number | undefined;
  /** Multiplies losses and gradients: a finite number. Default: 1. */
  scale?: number | undefined;
}

/**
 * The loss of each row, −logSoftmax(x)[target], with all that logSoftmax keeps: a confident row's loss is as small as
 * log1p(S) says. (It is as exact as logSumExp.) The gradient of it by the row's logits is
 *
 *     (softmax(x)[i] − (i is the target ? 1 : 0)) / temperature
 *
 * and at the target −(the sum of the others) / (the whole sum), so that it does not cancel either.
 *
 * With `weight` w, `labelSmoothing` ε, `lsePenalty` c or `scale` s (as in PyTorch; the z-loss of PaLM):
 *
 *     s · ((1 − ε) w[target] (−log p[target]) + ε / C · Σ w[k] (−log p[k]) + c · logSumExp²)
 *
 * and with soft targets t the first two are Σ w[k] ((1 − ε) t[k] + ε / C) (−log p[k]); a t of 0 on a logit of −∞ counts
 * 0. Such losses are within 4 · 2⁻⁵² of the sum of their terms' sizes, float32 gradients within 1 ULP of the larger of
 * their terms.
 *
 * A masked target has loss +∞, and masked positions have gradient 0. Otherwise a row with an unmasked NaN or +∞ has NaN
 * for both.
 *
 * @param logits Row-major: all of them one row, or rows as `cols` or `shape` and `axis` say. Not written, unless
 *   `gradient`.
 * @param targets An index for each row, in the order of logSumExp's results: integers from 0 to the row's length − 1,
 *   or `ignoreIndex`. They are copied first. Or soft targets: an array of the kind and length of the logits, other than
 *   of integers; for logits in a Uint16Array, a Uint16Array with a number for each logit.
 * @param options See {@link AxisOptions}, and `gradient`, `ignoreIndex`, `reduction`, `weight`, `labelSmoothing`,
 *   `lsePenalty`, `scale`; `out` is a Float64Array with an element for each row.
 * @returns `out`, or a new Float64Array; a number with `reduction` 'mean' or 'sum'.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a target that is no position of a row, a number that
 *   makes no sense, lengths that do not fit, results that overlap. Nothing was written then.
 * @example
 * import { crossEntropy } from 'flash-softmax';
 * const logits = Float32Array.of(2, 0, 0, 0, 3, 0), gradient = new Float32Array(6);
 * const loss = crossEntropy(logits, [0, 1], { cols: 3, gradient });
 * console.log(loss[0].toFixed(4), loss[1].toFixed(4), gradient[0].toFixed(4)); // → 0.2395 0.0949 -0.2130
 */
export function crossEntropy<
  A extends LogitArray,
  Out extends Float64Array = NewFloat64Array,
  R extends Reduction = 'none',
>(logits: A, targets: Targets | A, options?: CrossEntropyOptions<A, Out, R>): LossOf<R, Out> {
  return runNow(crossEntropyCall('now', logits, targets, options));
}

export const crossEntropyCall = /* @__PURE__ */ lossCalls(PLAIN, {
  weight: true,
  labelSmoothing: true,
  lsePenalty: true,
  scale: true,
}) as CrossEntropyCall;

type CrossEntropyCall = <
  A extends LogitArray,
  Out extends Float64Array = NewFloat64Array,
  R extends Reduction = 'none',
>(
  form: Form,
  logits: A,
  targets: Targets | A,
  options?: CrossEntropyOptions<A, Out, R> & AsyncOptions,
) => Call<LossOf<R, Out>>;
