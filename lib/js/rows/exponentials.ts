/**
 * Replaces the logits of a row by weights, 2^HEADROOM · exp((logit − max) / temperature), and sums them.
 *
 * Relative to the largest logit nothing overflows, for any finite logits. An exponential is a power of two from the
 * tables of powers.ts times a short polynomial on half a step to either side: good to 35 bits for results that are
 * rounded to float32, to 60 bits for float64. Only the result is rounded to its type. Max error of a result: 0.51 ULP.
 */
import { DEPTH, exactProduct, LN2, LN2_LOW, octaves, rootsOfTwo, STEP_BITS, STEPS } from '../../math/powers.js';

/**
 * The quadratic for float32 on half a step, |t| ≤ τ = ln 2 / (2·STEPS): exp(t) ≈ 1 + a₁t + a₂t², a₁ = sinh τ / τ and a₂
 * = (cosh τ − 1) / τ². It is exact at ±τ, so that steps join and a larger logit never gets a smaller weight. Max error
 * between: 2^-35. Completed to a square it is leading · ((t + shift)² + constant), here with t in steps.
 */
function quadratic(tau: number): { leading: number; shift: number; constant: number } {
  const a1 = 1 + (tau * tau) / 6;
  const a2 = 1 / 2 + (tau * tau) / 24;
  const leading = a2 * (2 * tau) * (2 * tau);
  const shift = a1 / (2 * a2) / (2 * tau);
  return { leading, shift, constant: 1 / leading - shift * shift };
}

/** For float32: a step of the table at a temperature, in units of logits. */
export function stepAt(temperature: number): number {
  // Below 2^-1000 steps per unit overflow; two different float32 are more than the table apart well before.
  return (Math.max(temperature, 2 ** -1000) * LN2) / STEPS;
}

/** For float64: the constants of a temperature. */
export interface Reduction {
  /** Powers of two that divide the logits as they are loaded, and their distances from the largest. */
  readonly before: number;
  readonly after: number;
  /** The temperature that is left, and a step of the table at it: stepHigh + stepLow to 85 bits. */
  readonly temperature: number;
  /** 32 bits, so that its product with the 21 bits of a number of steps is exact. */
  readonly stepHigh: number;
  readonly stepLow: number;
  /** The largest absolute value of a logit that needs no more steps than that. */
  readonly reach: number;
}

/**
 * The temperature scales the step and not the logits, so that it costs neither time nor accuracy. Logits are divided by
 * a power of two where sums with the bias overflow; extreme temperatures are scaled, exactly, to where the constants
 * have all their bits.
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

/**
 * Makes the functions that sum a row which rowSteps() loaded into the same arrays. All that the loops use is constant
 * in here, where V8 sees it and bundlers leave it (see row.ts). Parameters go through some arithmetic first, so that V8
 * knows them to be doubles and does not check at every turn of the loop.
 */
export function expSums(cells: Float64Array, remainders: Float64Array) {
  const row = cells;
  const rest = remainders;
  const { high: roots, low: rootsLow } = rootsOfTwo();
  const octave = octaves();
  const bits = STEP_BITS;
  const within = STEPS - 1;

  /** Steps from the bottom of the table, where weights are 0, to the largest logit. */
  const top = DEPTH * STEPS;
  /** Added to a distance from the largest logit (≤ 0, in steps), the integer part is the entry nearest in the table. */
  const nearest = top + 0.5;

  const tau = LN2 / (2 * STEPS);
  const { leading, shift, constant } = quadratic(tau);
  const leadingRoots = roots.map((root, j) => (root + rootsLow[j]!) * leading);
  const shifted = top + shift;

  /** The coefficient of t³ in exp(t), raised to stand in for the term in t⁵ as well: then 2^-62 is missing at most. */
  const cubic = 1 / 6 + (tau * tau) / 138;

  /** Above every weight: a sum that starts from it never meets a larger number, which makes Fast2Sum exact. */
  const above = octave[DEPTH + 1]!;

  /** Weights for float32 results and their sum: up to HELD of them, one chain of doubles is good to 2^-33. */
  function expSum_f32(n: number, max: number, step: number): number {
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

  /**
   * Weights for float64 results, as row + rest to 60 bits, where row has 26 of them; adds their sum to `total`.
   *
   * The reference is the step nearest to the largest logit, so that logits enter the reduction as they are, or as
   * row + rest if they are settled (see row.ts). They must be within the `reach` of the reduction.
   */
  function expSum_f64(n: number, max: number, reduction: Reduction, isSettled: boolean, total: Float64Array): void {
    const minusHigh = -reduction.stepHigh;
    const minusLow = -reduction.stepLow;
    const stepsPerUnit = -1 / minusHigh; // close enough to find the entry
    const natsPerUnit = 1 / reduction.temperature;
    const hasRest = isSettled === true;

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

    const part = high - above;
    const others = total[0]!;
    const sum = others + part;
    const ofPart = sum - others;
    total[0] = sum;
    total[1]! += low + (others - (sum - ofPart) + (part - ofPart));
  }

  return { expSum_f32, expSum_f64 };
}
