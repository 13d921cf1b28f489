/** Sine and cosine with the same bits on every machine: Math.sin and Math.cos differ from one engine to the next. */
import { split } from './powers.js';

/** π / 2 as three numbers of 33 bits, whose products with a k of 20 bits are exact, and the rest (as in fdlibm). */
const PARTS = /* @__PURE__ */ [1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21];
const REST = 8.4784276603689e-32;

/** The largest angle that is reduced exactly enough. */
export const LARGEST_ANGLE = 2 ** 20;

/**
 * sin x and cos x for |x| ≤ {@link LARGEST_ANGLE}. Max error seen: below 0.8 ULP, beside the zeros of a large x too.
 *
 * x = k π/2 + r with |r| ≤ π/4, r kept as two numbers; the series of sin r and cos r to r¹⁷ and r¹⁸.
 */
export function sinCos(x: number): readonly [sin: number, cos: number] {
  const k = Math.round(x / (Math.PI / 2));
  // Each difference is exact but the last: r loses the bits that k times a part takes away.
  let high = x - k * PARTS[0]!;
  let low = 0;
  for (const part of [k * PARTS[1]!, k * PARTS[2]!, k * REST]) {
    const next = high - part;
    const back = next - high;
    low += high - (next - back) + (-part - back);
    high = next;
  }
  const r = high + low;
  const [s, c] = seriesOf(r, high - r + low);
  const quadrant = k & 3;
  return quadrant === 0 ? [s, c] : quadrant === 1 ? [c, -s] : quadrant === 2 ? [-s, -c] : [-c, s];
}

/** sin and cos of r + low, |r| ≤ π/4. */
function seriesOf(r: number, low: number): readonly [number, number] {
  const z = r * r;
  let [sine, cosine] = [1 / (16 * 17), 1 / (17 * 18)];
  for (let n = 14; n >= 2; n -= 2) sine = (1 - z * sine) / (n * (n + 1));
  for (let n = 15; n >= 3; n -= 2) cosine = (1 - z * cosine) / (n * (n + 1));
  // cos r = 1 − r²/2 + z² · cosine / 2, its first two terms without a rounding error.
  const [leading, others] = split(r);
  const halfSquare = (leading * leading) / 2;
  const lost = (others * (r + leading)) / 2;
  const whole = 1 - halfSquare;
  const rest = 1 - whole - halfSquare - lost + (z * z * cosine) / 2 - r * low;
  return [r + (low - r * z * sine), whole + rest];
}
