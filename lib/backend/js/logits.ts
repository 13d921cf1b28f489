/**
 * A tensor of logits, and what every operator of the softmax family wants of one of its rows: the largest logit, the sum
 * of the weights exp((logit − largest) / temperature), and those weights once more, to write results from.
 *
 * A row no longer than HELD is loaded once and stays where it is from one step to the next. A longer one is taken part
 * by part, and its parts are loaded and weighed again where they are wanted again.
 */
import { expSums, reduction, stepAt, type Reduction } from './exp-sum.js';
import { isBits, isShared } from './masks.js';
import { LN2, octavesOf, STEPS, type Octaves } from './powers.js';
import { HELD, PART, rowSteps } from './row.js';

export const cells = new Float64Array(HELD);
export const remainders = new Float64Array(HELD);
export const total = new Float64Array(2);
export const { load_f32, load_f64, addBias, hide, largestRest, settle, store_f32, store_f64 } = rowSteps(cells, remainders);
export const { expSum_f32, expSum_f64 } = expSums(cells, remainders);

/** What partial sums ask of weights besides. */
export interface Relative {
  /** The power of two that weights with this `max` are relative to, or the largest loaded logit that a sum < 2^octave can have. */
  reference(max: number): Octaves;
  highest(octave: number): number;
  /** Makes this the sum that weights are divided by. */
  divideBy(sum: number): void;
}

/** [outer, cols, inner], with rows along the middle axis. A row is named by the index of its first element, `start`. */
export abstract class Logits<A extends Float32Array | Float64Array> {
  protected readonly isLong: boolean;
  protected readonly partLength: number;
  /** What the largest logit has beyond its double, where a bias was added. */
  protected maxRest: number;

  constructor(
    protected readonly x: A,
    protected readonly cols: number,
    protected readonly inner: number,
    readonly mask: Uint8Array | null,
    protected readonly maskLayout: number,
    protected readonly bias: A | null,
  ) {
    this.isLong = cols > HELD;
    this.partLength = this.isLong ? PART : cols;
    this.maxRest = 0;
  }

  /** Loads n logits and returns the largest. */
  protected abstract load(at: number, n: number): number;
  /** Adds n elements of the bias to them and returns the largest. */
  protected abstract shift(bias: A, at: number, stride: number, n: number): number;
  /** Turns them into weights, and adds those to the total. */
  abstract weigh(n: number, max: number): void;
  /** The total begins, and ends as the sum of a row; false if that is NaN. */
  abstract begin(): void;
  protected abstract end(): boolean;
  /** Writes n weights divided by the sum of the row. */
  abstract store(out: A, at: number, n: number): void;
  /** Softmax of every row. */
  softmax(out: A, outer: number): void {
    for (let o = 0; o < outer; o++) {
      for (let start = o * this.cols * this.inner, end = start + this.inner; start < end; start++) {
        const max = this.largest(start);
        if (max === -Infinity && this.mask !== null) fill(out, start, this.inner, this.cols, 0);
        else if (this.sum(start, max)) this.normalize(out, start, max);
        else fill(out, start, this.inner, this.cols, NaN);
      }
    }
  }

  /** The sum of weights since the beginning. */
  get weights(): number {
    return total[0]! + total[1]!;
  }

  /** Whether one of n loaded logits is NaN. */
  hasNaN(n: number): boolean {
    for (let i = 0; i < n; i++) if (cells[i] !== cells[i]) return true;
    return false;
  }

  /** Loads a part of a row for weights relative to its own largest logit, which is returned. */
  takeAlone(start: number, column: number, n: number): number {
    const max = this.take(start, column, n);
    this.maxRest = this.bias === null ? 0 : largestRest(n, max);
    return max;
  }

  /** Loads a part of a row for weights relative to a number without a rest. */
  takeRelative(start: number, column: number, n: number): void {
    this.take(start, column, n);
    this.maxRest = 0;
  }

  /** The largest logit of a row, −∞ where a mask leaves none. */
  largest(start: number): number {
    let max = -Infinity;
    this.maxRest = 0;
    for (let column = 0; column < this.cols; column += this.partLength) {
      const n = this.lengthAt(column);
      const largest = this.take(start, column, n);
      if (this.bias !== null && largest >= max) {
        const rest = largestRest(n, largest);
        this.maxRest = largest > max ? rest : Math.max(this.maxRest, rest);
      }
      max = Math.max(max, largest);
    }
    return max;
  }

  /** Sums the weights of a row whose largest logit was asked for. False if there is no sum: for NaN, +∞, nothing but −∞. */
  protected sum(start: number, max: number): boolean {
    this.begin();
    for (let column = 0; column < this.cols; column += this.partLength) {
      const n = this.lengthAt(column);
      if (this.isLong) this.take(start, column, n);
      this.weigh(n, max);
    }
    return this.end();
  }

  /** Writes the weights of a row divided by their sum. */
  protected normalize(out: A, start: number, max: number): void {
    for (let column = 0; column < this.cols; column += this.partLength) {
      const n = this.lengthAt(column);
      if (this.isLong) {
        this.take(start, column, n);
        this.weigh(n, max);
      }
      this.store(out, start + column * this.inner, n);
    }
  }

  protected lengthAt(column: number): number {
    return Math.min(this.partLength, this.cols - column);
  }

