/** stableMaxCrossEntropy: the loss of logits whose probabilities are those of stableMax, and its gradient. */
import { backendFor } from '../backend/choice.js';
import { STABLE_MAX_LOSS } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { axisCall, type AxisOperator } from '../call/axis.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { namesWith, readable, UNSCALED_NAMES, type Form, type UnscaledOptions } from '../call/options.js';
import type { ElementType, LogitArray, NewFloat64Array } from '../call/types.js';
import { stableMaxLossKernels } from '../js/losses/stable-max-loss.js';
import { gradientFor } from './gradient.js';
import { reducerOf, reductionOf, totalOf, type LossOf, type Reduction } from './reduce.js';
import { indicesOf, positionsOf, type Targets } from './targets.js';

export interface StableMaxLossOptions<
  A extends LogitArray = LogitArray,
  Out = Float64Array,
  R extends Reduction = Reduction,
> extends UnscaledOptions<A, Out> {
  /** Where the gradient of each row's loss by its logits goes, if that is wanted: as x, x itself or apart from it. */
  gradient?: A | undefined;
  /** A row with this target does not count: its loss and its gradient are 0. Default: −100. */
  ignoreIndex?: number | undefined;
  /** As in crossEntropy: 'mean' divides by the number of rows that are not ignored. Default: 'none'. */
  reduction?: R | undefined;
}

/**
 * The cross-entropy of {@link stableMax} (Prieto et al., arXiv 2501.04697), with z = logits + bias:
 *
 *     L = −log p[target]      p = s(z) / Σ s(z)      ∂L/∂z[k] = (p[k] − [k = target]) / (1 + |z[k]|)
 *
 * Its gradient does not vanish by rounding where a row is confident. A target that is −∞ or masked costs +∞, and the
 * gradient is that of the others. Masked positions have gradient 0. A row with an unmasked NaN or +∞, or with nothing
 * but −∞ and no mask, has NaN for both, whatever its target.
 *
 * Largest error: of a loss and of a float64 gradient 1e-15, relative; of a float32 gradient 0.501 ULP.
 *
 * @param logits Row-major: all of them one row, or rows as `cols` or `shape` and `axis` say. Not written, unless
 *   `gradient`.
 * @param targets An index for each row, in the order of logSumExp's results: integers from 0 to the row's length − 1,
 *   or `ignoreIndex`. They are copied first.
 * @param options `gradient`, `ignoreIndex`, `reduction`; `cols`, `shape`, `axis`, `mask`, `maskFormat`, `bias`,
 *   `dtype` as softmax has them; `out` is a Float64Array with an element for each row.
 * @returns `out`, or a new Float64Array; a number with `reduction` 'mean' or 'sum'.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a target that is no position of a row, a number that
 *   makes no sense, lengths that do not fit, results that overlap. Nothing was written then.
 * @example
 * import { stableMaxCrossEntropy } from 'flash-softmax/losses';
 * console.log(stableMaxCrossEntropy(Float32Array.of(3, 0, 0), [0])[0].toFixed(4)); // −ln(4 / 6) → 0.4055
 */
export function stableMaxCrossEntropy<
  A extends LogitArray,
  Out extends Float64Array = NewFloat64Array,
  R extends Reduction = 'none',
>(logits: A, targets: Targets, options?: StableMaxLossOptions<A, Out, R>): LossOf<R, Out> {
  return runNow(stableMaxCrossEntropyCall('now', logits, targets, options));
}

const CHECKS: AxisOperator = {
  logits: 'logits',
  result: 'row',
  names: /* @__PURE__ */ namesWith<UnscaledOptions, StableMaxLossOptions>(UNSCALED_NAMES, {
    gradient: true,
    ignoreIndex: true,
    reduction: true,
  }),
};

export function stableMaxCrossEntropyCall<
  A extends LogitArray,
  Out extends Float64Array = NewFloat64Array,
  R extends Reduction = 'none',
>(
  form: Form,
  logits: A,
  targets: Targets,
  options: StableMaxLossOptions<A, Out, R> & AsyncOptions = {},
): Call<LossOf<R, Out>> {
  // All that could run a caller's code is read before axisCall takes lengths.
  const { gradient, ignoreIndex = -100, reduction = 'none' } = readable(options);
  const indices = indicesOf(targets);
  const call = axisCall(CHECKS, form, logits, options);
  const slopes = gradientFor(gradient, logits, call);
  const { x, outer, cols, inner, mask, maskLayout, bias } = call.args;
  const loss = call.out as Float64Array;
  const positions = positionsOf(indices, outer * inner, cols, ignoreIndex);
  const total = reductionOf(reduction) === 'mean' ? totalOf(positions, null) : 1;
  const { factor, result } = reducerOf(reduction, total);
  const rows = { outer, cols, inner, mask, maskLayout, bias };
  return callOf(STABLE_MAX_LOSS, {
    backend: backendFor(call.elements, stableMaxLossKernels),
    type: call.type as ElementType,
    args: { x, targets: positions, loss, gradient: slopes, scale: factor, ...rows },
    own: call.isOutNew ? ['targets', 'loss'] : ['targets'],
    names: { x: 'logits', loss: 'out' },
    work: call.elements,
    finish: () => result(loss) as LossOf<R, Out>,
  });
}
