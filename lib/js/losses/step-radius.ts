/** The kernel of safeStepRadius: reach / (max − min) of each row. */
import { SAFE_STEP_RADIUS } from '../../backend/operators.js';
import { twinOf } from '../twin.js';
import { LossRows, type Floats } from './loss-rows.js';

function kernel(
  x: Floats,
  out: Float64Array,
  reach: number,
  outer: number,
  cols: number,
  inner: number,
  mask: Uint8Array | null,
  maskLayout: number,
  bias: Floats | null,
): void {
  if (inner === 1 && mask === null && bias === null) {
    if (cols <= SHORT) writeShort(x, out, reach, outer, cols);
    else for (let row = 0; row < outer; row++) out[row] = plainRadius(x, row * cols, (row + 1) * cols, reach);
    return;
  }
  const rows = new LossRows(x, cols, inner, mask, maskLayout, bias);
  rows.each(outer, (start, row) => {
    let [most, least] = [-Infinity, Infinity];
    for (let c = 0; c < cols; c++) {
      if (!rows.isVisible(start, c)) continue;
      const z = rows.read(start, c) + rows.low;
      most = Math.max(most, z); // NaN stays
      least = Math.min(least, z);
    }
    out[row] = radiusOf(most, least, reach);
  });
}

/** A longer row is read two numbers a turn. */
const SHORT = 32;

/** Writes the radius of short rows. */
function writeShort(x: Floats, out: Float64Array, reach: number, outer: number, cols: number): void {
  for (let row = 0, start = 0; row < outer; row++, start += cols) {
    let most = -Infinity;
    let least = Infinity;
    for (let i = start; i < start + cols; i++) {
      const z = x[i]!;
      if (z > most) most = z;
      if (z < least) least = z;
      if (z !== z) {
        most = z;
        break;
      }
    }
    const spread = most - least;
    out[row] = spread < Infinity && spread >= 0 ? reach / spread : radiusOf(most, least, reach);
  }
}

function plainRadius(x: Floats, start: number, end: number, reach: number): number {
  let most = -Infinity;
  let least = Infinity;
  let i = start;
  while (i < end) {
    // Two numbers share a turn; a NaN is not within any range.
    for (; i < end - 1; i += 2) {
      const a = x[i]!;
      const b = x[i + 1]!;
      if (!(a <= most && a >= least && b <= most && b >= least)) break;
    }
    for (const next = Math.min(i + 2, end); i < next; i++) {
      const z = x[i]!;
      if (z !== z) return NaN;
      if (z > most) most = z;
      if (z < least) least = z;
    }
  }
  return radiusOf(most, least, reach);
}

/** Returns reach / (most − least). NaN if the largest is, ∞ of nothing. */
function radiusOf(most: number, least: number, reach: number): number {
  const spread = most - least;
  if (most !== most) return NaN;
  if (most < least) return Infinity;
  if (spread < Infinity) return reach / spread;
  return spread !== spread ? 0 : reach / 4 / (most / 4 - least / 4);
}

export const safeStepRadiusKernels = /* @__PURE__ */ twinOf(SAFE_STEP_RADIUS, kernel, kernel);
