/** tanh of doubles, which caps scores and logits: the same bits on every machine. */
import { exp2 } from './exp2.js';
import { LOG2_E } from './powers.js';

/** Max error: about 1e-16; below 2^-10, where 1 − e would cancel, 2^-52 of x. */
export function tanh(x: number): number {
  if (Math.abs(x) < 2 ** -10) return x + x * (x * x) * (x * x * (2 / 15) - 1 / 3);
  const e = exp2(-2 * Math.abs(x) * LOG2_E);
  return x < 0 ? -(1 - e) / (1 + e) : (1 - e) / (1 + e);
}
