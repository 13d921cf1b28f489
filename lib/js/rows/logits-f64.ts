/**
 * Rows of float64 logits (see logits.ts): weights with what rounding takes from them, and sums of x and bias beyond all
 * doubles.
 */
import { reduction, type Reduction } from './exponentials.js';
import {
  addBias,
  clamp,
  expSum_f64,
  load_f64,
  Logits,
  remainders,
  settle,
  store_f64,
  total,
  type Relative,
} from './logits.js';
import { LN2, octavesOf, STEPS, type Octaves } from '../../math/powers.js';

/** Whether logits are not within the reach of the reduction as they are. */
const isSettled = (max: number, constants: Reduction, isBiased: boolean): boolean =>
  isBiased || constants.after !== 1 || Math.abs(max) > constants.reach;

/** Adds weights to the total, of distances from the largest logit where the logits as they are do not do. */
export function weigh_f64(n: number, max: number, maxRest: number, constants: Reduction, isBiased: boolean): void {
  const settled = isSettled(max, constants, isBiased);
  if (settled) {
    if (!isBiased) remainders.fill(0, 0, n);
    settle(n, max, maxRest, constants.after, -constants.reach);
  }
  expSum_f64(n, settled ? 0 : max, constants, settled, total);
}

/** Weights good for one rounding to float64. */
export class Logits_f64 extends Logits<Float64Array> implements Relative {
  private reduction: Reduction;
  private readonly whole: Reduction;
  private eighths: Reduction | undefined;
  private divisor: number;
  private divisorLow: number;

  constructor(
    x: Float64Array,
    cols: number,
    inner: number,
    private readonly temperature: number,
    mask: Uint8Array | null,
    maskLayout: number,
    bias: Float64Array | null,
  ) {
    super(x, cols, inner, mask, maskLayout, bias);
    this.reduction = this.whole = reduction(temperature, 1);
    this.divisor = 1;
    this.divisorLow = 0;
  }

  reference(max: number): Octaves {
    const { after, temperature, stepHigh } = this.reduction;
    if (isSettled(max, this.reduction, this.bias !== null))
      return octavesOf(max / after, this.maxRest / after, temperature);
    const octaves = Math.floor(max * (1 / stepHigh) + 0.5) / STEPS; // as expSum_f64 has it
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

  protected divideLogits(divisor: 1 | 8): void {
    this.reduction = divisor === 1 ? this.whole : (this.eighths ??= reduction(this.temperature, 8));
  }

  protected load(at: number, n: number): number {
    return load_f64(this.x, at, this.inner, n, this.reduction.before);
  }

  protected shift(bias: Float64Array, at: number, stride: number, n: number): number {
    return addBias(bias, at, stride, n, this.reduction.before);
  }

  weigh(n: number, max: number): void {
    weigh_f64(n, max, this.maxRest, this.reduction, this.bias !== null);
  }

  begin(): void {
    total[0] = 0;
    total[1] = 0;
  }

  protected end(): boolean {
    this.divisor = total[0]!;
    this.divisorLow = total[1]!;
    return this.divisor === this.divisor;
  }

  store(out: Float64Array, at: number, n: number): void {
    store_f64(out, at, this.inner, n, this.divisor, this.divisorLow);
  }
}
