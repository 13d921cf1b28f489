/**
 * The tokens that are left in one row while filters apply in any order, with their exact weights. lib/sampling/chain.ts
 * has the filters.
 *
 * The order of tokens is that of their logits, lower indices first among equals; the set itself stays in the order of
 * indices, as filters need no more than sorted keys.
 */
import { exp } from '../math/exp.js';
import { ln } from '../math/log.js';
import { LN2 } from '../math/powers.js';
import { ColumnSums } from './column-sums.js';
import { DEEPEST, IntegerSum, TokenWeights } from './weights.js';

/** ln of one eighth of an octave, the unit of distances. */
const LN_EIGHTH = LN2 / 8;

/** Tokens further below the largest logit, in eighths of octaves, have the weight 0: it is rounded to 2^-46. */
const WEIGHTLESS = -8 * 48;

/** Its fields are private to TypeScript alone: bundles for old runtimes look #names up in a map, for each token. */
export class TokenSet {
  /** Logits in units, and their indices in the row; the first `size` of each. */
  readonly z: Float64Array;
  readonly index: Uint32Array;
  size: number;
  temperature: number;
  /** The length of the row. */
  private readonly cols: number;
  private knownTop: number | undefined;
  private knownWeights: TokenWeights | undefined;
  /** The weight of each token, if `isWeighed`. */
  private knownW: Float64Array;
  private isWeighed = false;
  private knownTotal: number | undefined;

  /**
   * @param z The logits of some tokens, none of them NaN, in the order of `index`. Tokens of −∞ are dropped.
   * @param unitTemperature The temperature 1 in the unit of these logits.
   */
  constructor(z: Float64Array, index: Uint32Array, cols: number, unitTemperature: number) {
    this.z = z;
    this.index = index;
    this.size = z.length;
    this.temperature = unitTemperature;
    this.cols = cols;
    this.knownW = new Float64Array(0);
    this.keepFrom(-Number.MAX_VALUE);
  }

  /** Keeps the tokens, by their place in the set, that pass a test. The largest logit must be among them. */
  keepIf(test: (i: number) => boolean): void {
    let kept = 0;
    for (let i = 0; i < this.size; i++) if (test(i)) this.move(i, kept++);
    this.shrink(kept);
  }

  /** Keeps the logits of at least `least`, which is not above the largest. */
  keepFrom(least: number): void {
    const { z, size } = this;
    let kept = 0;
    while (kept < size && z[kept]! >= least) kept++;
    if (kept === size) return;
    for (let i = kept; i < size; i++) if (z[i]! >= least) this.move(i, kept++);
    this.shrink(kept);
  }

  /** Keeps the tokens whose weight is at least `least`, and all of the largest logit. */
  keepHeavy(least: number): void {
    const { w, z, size, top } = this;
    let kept = 0;
    for (let i = 0; i < size; i++) if (w[i]! >= least || z[i] === top) this.move(i, kept++);
    this.shrink(kept);
  }

  private move(from: number, to: number): void {
    this.z[to] = this.z[from]!;
    this.index[to] = this.index[from]!;
    if (this.isWeighed) this.knownW[to] = this.knownW[from]!;
  }

  private shrink(size: number): void {
    this.size = size;
    this.knownTotal = undefined;
  }

  /** Forgets all that follows from the largest logit or the temperature. */
  private forget(): void {
    this.knownTop = undefined;
    this.knownWeights = undefined;
    this.isWeighed = false;
    this.knownTotal = undefined;
  }

  /** Sets the temperature; 0 keeps the first of the largest logits. */
  setTemperature(temperature: number): void {
    if (temperature === 0) this.keepFirst(1);
    else this.temperature = temperature;
    this.forget();
  }

  get top(): number {
    if (this.knownTop === undefined) {
      const { z, size } = this;
      let top = -Infinity;
      for (let i = 0; i < size; i++) if (z[i]! > top) top = z[i]!;
      this.knownTop = top;
    }
    return this.knownTop;
  }

  /** The weights relative to the largest logit that is left. */
  get weights(): TokenWeights {
    return (this.knownWeights ??= new TokenWeights(this.top, this.temperature, this.cols));
  }

  /** The weight of each token. */
  get w(): Float64Array {
    if (this.isWeighed) return this.knownW;
    const { weights, z, size } = this;
    if (this.knownW.length < size) this.knownW = new Float64Array(size);
    const w = this.knownW;
    for (let i = 0; i < size; i++) w[i] = weights.distance(z[i]!) < WEIGHTLESS ? 0 : weights.of(z[i]!);
    this.isWeighed = true;
    return w;
  }

