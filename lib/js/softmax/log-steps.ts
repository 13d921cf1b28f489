/**
 * Steps on a row (rows/row.ts) of the logarithmic operators: the sum of its weights without the largest, its
 * logarithms, its gradient. One loop each, for rows without a bias: a distance from the largest logit has one rounding
 * error, which the loop carries along.
 */
import { exactProduct, HEADROOM, DEPTH, STEP_BITS, STEPS, LN2 } from '../../math/powers.js';
import { NEAR_END } from '../rows/bias.js';
import { reduction, type PowerTable, type Reduction } from '../rows/exponentials.js';

/** The factor of all weights in a row. */
export const RAISE = 2 ** HEADROOM;

/** The coefficient of t³, as in weightSteps_f64. */
const CUBIC = 1 / 6 + (LN2 * LN2) / (4 * STEPS * STEPS) / 138;

/** log(1 + S) of a row, its largest logit, and the constants of its temperature. */
export interface RowLog {
  readonly max: number;
  readonly log: number;
  readonly logLow: number;
}

/** Returns a − quotient · divisor; 0 where the product could overflow or underflow. */
export function remainderOf(a: number, quotient: number, divisor: number): number {
  const size = Math.abs(a);
  if (size > 2 ** 900 || size < 2 ** -900 || divisor > 2 ** 900 || Math.abs(quotient) > 2 ** 900) return 0;
  const [product, rest] = exactProduct(quotient, divisor);
  return a - product - rest;
}

/** Makes the step that sums weights. The maker keeps what the loop uses in constants of its own (exponentials.ts). */
export function sumSteps(cells: Float64Array, table: PowerTable) {
  const row = cells;
  const { high: roots, low: rootsLow, octave } = table;
  const bits = STEP_BITS;
  const within = STEPS - 1;
  const top = DEPTH * STEPS;

  const cubic = CUBIC;

  /**
   * Adds the weights of n logits below `max` to the total, and returns how many are `max`. Puts weights in the place of
   * the logits if `keepsWeights`. A weight and the total are good to 60 bits.
   */
  function sumOthers(n: number, max: number, constants: Reduction, keepsWeights: boolean, total: Float64Array): number {
    const minusMax = -max;
    const scale = 1 / constants.after;
    const minusHigh = -constants.stepHigh;
    const minusLow = -constants.stepLow;
    const stepsPerUnit = -1 / minusHigh;
    const natsPerUnit = 1 / constants.temperature;
    const bottom = top * minusHigh;
    const toEntry = 0.5 + top;
    let high = total[0]!;
    let [low, tops] = [total[1]!, 0];
    for (let i = 0; i < n; i++) {
      const logit = row[i]!;
      const distance = logit + minusMax;
      const scaled = distance * scale;
      let weight = 0;
      if (logit === max) {
        tops++;
        weight = RAISE;
      } else if (scaled > bottom) {
        const ofMax = distance - logit;
        const error = (logit - (distance - ofMax) + (minusMax - ofMax)) * scale;
        const entry = (scaled * stepsPerUnit + toEntry) | 0;
        const steps = entry - top;
        const t = (scaled + steps * minusHigh + (steps * minusLow + error)) * natsPerUnit;
        const expMinus1 = t + t * t * (1 / 2 + t * (cubic + t * (1 / 24)));
        const power = octave[entry >> bits]!;
        const root = roots[entry & within]!;
        const rootLow = rootsLow[entry & within]!;
        const leading = root * power;
        const smaller = (rootLow + (root + rootLow) * expMinus1) * power;
        const sum = high + leading;
        const ofWeight = sum - high;
        low += high - (sum - ofWeight) + (leading - ofWeight) + smaller;
        high = sum;
        weight = leading + smaller;
      } else if (logit !== logit) high = logit;
      if (keepsWeights) row[i] = weight;
    }
    total[0] = high;
    total[1] = low;
    return tops;
  }

  return { sumOthers };
}

/** Makes {@link sumSteps}' step for temperature 1: its constants are known, and it takes half the time. */
export function plainSumSteps(cells: Float64Array, table: PowerTable) {
  const row = cells;
  const { high: roots, low: rootsLow, octave } = table;
  const bits = STEP_BITS;
  const within = STEPS - 1;
  const top = DEPTH * STEPS;
  const cubic = CUBIC;
  const { stepHigh, stepLow } = reduction(1, 1);
  const stepsPerUnit = 1 / stepHigh;
  const least = -top * stepHigh;
  const toEntry = 0.5 + top;

  /** sumOthers for a total of 0. */
  function sumPlain(n: number, max: number, keepsWeights: boolean, total: Float64Array): number {
    const minusMax = -max;
    const raised = RAISE;
    let high = 0;
    let low = 0;
    let tops = 0;
    for (let i = 0; i < n; i++) {
      const logit = row[i]!;
      const distance = logit + minusMax;
      if (distance > least && distance < 0) {
        const ofMax = distance - logit;
        const error = logit - (distance - ofMax) + (minusMax - ofMax);
        const entry = (distance * stepsPerUnit + toEntry) | 0;
        const steps = top - entry;
        const t = distance + steps * stepHigh + (steps * stepLow + error);
        const expMinus1 = t + t * t * (1 / 2 + t * (cubic + t * (1 / 24)));
        const power = octave[entry >> bits]!;
        const root = roots[entry & within]!;
        const rootLow = rootsLow[entry & within]!;
        const leading = root * power;
        const smaller = (rootLow + (root + rootLow) * expMinus1) * power;
        const sum = high + leading;
        const ofWeight = sum - high;
        low += high - (sum - ofWeight) + (leading - ofWeight) + smaller;
        high = sum;
        if (keepsWeights) row[i] = leading + smaller;
      } else {
        if (logit === max) tops++;
        else if (logit !== logit) high = logit;
        if (keepsWeights) row[i] = logit === max ? raised : 0;
      }
    }
    total[0] = high;
    total[1] = low;
    return tops;
  }

  return { sumPlain };
}

