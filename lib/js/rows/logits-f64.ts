/**
 * Rows of float64 logits (logits.ts). Their weights keep their rounding errors, and sums of x and bias may exceed the
 * range of doubles.
 */
import { kindOf } from '../../call/arrays.js';
import { reduction, type Reduction } from './exponentials.js';
import { addBias, load_f64, Logits, remainders, store_f64, subtractLargest, total, weigh_f64 } from './logits.js';

/** Whether logits are out of reach of the reduction, so that only their distances from the largest are reduced. */
export const wantsDistances = (max: number, constants: Reduction, isBiased: boolean): boolean =>
  isBiased || constants.after !== 1 || Math.abs(max) > constants.reach;

/** Turns n logits into weights, by their distances from the largest where needed, and adds these to the total. */
export function addWeights(n: number, max: number, maxRest: number, constants: Reduction, isBiased: boolean): void {
  const areDistances = wantsDistances(max, constants, isBiased);
  if (areDistances) {
    if (!isBiased) remainders.fill(0, 0, n);
    subtractLargest(n, max, maxRest, constants.after, -constants.reach);
  }
  weigh_f64(n, areDistances ? 0 : max, constants, areDistances, total);
}

/** Logits whose weights are doubles with remainders. */
export abstract class DoubleLogits<A extends Float32Array | Float64Array> extends Logits<A> {
  protected readonly isSingle: boolean;
  protected reduction: Reduction;
  private readonly whole: Reduction;
  private eighths: Reduction | undefined;

  constructor(
    x: A,
    cols: number,
    inner: number,
    protected readonly temperature: number,
    mask: Uint8Array | null,
    maskLayout: number,
    bias: A | null,
  ) {
    super(x, cols, inner, mask, maskLayout, bias);
    this.isSingle = kindOf(x) === 'Float32Array';
    // Doubles hold float32 logits with a bias, and from 2^900 on all their weights are 1.
    this.reduction = this.whole = reduction(this.isSingle ? Math.min(temperature, 2 ** 900) : temperature, 1);
  }

  protected divideLogits(divisor: 1 | 8): void {
    this.reduction = divisor === 1 ? this.whole : (this.eighths ??= reduction(this.temperature, 8));
  }

  protected addBias(bias: A, at: number, stride: number, n: number): number {
    return addBias(bias, at, stride, n, this.reduction.before);
  }
}

/** Float64 logits: their weights are good for one rounding to float64. */
export class Logits_f64 extends DoubleLogits<Float64Array> {
  protected divisor = 1;
  protected divisorLow = 0;

  protected loadValues(at: number, n: number): number {
    return load_f64(this.x, at, this.inner, n, this.reduction.before);
  }

  weigh(n: number, max: number): void {
    addWeights(n, max, this.maxRest, this.reduction, this.bias !== null);
  }

  beginSum(): void {
    total[0] = 0;
    total[1] = 0;
  }

  protected endSum(): boolean {
    this.divisor = total[0]!;
    this.divisorLow = total[1]!;
    return this.divisor === this.divisor;
  }

  store(out: Float64Array, at: number, n: number): void {
    store_f64(out, at, this.inner, n, this.divisor, this.divisorLow);
  }
}
