/** The kernel of stableMaxCrossEntropy: −ln p of a target with p = s(z) / Σ s(z), and its gradient. */
import { STABLE_MAX_LOSS } from '../../backend/operators.js';
import { twinOf } from '../twin.js';
import { isPlainShape, parts, stableTerms, storeSlopes } from './plain-steps.js';
import { LossRows, sameNaN, Total, type Floats } from './loss-rows.js';
import { DOWN, isFar, logOfQuotient, PLAIN, sizeOf, termOf, UP, type Scale } from './stable-max.js';

/** The sum of a row's terms, rounded once, and what rounding took from it. */
interface Sum {
  readonly scale: Scale;
  readonly sum: number;
  readonly low: number;
}

function sumOf(rows: LossRows, start: number, scale: Scale): Sum {
  const total = new Total();
  for (let c = 0; c < rows.cols; c++) {
    if (rows.isVisible(start, c)) total.add(termOf(rows.read(start, c, scale.unit), scale));
  }
  const [sum, low] = total.parts;
  return { scale, sum, low };
}

/** The gradient by a logit, from its term, with the loss times `factor`: s′ = 1 for z ≥ 0, s² below. */
function slopeOf(z: number, { scale, sum }: Sum, factor: number): number {
  const power = scale.numerator / scale.unit; // terms are s times this
  if (!(z < 0)) return (factor / sum) * power;
  const term = termOf(z, scale);
  return term * (term * (factor / sum / power));
}

/** The gradient by the target's logit. */
function slopeAtTarget(z: number, { scale, sum, low }: Sum, factor: number): number {
  const term = termOf(z, scale);
  const missed = term / sum > 0.5 ? (sum - term + low) / sum : 1 - term / sum;
  const derivative = (z < 0 ? scale.unit : scale.unit * scale.factor) / sizeOf(z, scale);
  return 0 - missed * derivative * factor; // 0 and not −0
}

/** Writes the loss of a plain row and its gradient. Returns false where logits may be far, or the row has a NaN. */
function writePlain(
  x: Floats,
  loss: Float64Array,
  gradient: Floats | null,
  row: number,
  start: number,
  cols: number,
  target: number,
  factor: number,
): boolean {
  stableTerms(x, start, cols);
  const sum = parts[0]!;
  const low = parts[1]!;
  // Beside a sum of 1 or more, terms that need another scale are 0.
  if (!(sum >= 1 && sum < Infinity)) return false;
  const z = x[start + target]!;
  loss[row] = (0 - logOfQuotient(z, PLAIN, sum, low)) * factor;
  if (gradient === null) return true;
  const size = 1 + Math.abs(z);
  const term = z < 0 ? 1 / size : size;
  const missed = term / sum > 0.5 ? (sum - term + low) / sum : 1 - term / sum;
  storeSlopes(gradient, start, cols, factor / sum, target, 0 - missed * (1 / size) * factor); // 0 and not −0
  return true;
}

function kernel(
  x: Floats,
  targets: Int32Array,
  loss: Float64Array,
  gradient: Floats | null,
  factor: number,
  outer: number,
  cols: number,
  inner: number,
  mask: Uint8Array | null,
  maskLayout: number,
  bias: Floats | null,
): void {
  const rows = new LossRows(x, cols, inner, mask, maskLayout, bias);
  const hasFarLogit = (start: number): boolean => {
    for (let c = 0; c < cols; c++) if (rows.isFar(start, c, isFar)) return true;
    return false;
  };
  const measured = (start: number): Sum => {
    const plain = sumOf(rows, start, PLAIN);
    if (plain.sum === Infinity) return sumOf(rows, start, DOWN);
    const mayBeFar = (plain.sum < 1 || bias !== null) && hasFarLogit(start);
    return mayBeFar ? sumOf(rows, start, plain.sum < 2 ** 900 ? UP : DOWN) : plain;
  };
  const compute = (start: number, row: number): void => {
    const target = targets[row]!;
    const fill = (value: number): void => {
      if (gradient === null) return;
      for (let c = 0; c < cols; c++) gradient[start + c * inner] = rows.isVisible(start, c) ? value : 0;
    };
    if (target < 0) {
      loss[row] = 0;
      return fill(0);
    }
    const of = measured(start);
    const isUsual = of.sum > 0 && of.sum < Infinity;
    if (!isUsual) {
      const isEmpty = of.sum === 0 && mask !== null;
      loss[row] = isEmpty ? Infinity * factor : NaN;
      return fill(isEmpty ? 0 : NaN);
    }
    const { scale, sum, low } = of;
    const z = rows.isVisible(start, target) ? rows.read(start, target, scale.unit) : -Infinity;
    loss[row] = sameNaN((0 - logOfQuotient(z, scale, sum, low)) * factor);
    if (gradient === null) return;
    const atTarget = slopeAtTarget(z, of, factor);
    for (let c = 0, at = start; c < cols; c++, at += inner) {
      if (!rows.isVisible(start, c)) gradient[at] = 0;
      else gradient[at] = c === target ? atTarget : slopeOf(rows.read(start, c, scale.unit), of, factor);
    }
  };
  if (!isPlainShape(cols, inner, mask, bias)) rows.each(outer, compute);
  else {
    for (let row = 0, start = 0; row < outer; row++, start += cols) {
      const target = targets[row]!;
      const isDone = target >= 0 && writePlain(x, loss, gradient, row, start, cols, target, factor);
      if (!isDone) compute(start, row);
    }
  }
}

export const stableMaxLossKernels = /* @__PURE__ */ twinOf(STABLE_MAX_LOSS, kernel, kernel);
