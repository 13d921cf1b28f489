/** Logarithms with the same bits on every machine: Math.log differs from one JavaScript engine to the next. */
import { exactProduct, type Pair } from './powers.js';

/** ln 2 as a number of 32 bits, whose product with a small integer is exact, and the rest (as in fdlibm). */
export const LN2_HIGH = 0x162e42fee / 2 ** 33;
export const LN2_LOW = 1.9082149292705877e-10;

const TERMS = /* @__PURE__ */ [23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3].map((k) => 2 / k);

/** a + b exactly: the rounded sum, and the rounding error (Knuth's TwoSum). */
export function twoSum(a: number, b: number): Pair {
  const sum = a + b;
  const ofB = sum - a;
  return [sum, a - (sum - ofB) + (b - ofB)];
}

/**
 * log(1 + s + rest) for s ≥ 0 and |rest| far below s, as the sum of two doubles. Max error: 2^-58.
 * The steps are the steps of native/math/log.h.
 */
export function log1p(s: number, rest: number): Pair {
  if (s < 2 ** -60) return [s, rest];
  let f = s;
  let below = rest;
  let n = 0;
  if (s > Math.SQRT2 - 1) {
    const scale = s < 2 ** 1000 ? 1 : 0.5; // the power of two below must be finite
    if (scale !== 1) n = 1;
    const [whole, lost] = twoSum(scale, s * scale);
    let power = 1;
    for (; whole / power > Math.SQRT2; power *= 2) n++;
    f = whole / power - 1;
    below = (lost + rest * scale) / power;
  }
  const [divisor, divisorLow] = twoSum(2, f);
  const h = f / divisor;
  const [product, lost] = exactProduct(h, divisor);
  const low = (f - product - lost + (below - h * (divisorLow + below))) / divisor;
  const z = h * h;
  let p = 0;
  for (const term of TERMS) p = p * z + term;
  const [sum, sumLow] = twoSum(n * LN2_HIGH, 2 * h);
  return twoSum(sum, sumLow + (n * LN2_LOW + (2 * low * (1 + z) + h * (z * p))));
}

/** ln x of a positive number by {@link log1p}, from whichever of x and 1 / x is at least 1. */
export const lnBy1p = (x: number): number => (x < 1 ? -log1p(1 / x - 1, 0)[0] : log1p(x - 1, 0)[0]);

const number = new Float64Array(1);
const words = new Uint32Array(number.buffer); // little-endian: words[1] has the sign and the exponent

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
  let p = TERMS[1]!;
  for (let i = 2; i < TERMS.length; i++) p = p * z + TERMS[i]!;
  return n * LN2_HIGH + (2 * h + (h * z * p + n * LN2_LOW));
}
