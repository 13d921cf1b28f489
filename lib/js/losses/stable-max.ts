/** The kernels of stableMax and logStableMax: s(z) / Σ s(z), s(z) = z + 1 for z ≥ 0 and 1 / (1 − z) below; its log. */
import { LOG_STABLE_MAX, STABLE_MAX } from '../../backend/operators.js';
import { kindOf, lengthOf } from '../../call/arrays.js';
import { lnBy1p, log1pRounded, twoSum } from '../../math/log.js';
import { counts } from '../../backend/masks.js';
import { twinOf } from '../twin.js';
import { isPlainShape, parts, stableTerms, storeLogs, storeShares } from './plain-steps.js';

type Floats = Float32Array | Float64Array;

/**
 * How a row is read: its logits times a power of two, `unit`. Its terms are all times one power of two as well, by the
 * numerator of the terms of negative logits and the factor of the others.
 */
export interface Scale {
  readonly unit: number;
  readonly numerator: number;
  readonly factor: number;
}
export const PLAIN: Scale = { unit: 1, numerator: 1, factor: 1 };
/** For a row whose sum would overflow, or nearly. */
export const DOWN: Scale = { unit: 2 ** -64, numerator: 2 ** -128, factor: 1 };
/** For a row with logits near the lower end of the range, or below it: their s would be subnormal, or 0. */
export const UP: Scale = { unit: 2 ** -64, numerator: 1, factor: 2 ** 128 };

/** Whether a logit or a bias is finite and so low that its s may be subnormal. */
export const isFar = (x: number): boolean => x <= -(2 ** 1000) && x > -Infinity;

/** z + 1, or 1 − z for a negative z, times a power of two. */
export const sizeOf = (z: number, { unit, factor }: Scale): number => (z < 0 ? unit - z : (z + unit) * factor);
/** s(z) times the power of two of a scale. */
export const termOf = (z: number, { unit, numerator, factor }: Scale): number =>
  z < 0 ? numerator / (unit - z) : (z + unit) * factor;
/** ln(term / sum). Above half of the sum, where it is near 0: −log1p((the other terms) / term). */
export const logOfQuotient = (z: number, scale: Scale, sum: number, low: number): number => {
  const term = termOf(z, scale);
  if (term > sum / 2) return 0 - log1pRounded((sum - term + low) / term, 0); // ln 1 is 0 and not −0
  if (z === -Infinity) return -Infinity;
  if (term / sum > 2 ** -900) return lnBy1p(term / sum);
  const ofSize = lnBy1p(sizeOf(z, scale));
  const ofNumerator = scale.numerator === 1 ? 0 : 2 * lnBy1p(scale.unit);
  return z < 0 ? ofNumerator - ofSize - lnBy1p(sum) : ofSize - lnBy1p(sum);
};

/** {@link logOfQuotient} in the plain scale. */
const plainLogOf = (z: number, sum: number, low: number): number => logOfQuotient(z, PLAIN, sum, low);

/** Writes a plain row. Returns false where logits may be far: a sum of 1 or more is right without their terms. */
function writePlain(x: Floats, out: Floats, start: number, cols: number, isLog: boolean, isSingle: boolean): boolean {
  stableTerms(x, start, cols);
  const sum = parts[0]!;
  const low = parts[1]!;
  if (!(sum >= 1 && sum < Infinity)) return false;
  if (!isLog) storeShares(out, start, cols, sum, isSingle);
  else if (isSingle) storeLogs(x, out as Float32Array, start, cols, sum, low, plainLogOf);
  else for (let i = start; i < start + cols; i++) out[i] = plainLogOf(x[i]!, sum, low);
  return true;
}

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
    const hasFarLogit = (start: number): boolean => {
      for (let c = 0, at = start; c < cols; c++, at += inner) {
        if (isFar(x[at]!) || (bias !== null && isFar(bias[isBiasShared ? c : at]!))) return true;
      }
      return false;
    };

    const sumOf = (start: number, scale: Scale): readonly [sum: number, low: number] => {
      let sum = 0;
      let low = 0;
      for (let c = 0, at = start; c < cols; c++, at += inner) {
        if (!isKept(at, c)) continue;
        const [next, lost] = twoSum(sum, termOf(scaled(at, c, scale.unit), scale));
        sum = next;
        low += lost;
      }
      return Number.isFinite(sum) ? twoSum(sum, low) : [sum, 0];
    };
    const hidden = isLog ? -Infinity : 0;
    const isSingle = kindOf(x) === 'Float32Array';
    const isPlain = isPlainShape(cols, inner, mask, bias);
    for (let o = 0; o < outer; o++) {
      for (let start = o * cols * inner, end = start + inner; start < end; start++) {
        if (isPlain && writePlain(x, out, start, cols, isLog, isSingle)) continue;
        let scale = PLAIN;
        let [sum, low] = sumOf(start, scale);
        if (sum === Infinity) scale = DOWN;
        else if ((sum < 1 || bias !== null) && hasFarLogit(start)) scale = sum < 2 ** 900 ? UP : DOWN;
        if (scale !== PLAIN) [sum, low] = sumOf(start, scale);
        const isEmpty = sum === 0 && mask !== null;
        const isUsual = sum > 0 && sum < Infinity;
        for (let c = 0, at = start; c < cols; c++, at += inner) {
          const z = scaled(at, c, scale.unit);
          if (isEmpty || !isKept(at, c)) out[at] = hidden;
          else if (!isUsual) out[at] = NaN;
          else out[at] = isLog ? logOfQuotient(z, scale, sum, low) : termOf(z, scale) / sum;
        }
      }
    }
  };

export const stableMaxKernels = /* @__PURE__ */ twinOf(STABLE_MAX, kernel(false), kernel(false));
export const logStableMaxKernels = /* @__PURE__ */ twinOf(LOG_STABLE_MAX, kernel(true), kernel(true));
