/** zLoss: a loss of standardised logits, whose gradient costs no exponential of a row. */
import type { KernelArray } from '../backend/backend.js';
import { Z_LOSS } from '../backend/operators.js';
import { backendFor } from '../backend/choice.js';
import type { AsyncOptions } from '../call/abort.js';
import { lengthOf } from '../call/arrays.js';
import { axisCall, type AxisOperator } from '../call/axis.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { positive } from '../call/checks.js';
import { finite } from '../call/values.js';
import { optionNames, readable, UNSCALED_NAMES, type Form, type UnscaledOptions } from '../call/options.js';
import type { ElementType, LogitArray, NewFloat64Array } from '../call/types.js';
import { readerOf, writerOf } from '../math/read.js';
import { zLossKernels } from '../js/losses/z-loss.js';
import { reducerOf, reductionOf, totalOf, type LossOf, type Reduction } from './reduce.js';
import { indicesOf, positionsOf, type Targets } from './targets.js';
import { gradientFor } from './gradient.js';

export interface ZLossOptions<
  A extends LogitArray = LogitArray,
  Out = Float64Array,
  R extends Reduction = Reduction,
> extends UnscaledOptions<A, Out> {
  /** The slope of the softplus: finite and > 0. Default: 1. */
  a?: number | undefined;
  /** The standardised logit at which the softplus bends: finite. Default: 1. */
  b?: number | undefined;
  /** Where the gradient of each row's loss by its logits goes, if that is wanted: as x, x itself or apart from it. */
  gradient?: A | undefined;
  /** A row with this target does not count: its loss and its gradient are 0. Default: −100. */
  ignoreIndex?: number | undefined;
  /** As in crossEntropy: 'mean' divides by the number of rows that are not ignored. Default: 'none'. */
  reduction?: R | undefined;
}

/**
 * The Z-loss of each row (de Brébisson & Vincent, arXiv 1604.08859), which is the same for shifted or scaled logits:
 *
 *     L = softplus(a (b − z_c)) / a      z = (o − mean(o)) / std(o)      o = logits + bias, c the target
 *     ∂L/∂o[k] = −σ(a (b − z_c)) · ((k is c ? 1 : 0) − 1/D − z_c z[k] / D) / std
 *
 * with the mean and the population's standard deviation of the row's D positions that are not masked. A row of equal
 * logits, or of one, has z = 0 and the gradient 0.
 *
 * A masked target has the loss +∞, and the gradient 0, as it would be infinite. Masked positions have gradient 0.
 * Otherwise a row with an unmasked NaN or infinity has NaN for both. `reduction` 'mean' rounds a gradient once more.
 *
 * Nothing is promised for a row of Float64Arrays in which a finite logit and its bias have a sum beyond 1.8e308, whose
 * mean is beyond 2⁵⁰ deviations, or whose 1 / std is beyond 1e300.
 *
 * Largest error seen: of a loss (8 + 2 a (|b| + |z_c|)) ULP; of a gradient half a last place of its type and
 * 2⁻⁴⁹ / std, as its three terms may cancel. One thread takes a row.
 *
 * @param logits Row-major: all of them one row, or rows as `cols` or `shape` and `axis` say. Not written, unless
 *   `gradient`.
 * @param targets An index for each row, in the order of logSumExp's results: integers from 0 to the row's length − 1,
 *   or `ignoreIndex`. They are copied first.
 * @param options `a`, `b`, `gradient`, `ignoreIndex`, `reduction`; `cols`, `shape`, `axis`, `mask`, `maskFormat`,
 *   `bias`, `dtype` as softmax has them; `out` is a Float64Array with an element for each row.
 * @returns `out`, or a new Float64Array; a number with `reduction` 'mean' or 'sum'.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a target that is no position of a row, a number that
 *   makes no sense, lengths that do not fit, results that overlap. Nothing was written then.
 * @example
 * import { zLoss } from 'flash-softmax/losses';
 * console.log(zLoss(Float32Array.of(2, -1, 0.5, 1), [0], { a: 1, b: 1 })[0].toFixed(4)); // → 0.5672
 */
export function zLoss<A extends LogitArray, Out extends Float64Array = NewFloat64Array, R extends Reduction = 'none'>(
  logits: A,
  targets: Targets,
  options?: ZLossOptions<A, Out, R>,
): LossOf<R, Out> {
  return runNow(zLossCall('now', logits, targets, options));
}

const CHECKS: AxisOperator = {
  logits: 'logits',
  result: 'row',
  names: /* @__PURE__ */ optionNames<ZLossOptions>({
    ...UNSCALED_NAMES.now,
    a: true,
    b: true,
    gradient: true,
    ignoreIndex: true,
    reduction: true,
  }),
};

export function zLossCall<
  A extends LogitArray,
  Out extends Float64Array = NewFloat64Array,
  R extends Reduction = 'none',
>(form: Form, logits: A, targets: Targets, options: ZLossOptions<A, Out, R> & AsyncOptions = {}): Call<LossOf<R, Out>> {
  // All that could run a caller's code is read before axisCall takes lengths.
  const { a = 1, b = 1, gradient, ignoreIndex = -100, reduction = 'none' } = readable(options);
  const indices = indicesOf(targets);
  const call = axisCall(CHECKS, form, logits, options);
  const { args, elements, type, out, isOutNew } = call;
  const { x, outer, cols, inner, mask, maskLayout, bias } = args;
  const loss = out as Float64Array;
  const positions = positionsOf(indices, outer * inner, cols, ignoreIndex);
  const slopes = gradientFor(gradient, logits, call);
  const { factor, result } = reducerOf(reductionOf(reduction), reduction === 'mean' ? totalOf(positions, null) : 1);
  return callOf(Z_LOSS, {
    backend: backendFor(elements, zLossKernels),
    type: type as ElementType,
    args: {
      x,
      targets: positions,
      loss,
      gradient: slopes,
      a: positive(a, 'a'),
      b: finite(b, 'b'),
      outer,
      cols,
      inner,
      mask,
      maskLayout,
      bias,
    },
    own: isOutNew ? ['targets', 'loss'] : ['targets'],
    names: { x: 'logits', loss: 'out' },
    work: elements,
    finish() {
      if (factor !== 1) multiply(loss, 'f64', factor);
      if (factor !== 1 && slopes !== null) multiply(slopes, type, factor);
      return result(loss) as LossOf<R, Out>;
    },
  });
}

function multiply(numbers: KernelArray, type: string, factor: number): void {
  const [read, write, n] = [readerOf(numbers, type), writerOf(numbers, type), lengthOf(numbers)];
  if (type === 'f32' || type === 'f64') for (let i = 0; i < n; i++) numbers[i]! *= factor;
  else for (let i = 0; i < n; i++) write(i, read(i) * factor);
}
