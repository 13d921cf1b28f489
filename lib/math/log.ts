/** Logarithms with the same bits on every machine: Math.log differs from one JavaScript engine to the next. */
import { exactProduct, type Pair } from './powers.js';

/** ln 2 as a number of 32 bits, whose product with a small integer is exact, and the rest (as in fdlibm). */
export const LN2_HIGH = 0x162e42fee / 2 ** 33;
export const LN2_LOW = 1.9082149292705877e-10;

/** a + b exactly: the rounded sum, and the rounding error (Knuth's TwoSum). */
export function twoSum(a: number, b: number): Pair {
  const sum = a + b;
  const ofB = sum - a;
  return [sum, a - (sum - ofB) + (b - ofB)];
}

const number = new Float64Array(1);
const words = new Uint32Array(number.buffer); // little-endian: words[1] has the sign and the exponent

/** What rounding took from the last result of {@link log1pRounded}. */
export const lowOfLog = /* @__PURE__ */ new Float64Array(1);

/**
 * log(1 + s + rest) for s ≥ 0 and |rest| far below s, as the sum of two doubles. Max error: 2^-58.
 * The steps are the steps of native/math/log.h.
 */
export const log1p = (s: number, rest: number): Pair => [log1pRounded(s, rest), lowOfLog[0]!];

/** {@link log1p} without an array: returns the first double, and leaves the second in `lowOfLog`. */
export function log1pRounded(s: number, rest: number): number {
  if (s < 2 ** -60) {
    lowOfLog[0] = rest;
    return s;
  }
  let f = s;
  let below = rest;
  let n = 0;
  if (s > Math.SQRT2 - 1) {
    const scale = s < 2 ** 1000 ? 1 : 0.5; // the sum must be finite
    const scaled = s * scale;
    const whole = scale + scaled;
    const ofScaled = whole - scale;
    const lost = scale - (whole - ofScaled) + (scaled - ofScaled);
    // whole = 2^n (1 + f) with 1 + f in (√½, √2]
    number[0] = whole;
    n = (words[1]! >>> 20) - 1023;
    words[1] = (words[1]! & 0xfffff) | 0x3ff00000;
    if (number[0]! > Math.SQRT2) n++;
    // Two powers, as one may be below the normal range.
    words[0] = 0;
    words[1] = (1023 - (n >> 1)) << 20;
    const first = number[0]!;
    words[1] = (1023 - (n - (n >> 1))) << 20;
    const second = number[0]!;
    f = whole * first * second - 1;
    below = (lost + rest * scale) * first * second;
    if (scale !== 1) n++;
  }
  const divisor = 2 + f;
  const ofF = divisor - 2;
  const divisorLow = 2 - (divisor - ofF) + (f - ofF);
  const h = f / divisor;
  const [product, lost] = exactProduct(h, divisor);
  const low = (f - product - lost + (below - h * (divisorLow + below))) / divisor;
  const z = h * h;
  const p = seriesOf(z, (2 / 23) * z + 2 / 21);
  const leading = n * LN2_HIGH;
  const sum = leading + 2 * h;
  const ofH = sum - leading;
  const sumLow = leading - (sum - ofH) + (2 * h - ofH);
  const others = sumLow + (n * LN2_LOW + (2 * low * (1 + z) + h * (z * p)));
  const high = sum + others;
  const ofOthers = high - sum;
  lowOfLog[0] = sum - (high - ofOthers) + (others - ofOthers);
  return high;
}

/** 2/3 + 2/5 z + … + 2/19 z⁸ + last · z⁹ */
const seriesOf = (z: number, last: number): number => {
  const upper = (((last * z + 2 / 19) * z + 2 / 17) * z + 2 / 15) * z + 2 / 13;
  return ((((upper * z + 2 / 11) * z + 2 / 9) * z + 2 / 7) * z + 2 / 5) * z + 2 / 3;
};

/** ln x of a positive number by {@link log1p}, from whichever of x and 1 / x is at least 1. */
export const lnBy1p = (x: number): number => (x < 1 ? -log1pRounded(1 / x - 1, 0) : log1pRounded(x - 1, 0));

/**
 * ln x. −Infinity for 0, NaN below 0. Max error: about 1 ULP.
 *
 * x = 2^n (1 + f) with 1 + f in [√½, √2], h = f / (2 + f), ln(1 + f) = 2 (h + h³/3 + …).
 */
export function ln(x: number): number {
  if (!(x > 0 && x < Infinity)) return x === 0 ? -Infinity : x === Infinity ? x : NaN;
  let n = 0;
  number[0] = x;
  const isSubnormal = words[1]! < 0x100000;
  if (isSubnormal) {
    number[0] = x * 2 ** 54;
    n = -54;
  }
  n += (words[1]! >>> 20) - 1023;
  words[1] = (words[1]! & 0xfffff) | 0x3ff00000;
  if (number[0]! > Math.SQRT2) {
    number[0]! /= 2;
    n++;
  }
  const f = number[0]! - 1;
  const h = f / (2 + f);
  const z = h * h;
  // |h| ≤ 0.172: the first omitted term, 2 h²³ / 23, is below 2^-60 of the result.
  return n * LN2_HIGH + (2 * h + (h * z * seriesOf(z, 2 / 21) + n * LN2_LOW));
}
