/**
 * The logarithmic operators, from a row's largest logit and the sum S of the other weights relative to it:
 *
 *     log Σ exp(x / T) = max / T + log(1 + S)        logSoftmax = (x − max) / T − log(1 + S)
 *
 * so that log(1 + S) keeps its digits where the largest stands alone. All in the arithmetic of float64, for float32
 * too.
 */
import { kindOf } from '../../call/arrays.js';
import { reduction, type Reduction } from '../rows/exponentials.js';
import { log1p } from '../../math/log.js';
import { twoSum } from '../../math/log.js';
import { addBias, cells, expSum_f64, load_f32, load_f64, Logits, remainders, settle, total } from '../rows/logits.js';
import { counts } from '../../backend/masks.js';
import { exactProduct, HEADROOM } from '../../math/powers.js';
import { NEAR_END } from '../rows/row.js';

type Floats = Float32Array | Float64Array;

const RAISE = 2 ** HEADROOM;

export class LogRows extends Logits<Floats> {
  private readonly isSingle: boolean;
  private reduction: Reduction;
  private readonly whole: Reduction;
  private eighths: Reduction | undefined;
  /** Of the row that was measured; `raised` is `others` · RAISE, also where the latter is subnormal. */
  private max = 0;
  private others = 0;
  private raised = 0;
  private log = 0;
  private logLow = 0;
  /** No finite largest logit, or a NaN: this is the logSumExp then. */
  private isOdd = false;
  private odd = 0;
  /**
   * What positions of such a row get that are not masked: NaN, but for nothing but −∞ where a mask was given, which is
   * no fault.
   */
  private oddLog = NaN;

  constructor(
    x: Floats,
    cols: number,
    inner: number,
    private readonly temperature: number,
    mask: Uint8Array | null,
    maskLayout: number,
    bias: Floats | null,
  ) {
    super(x, cols, inner, mask, maskLayout, bias);
    // Doubles hold float32 logits with a bias, and at the highest temperatures all weights are 1.
    this.isSingle = kindOf(x) === 'Float32Array';
    this.reduction = this.whole = reduction(this.isSingle ? Math.min(temperature, 2 ** 900) : temperature, 1);
  }

  protected divideLogits(divisor: 1 | 8): void {
    this.reduction = divisor === 1 ? this.whole : (this.eighths ??= reduction(this.temperature, 8));
  }

  protected load(at: number, n: number): number {
    const { x, inner } = this;
    return this.isSingle
      ? load_f32(x as Float32Array, at, inner, n)
      : load_f64(x as Float64Array, at, inner, n, this.reduction.before);
  }

  protected shift(bias: Floats, at: number, stride: number, n: number): number {
    return addBias(bias, at, stride, n, this.reduction.before);
  }

  /** Quotients of sums that overflow may not do so, nor their distances from a largest logit that lies far below 0. */
  protected override isBeyond(max: number): boolean {
    return this.temperature > 1 || !(max > -(2 ** 900) && max < Infinity);
  }

  /**
   * Distances from the largest logit itself, always: its weight must be 1, and not just the same factor in all of them.
   */
  weigh(n: number, max: number): void {
    if (this.bias === null) remainders.fill(0, 0, n);
    settle(n, max, this.maxRest, this.reduction.after, -this.reduction.reach);
    expSum_f64(n, 0, this.reduction, true, total);
  }

  begin(): void {}
  protected end(): boolean {
    return true;
  }
  store(): void {}

  /** Each row's logSumExp. */
  logSumExp(out: Float64Array, outer: number): void {
    this.each(outer, (start, row) => {
      this.measure(start);
      out[row] = this.isOdd ? this.odd : this.sumOfLogs();
    });
  }

  logSoftmax(out: Floats, outer: number): void {
    this.each(outer, (start) => {
      this.measure(start);
      this.parts(start, (column, n) => {
        for (let i = 0; i < n; i++) {
          const at = start + (column + i) * this.inner;
          out[at] = this.isOdd
            ? this.isMasked(at, column + i)
              ? -Infinity
              : this.oddLog
            : this.logOf(cells[i]!, this.bias === null ? 0 : remainders[i]!);
        }
      });
    });
  }

  crossEntropy(targets: Int32Array, loss: Float64Array, gradient: Floats | null, outer: number): void {
    this.each(outer, (start, row) => {
      const target = targets[row]!;
      if (target < 0) {
        loss[row] = 0;
        for (let c = 0; gradient !== null && c < this.cols; c++) gradient[start + c * this.inner] = 0;
        return;
      }
      this.measure(start);
      const at = start + target * this.inner;
      const isMasked = this.isMasked(at, target);
      this.load(at, 1);
      if (this.bias !== null) this.shift(this.bias, this.isBiasShared ? target : at, 1, 1);
      const [logit, rest] = [cells[0]!, this.bias === null ? 0 : remainders[0]!];
      loss[row] = isMasked ? Infinity : this.isOdd ? -this.oddLog : -this.logOf(logit, rest);
      if (gradient !== null)
        this.writeGradient(gradient, start, isMasked ? -1 : target, logit === this.max && rest === this.maxRest);
    });
  }

