/** e^x with the same bits on every machine: Math.exp differs from one JavaScript engine to the next. */
import { powerOfTwo } from './extended.js';
import { LOG2_E, octavesOf, rootOfTwo } from './powers.js';

/** e^x for x from −700 to 700. Max error: some ULP. */
export function exp(x: number): number {
  const { whole, fraction } = octavesOf(x, 0, 1);
  return rootOfTwo(fraction) * powerOfTwo(whole);
}

/** e^x for x ≤ 0, 0 below the range of doubles. */
export const expBelowZero = (x: number): number => (x < -745.2 ? 0 : x < -700 ? exp(x / 2) * exp(x / 2) : exp(x));

/** e^x = mantissa · 2^exponent for any finite x, with the steps of native/attention/attention_values.h. */
export function extendedExp(x: number): [mantissa: number, exponent: number] {
  const octaves = x * LOG2_E;
  if (!(Math.abs(octaves) < 2 ** 51)) return [1, octaves];
  const exponent = Math.round(octaves);
  if (!(Math.abs(octaves) < 2 ** 40)) return [rootOfTwo(octaves - exponent), exponent];
  const { whole, fraction } = octavesOf(x, 0, 1);
  return [rootOfTwo(fraction), whole];
}
