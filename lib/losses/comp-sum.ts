/** compSum and focalLoss: functions of the probability of the right class. */
import type { AsyncOptions } from '../call/abort.js';
import { runNow, type Call } from '../call/call.js';
import type { Form } from '../call/options.js';
import type { LogitArray, NewFloat64Array } from '../call/types.js';
import { COMP_SUM, FOCAL, lossCalls, type LossOf, type LossOptions, type Reduction } from './row-loss.js';
import type { Targets } from './targets.js';

export interface CompSumOptions<
  A extends LogitArray = LogitArray,
  Out = Float64Array,
  R extends Reduction = Reduction,
> extends LossOptions<A, Out, R> {
  /** τ, any finite number: 0 sum-exponential, 1 logistic, 1 to 2 generalised cross-entropy, 2 mean absolute error. */
  tau: number;
}

export interface FocalOptions<
  A extends LogitArray = LogitArray,
  Out = Float64Array,
  R extends Reduction = Reduction,
> extends LossOptions<A, Out, R> {
  /** γ ≥ 0: how little a row counts whose class is probable. Default: 2. */
  gamma?: number | undefined;
}

/**
 * Comp-sum losses (Mao, Mohri, Zhong, arXiv 2304.07288), with D = −log p of the target:
 *
 *     (exp((1 − τ) D) − 1) / (1 − τ)        D for τ = 1
 *
 * The gradient by the logits is p[target]^(τ − 1) · (p − [is the target]) / temperature. With τ = 2 the loss is 1 − p
 * without cancellation. A loss that overflows, as it can for τ < 1, is +∞. Losses are within 1e-14 of their size, and
 * float32 gradients within 2 ULP, where (1 − τ) D is less than 50.
 *
 * @param logits As in {@link crossEntropy}.
 * @param targets An index for each row, as in {@link crossEntropy}.
 * @param options `tau`, and `cols`, `shape`, `axis`, `temperature`, `mask`, `maskFormat`, `bias`, `out`, `dtype`,
 *   `gradient`, `ignoreIndex`, `reduction`, as {@link crossEntropy} has them.
 * @returns `out`, or a new Float64Array; a number with `reduction` 'mean' or 'sum'.
 * @throws TypeError, RangeError as {@link crossEntropy} does.
 * @example
 * import { compSum } from 'flash-softmax/losses';
 * const logits = Float32Array.of(2, 0, 0);
 * console.log(compSum(logits, [0], { tau: 1 })[0].toFixed(4)); // crossEntropy's → 0.2395
 * console.log(compSum(logits, [0], { tau: 2 })[0].toFixed(4)); // 1 − p → 0.2130
 */
export function compSum<A extends LogitArray, Out extends Float64Array = NewFloat64Array, R extends Reduction = 'none'>(
  logits: A,
  targets: Targets,
  options: CompSumOptions<A, Out, R>,
): LossOf<R, Out> {
  return runNow(compSumCall('now', logits, targets, options));
}

/**
 * The focal loss (Lin et al., arXiv 1708.02002), with p the probability of the target: (1 − p)^γ · −log p.
 *
 * The gradient by the logits is ((1 − p)^γ + γ (1 − p)^(γ − 1) p · −log p) · (p[k] − [is the target]) / temperature,
 * and 0 where p is 1. Losses are within 1e-14 of their size, float32 gradients within 2 ULP.
 *
 * @param logits As in {@link crossEntropy}.
 * @param targets An index for each row, as in {@link crossEntropy}.
 * @param options `gamma`, and those of {@link compSum} but `tau`.
 * @returns `out`, or a new Float64Array; a number with `reduction` 'mean' or 'sum'.
 * @throws TypeError, RangeError as {@link crossEntropy} does.
 * @example
 * import { focalLoss } from 'flash-softmax/losses';
 * const logits = Float32Array.of(2, 0, 0);
 * console.log(focalLoss(logits, [0], { gamma: 0 })[0].toFixed(4)); // crossEntropy's → 0.2395
 * console.log(focalLoss(logits, [0], { gamma: 2 })[0].toFixed(4)); // → 0.0109
 */
export function focalLoss<
  A extends LogitArray,
  Out extends Float64Array = NewFloat64Array,
  R extends Reduction = 'none',
>(logits: A, targets: Targets, options?: FocalOptions<A, Out, R>): LossOf<R, Out> {
  return runNow(focalLossCall('now', logits, targets, options));
}

export const compSumCall = /* @__PURE__ */ lossCalls(COMP_SUM, { tau: true }) as CompSumCall;
export const focalLossCall = /* @__PURE__ */ lossCalls(FOCAL, { gamma: true }) as FocalCall;

type CompSumCall = <A extends LogitArray, Out extends Float64Array = NewFloat64Array, R extends Reduction = 'none'>(
  form: Form,
  logits: A,
  targets: Targets,
  options: CompSumOptions<A, Out, R> & AsyncOptions,
) => Call<LossOf<R, Out>>;
type FocalCall = <A extends LogitArray, Out extends Float64Array = NewFloat64Array, R extends Reduction = 'none'>(
  form: Form,
  logits: A,
  targets: Targets,
  options?: FocalOptions<A, Out, R> & AsyncOptions,
) => Call<LossOf<R, Out>>;
