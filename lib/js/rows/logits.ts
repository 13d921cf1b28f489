/**
 * A tensor of logits and the steps that operators take with one of its rows: the largest logit; the sum of the weights
 * exp((logit − largest) / temperature); and the same weights once more, to write results.
 *
 * A row of at most HELD_LENGTH logits is copied once, and stays there from one step to the next. A longer row goes part
 * by part, and each step copies its parts again.
 */
import { lengthOf } from '../../call/arrays.js';
import { counts, isBits, isShared } from '../../backend/masks.js';
import { biasSteps, distanceSteps } from './bias.js';
import { powerTable, stepAt, weightSteps_f32, weightSteps_f64 } from './exponentials.js';
import { loadSteps, maskSteps } from './load.js';
import { eachRow, HELD_LENGTH, LONGEST_HELD, PART_LENGTH } from './row.js';
import { storeSteps } from './store.js';

const memory = new ArrayBuffer(8 * LONGEST_HELD);
export const cells = new Float64Array(memory);
/** Behind the first HELD_LENGTH of `cells`: a longer row has none. */
export const remainders = new Float64Array(memory, 4 * LONGEST_HELD, HELD_LENGTH);
/** The sum of weights, as a high and a low part. */
export const total = new Float64Array(2);
export const { load_f32, load_f64, load_half } = loadSteps(cells);
export const { addBias, hasOverflowed, largestRest } = biasSteps(cells, remainders);
export const { subtractLargest } = distanceSteps(cells, remainders);
export const { store_f32, store_f64 } = storeSteps(cells, remainders);
const { hide } = maskSteps(cells);
export const table = powerTable();
export const { weigh_f32 } = weightSteps_f32(cells, table);
export const { weigh_f64 } = weightSteps_f64(cells, remainders, table);

/** Logits [outer, cols, inner], with rows along the middle axis. `start` is the index of a row's first element. */
export abstract class Logits<A extends Float32Array | Float64Array> {
  protected readonly isLong: boolean;
  protected readonly partLength: number;
  /** The largest logit is its double plus this remainder. Only a bias makes one. */
  protected maxRest: number;
  /** Whether the bias is one row, which all rows share. */
  protected readonly isBiasShared: boolean;

  constructor(
    protected readonly x: A,
    protected readonly cols: number,
    protected readonly inner: number,
    readonly mask: Uint8Array | null,
    protected readonly maskLayout: number,
    protected readonly bias: A | null,
  ) {
    this.isLong = cols > HELD_LENGTH;
    this.partLength = this.isLong ? PART_LENGTH : cols;
    this.maxRest = 0;
    this.isBiasShared = bias !== null && lengthOf(bias) === cols;
  }

  /** Sets what logits are divided by when they are loaded: 1, or 8 where sums with the bias overflow. */
  protected abstract divideLogits(divisor: 1 | 8): void;
  /** Copies n elements of x, and returns the largest. */
  protected abstract loadValues(at: number, n: number): number;
  /** Adds n elements of the bias to the copied ones, and returns the largest sum. */
  protected abstract addBias(bias: A, at: number, stride: number, n: number): number;
  /** Turns n copied logits into weights, and adds these to the total. */
  abstract weigh(n: number, max: number): void;
  /** Empties the total. */
  abstract beginSum(): void;
  /** Makes the total the sum that weights are divided by. Returns false if it is NaN. */
  protected abstract endSum(): boolean;
  /** Writes n weights, divided by the sum. */
  abstract store(out: A, at: number, n: number): void;

  /** Writes the softmax of every row. */
  softmax(out: A, outer: number): void {
    eachRow(outer, this.cols, this.inner, (start) => {
      const max = this.findLargest(start);
      if (max === -Infinity && this.mask !== null) fill(out, start, this.inner, this.cols, 0);
      else if (this.sum(start, max)) this.normalize(out, start, max);
      else this.fillVisible(out, start, NaN);
    });
  }

  /** Writes a value to the positions of a row that are not masked, and 0 to the others. */
  fillVisible(out: A, start: number, value: number): void {
    const { cols, inner, mask, maskLayout } = this;
    for (let c = 0, at = start; c < cols; c++, at += inner)
      out[at] = mask === null || counts(mask, maskLayout, at, c) ? value : 0;
  }