  /** Loads n logits of a row from a column on, with their bias and mask, and returns the largest. */
  protected take(start: number, column: number, n = this.lengthAt(column)): number {
    const { cols, inner, mask, maskLayout, bias } = this;
    const at = start + column * inner;
    let max = this.load(at, n);
    if (bias !== null) max = bias.length === cols ? this.shift(bias, column, 1, n) : this.shift(bias, at, inner, n);
    if (mask !== null) {
      max = isShared(maskLayout) ? hide(mask, isBits(maskLayout), column, 1, n) : hide(mask, isBits(maskLayout), at, inner, n);
    }
    return max;
  }
}

/** Weights good for one rounding to float32. */
export class Logits_f32 extends Logits<Float32Array> implements Relative {
  private readonly step: number;
  private readonly temperature: number;
  private divisor: number;

  constructor(
    x: Float32Array, cols: number, inner: number, temperature: number,
    mask: Uint8Array | null, maskLayout: number, bias: Float32Array | null,
  ) {
    super(x, cols, inner, mask, maskLayout, bias);
    this.step = stepAt(temperature);
    this.temperature = Math.max(temperature, 2 ** -1000); // as stepAt has it
    this.divisor = 1;
  }

  reference(max: number): Octaves {
    return octavesOf(max, this.maxRest, this.temperature);
  }

  highest(octave: number): number {
    return clamp(octave * LN2 * this.temperature);
  }

  divideBy(sum: number): void {
    this.divisor = sum;
  }

  protected load(at: number, n: number): number {
    return load_f32(this.x, at, this.inner, n);
  }

  protected shift(bias: Float32Array, at: number, stride: number, n: number): number {
    return addBias(bias, at, stride, n, 1);
  }

  weigh(n: number, max: number): void {
    if (this.bias !== null) settle(n, max, this.maxRest, 1, -Infinity);
    total[0]! += expSum_f32(n, this.bias === null ? max : 0, this.step);
  }

  begin(): void {
    total[0] = total[1] = 0;
  }

  protected end(): boolean {
    this.divisor = total[0]!;
    return this.divisor === this.divisor;
  }

  store(out: Float32Array, at: number, n: number): void {
    store_f32(out, at, this.inner, n, this.divisor);
  }
}

/** Whether logits are not within the reach of the reduction as they are. */
const isSettled = (max: number, constants: Reduction, isBiased: boolean): boolean =>
  isBiased || constants.after !== 1 || Math.abs(max) > constants.reach;

/** Adds weights to the total, of distances from the largest logit where the logits as they are do not do. */
function weigh_f64(n: number, max: number, maxRest: number, constants: Reduction, isBiased: boolean): void {
  const settled = isSettled(max, constants, isBiased);
  if (settled) {
    if (!isBiased) remainders.fill(0, 0, n);
    settle(n, max, maxRest, constants.after, -constants.reach);
  }
  expSum_f64(n, settled ? 0 : max, constants, settled, total);
}

/** Weights good for one rounding to float64. */
export class Logits_f64 extends Logits<Float64Array> implements Relative {
  private readonly reduction: Reduction;
  private divisor: number;
  private divisorLow: number;

  constructor(
    x: Float64Array, cols: number, inner: number, temperature: number,
    mask: Uint8Array | null, maskLayout: number, bias: Float64Array | null,
  ) {
    super(x, cols, inner, mask, maskLayout, bias);
    this.reduction = reduction(temperature, bias !== null);
    this.divisor = 1;
    this.divisorLow = 0;
  }

  reference(max: number): Octaves {
    const { after, temperature, stepHigh } = this.reduction;
    if (isSettled(max, this.reduction, this.bias !== null)) return octavesOf(max / after, this.maxRest / after, temperature);
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

/*
 * Softmax of rows that are held whole and have neither mask nor bias: the same steps, but without an object and its
 * methods, which would take as long as a row of ten.
 */

export function softmaxPlain_f32(
  x: Float32Array, out: Float32Array, outer: number, cols: number, inner: number, temperature: number,
): void {
  const step = stepAt(temperature);
  for (let o = 0; o < outer; o++) {
    for (let start = o * cols * inner, end = start + inner; start < end; start++) {
      const max = load_f32(x, start, inner, cols);
      const sum = expSum_f32(cols, max, step);
      if (sum === sum) store_f32(out, start, inner, cols, sum);
      else fill(out, start, inner, cols, NaN);
    }
  }
}

export function softmaxPlain_f64(
  x: Float64Array, out: Float64Array, outer: number, cols: number, inner: number, temperature: number,
): void {
  const constants = reduction(temperature, false);
  for (let o = 0; o < outer; o++) {
    for (let start = o * cols * inner, end = start + inner; start < end; start++) {
      const max = load_f64(x, start, inner, cols, constants.before);
      total[0] = total[1] = 0;
      weigh_f64(cols, max, 0, constants, false);
      if (total[0] === total[0]) store_f64(out, start, inner, cols, total[0], total[1]);
      else fill(out, start, inner, cols, NaN);
    }
  }
}

const clamp = (logit: number): number => Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, logit));

export function fill(out: Float32Array | Float64Array, start: number, stride: number, n: number, value: number): void {
  for (let i = 0; i < n; i++) out[start + i * stride] = value;
}
