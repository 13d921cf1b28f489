/** The kernels of stableMax and logStableMax: s(z) / Σ s(z), s(z) = z + 1 for z ≥ 0 and 1 / (1 − z) below; its log. */
import { LOG_STABLE_MAX, STABLE_MAX } from '../../backend/operators.js';
import { lengthOf } from '../../call/arrays.js';
import { log1p, twoSum } from '../../math/log.js';
import { counts } from '../../backend/masks.js';
import { twinOf } from '../twin.js';

type Floats = Float32Array | Float64Array;

/** The unit of a row whose sum would overflow. */
const SMALL_UNIT = 2 ** -64;

/** ln v of a positive number. */
const logOf = (v: number): number => (v >= 1 ? log1p(v - 1, 0)[0] : -log1p(1 / v - 1, 0)[0]);

const kernel =
  (isLog: boolean) =>
  (
    x: Floats,
    out: Floats,
    outer: number,
    cols: number,
    inner: number,
    mask: Uint8Array | null,
    maskLayout: number,
    bias: Floats | null,
  ): void => {
    const isBiasShared = bias !== null && lengthOf(bias) === cols;
    const isKept = (at: number, c: number): boolean => mask === null || counts(mask, maskLayout, at, c);
    /** A logit and its bias, times a power of two. */
    const scaled = (at: number, c: number, unit: number): number =>
      bias === null ? x[at]! * unit : x[at]! * unit + bias[isBiasShared ? c : at]! * unit;
    const sizeOf = (z: number, unit: number): number => (z < 0 ? unit - z : z + unit);
    const termOf = (z: number, unit: number): number => (z < 0 ? (unit * unit) / (unit - z) : z + unit);

    const sumOf = (start: number, unit: number): readonly [sum: number, low: number] => {
      let sum = 0;
      let low = 0;
      for (let c = 0, at = start; c < cols; c++, at += inner) {
        if (!isKept(at, c)) continue;
        const [next, lost] = twoSum(sum, termOf(scaled(at, c, unit), unit));
        sum = next;
        low += lost;
      }
      return Number.isFinite(sum) ? twoSum(sum, low) : [sum, 0];
    };
    /** ln(term / sum). Above half of the sum, where the logarithm is near 0: of what the others are to the term. */
    const logOfQuotient = (z: number, unit: number, sum: number, low: number): number => {
      const term = termOf(z, unit);
      if (term > sum / 2) return 0 - log1p((sum - term + low) / term, 0)[0]; // ln 1 is 0 and not −0
      if (z === -Infinity) return -Infinity;
      if (term / sum > 2 ** -900) return logOf(term / sum);
      const ofSize = logOf(sizeOf(z, unit));
      return z < 0 ? 2 * logOf(unit) - ofSize - logOf(sum) : ofSize - logOf(sum);
    };

    const hidden = isLog ? -Infinity : 0;
    for (let o = 0; o < outer; o++) {
      for (let start = o * cols * inner, end = start + inner; start < end; start++) {
        let unit = 1;
        let [sum, low] = sumOf(start, unit);
        if (sum === Infinity) [sum, low] = sumOf(start, (unit = SMALL_UNIT));
        const isEmpty = sum === 0 && mask !== null;
        const isUsual = sum > 0 && sum < Infinity;
        for (let c = 0, at = start; c < cols; c++, at += inner) {
          const z = scaled(at, c, unit);
          if (isEmpty || !isKept(at, c)) out[at] = hidden;
          else if (!isUsual) out[at] = NaN;
          else out[at] = isLog ? logOfQuotient(z, unit, sum, low) : termOf(z, unit) / sum;
        }
      }
    }
  };

export const stableMaxKernels = /* @__PURE__ */ twinOf(STABLE_MAX, kernel(false), kernel(false));
export const logStableMaxKernels = /* @__PURE__ */ twinOf(LOG_STABLE_MAX, kernel(true), kernel(true));
