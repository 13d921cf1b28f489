/**
 * log(1 + s) for s ≥ 0 as the sum of two doubles, good to 2^-58, with the steps of native/math/log.h: Math.log has
 * other bits in other engines.
 */
import { exactProduct, type Pair } from '../math/powers.js';

const LN2_HIGH = 0x162e42fee / 2 ** 33; // 32 bits, so that its product with a small integer is exact
const LN2_LOW = 1.9082149292705877e-10;

const TERMS = [23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3].map((k) => 2 / k);

/** a + b and what rounding took from it (Knuth). */
export function twoSum(a: number, b: number): Pair {
  const sum = a + b;
  const ofB = sum - a;
  return [sum, a - (sum - ofB) + (b - ofB)];
}

/** log(1 + s + rest), |rest| far below s. */
export function log1p(s: number, rest: number): Pair {
  if (s < 2 ** -60) return [s, rest];
  let f = s;
  let below = rest;
  let n = 0;
  if (s > Math.SQRT2 - 1) {
    const [whole, lost] = twoSum(1, s);
    let power = 1;
    for (; whole / power > Math.SQRT2; power *= 2) n++;
    f = whole / power - 1;
    below = (lost + rest) / power;
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
