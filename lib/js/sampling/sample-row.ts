/** One row of `sample`: filters it, draws from it, writes its logits and probabilities. */
import { kindOf } from '../../call/arrays.js';
import { NO_INDEX } from '../../backend/backend.js';
import { DEEPEST, IntegerSum, shareLength, TokenWeights } from '../../sampling/weights.js';
import { bestItems, compareItems, indexOfLargest, type Item } from './items.js';
import type { Filters, Floats, UnitRow } from './rows.js';

/** The status of a row. */
export const SAMPLED = 0;
export const HAS_NAN = 1;
export const NOTHING_FINITE = 2;

export class SampleRow {
  private readonly z: Float64Array;
  private readonly unit: number;
  private readonly filters: Filters;
  /** The items that the filters left, by index. */
  private items: Item[] = [];
  private total = 0;
  /** sums[i] is the sum of the weights of items 0 … i, rounded to a double. */
  private sums = new Float64Array(0);
  private weights = new TokenWeights(0, 0, 1);

  constructor({ z, unit }: UnitRow, filters: Filters) {
    this.z = z;
    this.unit = unit;
    this.filters = filters;
  }

  /** Applies the filters; returns the row's status. */
  filter(): number {
    const { z, filters } = this;
    const index = indexOfLargest(z, 0, z.length);
    if (index === NO_INDEX) return HAS_NAN;
    const largest = z[index]!;
    if (!(Math.abs(largest) < Infinity)) return NOTHING_FINITE;
    this.weights = new TokenWeights(largest, filters.temperature, z.length);
    this.items = this.filtered(index);
    this.items.sort((a, b) => a.index - b.index);
    const sum = new IntegerSum();
    this.sums = Float64Array.from(this.items, (item) => sum.add(item.weight).value);
    this.total = sum.value;
    return SAMPLED;
  }

  private filtered(indexOfTop: number): Item[] {
    const { z, filters, weights } = this;
    const needsOrder = filters.topK < z.length || filters.typicalP < 1;
    if (filters.temperature === 0 || (filters.topP <= 0 && !needsOrder)) {
      return [{ key: 0, z: weights.largest, index: indexOfTop, weight: weights.unit }];
    }
    if (needsOrder) return this.cutList(bestItems(z, 0, z.length, Math.min(filters.topK, z.length)));
    const last = filters.topP < 1 ? this.lastOfNucleus() : { z: -Infinity, index: z.length };
    return this.itemsTo(last);
  }

  /** Applies all filters but topK to items in order. */
  private cutList(items: Item[]): Item[] {
    const { filters, weights } = this;
    for (const item of items) item.weight = weights.of(item.z);
    const nucleus = filters.topP < 1 ? mostLikely(items, filters.topP) : items;
    const least = weights.largest + filters.minDistance;
    const kept = nucleus.filter(({ z }) => z >= least || z === weights.largest);
    return this.aboveEpsilon(filters.typicalP < 1 ? this.typical(kept) : kept);
  }

  /** The smallest set with the share typicalP, taken in order of the distance of −log p from its mean. */
  private typical(items: Item[]): Item[] {
    const { weights, filters } = this;
    let sum = 0;
    let total = 0;
    for (const { z, weight } of items) {
      sum += (weight / weights.unit) * weights.distance(z);
      total += weight / weights.unit;
    }
    const mean = sum / total;
    for (const item of items) item.key = -Math.abs(weights.distance(item.z) - mean);
    return mostLikely(items.sort(compareItems), filters.typicalP);
  }

  /** The items whose probability is epsilon or more, and the most probable in any case. */
  private aboveEpsilon(items: Item[]): Item[] {
    if (this.filters.epsilon <= 0) return items;
    const sum = new IntegerSum();
    for (const { weight } of items) sum.add(weight);
    const least = this.filters.epsilon * sum.value;
    const largest = items.reduce((most, { z }) => Math.max(most, z), -Infinity);
    return items.filter(({ weight, z }) => weight >= least || z === largest);
  }

  /** The last token of the smallest set of the most probable tokens that has the share topP. */
  private lastOfNucleus(): { z: number; index: number } {
    const { z, weights } = this;
    const all = new IntegerSum();
    for (const logit of z) all.add(weights.of(logit));
    const target = this.filters.topP * all.value;
    const sorted = z.slice().sort();
    const sum = new IntegerSum();
    let equal = 0;
    let edge = NaN;
    for (let i = sorted.length - 1; i >= 0; i--) {
      equal = sorted[i] === edge ? equal + 1 : 1;
      edge = sorted[i]!;
      if (sum.add(weights.of(edge)).value >= target) break;
    }
    let index = -1;
    for (; equal > 0; equal--) index = z.indexOf(edge, index + 1);
    return { z: edge, index };
  }

  /** All items up to `last` in order that are no further below the largest than minDistance. */
  private itemsTo(last: { readonly z: number; readonly index: number }): Item[] {
    const { z, weights } = this;
    const least = Math.min(weights.largest, weights.largest + this.filters.minDistance);
    const items: Item[] = [];
    for (let index = 0; index < z.length; index++) {
      const logit = z[index]!;
      const isBehind = !(logit > last.z || (logit === last.z && index <= last.index));
      if (isBehind || logit < least) continue;
      items.push({ key: logit, z: logit, index, weight: weights.of(logit) });
    }
    return this.aboveEpsilon(items);
  }

  /** The token of a number u in [0, 1). */
  draw(u: number): number {
    const target = u * this.total;
    let [from, to] = [0, this.sums.length - 1];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.sums[middle]! > target) to = middle;
      else from = middle + 1;
    }
    return this.items[from]!.index;
  }

  /** Writes the logits and probabilities that are left, from `start` on; −∞ and 0 elsewhere. */
  write(kept: Floats | null, probabilities: Floats | null, start: number): void {
    const { weights, divisor } = this;
    const origin = kept === null ? 0 : this.origin(kept);
    const end = start + this.z.length;
    kept?.fill(-Infinity, start, end);
    probabilities?.fill(0, start, end);
    for (const { z, index } of this.items) {
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

/** The first items that together have a share of all weights. */
function mostLikely(items: Item[], share: number): Item[] {
  return items.slice(
    0,
    shareLength(items.length, (i) => items[i]!.weight, share),
  );
}
