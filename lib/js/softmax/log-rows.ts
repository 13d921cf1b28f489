/**
 * The logarithmic operators, from the largest logit of a row, and the sum S of the other weights relative to it:
 *
 *     log Σ exp(x / T) = max / T + log(1 + S)        logSoftmax = (x − max) / T − log(1 + S)
 *
 * So log(1 + S) keeps its digits where the largest logit stands alone. All numbers are doubles, for float32 too.
 */
import { log1p, twoSum } from '../../math/log.js';
import {
  cells,
  hasNaN,
  load_f32,
  load_f64,
  remainders,
  store_f32,
  subtractLargest,
  table,
  total,
  weigh_f64,
} from '../rows/logits.js';
import { DoubleLogits } from '../rows/logits-f64.js';
import { counts } from '../../backend/masks.js';
import { copyStep, logOf, logSteps, plainSumSteps, RAISE, remainderOf, sumSteps } from './log-steps.js';

type Floats = Float32Array | Float64Array;

// Made once: V8 takes `cells` for a constant in the first functions of a maker alone.
export const { sumOthers } = /* @__PURE__ */ sumSteps(cells, table);
export const { sumPlain } = /* @__PURE__ */ plainSumSteps(cells, table);
export const { plainLogs, toLogs, toGradient, toGradient_f32 } = /* @__PURE__ */ logSteps(cells);
export const { copy_f64 } = /* @__PURE__ */ copyStep(cells);

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
  /** Whether the logits of the measured row are in `cells`, or its weights. */
  private holdsLogits = false;
  private holdsWeights = false;

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

  /** Returns the logSumExp of the row that begins at `start`. */
  logSumExp(start: number): number {
    this.measure(start, false);
    return this.isNonFinite ? this.nonFiniteSum : this.logSumOf();
  }

  /** Writes the logSoftmax of a row. */
  logSoftmax(out: Floats, start: number): void {
    const { cols, inner, mask } = this;
    this.measure(start, false);
    if (this.isNonFinite) {
      const value = this.nonFiniteLog;
      for (let c = 0, at = start; c < cols; c++, at += inner)
        out[at] = mask !== null && this.isMasked(at, c) ? -Infinity : value;
      return;
    }
    this.eachPart((column, n) => {
      this.putLogs(start, column, n, this.isSingle);
      this.copyOut(out, start + column * inner, n);
    });
  }

  /** Returns the loss of a row whose target is `target`, and writes its gradient. −1: the row does not count. */
  crossEntropy(target: number, gradient: Floats | null, start: number): number {
    const { cols, inner } = this;
    if (target < 0) {
      for (let c = 0; gradient !== null && c < cols; c++) gradient[start + c * inner] = 0;
      return 0;
    }
    this.measure(start, gradient !== null);
    const at = start + target * inner;
    const isMasked = this.isMasked(at, target);
    const { logit, rest } = this.logitAt(at, target);
    const loss = isMasked ? Infinity : this.isNonFinite ? -this.nonFiniteLog : -this.logOf(logit, rest);
    if (gradient === null) return loss;
    if (this.isNonFinite) this.fillVisible(gradient, start, this.nonFiniteLog < 0 ? 0 : NaN);
    else this.writeGradient(gradient, start, isMasked ? -1 : target, logit === this.max && rest === this.maxRest);
    return loss;
  }

  /** Returns one logit of x with its bias, and the remainder of the sum. */
  protected logitAt(at: number, column: number): { readonly logit: number; readonly rest: number } {
    if (this.bias === null) return { logit: this.x[at]! / this.reduction.before, rest: 0 };
    this.holdsLogits = this.holdsWeights = false;
    this.loadValues(at, 1);
    this.addBias(this.bias, this.isBiasShared ? column : at, 1, 1);
    return { logit: cells[0]!, rest: remainders[0]! };
  }

  /** Returns the weight of one logit of the measured row. */
  protected weightOfLogit(logit: number, rest: number): number {
    const [first, firstRest] = [cells[0]!, remainders[0]!]; // of a row that may be in use
    cells[0] = logit;
    remainders[0] = rest;
    subtractLargest(1, this.max, this.maxRest, this.reduction.after, -this.reduction.reach);
    weigh_f64(1, 0, this.reduction, true, total);
    const weight = cells[0]! + remainders[0]!;
    cells[0] = first;
    remainders[0] = firstRest;
    return weight;
  }

  private writeGradient(gradient: Floats, start: number, target: number, isTop: boolean): void {
    const whole = 1 + this.others;
    const { temperature } = this;
    const isPlain = this.isSingle && temperature > 2 ** -900 && temperature < 2 ** 900;
    this.eachPart((column, n) => {
      this.putWeights(start, column, n);
      const isHere = target >= column && target < column + n;
      if (isHere) {
        const ofTarget = isTop ? this.raisedOthers : this.raisedOthers + (RAISE - cells[target - column]!);
        cells[target - column] = -ofTarget;
      }
      if (isPlain) toGradient_f32(n, whole, temperature);
      else toGradient(n, whole, temperature);
      this.copyOut(gradient, start + column * this.inner, n);
    });
  }

  /** Visits the parts of a row. */
  protected eachPart(visit: (column: number, n: number) => void): void {
    const { cols, partLength } = this;
    for (let column = 0; column < cols; column += partLength) visit(column, Math.min(partLength, cols - column));
  }

  /** Puts the logits of a part of the measured row into `cells`, and their remainders if there is a bias. */
  private putLogits(start: number, column: number, n: number): void {
    if (!this.holdsLogits) this.load(start, column, n);
    this.holdsLogits = this.holdsWeights = false; // callers change them
  }

  /**
   * Puts the logSoftmax of a part of the measured row into `cells`; −∞ where it is masked. `isForSingle`: it is rounded
   * to float32.
   */
  protected putLogs(start: number, column: number, n: number, isForSingle: boolean): void {
    this.putLogits(start, column, n);
    const { max, log, logLow, reduction } = this;
    if (this.bias === null) toLogs(n, max, log, logLow, reduction, isForSingle);
    else for (let i = 0; i < n; i++) cells[i] = this.logOf(cells[i]!, remainders[i]!);
  }

  /** Puts the weights of a part of the measured row into `cells`; 0 where it is masked. */
  protected putWeights(start: number, column: number, n: number): void {
    if (!this.holdsWeights) {
      this.putLogits(start, column, n);
      if (this.bias === null) sumOthers(n, this.max, this.reduction, true, total);
      else {
        this.weigh(n, this.max);
        for (let i = 0; i < n; i++) cells[i]! += remainders[i]!;
      }
    }
    this.holdsWeights = false;
  }

  /** Writes n numbers of `cells`. */
  protected copyOut(out: Floats, at: number, n: number): void {
    if (this.isSingle) store_f32(out as Float32Array, at, this.inner, n, 1);
    else copy_f64(out as Float64Array, at, this.inner, n);
  }

  /** Finds what results are made from. If `keepsWeights`, weights take the place of logits where that saves time. */
  protected measure(start: number, keepsWeights: boolean): void {
    const { cols, partLength, isLong, bias } = this;
    const max = this.findLargest(start);
    const isFinite = Math.abs(max) < Infinity;
    this.max = max;
    this.others = 0;
    let tops = 0;
    total[0] = total[1] = 0;
    this.holdsLogits = !isLong && bias === null && !(keepsWeights && isFinite);
    this.holdsWeights = !isLong && bias === null && keepsWeights && isFinite;
    for (let column = 0; column < cols && isFinite; column += partLength) {
      const n = Math.min(partLength, cols - column);
      if (isLong) this.load(start, column, n);
      if (bias === null) tops += sumOthers(n, max, this.reduction, keepsWeights && !isLong, total);
      else tops += this.sumBiased(n, max);
    }
    const high = total[0]!;
    const low = total[1]!;
    this.isNonFinite = !isFinite || high + low !== high + low;
    if (this.isNonFinite) {
      const hasNaN = isFinite || max !== max || this.hasNaNs(start);
      this.nonFiniteSum = hasNaN ? NaN : max;
      this.nonFiniteLog = this.nonFiniteSum < 0 && this.mask !== null ? -Infinity : NaN;
      return;
    }
    const [others, lost] = twoSum(tops - 1, high / RAISE);
    const [sum, rest] = twoSum(others, lost + low / RAISE);
    this.others = sum;
    this.raisedOthers = tops === 1 ? high + low : sum * RAISE;
    [this.log, this.logLow] = log1p(sum, rest);
  }

  private hasNaNs(start: number): boolean {
    let has = false;
    this.eachPart((column, n) => {
      this.load(start, column, n);
      has ||= hasNaN(n);
    });
    this.holdsLogits = this.holdsWeights = false;
    return has;
  }

  /** Adds the weights of n logits with a bias to the total, without the largest. Returns how many are the largest. */
  private sumBiased(n: number, max: number): number {
    const tops = this.removeTops(n, max);
    const [before, beforeLow] = [total[0]!, total[1]!];
    this.weigh(n, max);
    let [high, low] = [before, beforeLow];
    // A sum of its own: the total of weigh() is exact enough only for a sum with the largest weight in it.
    for (let i = 0; i < n; i++) {
      const weight = cells[i]!;
      const sum = high + weight;
      const ofWeight = sum - high;
      low += high - (sum - ofWeight) + (weight - ofWeight) + remainders[i]!;
      high = sum;
    }
    total[0] = high;
    total[1] = low;
    return tops;
  }

  /** Turns the largest logits into −∞. Returns their number. */
  private removeTops(n: number, max: number): number {
    let count = 0;
    for (let i = 0; i < n; i++) {
      if (cells[i] !== max || remainders[i] !== this.maxRest) continue;
      cells[i] = -Infinity;
      remainders[i] = 0;
      count++;
    }
    return count;
  }

  /** Returns the logSoftmax of one logit of the measured row. */
  protected logOf(logit: number, rest: number): number {
    return logOf(logit, rest, this.max, this.maxRest, this.log, this.logLow, this.reduction);
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
