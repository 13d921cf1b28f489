/**
 * The logarithmic operators, from the largest logit of a row, and the sum S of the other weights relative to it:
 *
 *     log Σ exp(x / T) = max / T + log(1 + S)        logSoftmax = (x − max) / T − log(1 + S)
 *
 * So log(1 + S) keeps its digits where the largest logit stands alone. All numbers are doubles, for float32 too.
 */
import { log1p, twoSum } from '../../math/log.js';
import { cells, load_f32, load_f64, remainders, subtractLargest, total, weigh_f64 } from '../rows/logits.js';
import { DoubleLogits } from '../rows/logits-f64.js';
import { counts } from '../../backend/masks.js';
import { exactProduct, HEADROOM } from '../../math/powers.js';
import { NEAR_END } from '../rows/bias.js';
import { eachRow } from '../rows/row.js';

type Floats = Float32Array | Float64Array;

/** The factor of all weights in a row. */
export const RAISE = 2 ** HEADROOM;

export class LogRows extends DoubleLogits<Floats> {
  /** What measure() finds of a row: its largest logit, S, S · RAISE (normal where S is subnormal), and log(1 + S). */
  protected max = 0;
  protected others = 0;
  private raisedOthers = 0;
  private log = 0;
  private logLow = 0;
  /** Whether the row has a NaN or no finite largest logit. */
  protected isNonFinite = false;
  /** The logSumExp of such a row. */
  protected nonFiniteSum = 0;
  /** The logSoftmax at its visible positions: −∞ if all are −∞ and a mask was given, else NaN. */
  protected nonFiniteLog = NaN;

  protected loadValues(at: number, n: number): number {
    const { x, inner } = this;
    return this.isSingle
      ? load_f32(x as Float32Array, at, inner, n)
      : load_f64(x as Float64Array, at, inner, n, this.reduction.before);
  }

  /** A sum that overflows may have a finite quotient, or a finite distance from a largest logit far below 0. */
  protected override doesOverflowMatter(max: number): boolean {
    return this.temperature > 1 || !(max > -(2 ** 900) && max < Infinity);
  }

  /** Weights are always made of distances, so that the largest logit has exactly the weight 1. */
  weigh(n: number, max: number): void {
    if (this.bias === null) remainders.fill(0, 0, n);
    subtractLargest(n, max, this.maxRest, this.reduction.after, -this.reduction.reach);
    weigh_f64(n, 0, this.reduction, true, total);
  }

  beginSum(): void {}
  protected endSum(): boolean {
    return true;
  }
  store(): void {}

  logSumExp(out: Float64Array, outer: number): void {
    this.visitRows(outer, (start, row) => {
      this.measure(start);
      out[row] = this.isNonFinite ? this.nonFiniteSum : this.logSumOf();
    });
  }

  logSoftmax(out: Floats, outer: number): void {
    this.visitRows(outer, (start) => {
      this.measure(start);
      this.visitParts(start, (column, n) => {
        for (let i = 0; i < n; i++) {
          const at = start + (column + i) * this.inner;
          out[at] = this.isNonFinite
            ? this.isMasked(at, column + i)
              ? -Infinity
              : this.nonFiniteLog
            : this.logOf(cells[i]!, this.bias === null ? 0 : remainders[i]!);
        }
      });
    });
  }

  crossEntropy(targets: Int32Array, loss: Float64Array, gradient: Floats | null, outer: number): void {
    this.visitRows(outer, (start, row) => {
      const target = targets[row]!;
      if (target < 0) {
        loss[row] = 0;
        for (let c = 0; gradient !== null && c < this.cols; c++) gradient[start + c * this.inner] = 0;
        return;
      }
      this.measure(start);
      const at = start + target * this.inner;
      const isMasked = this.isMasked(at, target);
      this.loadValues(at, 1);
      if (this.bias !== null) this.addBias(this.bias, this.isBiasShared ? target : at, 1, 1);
      const [logit, rest] = [cells[0]!, this.bias === null ? 0 : remainders[0]!];
      loss[row] = isMasked ? Infinity : this.isNonFinite ? -this.nonFiniteLog : -this.logOf(logit, rest);
      if (gradient !== null)
        this.writeGradient(gradient, start, isMasked ? -1 : target, logit === this.max && rest === this.maxRest);
    });
  }

  private writeGradient(gradient: Floats, start: number, target: number, isTop: boolean): void {
    const whole = 1 + this.others;
    const { temperature } = this;
    // This order of divisions neither overflows nor loses bits.
    const quotient = (raised: number): number =>
      temperature < 1 ? raised / whole / (temperature * RAISE) : raised / whole / temperature / RAISE;
    this.visitParts(start, (column, n) => {
      if (!this.isNonFinite) this.weigh(n, this.max);
      for (let i = 0; i < n; i++) {
        const at = start + (column + i) * this.inner;
        const weight = cells[i]! + remainders[i]!;
        const ofTarget = isTop ? this.raisedOthers : this.raisedOthers + (RAISE - weight);
        const numerator = column + i === target ? -ofTarget : weight;
        gradient[at] = this.isMasked(at, column + i)
          ? 0
          : this.isNonFinite
            ? this.nonFiniteLog < 0
              ? 0
              : NaN
            : quotient(numerator);
      }
    });
  }

