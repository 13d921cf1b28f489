/**
 * Steps on a row (row.ts): logits become weights, 2^HEADROOM · exp((logit − max) / temperature), and are summed.
 *
 * Relative to the largest logit nothing overflows, for any finite logits. An exponential is a power of two from the
 * tables of powers.ts times a short polynomial on half a step to either side: good to 35 bits for results that are
 * rounded to float32, to 60 bits for float64. Only the result is rounded to its type. Max error of a result: 0.51 ULP.
 */
import { DEPTH, exactProduct, LN2, LN2_LOW, octaves, rootsOfTwo, STEP_BITS, STEPS } from '../../math/powers.js';

/**
 * The quadratic for float32 on half a step, |t| ≤ τ = ln 2 / (2 · STEPS): exp(t) ≈ 1 + a₁t + a₂t² with a₁ = sinh τ / τ
 * and a₂ = (cosh τ − 1) / τ². Max error: 2^-35. It is exact at ±τ, where one step meets the next, so that a larger
 * logit never gets a smaller weight. As a square, with t in steps: leading · ((t + shift)² + constant).
 */
function quadratic(tau: number): { leading: number; shift: number; constant: number } {
  const a1 = 1 + (tau * tau) / 6;
  const a2 = 1 / 2 + (tau * tau) / 24;
  const leading = a2 * (2 * tau) * (2 * tau);
  const shift = a1 / (2 * a2) / (2 * tau);
  return { leading, shift, constant: 1 / leading - shift * shift };
}

/** For float32: returns a step of the table at a temperature, in units of logits. */
export function stepAt(temperature: number): number {
  // Below 2^-1000 the steps of a unit overflow. Two different float32 are further apart than the table long before.
  return (Math.max(temperature, 2 ** -1000) * LN2) / STEPS;
}

/** For float64: the constants of a temperature. */
export interface Reduction {
  /** A power of two that divides the logits when they are loaded. */
  readonly before: number;
  /** A power of two that divides their distances from the largest. */
  readonly after: number;
  /** The temperature without these powers. A step of the table at it is stepHigh + stepLow, to 85 bits. */
  readonly temperature: number;
  /** 32 bits, so that its product with a number of steps, which has 21 bits, is exact. */
  readonly stepHigh: number;
  readonly stepLow: number;
  /** DEPTH · STEPS steps. A logit beyond ±reach has too many: only its distance from the largest is reduced. */
  readonly reach: number;
}

/**
 * Returns the constants of a temperature. `divisor` is 8 where sums with the bias overflow.
 *
 * The temperature scales the step and not the logits, so that it costs neither time nor accuracy. Extreme temperatures
 * are scaled by a power of two, exactly, so that no constant loses bits.
 */
export function reduction(temperature: number, divisor: 1 | 8): Reduction {
  const before = (temperature > 2 ** 900 ? 2 ** 128 : 1) * divisor;
  const after = temperature < 2 ** -900 ? 2 ** -128 : 1;
  const scaled = temperature / after / before;
  const [step, rest] = exactProduct(scaled, LN2 / STEPS);
  const shifted = step * 0x200001;
  const stepHigh = shifted - (shifted - step);
  const stepLow = step - stepHigh + (rest + scaled * (LN2_LOW / STEPS));
  return { before, after, temperature: scaled, stepHigh, stepLow, reach: DEPTH * STEPS * stepHigh };
}

/** The powers of two 2^(entry / STEPS) as products of a root and an octave. The makers below share one table. */
export const powerTable = () => ({ ...rootsOfTwo(), octave: octaves() });
export type PowerTable = ReturnType<typeof powerTable>;

/** Steps from the bottom of the table, where weights are 0, to the largest logit. */
const TOP = DEPTH * STEPS;

/*
 * The makers below keep all that the loops use in constants of their own, which V8 sees and bundlers leave (row.ts).
 * Parameters go through some arithmetic before a loop: then V8 knows that they are doubles, and does not check again.
 */

