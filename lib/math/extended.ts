/**
 * Numbers as mantissa · 2^exponent, the mantissa in [1, 2): sums of exponentials are far outside the range of a double.
 * 0, NaN and Infinity have the exponent 0. Powers of two are put together from bits, which is the same on every
 * machine.
 */
import { LN2_HIGH, LN2_LOW } from './log.js';

export type Extended = readonly [mantissa: number, exponent: number];

export const NOTHING: Extended = [0, 0];

const number = new Float64Array(1);
const words = new Uint32Array(number.buffer); // the second one is the upper half, on every machine of Node

/** 2^n, 0 below the normal range; n ≤ 1023. */
export function powerOfTwo(n: number): number {
  words[0] = 0;
  words[1] = n < -1022 ? 0 : (n + 1023) << 20;
  return number[0]!;
}

/** floor(log2 x) of a normal x > 0. */
function exponentOf(x: number): number {
  number[0] = x;
  return ((words[1]! >>> 20) & 0x7ff) - 1023;
}

/** Whether a mantissa is neither 0 nor NaN nor Infinity. */
export const isOrdinary = (mantissa: number): boolean => mantissa > 0 && mantissa < Infinity;

/** The number in canonical form; a mantissa is normal or 0, and not negative. */
export function extended(mantissa: number, exponent: number): Extended {
  if (!isOrdinary(mantissa)) return [mantissa, 0];
  const n = exponentOf(mantissa);
  return [mantissa * powerOfTwo(-(n >> 1)) * powerOfTwo(-(n - (n >> 1))), exponent + n]; // 2^-1023 is not normal
}

/**
 * a + b, rounded once, as an addition of doubles is: scaling is exact. The mantissas need not be canonical.
 */
export function sum(a: Extended, b: Extended): Extended {
  if (b[0] === 0) return a;
  if (a[0] === 0) return b;
  const [large, small] = a[1] < b[1] ? [b, a] : [a, b];
  return extended(large[0] + small[0] * powerOfTwo(small[1] - large[1]), large[1]);
}

/** An ordinary number as m · 2^e with m in (√½, √2]: ln m and e · ln 2 do not cancel. */
export function nearOne(mantissa: number, exponent: number): Extended {
  const [m, e] = extended(mantissa, exponent);
  return m > Math.SQRT2 ? [m / 2, e + 1] : [m, e];
}

/** ln(mantissa · 2^exponent). */
export function logOf(mantissa: number, exponent: number): number {
  if (!isOrdinary(mantissa)) return Math.log(mantissa);
  const [m, e] = nearOne(mantissa, exponent);
  return e * LN2_HIGH + (Math.log(m) + e * LN2_LOW);
}