  protected visitRows(outer: number, visit: (start: number, row: number) => void): void {
    eachRow(outer, this.cols, this.inner, visit);
  }

  /** Copies each part of a row again, and visits it. */
  protected visitParts(start: number, visit: (column: number, n: number) => void): void {
    for (let column = 0; column < this.cols; column += this.partLength) {
      this.load(start, column);
      visit(column, this.lengthAt(column));
    }
  }

  /** Finds what results are made from. */
  protected measure(start: number): void {
    const max = this.findLargest(start);
    this.max = max;
    this.others = 0;
    let tops = 0;
    let high = 0;
    let low = 0;
    let hasNaN = max !== max;
    this.visitParts(start, (_, n) => {
      if (Math.abs(max) < Infinity) {
        tops += this.removeTops(n, max);
        this.weigh(n, max);
        // A sum of its own: the total of weigh() is exact enough only for a sum with the largest weight in it.
        for (let i = 0; i < n; i++) {
          const weight = cells[i]!;
          const sum = high + weight;
          const ofWeight = sum - high;
          low += high - (sum - ofWeight) + (weight - ofWeight) + remainders[i]!;
          high = sum;
        }
      } else {
        for (let i = 0; i < n; i++) hasNaN ||= cells[i]! !== cells[i]!;
      }
    });
    this.isNonFinite = !(Math.abs(max) < Infinity) || high + low !== high + low;
    if (this.isNonFinite) {
      this.nonFiniteSum = hasNaN || Math.abs(max) < Infinity ? NaN : max;
      this.nonFiniteLog = this.nonFiniteSum < 0 && this.mask !== null ? -Infinity : NaN;
      return;
    }
    const [others, lost] = twoSum(tops - 1, high / RAISE);
    const [sum, rest] = twoSum(others, lost + low / RAISE);
    this.others = sum;
    this.raisedOthers = tops === 1 ? high + low : sum * RAISE;
    [this.log, this.logLow] = log1p(sum, rest);
  }

  /** Turns the largest logits into −∞. Returns their number. */
  private removeTops(n: number, max: number): number {
    const isBiased = this.bias !== null;
    let count = 0;
    for (let i = 0; i < n; i++) {
      if (cells[i] !== max || (isBiased && remainders[i] !== this.maxRest)) continue;
      cells[i] = -Infinity;
      remainders[i] = 0;
      count++;
    }
    return count;
  }

  /** Returns the logSoftmax of one logit of the measured row. */
  protected logOf(logit: number, rest: number): number {
    const [distance, lost] = twoSum(logit, -this.max);
    const { after, temperature } = this.reduction;
    // A distance that overflows may have a finite quotient. A distance near the end has no rounding error.
    if (distance <= -NEAR_END)
      return logit === -Infinity ? distance : ((logit / 4 - this.max / 4) / after / temperature) * 4 - this.log;
    const low = (lost + (rest - this.maxRest)) / after;
    const quotient = distance / after / temperature;
    if (!(quotient > -Infinity)) return quotient;
    const remainder = temperature === 1 ? 0 : remainderOf(distance / after, quotient, temperature);
    return quotient + ((remainder + low) / temperature - this.log - this.logLow);
  }

  /** Returns max / T + log(1 + S) of the measured row. */
  protected logSumOf(): number {
    const { before } = this.reduction;
    const isWhole = Math.abs(this.max * before) < Infinity;
    const [max, rest, temperature] = isWhole
      ? [this.max * before, this.maxRest * before, this.temperature]
      : [this.max, this.maxRest, this.temperature / before];
    const quotient = max / temperature;
    if (!(Math.abs(quotient) < Infinity)) return quotient;
    const low = (remainderOf(max, quotient, temperature) + rest) / temperature;
    const [sum, lost] = twoSum(quotient, this.log);
    return sum + (lost + (low + this.logLow));
  }

  protected isMasked(at: number, column: number): boolean {
    return this.mask !== null && !counts(this.mask, this.maskLayout, at, column);
  }
}

/** Returns a − quotient · divisor; 0 where the product could overflow or underflow. */
function remainderOf(a: number, quotient: number, divisor: number): number {
  const size = Math.abs(a);
  if (size > 2 ** 900 || size < 2 ** -900 || divisor > 2 ** 900 || Math.abs(quotient) > 2 ** 900) return 0;
  const [product, rest] = exactProduct(quotient, divisor);
  return a - product - rest;
}
