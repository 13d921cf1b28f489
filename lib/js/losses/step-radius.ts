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
  const rows = new LossRows(x, cols, inner, mask, maskLayout, bias);
  const isPlain = inner === 1 && mask === null && bias === null;
  rows.each(outer, (start, row) => {
    let [most, least] = [-Infinity, Infinity];
    if (isPlain) {
      for (let i = start; i < start + cols; i++) {
        const z = x[i]!;
        if (z <= most) {
          if (z < least) least = z;
        } else {
          most = z;
          if (z !== z) break;
          if (z < least) least = z;
        }
      }
    }
    for (let c = isPlain ? cols : 0; c < cols; c++) {
      if (!rows.isVisible(start, c)) continue;
      const z = rows.read(start, c) + rows.low;
      most = Math.max(most, z); // NaN stays
      least = Math.min(least, z);
    }
    const spread = most - least;
    if (most !== most) out[row] = NaN;
    else if (most < least) out[row] = Infinity;
    else if (spread < Infinity) out[row] = reach / spread;
    else out[row] = spread !== spread ? 0 : reach / 4 / (most / 4 - least / 4);
  });
}

export const safeStepRadiusKernels = /* @__PURE__ */ twinOf(SAFE_STEP_RADIUS, kernel, kernel);