  /** The sum of all weights, rounded to a double. */
  get total(): number {
    if (this.knownTotal === undefined) {
      const { w, size } = this;
      const sum = new IntegerSum();
      for (let i = 0; i < size; i++) if (w[i] !== 0) sum.add(w[i]!);
      this.knownTotal = sum.value;
    }
    return this.knownTotal;
  }

  /** The entropy in nats. Max error: 2^-40. */
  get entropy(): number {
    const { weights, w, z, index, size, total } = this;
    const sums = new ColumnSums();
    for (let i = 0; i < size; i++) if (w[i] !== 0) sums.add(index[i]!, w[i]! * weights.distance(z[i]!));
    return entropyOf(total, sums.total, weights.unit);
  }

  /** ln p of a token of a logit. */
  logOf(z: number): number {
    return this.weights.distance(z) * LN_EIGHTH - ln(this.total / this.weights.unit);
  }

  /** Keeps the first n tokens in order. */
  keepFirst(n: number): void {
    if (n < this.size) this.keepByKeys(this.z.subarray(0, this.size), this.largest(n).at(-1)!, n);
  }

  /** Drops the first n tokens in order. */
  dropFirst(n: number): void {
    if (n === 0) return;
    const edge = this.largest(n).at(-1)!;
    let equal = n - this.above(this.z, edge);
    const isDropped = (z: number): boolean => z > edge || (z === edge && equal-- > 0);
    this.keepIf((i) => !isDropped(this.z[i]!));
    this.forget();
  }

  /** Keeps the first n tokens in the order of keys, larger ones first. */
  keepFirstBy(keys: Float64Array, n: number): void {
    if (n < this.size) this.keepByKeys(keys, keys.slice(0, this.size).sort()[this.size - n]!, n);
    this.forget();
  }

  private keepByKeys(keys: Float64Array, edge: number, n: number): void {
    let equal = n - this.above(keys, edge);
    // keepIf moves earlier logits only: a token's own key is read before it is overwritten.
    this.keepIf((i) => keys[i]! > edge || (keys[i] === edge && equal-- > 0));
  }

  private above(keys: Float64Array, edge: number): number {
    let above = 0;
    for (let i = 0; i < this.size; i++) if (keys[i]! > edge) above++;
    return above;
  }

  /** The n largest logits, largest first; all if there are fewer. Sorts few more than it returns. */
  largest(n: number): Float64Array {
    const least = this.boundOf(n);
    return this.sortedFrom(least).subarray(0, n);
  }

  /** The logits from `least` on, largest first. */
  private sortedFrom(least: number): Float64Array {
    let count = 0;
    for (let i = 0; i < this.size; i++) if (this.z[i]! >= least) count++;
    const sorted = new Float64Array(count);
    for (let i = 0, at = 0; i < this.size; i++) if (this.z[i]! >= least) sorted[at++] = this.z[i]!;
    return sorted.sort().reverse();
  }

  /** A bound that at least n logits reach, from the largest logits of groups. */
  private boundOf(n: number): number {
    const { size, z } = this;
    const group = Math.floor(size / (4 * n));
    if (group < 8) return -Infinity;
    const tops = new Float64Array(Math.floor(size / group));
    for (let g = 0; g < tops.length; g++) {
      let top = -Infinity;
      for (let i = g * group; i < (g + 1) * group; i++) if (z[i]! > top) top = z[i]!;
      tops[g] = top;
    }
    return tops.sort()[tops.length - n]!;
  }

  /** How many of the first tokens in order have this share of the weight; at least one. */
  shareLength(share: number): number {
    const { weights, total } = this;
    const target = share * total;
    let sorted: Float64Array = new Float64Array(0);
    const sum = new IntegerSum();
    let kept = 0;
    for (let depth = 64; kept < this.size; depth *= 2) {
      const isWhole = !(depth < -DEEPEST);
      const scale = isWhole ? Infinity : (depth / 8) * LN2 * this.temperature;
      sorted = this.sortedFrom(weights.largest - scale);
      for (; kept < sorted.length; kept++) if (sum.add(weights.of(sorted[kept]!)).value >= target) return kept + 1;
      if (isWhole) break;
    }
    return Math.max(1, kept);
  }
}

/** The entropy in nats, from the sum of integer weights, the sum of weights times distances, and the weight of 1. */
export const entropyOf = (total: number, sum: number, unit: number): number =>
  Math.max(0, ln(total / unit) - (sum / total) * LN_EIGHTH);

/** base^power for base ≥ 0 and power ≥ 0, with the same bits on every machine. */
export const powerOf = (base: number, power: number): number =>
  power === 0 ? 1 : base === 0 ? 0 : exp(Math.max(-700, Math.min(700, power * ln(base))));
