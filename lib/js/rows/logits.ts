/**
 * A tensor of logits, and what every operator of the softmax family wants of one of its rows: the largest logit, the
 * sum of the weights exp((logit − largest) / temperature), and those weights once more, to write results from.
 *
 * A row no longer than HELD is loaded once and stays where it is from one step to the next. A longer one is taken part
 * by part, and its parts are loaded and weighed again where they are wanted again.
 */
import { lengthOf } from '../../call/arrays.js';
import { expSums, stepAt } from './exponentials.js';
import { counts, isBits, isShared } from '../../backend/masks.js';
import { LN2, octavesOf, type Octaves } from '../../math/powers.js';
import { HELD, PART, rowSteps } from './row.js';

export const cells = new Float64Array(HELD);
export const remainders = new Float64Array(HELD);
export const total = new Float64Array(2);
export const { load_f32, load_f64, addBias, hasOverflowed, hide, largestRest, settle, store_f32, store_f64 } = rowSteps(
  cells,
  remainders,
);
export const { expSum_f32, expSum_f64 } = expSums(cells, remainders);

/** What partial sums ask of weights besides. */
export interface Relative {
  /**
   * The power of two that weights with this `max` are relative to, or the largest loaded logit that a sum < 2^octave
   * can have.
   */
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
  /** The bias has one row, for all of them. */
  protected readonly isBiasShared: boolean;

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
    this.isBiasShared = bias !== null && lengthOf(bias) === cols;
  }

  /** From now on logits are loaded whole, or as eighths of x and bias where whole sums overflow. */
  protected abstract divideLogits(divisor: 1 | 8): void;
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
        else this.fillVisible(out, start, NaN);
      }
    }
  }

  /** A value at the positions of a row that are not masked, 0 at the others. */
  fillVisible(out: A, start: number, value: number): void {
    const { cols, inner, mask, maskLayout } = this;
    for (let c = 0, at = start; c < cols; c++, at += inner)
      out[at] = mask === null || counts(mask, maskLayout, at, c) ? value : 0;
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
    this.divideLogits(1);
    hasOverflowed(); // elsewhere
    let max = this.take(start, column, n);
    this.maxRest = 0;
    if (this.bias === null) return max;
    if (hasOverflowed() && !(Math.abs(max) < Infinity)) {
      this.divideLogits(8);
      max = this.take(start, column, n);
    }
    this.maxRest = largestRest(n, max);
    return max;
  }

  /** Loads a part of a row for weights relative to a number without a rest. */
  takeRelative(start: number, column: number, n: number): void {
    this.divideLogits(1);
    this.take(start, column, n);
    this.maxRest = 0;
  }

  /**
   * Whether sums that overflow matter beside this largest logit: below a finite one they have no weight, whatever they
   * are.
   */
  protected isBeyond(max: number): boolean {
    return !(Math.abs(max) < Infinity);
  }

  /** The largest logit of a row, −∞ where a mask leaves none. */
  largest(start: number): number {
    this.divideLogits(1);
    hasOverflowed(); // elsewhere
    const max = this.findLargest(start);
    if (this.bias === null || !hasOverflowed() || !this.isBeyond(max)) return max;
    this.divideLogits(8);
    return this.findLargest(start);
  }

  private findLargest(start: number): number {
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

  /**
   * Sums the weights of a row whose largest logit was asked for. False if there is no sum: for NaN, +∞, nothing but −∞.
   */
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
    const { inner, mask, maskLayout, bias } = this;
    const at = start + column * inner;
    let max = this.load(at, n);
    if (bias !== null) max = this.isBiasShared ? this.shift(bias, column, 1, n) : this.shift(bias, at, inner, n);
    if (mask !== null) {
      max = isShared(maskLayout)
        ? hide(mask, isBits(maskLayout), column, 1, n)
        : hide(mask, isBits(maskLayout), at, inner, n);
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
    x: Float32Array,
    cols: number,
    inner: number,
    temperature: number,
    mask: Uint8Array | null,
    maskLayout: number,
    bias: Float32Array | null,
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

  protected divideLogits(): void {} // doubles hold all sums of floats

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

/** The finite number nearest to a logit. */
export const clamp = (logit: number): number => Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, logit));

export function fill(out: Float32Array | Float64Array, start: number, stride: number, n: number, value: number): void {
  for (let i = 0; i < n; i++) out[start + i * stride] = value;
}