/** Makes the steps that turn logits into logarithms, and weights into a gradient. */
export function logSteps(cells: Float64Array) {
  const row = cells;

  /** Turns n logits into logSoftmax: (x − max) / T − log(1 + S). */
  function toLogs(n: number, max: number, log: number, logLow: number, reduction: Reduction, isSingle: boolean): void {
    const { after, temperature } = reduction;
    if (after === 1 && temperature === 1) plainLogs(n, max, log, logLow);
    else if (after === 1 && isSingle) scaledLogs(n, max, log, temperature);
    else for (let i = 0; i < n; i++) row[i] = logOf(row[i]!, 0, max, 0, log, logLow, reduction);
  }

  function plainLogs(n: number, max: number, log: number, logLow: number): void {
    const minusMax = -max;
    const minusLog = -log;
    const minusLow = -logLow;
    for (let i = 0; i < n; i++) {
      const logit = row[i]!;
      const distance = logit + minusMax;
      const ofMax = distance - logit;
      const lost = logit - (distance - ofMax) + (minusMax - ofMax);
      // A distance near the end has no rounding error, or is −∞.
      row[i] = distance > -NEAR_END ? distance + (lost + minusLog + minusLow) : farLog(logit, max, log, distance);
    }
  }

  /** Logarithms of doubles that are rounded to float32. */
  function scaledLogs(n: number, max: number, log: number, temperature: number): void {
    const minusMax = -max;
    const minusLog = -log;
    for (let i = 0; i < n; i++) row[i] = (row[i]! + minusMax) / temperature + minusLog;
  }

  const farLog = (logit: number, max: number, log: number, distance: number): number =>
    logit === -Infinity ? distance : (logit / 4 - max / 4) * 4 - log;

  /** Turns n weights into the gradient of their row's loss: weight / whole / temperature. No quotient loses bits. */
  function toGradient(n: number, whole: number, temperature: number): void {
    const lower = 1 / RAISE;
    if (temperature === 1) for (let i = 0; i < n; i++) row[i] = (row[i]! / whole) * lower;
    else if (temperature < 1) {
      const raised = temperature * RAISE;
      for (let i = 0; i < n; i++) row[i] = row[i]! / whole / raised;
    } else for (let i = 0; i < n; i++) row[i] = (row[i]! / whole / temperature) * lower;
  }

  /** Turns n weights into a gradient that is rounded to float32. */
  function toGradient_f32(n: number, whole: number, temperature: number): void {
    const factor = 1 / whole / temperature / RAISE;
    for (let i = 0; i < n; i++) row[i] = row[i]! * factor;
  }

  return { plainLogs, toLogs, toGradient, toGradient_f32 };
}

/** Makes the step that writes numbers as they are. */
export function copyStep(cells: Float64Array) {
  const row = cells;

  function copy_f64(out: Float64Array, start: number, stride: number, n: number): void {
    let i = 0;
    for (; stride === 1 && i < n - 3; i += 4) {
      const at = start + i;
      out[at] = row[i]!;
      out[at + 1] = row[i + 1]!;
      out[at + 2] = row[i + 2]!;
      out[at + 3] = row[i + 3]!;
    }
    for (; i < n; i++) out[start + i * stride] = row[i]!;
  }

  return { copy_f64 };
}

/** Returns the logSoftmax of logit + rest, where the largest logit is max + maxRest. */
export function logOf(
  logit: number,
  rest: number,
  max: number,
  maxRest: number,
  log: number,
  logLow: number,
  { after, temperature }: Reduction,
): number {
  const distance = logit - max;
  // A distance that overflows may have a finite quotient. A distance near the end has no rounding error.
  if (distance <= -NEAR_END)
    return logit === -Infinity ? distance : ((logit / 4 - max / 4) / after / temperature) * 4 - log;
  const ofMax = distance - logit;
  const lost = logit - (distance - ofMax) + (-max - ofMax);
  const low = (lost + (rest - maxRest)) / after;
  const quotient = distance / after / temperature;
  if (!(quotient > -Infinity)) return quotient;
  const remainder = temperature === 1 ? 0 : remainderOf(distance / after, quotient, temperature);
  return quotient + ((remainder + low) / temperature - log - logLow);
}