/** Makes the step that turns logits into weights for float32 results. */
export function weightSteps_f32(cells: Float64Array, table: PowerTable) {
  const row = cells;
  const { high: roots, low: rootsLow, octave } = table;
  const bits = STEP_BITS;
  const within = STEPS - 1;
  const top = TOP;
  /** Added to a distance from the largest logit (≤ 0, in steps): the integer part is the nearest entry of the table. */
  const nearest = top + 0.5;

  const { leading, shift, constant } = quadratic(LN2 / (2 * STEPS));
  const leadingRoots = roots.map((root, j) => (root + rootsLow[j]!) * leading);
  const shifted = top + shift;

  /** Returns the sum of the weights. One chain of doubles is good to 2^-31 for up to LONGEST_HELD weights. */
  function weigh_f32(n: number, max: number, step: number): number {
    const minusMax = -max;
    const stepsPerUnit = 1 / step;
    let sum = 0;
    for (let i = 0; i < n; i++) {
      const steps = Math.max((row[i]! + minusMax) * stepsPerUnit, -top);
      const entry = (steps + nearest) | 0;
      const t = steps + shifted - entry;
      const w = leadingRoots[entry & within]! * octave[entry >> bits]! * (t * t + constant);
      row[i] = w;
      sum += w;
    }
    return sum;
  }

  return { weigh_f32 };
}

/**
 * Makes the step that turns logits into weights for float64 results, and adds their sum to `total`, a high and a low
 * part. A weight is cells + remainders, good to 60 bits, of which cells has 26.
 *
 * The reference is the step nearest to the largest logit, so that logits enter the reduction as they are, or as
 * cells + remainders if they are distances (bias.ts). They are within the `reach` of the reduction.
 */
export function weightSteps_f64(cells: Float64Array, remainders: Float64Array, table: PowerTable) {
  const row = cells;
  const rest = remainders;
  const { high: roots, low: rootsLow, octave } = table;
  const bits = STEP_BITS;
  const within = STEPS - 1;
  const top = TOP;

  /** The coefficient of t³ in exp(t), raised to stand for the term in t⁵ as well. Max error: 2^-62. */
  const tau = LN2 / (2 * STEPS);
  const cubic = 1 / 6 + (tau * tau) / 138;

  /** Above every weight: a sum that starts from it never meets a larger number, which makes Fast2Sum exact. */
  const above = octave[DEPTH + 1]!;

  function weigh_f64(n: number, max: number, reduction: Reduction, areDistances: boolean, total: Float64Array): void {
    const minusHigh = -reduction.stepHigh;
    const minusLow = -reduction.stepLow;
    const stepsPerUnit = -1 / minusHigh; // close enough to find the entry
    const natsPerUnit = 1 / reduction.temperature;
    const hasRest = areDistances === true;

    const reference = Math.floor(max * stepsPerUnit + 0.5);
    const bottomStep = reference - top;
    const bottom = -bottomStep * minusHigh;
    const toEntry = 0.5 - bottomStep;

    let high = above;
    let low = 0;
    for (let i = 0; i < n; i++) {
      const logit = Math.max(row[i]!, bottom);
      const entry = (logit * stepsPerUnit + toEntry) | 0;
      const steps = entry + bottomStep;
      const t = (logit + steps * minusHigh + (steps * minusLow + (hasRest ? rest[i]! : 0))) * natsPerUnit;
      const expMinus1 = t + t * t * (1 / 2 + t * (cubic + t * (1 / 24)));

      const power = octave[entry >> bits]!;
      const root = roots[entry & within]!;
      const leading = root * power;
      const rootLow = rootsLow[entry & within]!;
      const smaller = (rootLow + (root + rootLow) * expMinus1) * power;
      row[i] = leading;
      rest[i] = smaller;

      const w = leading + smaller;
      const next = high + w;
      low += w - (next - high) + (smaller - (w - leading));
      high = next;
    }
    addTo(total, high - above, low);
  }

  return { weigh_f64 };
}

/** Adds high + low to a total of two such parts (TwoSum). */
function addTo(total: Float64Array, high: number, low: number): void {
  const others = total[0]!;
  const sum = others + high;
  const ofHigh = sum - others;
  total[0] = sum;
  total[1]! += low + (others - (sum - ofHigh) + (high - ofHigh));
}
