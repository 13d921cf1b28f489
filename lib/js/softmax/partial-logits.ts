/** Rows of logits (rows/logits.ts) whose weights are relative to a power of two, for partial softmax. */
import { LN2, octavesOf, STEPS, type Octaves } from '../../math/powers.js';
import { hasOverflowed, largestRest, Logits_f32, total, type Logits } from '../rows/logits.js';
import { Logits_f64, wantsDistances } from '../rows/logits-f64.js';

type Floats = Float32Array | Float64Array;

/** The rows of a tensor, for partial softmax. */
export interface PartialLogits<A extends Floats> extends Logits<A> {
  /** The sum of the weights since beginSum. */
  readonly weightSum: number;
  /** Copies a part of a row for weights relative to the largest logit of the part, which it returns. */
  loadAlone(start: number, column: number, n: number): number;
  /** Copies a part of a row for weights relative to a number without a remainder. */
  loadPart(start: number, column: number, n: number): number;
  /** Returns the power of two that weights are relative to, for this largest logit. */
  reference(max: number): Octaves;
  /** Returns the largest logit that a row whose sum is below 2^octave can have. */
  highest(octave: number): number;
  /** Makes `sum` the sum that weights are divided by. */
  divideBy(sum: number): void;
}

type Load = (divisor: 1 | 8) => number;

/** As loadAlone. Returns the largest logit, and its remainder. */
function loadPlaced(load: Load, n: number, isBiased: boolean): readonly [max: number, rest: number] {
  hasOverflowed(); // forgets sums of other rows
  let max = load(1);
  if (!isBiased) return [max, 0];
  if (hasOverflowed() && !(Math.abs(max) < Infinity)) max = load(8);
  return [max, largestRest(n, max)];
}

/** Returns the finite number nearest to a logit. */
const clamp = (logit: number): number => Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, logit));

const weightSum = (): number => total[0]! + total[1]!;

export class PartialLogits_f32 extends Logits_f32 implements PartialLogits<Float32Array> {
  get weightSum(): number {
    return weightSum();
  }

  loadAlone(start: number, column: number, n: number): number {
    const load: Load = () => this.load(start, column, n);
    const [max, rest] = loadPlaced(load, n, this.bias !== null);
    this.maxRest = rest;
    return max;
  }

  loadPart(start: number, column: number, n: number): number {
    this.maxRest = 0;
    return this.load(start, column, n);
  }

  reference(max: number): Octaves {
    return octavesOf(max, this.maxRest, this.leastTemperature);
  }

  highest(octave: number): number {
    return clamp(octave * LN2 * this.leastTemperature);
  }

  divideBy(sum: number): void {
    this.divisor = sum;
  }

  /** As in stepAt. */
  private get leastTemperature(): number {
    return Math.max(this.temperature, 2 ** -1000);
  }
}

export class PartialLogits_f64 extends Logits_f64 implements PartialLogits<Float64Array> {
  get weightSum(): number {
    return weightSum();
  }

  loadAlone(start: number, column: number, n: number): number {
    const load: Load = (divisor) => {
      this.divideLogits(divisor);
      return this.load(start, column, n);
    };
    const [max, rest] = loadPlaced(load, n, this.bias !== null);
    this.maxRest = rest;
    return max;
  }

  loadPart(start: number, column: number, n: number): number {
    this.divideLogits(1);
    this.maxRest = 0;
    return this.load(start, column, n);
  }

  reference(max: number): Octaves {
    const { after, temperature, stepHigh } = this.reduction;
    if (wantsDistances(max, this.reduction, this.bias !== null))
      return octavesOf(max / after, this.maxRest / after, temperature);
    const octaves = Math.floor(max * (1 / stepHigh) + 0.5) / STEPS; // as in weigh_f64
    const whole = Math.round(octaves);
    return { whole, fraction: octaves - whole };
  }

  highest(octave: number): number {
    return clamp(octave * LN2 * this.reduction.temperature * this.reduction.after);
  }

  divideBy(sum: number): void {
    this.divisor = sum;
    this.divisorLow = 0;
  }
}
