/** One row of `sample`: filters it, draws from it, writes its logits and probabilities. */
import { kindOf } from '../../call/arrays.js';
import { NO_INDEX } from '../../backend/backend.js';
import { DEEPEST, TokenWeights } from '../../sampling/weights.js';
import { BestItems, indexOfLargest } from './items.js';
import { keptItems, type KeptItems } from './kept-items.js';
import { lastOfNucleus } from './nucleus.js';
import type { Filters, Floats, PlacedRow } from './rows.js';

/** The status of a row. */
export const SAMPLED = 0;
export const HAS_NAN = 1;
export const NOTHING_FINITE = 2;

const best = /* @__PURE__ */ new BestItems();

/** One row: it must be drawn from and written before the next is filtered, as rows share memory. */
export class SampleRow {
  private readonly z: Floats;
  private readonly start: number;
  private readonly unit: number;
  private readonly filters: Filters;
  private readonly n: number;
  /** The items that the filters left, by index. */
  private readonly items: KeptItems;
  private total = 0;
  /** Set by filter(). */
  private weights!: TokenWeights;

  constructor({ z, start, unit }: PlacedRow, n: number, filters: Filters) {
    this.z = z;
    this.start = start;
    this.unit = unit;
    this.filters = filters;
    this.n = n;
    this.items = keptItems(n);
  }

  /** Applies the filters; returns the row's status. */
  filter(): number {
    const { z, start, n, filters, items } = this;
    const { topK, temperature, topP } = filters;
    const needsOrder = topK < n || filters.typicalP < 1;
    const isGreedy = temperature === 0 || (topP <= 0 && !needsOrder);
    const isList = needsOrder && !isGreedy;
    const k = Math.min(topK, n);
    const hasNaN = isList && !best.find(z, start, n, k);
    const index = isList && !hasNaN ? best.indices[0]! : hasNaN ? NO_INDEX : indexOfLargest(z, start, n);
    if (index === NO_INDEX) return HAS_NAN;
    const largest = z[start + index]!;
    if (!(Math.abs(largest) < Infinity)) return NOTHING_FINITE;
    this.weights = new TokenWeights(largest, temperature, n);
    if (isGreedy) items.keepOne(index);
    else if (isList) this.cutList(k);
    else this.cutRow();
    items.weigh(z, start, this.weights);
    if (!isGreedy && !isList && filters.epsilon > 0) this.cutEpsilon();
    this.total = items.addUp();
    return SAMPLED;
  }

  /** Keeps of a whole row what topP and minP leave. */
  private cutRow(): void {
    const { z, start, n, filters, weights, items } = this;
    const least = Math.min(weights.largest, weights.largest + filters.minDistance);
    if (filters.topP < 1) {
      const last = lastOfNucleus(z, start, n, weights, filters.topP);
      items.keepTo(z, start, n, last.z, last.index, least);
    } else if (least === -Infinity) items.keepAll(n);
    else items.keepTo(z, start, n, -Infinity, n, least);
  }

  /** Applies all filters but topK to the k best items. */
  private cutList(k: number): void {
    const { z, start, filters, weights, items } = this;
    items.keepList(best.indices, k);
    items.weigh(z, start, weights);
    if (filters.topP < 1) items.count = items.shareLength(filters.topP);
    const { largest } = weights;
    const least = largest + filters.minDistance;
    for (let i = 0; i < items.count; i++) {
      const logit = z[start + items.index[i]!]!;
      items.sums[i] = Number(logit >= least || logit === largest);
    }
    items.keepFlagged();
    if (filters.typicalP < 1) this.cutTypical();
    if (filters.epsilon > 0) this.cutEpsilon();
    items.sort();
  }

  /** Keeps the smallest set with the share typicalP, taken in order of the distance of −log p from its mean. */
  private cutTypical(): void {
    const { z, start, weights, items, filters } = this;
    const { index, weight } = items;
    let sum = 0;
    let total = 0;
    const list = Array.from(index.subarray(0, items.count), (i, at) => {
      const distance = weights.distance(z[start + i]!);
      sum += (weight[at]! / weights.unit) * distance;
      total += weight[at]! / weights.unit;
      return { index: i, distance };
    });
    const mean = sum / total;
    const offset = ({ distance }: { distance: number }): number => Math.abs(distance - mean);
    list.sort((a, b) => offset(a) - offset(b) || a.index - b.index);
    list.forEach((item, at) => (index[at] = item.index));
    items.weigh(z, start, weights);
    items.count = items.shareLength(filters.typicalP);
  }

  /** Keeps the items whose probability is epsilon or more, and the most probable in any case. */
  private cutEpsilon(): void {
    const { z, start, items, filters } = this;
    const least = filters.epsilon * items.total();
    let largest = -Infinity;
    for (let i = 0; i < items.count; i++) largest = Math.max(largest, z[start + items.index[i]!]!);
    for (let i = 0; i < items.count; i++) {
      items.sums[i] = Number(items.weight[i]! >= least || z[start + items.index[i]!] === largest);
    }
    items.keepFlagged();
  }

  /** The token of a number u in [0, 1). */
  draw(u: number): number {
    const { sums, index, count } = this.items;
    const target = u * this.total;
    let [from, to] = [0, count - 1];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (sums[middle]! > target) to = middle;
      else from = middle + 1;
    }
    return index[from]!;
  }

  /** Writes the logits and probabilities that are left, from `start` on; −∞ and 0 elsewhere. */
  write(kept: Floats | null, probabilities: Floats | null, start: number): void {
    const { weights, divisor, items } = this;
    const origin = kept === null ? 0 : this.origin(kept);
    const end = start + this.n;
    kept?.fill(-Infinity, start, end);
    probabilities?.fill(0, start, end);
    for (let i = 0; i < items.count; i++) {
      const index = items.index[i]!;
      const z = this.z[this.start + index]!;
      if (z === -Infinity) continue;
      if (kept !== null) kept[start + index] = (z - origin) / divisor;
      if (probabilities === null) continue;
      const isWeightless = !(weights.distance(z) > DEEPEST);
      probabilities[start + index] = isWeightless ? 0 : weights.unrounded(z) / (this.total / weights.unit);
    }
  }

  /** The divisor of kept logits: the temperature; at temperature 0 the one that restores the logit. */
  private get divisor(): number {
    return this.filters.temperature || 1 / this.unit;
  }

  /** Kept logits are relative to this: 0, or the largest logit if that over the temperature overflows their type. */
  private origin(kept: Floats): number {
    const { largest } = this.weights;
    const divided = kindOf(kept) === 'Float32Array' ? Math.fround(largest / this.divisor) : largest / this.divisor;
    return Math.abs(divided) < Infinity ? 0 : largest;
  }
}
