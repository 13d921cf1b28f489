/** e^x of one number after the other, where no row is in `cells`. */
import { LN2, LN2_LOW, rootsOfTwo, split, STEP_BITS, STEPS } from '../../math/powers.js';

type Floats = Float32Array | Float64Array;

/** From here on e^x is 0. */
const LOWEST = -708;

/** Steps of the table in a unit, for numbers of steps that are not nearly halfway between two integers. */
const STEPS_PER_UNIT = STEPS / LN2;
const NEARLY_HALF = 0.5 - 2 ** -28;

/** The integer nearest to x · STEPS / LN2, for x ≤ 0, as a quotient and Math.round find it. */
function stepsOf(x: number): number {
  const about = x * STEPS_PER_UNIT;
  const steps = (about - 0.5) | 0;
  return Math.abs(about - steps) < NEARLY_HALF ? steps : Math.round((x * STEPS) / LN2) | 0;
}

/** Makes functions of e^x for x ≤ 0, which share a table. */
function exponentials() {
  const { high: roots, low: rootsLow } = rootsOfTwo();
  const octave = new Float64Array(1024).fill(1);
  for (let i = 1; i < octave.length; i++) octave[i] = octave[i - 1]! / 2;
  const [stepHigh, rest] = split(LN2 / STEPS);
  const stepLow = rest + LN2_LOW / STEPS;
  const bits = STEP_BITS;
  const within = STEPS - 1;

  /** e^x for x ≤ 0, 0 from −708 on. Max error: some ULP. */
  function exponentialOf(x: number): number {
    if (!(x > LOWEST)) return x !== x ? x : 0;
    const steps = stepsOf(x);
    const t = x - steps * stepHigh - steps * stepLow;
    const expMinus1 = t + t * t * (1 / 2 + t * (1 / 6 + t * (1 / 24)));
    const root = roots[steps & within]!;
    const rootLow = rootsLow[steps & within]!;
    return (root + (rootLow + (root + rootLow) * expMinus1)) * octave[-(steps >> bits)]!;
  }

  /**
   * Writes dy − e^y · sum of a row, and returns where it stops: at the end, or at an element whose y is not in
   * (−708, 0] or whose result is a NaN.
   */
  function writeLogSlopes(y: Floats, dy: Floats, out: Floats, start: number, end: number, sum: number): number {
    for (let i = start; i < end; i++) {
      const x = y[i]!;
      if (!(x > LOWEST && x <= 0)) return i;
      const steps = stepsOf(x);
      const t = x - steps * stepHigh - steps * stepLow;
      const expMinus1 = t + t * t * (1 / 2 + t * (1 / 6 + t * (1 / 24)));
      const root = roots[steps & within]!;
      const rootLow = rootsLow[steps & within]!;
      const p = (root + (rootLow + (root + rootLow) * expMinus1)) * octave[-(steps >> bits)]!;
      const slope = dy[i]! - p * sum;
      if (slope !== slope) return i;
      out[i] = slope;
    }
    return end;
  }

  /** Writes e^(x − top) of n logits, and returns their sum. `top` is at least as large as each. */
  function writeExponentials(x: Floats, start: number, n: number, top: number, to: Float64Array): number {
    let sum = 0;
    for (let i = 0; i < n; i++) {
      const term = exponentialOf(x[start + i]! - top);
      to[i] = term;
      sum += term;
    }
    return sum;
  }

  return { exponentialOf, writeLogSlopes, writeExponentials };
}

export const { exponentialOf, writeLogSlopes, writeExponentials } = /* @__PURE__ */ exponentials();
