/** The kernel of zLoss: softplus(a (b − z_c)) / a with z = (o − mean) / std, and its gradient. */
import { Z_LOSS } from '../../backend/operators.js';
import { exactProduct } from '../../math/powers.js';
import { log1pRounded } from '../../math/log.js';
import { twinOf } from '../twin.js';
import { addSquares, addUp, parts } from './plain-steps.js';
import { expBelow, exponentOf, LossRows, powerWithin, sameNaN, Total, type Floats } from './loss-rows.js';

/** A row's mean (hi + low), deviation and visible logits, in its unit. */
interface Moments {
  readonly unit: number;
  readonly count: number;
  readonly hi: number;
  readonly low: number;
  readonly std: number;
}

/** A deviation below so much of the mean is the rounding of the mean of equal logits. */
const NOISE = 2 ** -80;

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

function momentsFrom(unit: number, count: number, hi: number, low: number, squares: number): Moments {
  const std = Math.sqrt(squares / Math.max(count, 1));
  const noise = NOISE * Math.abs(hi);
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

/** The mean of the row that was measured last, as two parts, and its deviation. */
const moments = /* @__PURE__ */ new Float64Array(3);

/** Measures n plain logits. Returns false if squares would leave the range of a double, or one is not finite. */
function measurePlain(x: Floats, start: number, n: number, isDouble: boolean): boolean {
  if (isDouble) {
    let size = 0;
    for (let i = start; i < start + n; i++) {
      const own = Math.abs(x[i]!);
      if (!(own <= size)) size = own;
    }
    if (!(size < 2 ** 300 && size > 2 ** -300)) return false;
  }
  addUp(x, start, n);
  const hi = parts[0]! / n;
  const [product, lost] = exactProduct(hi, n);
  const low = (parts[0]! - product - lost + parts[1]!) / n;
  addSquares(x, start, n, hi, low);
  const std = Math.sqrt(parts[0]! / n);
  moments[0] = hi;
  moments[1] = low;
  moments[2] = std < NOISE * Math.abs(hi) ? 0 : std;
  return std < Infinity;
}

/** Writes the loss of a plain row and its gradient. Returns false where the row is no ordinary one. */
function writePlain(
  x: Floats,
  loss: Float64Array,
  gradient: Floats | null,
  row: number,
  start: number,
  cols: number,
  target: number,
  a: number,
  b: number,
  isDouble: boolean,
): boolean {
  if (!measurePlain(x, start, cols, isDouble)) return false;
  const hi = moments[0]!;
  const low = moments[1]!;
  const std = moments[2]!;
  if (!(std > 0)) return false;
  const d = x[start + target]! - hi - low;
  const z = d / std;
  const below = b - z;
  const e = expBelow(-a * Math.abs(below));
  loss[row] = sameNaN(Math.max(below, 0) + log1pRounded(e, 0) / a);
  if (gradient === null) return true;
  const sigma = (below < 0 ? e : 1) / (1 + e);
  const ofTarget = sigma / std;
  const ofAll = ofTarget / cols;
  const ofDistance = ofAll * (z / std);
  for (let i = start; i < start + cols; i++) gradient[i] = ofDistance * (x[i]! - hi - low) + ofAll;
  gradient[start + target] = ofDistance * d + ofAll - ofTarget;
  return true;
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
    const { unit, count, hi, low, std } = momentsOf(rows, start, !rows.isSingle);
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
    loss[row] = sameNaN(Math.max(below, 0) + log1pRounded(e, 0) / a);
    if (gradient === null || std === 0) return fill(0);
    const ofTarget = (sigma / std) * unit;
    const ofAll = ofTarget / count;
    const ofDistance = ofAll * (z / std);
    for (let c = 0; c < cols; c++) {
      const at = start + c * inner;
      const slope = ofDistance * distance(c) + ofAll - (c === target ? ofTarget : 0);
      gradient[at] = rows.isVisible(start, c) ? sameNaN(slope) : 0;
    }
  };
  if (inner !== 1 || mask !== null || bias !== null) rows.each(outer, compute);
  else {
    for (let row = 0, start = 0; row < outer; row++, start += cols) {
      const target = targets[row]!;
      const isDone = target >= 0 && writePlain(x, loss, gradient, row, start, cols, target, a, b, !rows.isSingle);
      if (!isDone) compute(start, row);
    }
  }
}

export const zLossKernels = /* @__PURE__ */ twinOf(Z_LOSS, kernel, kernel);