  /** Whether sums that overflow matter beside this largest logit. Below a finite one they have no weight. */
  protected doesOverflowMatter(max: number): boolean {
    return !(Math.abs(max) < Infinity);
  }

  /** Returns the largest logit of a row; −∞ where a mask leaves none. Later steps on the row rely on it. */
  findLargest(start: number): number {
    this.divideLogits(1);
    hasOverflowed(); // forgets sums of other rows
    const max = this.largestOfParts(start);
    if (this.bias === null || !hasOverflowed() || !this.doesOverflowMatter(max)) return max;
    this.divideLogits(8);
    return this.largestOfParts(start);
  }

  private largestOfParts(start: number): number {
    let max = -Infinity;
    this.maxRest = 0;
    for (let column = 0; column < this.cols; column += this.partLength) {
      const n = this.lengthAt(column);
      const largest = this.load(start, column, n);
      if (this.bias !== null && largest >= max) {
        const rest = largestRest(n, largest);
        this.maxRest = largest > max ? rest : Math.max(this.maxRest, rest);
      }
      max = Math.max(max, largest);
    }
    return max;
  }

  /** Sums the weights of the row of the last findLargest. Returns false for a NaN, for +∞ and for −∞ alone. */
  protected sum(start: number, max: number): boolean {
    this.beginSum();
    for (let column = 0; column < this.cols; column += this.partLength) {
      const n = this.lengthAt(column);
      if (this.isLong) this.load(start, column, n);
      this.weigh(n, max);
    }
    return this.endSum();
  }

  /** Writes the weights of a row, divided by their sum. */
  protected normalize(out: A, start: number, max: number): void {
    for (let column = 0; column < this.cols; column += this.partLength) {
      const n = this.lengthAt(column);
      if (this.isLong) {
        this.load(start, column, n);
        this.weigh(n, max);
      }
      this.store(out, start + column * this.inner, n);
    }
  }

  protected lengthAt(column: number): number {
    return Math.min(this.partLength, this.cols - column);
  }

  /** Copies n logits of a row from a column on, with their bias and mask. Returns the largest. */
  protected load(start: number, column: number, n = this.lengthAt(column)): number {
    const { inner, mask, maskLayout, bias } = this;
    const at = start + column * inner;
    let max = this.loadValues(at, n);
    if (bias !== null) max = this.isBiasShared ? this.addBias(bias, column, 1, n) : this.addBias(bias, at, inner, n);
    if (mask !== null) {
      max = isShared(maskLayout)
        ? hide(mask, isBits(maskLayout), column, 1, n)
        : hide(mask, isBits(maskLayout), at, inner, n);
    }
    return max;
  }
}

/** Float32 logits: their weights are good for one rounding to float32. */
export class Logits_f32 extends Logits<Float32Array> {
  private readonly step: number;
  protected divisor: number;

  constructor(
    x: Float32Array,
    cols: number,
    inner: number,
    protected readonly temperature: number,
    mask: Uint8Array | null,
    maskLayout: number,
    bias: Float32Array | null,
  ) {
    super(x, cols, inner, mask, maskLayout, bias);
    this.step = stepAt(temperature);
    this.divisor = 1;
  }

  protected divideLogits(): void {} // doubles hold all sums of floats

  protected loadValues(at: number, n: number): number {
    return load_f32(this.x, at, this.inner, n);
  }

  protected addBias(bias: Float32Array, at: number, stride: number, n: number): number {
    return addBias(bias, at, stride, n, 1);
  }

  weigh(n: number, max: number): void {
    if (this.bias !== null) subtractLargest(n, max, this.maxRest, 1, -Infinity);
    total[0]! += weigh_f32(n, this.bias === null ? max : 0, this.step);
  }

  beginSum(): void {
    total[0] = total[1] = 0;
  }

  protected endSum(): boolean {
    this.divisor = total[0]!;
    return this.divisor === this.divisor;
  }

  store(out: Float32Array, at: number, n: number): void {
    store_f32(out, at, this.inner, n, this.divisor);
  }
}

export function fill(
  out: Float32Array | Float64Array | Uint16Array,
  start: number,
  stride: number,
  n: number,
  value: number,
): void {
  for (let i = 0; i < n; i++) out[start + i * stride] = value;
}

/** Whether one of n copied logits is NaN. */
export function hasNaN(n: number): boolean {
  for (let i = 0; i < n; i++) if (cells[i] !== cells[i]) return true;
  return false;
}
