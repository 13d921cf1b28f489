/**
 * The kernels of row_loss on plain rows: finite logits one after the other, of one target, at temperature 1, without
 * masks, biases and weights of classes. The steps of row-loss.ts without its objects, and with its bits.
 */
import { NEAR_END } from '../rows/bias.js';
import { cells } from '../rows/logits.js';
import { isPlain, log, measure, others } from '../softmax/log-plain.js';
import { logOf, RAISE } from '../softmax/log-steps.js';
import { reduction } from '../rows/exponentials.js';
import { kindOf } from '../../call/arrays.js';
import { sameNaN, unifyNaNs, type Floats } from './loss-rows.js';
import { lossOfTarget, type Terms } from './loss-of-target.js';

const constants = /* @__PURE__ */ reduction(1, 1);

/** Whether the rows of a call are of this kind. */
export const isPlainLoss = (
  { soft, weight, given, smoothing }: Terms,
  cols: number,
  inner: number,
  temperature: number,
  mask: unknown,
  bias: unknown,
): boolean =>
  isPlain(cols, temperature, mask, bias) &&
  inner === 1 &&
  soft === null &&
  weight === null &&
  given === null &&
  smoothing < 1 &&
  (smoothing === 0 || smoothing / cols > 0);

/** Makes the steps on a measured row, whose weights are in `cells`. */
function lossSteps(held: Float64Array) {
  const row = held;

  /** Returns Σ b · −ln p of a row. NaN if row-loss.ts must compute it: a distance is −∞, or near the range's end. */
  function sharedLoss(x: Floats, start: number, n: number, max: number, b: number): number {
    const minusMax = -max;
    const minusLog = -log[0]!;
    const minusLow = -log[1]!;
    let loss = 0;
    let rest = 0;
    for (let i = 0; i < n; i++) {
      const logit = x[start + i]!;
      const distance = logit + minusMax;
      if (!(distance > -NEAR_END)) return NaN;
      const ofMax = distance - logit;
      const lost = logit - (distance - ofMax) + (minusMax - ofMax);
      const term = b * -(distance + (lost + minusLog + minusLow));
      const next = loss + term;
      const ofTerm = next - loss;
      rest += loss - (next - ofTerm) + (term - ofTerm);
      loss = next;
    }
    return loss + rest;
  }

  /** Writes the gradient of a row without shares, as if no logit were the target. */
  function putSlopes(
    gradient: Floats,
    start: number,
    n: number,
    whole: number,
    factor: number,
    more: number,
    slope: number,
  ) {
    for (let i = 0; i < n; i++) gradient[start + i] = (row[i]! / RAISE / whole) * factor * more * slope;
  }

  /** Writes the gradient of a row all of whose classes have a share. */
  function putShared(
    gradient: Floats,
    start: number,
    n: number,
    whole: number,
    factor: number,
    more: number,
    share: number,
    slope: number,
  ): void {
    for (let i = 0; i < n; i++) gradient[start + i] = ((row[i]! / RAISE / whole) * factor * more - share) * slope;
  }

  return { sharedLoss, putSlopes, putShared };
}

const { sharedLoss, putSlopes, putShared } = /* @__PURE__ */ lossSteps(cells);

/** n · b, added up as row-loss.ts does. */
function sumOfShares(n: number, b: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += b;
  return sum;
}

/** Writes the losses and gradients of all rows. Calls `compute` for each row that row-loss.ts must compute. */
export function plainRowLoss(
  terms: Terms,
  x: Floats,
  targets: Int32Array,
  loss: Float64Array,
  gradient: Floats | null,
  outer: number,
  cols: number,
  compute: (start: number, row: number) => void,
): void {
  const { smoothing, penalty, scale } = terms;
  const isSingle = kindOf(x) === 'Float32Array';
  const share = smoothing / cols;
  const sum = smoothing > 0 ? sumOfShares(cols, share) : 0;
  const weight = 1 - smoothing;
  for (let row = 0, start = 0; row < outer; row++, start += cols) {
    const target = targets[row]!;
    const max = target < 0 ? NaN : measure(x, start, 1, cols, isSingle, true);
    const shared = max === max && smoothing > 0 ? sharedLoss(x, start, cols, max, share) : max;
    if (shared !== shared) {
      compute(start, row);
      continue;
    }
    const logit = x[start + target]!;
    const lse = penalty === 0 ? 0 : logSumOf(max);
    const D = -logOf(logit, 0, max, 0, log[0]!, log[1]!, constants);
    const S = others[0]!;
    const whole = 1 + S;
    const besideTarget = logit === max ? S : 1 - cells[target]! / RAISE + S;
    const f = lossOfTarget(terms, D, besideTarget, whole);
    const beside = sum + 2 * penalty * lse;
    const total = (smoothing > 0 ? shared : 0) + penalty * lse * lse + weight * f.loss;
    loss[row] = sameNaN(total * scale);
    if (gradient === null) continue;
    const factor = weight * f.factor + beside / f.more;
    const part = besideTarget / whole;
    const atTarget = beside * ((whole - besideTarget) / whole) - weight * f.factor * part * f.more;
    if (smoothing > 0) putShared(gradient, start, cols, whole, factor, f.more, share, scale);
    else putSlopes(gradient, start, cols, whole, factor, f.more, scale);
    gradient[start + target] = (atTarget - (smoothing > 0 ? share : 0)) * scale;
    if (!(Math.abs(factor * f.more * scale) < Infinity && Math.abs(atTarget) < Infinity))
      unifyNaNs(gradient, start, start + cols, 1);
  }
}

/** Returns max + log(1 + S) of the measured row. */
function logSumOf(max: number): number {
  const high = log[0]!;
  const sum = max + high;
  const ofHigh = sum - max;
  return sum + (max - (sum - ofHigh) + (high - ofHigh) + log[1]!);
}
