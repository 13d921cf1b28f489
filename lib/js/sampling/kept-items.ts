/** The items of a row that filters keep, in memory that rows share: a row is drawn from before the next is filtered. */
import { IntegerSum, type TokenWeights } from '../../sampling/weights.js';
import type { Floats } from './rows.js';

/** Rows of up to so many logits share memory from one call to the next. */
const HELD = 2 ** 20;

export class KeptItems {
  index = new Uint32Array(0);
  weight = new Float64Array(0);
  /** sums[i] is the sum of the weights of items 0 … i, rounded to a double. */
  sums = new Float64Array(0);
  count = 0;

  /** Makes room for n items. */
  reset(n: number): void {
    this.count = 0;
    if (this.index.length >= n) return;
    this.index = new Uint32Array(n);
    this.weight = new Float64Array(n);
    this.sums = new Float64Array(n);
  }

  /** Keeps the logits up to the item (lastZ, lastIndex) in order that are not below `least`. */
  keepTo(z: Floats, start: number, n: number, lastZ: number, lastIndex: number, least: number): void {
    const { index } = this;
    let count = 0;
    for (let i = 0; i < n; i++) {
      const logit = z[start + i]!;
      if (logit < least || logit < lastZ || (logit === lastZ && i > lastIndex)) continue;
      index[count++] = i;
    }
    this.count = count;
  }

  keepAll(n: number): void {
    const { index } = this;
    for (let i = 0; i < n; i++) index[i] = i;
    this.count = n;
  }

  keepOne(index: number): void {
    this.index[0] = index;
    this.count = 1;
  }

  /** Keeps the first k of a list. */
  keepList(indices: Uint32Array, k: number): void {
    for (let i = 0; i < k; i++) this.index[i] = indices[i]!;
    this.count = k;
  }

  /** Computes the weights of all items again. */
  weigh(z: Floats, start: number, weights: TokenWeights): void {
    weights.write(z, start, this);
  }

  /** Keeps the items that have a 1 in `sums`. */
  keepFlagged(): void {
    const { index, weight, sums } = this;
    let count = 0;
    for (let i = 0; i < this.count; i++) {
      if (sums[i] !== 1) continue;
      index[count] = index[i]!;
      weight[count++] = weight[i]!;
    }
    this.count = count;
  }

  /** Puts the items in the order of the row. Their weights must be computed again. */
  sort(): void {
    const { index, count } = this;
    if (count > 64) {
      index.subarray(0, count).sort();
      return;
    }
    for (let i = 1; i < count; i++) {
      const moving = index[i]!;
      let at = i;
      for (; at > 0 && index[at - 1]! > moving; at--) index[at] = index[at - 1]!;
      index[at] = moving;
    }
  }

  /** The number of first items whose weights sum to `share` of all; at least one. */
  shareLength(share: number): number {
    const { weight, count } = this;
    const target = share * this.total();
    const sum = new IntegerSum();
    let kept = 0;
    do {
      sum.add(weight[kept]!);
      kept++;
    } while (kept < count && sum.value < target);
    return kept;
  }

  /** The sum of all weights, rounded once. */
  total(): number {
    const { weight, count } = this;
    const sum = new IntegerSum();
    for (let i = 0; i < count; i++) sum.add(weight[i]!);
    return sum.value;
  }

  /** Fills `sums`, and returns the last. */
  addUp(): number {
    const { weight, sums, count } = this;
    let high = 0;
    let low = 0;
    for (let i = 0; i < count; i++) {
      low += weight[i]!;
      if (low >= 2 ** 52) {
        high += 2 ** 52;
        low -= 2 ** 52;
      }
      sums[i] = high + low;
    }
    return high + low;
  }
}

let shared: KeptItems | undefined;

/** Memory for the items of rows of n logits. */
export function keptItems(n: number): KeptItems {
  const items = n > HELD ? new KeptItems() : (shared ??= new KeptItems());
  items.reset(n);
  return items;
}