  private writeGradient(gradient: Floats, start: number, target: number, isTop: boolean): void {
    const whole = 1 + this.others;
    const { temperature } = this;
    // One of the two orders keeps what is between within doubles.
    const quotient = (raised: number): number =>
      temperature < 1 ? raised / whole / (temperature * RAISE) : raised / whole / temperature / RAISE;
    this.parts(start, (column, n) => {
      if (!this.isOdd) this.weigh(n, this.max);
      for (let i = 0; i < n; i++) {
        const at = start + (column + i) * this.inner;
        const weight = cells[i]! + remainders[i]!;
        const numerator = column + i !== target ? weight : isTop ? -this.raised : -(this.raised + (RAISE - weight));
        gradient[at] = this.isMasked(at, column + i)
          ? 0
          : this.isOdd
            ? this.oddLog < 0
              ? 0
              : NaN
            : quotient(numerator);
      }
    });
  }

  private each(outer: number, row: (start: number, index: number) => void): void {
    const { cols, inner } = this;
    for (let o = 0, index = 0; o < outer; o++) {
      for (let start = o * cols * inner, end = start + inner; start < end; start++) row(start, index++);
    }
  }

  /** Each part of a row, loaded anew. */
  private parts(start: number, part: (column: number, n: number) => void): void {
    for (let column = 0; column < this.cols; column += this.partLength) {
      this.take(start, column);
      part(column, this.lengthAt(column));
    }
  }

  private measure(start: number): void {
    const max = this.largest(start);
    this.max = max;
    this.others = 0;
    let tops = 0;
    let high = 0;
    let low = 0;
    let isNaNThere = max !== max;
    this.parts(start, (_, n) => {
      if (Math.abs(max) < Infinity) {
        tops += this.hideTops(n, max);
        this.weigh(n, max);
        // Added up anew: the total of weigh() is as exact as a sum needs that has the largest weight in it.
        for (let i = 0; i < n; i++) {
          const weight = cells[i]!;
          const sum = high + weight;
          const ofWeight = sum - high;
          low += high - (sum - ofWeight) + (weight - ofWeight) + remainders[i]!;
          high = sum;
        }
      } else {
        for (let i = 0; i < n; i++) isNaNThere ||= cells[i]! !== cells[i]!;
      }
    });
    this.isOdd = !(Math.abs(max) < Infinity) || high + low !== high + low;
    if (this.isOdd) {
      this.odd = isNaNThere || Math.abs(max) < Infinity ? NaN : max;
      this.oddLog = this.odd < 0 && this.mask !== null ? -Infinity : NaN;
      return;
    }
    const [others, lost] = twoSum(tops - 1, high / RAISE);
    const [sum, rest] = twoSum(others, lost + low / RAISE);
    this.others = sum;
    this.raised = tops === 1 ? high + low : sum * RAISE;
    [this.log, this.logLow] = log1p(sum, rest);
  }

  /** Takes the largest logits out of the row and counts them. */
  private hideTops(n: number, max: number): number {
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

  /** logSoftmax of one logit of the row that was measured. */
  private logOf(logit: number, rest: number): number {
    const [distance, lost] = twoSum(logit, -this.max);
    const { after, temperature } = this.reduction;
    // A distance that overflows may have a quotient that does not, and one near the end has no rest.
    if (distance <= -NEAR_END)
      return logit === -Infinity ? distance : ((logit / 4 - this.max / 4) / after / temperature) * 4 - this.log;
    const low = (lost + (rest - this.maxRest)) / after;
    const quotient = distance / after / temperature;
    if (!(quotient > -Infinity)) return quotient;
    const remainder = temperature === 1 ? 0 : remainderOf(distance / after, quotient, temperature);
    return quotient + ((remainder + low) / temperature - this.log - this.logLow);
  }

  private sumOfLogs(): number {
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

  private isMasked(at: number, column: number): boolean {
    return this.mask !== null && !counts(this.mask, this.maskLayout, at, column);
  }
}

/** a − quotient · divisor, where that can be told without overflow or underflow, else 0. */
function remainderOf(a: number, quotient: number, divisor: number): number {
  const size = Math.abs(a);
  if (size > 2 ** 900 || size < 2 ** -900 || divisor > 2 ** 900 || Math.abs(quotient) > 2 ** 900) return 0;
  const [product, rest] = exactProduct(quotient, divisor);
  return a - product - rest;
}
