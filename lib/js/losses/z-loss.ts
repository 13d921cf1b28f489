/** The kernel of zLoss: softplus(a (b − z_c)) / a with z = (o − mean) / std, and its gradient. */
import { Z_LOSS } from '../../backend/operators.js';
import { exactProduct } from '../../math/powers.js';
import { log1p } from '../../math/log.js';
import { twinOf } from '../twin.js';
import { addUp, parts } from './plain-steps.js';
import { expBelow, exponentOf, LossRows, powerWithin, sameNaN, Total, type Floats } from './loss-rows.js';

/** A row's mean (hi + low), deviation and visible logits, in its unit. */
interface Moments {
  readonly unit: number;
  readonly count: number;
  readonly hi: number;
  readonly low: number;
  readonly std: number;
}

/** A unit for rows whose squares would leave the range of a double. */
function unitOf(rows: LossRows, start: number): number {
  let size = 0;
  for (let c = 0; c < rows.cols; c++) {
    if (rows.isVisible(start, c)) size = Math.max(size, Math.abs(rows.read(start, c)));
  }
  return (size < 2 ** 300 && size > 2 ** -300) || size === 0 || !(size < Infinity) ? 1 : powerWithin(-exponentOf(size));
}

/** The mean of a sum of two parts, as two parts. */
function meanOf([sum, rest]: readonly [number, number], n: number): readonly [hi: number, low: number] {
  const hi = sum / n;
  const [product, lost] = exactProduct(hi, n);
  return [hi, (sum - product - lost + rest) / n];
}

/** The moments of n plain logits whose squares stay in the range of a double. */
function momentsOfPlain(x: Floats, start: number, count: number): Moments {
  addUp(x, start, count, 0, 0, false);
  const [hi, low] = meanOf([parts[0]!, parts[1]!], Math.max(count, 1));
  addUp(x, start, count, hi, low, true);
  return momentsFrom(1, count, hi, low, parts[0]!);
}

function momentsFrom(unit: number, count: number, hi: number, low: number, squares: number): Moments {
  const std = Math.sqrt(squares / Math.max(count, 1));
  const noise = 2 ** -80 * Math.abs(hi); // of the mean of equal logits
  return { unit, count, hi, low, std: std < noise ? 0 : std };
}

function momentsOf(rows: LossRows, start: number, isDouble: boolean): Moments {
  const unit = isDouble ? unitOf(rows, start) : 1;
  const total = new Total();
  let count = 0;
  for (let c = 0; c < rows.cols; c++) {
    if (!rows.isVisible(start, c)) continue;
    total.add(rows.read(start, c, unit));
    total.add(rows.low);
    count++;
  }
  const [hi, low] = meanOf(total.parts, Math.max(count, 1));
  const squares = new Total();
  for (let c = 0; c < rows.cols; c++) {
    if (!rows.isVisible(start, c)) continue;
    const d = rows.read(start, c, unit) - hi + (rows.low - low);
    squares.add(d * d);
  }
  return momentsFrom(unit, count, hi, low, squares.parts[0]);
}

function kernel(
  x: Floats,
  targets: Int32Array,
  loss: Float64Array,
  gradient: Floats | null,
  a: number,
  b: number,
  outer: number,
  cols: number,
  inner: number,
  mask: Uint8Array | null,
  maskLayout: number,
  bias: Floats | null,
): void {
  const rows = new LossRows(x, cols, inner, mask, maskLayout, bias);
  const isPlain = rows.isSingle && inner === 1 && mask === null && bias === null;
  rows.each(outer, (start, row) => {
    const target = targets[row]!;
    const fill = (value: number): void => {
      if (gradient === null) return;
      for (let c = 0; c < cols; c++) gradient[start + c * inner] = rows.isVisible(start, c) ? value : 0;
    };
    if (target < 0) {
      loss[row] = 0;
      return fill(0);
    }
    const moments = isPlain ? momentsOfPlain(x, start, cols) : momentsOf(rows, start, !rows.isSingle);
    const { unit, count, hi, low, std } = moments;
    const isBad = count > 0 && !(std < Infinity);
    const isHidden = !rows.isVisible(start, target);
    if (isBad || isHidden) {
      loss[row] = isBad ? NaN : Infinity;
      return fill(isBad ? NaN : 0);
    }
    const distance = (c: number): number => rows.read(start, c, unit) - hi + (rows.low - low);
    const d = distance(target);
    const z = std > 0 ? d / std : 0;
    const below = b - z;
    const e = expBelow(-a * Math.abs(below));
    const sigma = (below < 0 ? e : 1) / (1 + e);
    loss[row] = sameNaN(Math.max(below, 0) + log1p(e, 0)[0] / a);
    if (gradient === null || std === 0) return fill(0);
    const ofTarget = (sigma / std) * unit;
    const ofAll = ofTarget / count;
    const ofDistance = ofAll * (z / std);
    if (isPlain) {
      for (let i = start; i < start + cols; i++) gradient[i] = ofDistance * (x[i]! - hi - low) + ofAll;
      gradient[start + target] = ofDistance * d + ofAll - ofTarget;
      return;
    }
    for (let c = 0; c < cols; c++) {
      const at = start + c * inner;
      const slope = ofDistance * distance(c) + ofAll - (c === target ? ofTarget : 0);
      gradient[at] = rows.isVisible(start, c) ? sameNaN(slope) : 0;
    }
  });
}

export const zLossKernels = /* @__PURE__ */ twinOf(Z_LOSS, kernel, kernel);
