/** The kernels of sampling: argmax, the k largest, and filters and draws. What they give is what native/sampling/sample.h gives. */
import { NO_INDEX, type SampleKernel, type BackendOf, type SamplingOfType } from '../../backend/backend.js';
import { lengthOf } from '../../call/arrays.js';
import { bfloat16, float16 } from '../rows/half.js';
import { inUnits, LARGE_TEMPERATURE, raised, withExtras, type Extras, type Filters } from './sampling-rows.js';
import { DEEPEST, Sum, Weigher } from './weights.js';

type Floats = Float32Array | Float64Array;

/** A logit out of its row: larger keys come first, lower indices among equals. The key mostly is the logit. */
interface Item {
  key: number;
  readonly z: number;
  readonly index: number;
  weight: number;
}
const inOrder = (a: Item, b: Item): number => (a.key === b.key ? a.index - b.index : b.key - a.key);

/** The index of the first of the largest; NO_INDEX for a row with a NaN. */
function first(x: Floats, start: number, n: number): number {
  let top = -Infinity;
  let index = 0;
  for (let i = 0; i < n; i++) {
    const z = x[start + i]!;
    if (z > top) {
      top = z;
      index = i;
    } else if (z !== z) return NO_INDEX;
  }
  return index;
}

/** The first k in order. No NaN is among them. */
function topItems(x: Floats, start: number, n: number, k: number): Item[] {
  const heap: Item[] = []; // its root comes last
  const sift = (moving: Item, from: number) => {
    let at = from;
    for (let child = 2 * at + 1; child < k; child = 2 * at + 1) {
      if (child + 1 < k && inOrder(heap[child]!, heap[child + 1]!) < 0) child++;
      if (inOrder(moving, heap[child]!) > 0) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = moving;
  };
  for (let index = 0; index < n; index++) {
    const z = x[start + index]!;
    if (heap.length < k) {
      heap.push({ key: z, z, index, weight: 0 });
      if (heap.length === k) for (let i = k >> 1; i-- > 0;) sift(heap[i]!, i);
    } else if (z > heap[0]!.z) sift({ key: z, z, index, weight: 0 }, 0);
  }
  return heap.sort(inOrder);
}

const SAMPLED = 0;
const HAS_NAN = 1;
const NOTHING_FINITE = 2;

class SampleRow {
  /** What is left, by index. */
  private items: Item[] = [];
  private total = 0;
  /** Of the first i + 1 items, as a double. */
  private sums = new Float64Array(0);
  private weigher = new Weigher(0, 0, 1);

  constructor(private readonly z: Float64Array, private readonly unit: number, private readonly filters: Filters) {}

  filter(): number {
    const { z, filters } = this;
    const index = first(z, 0, z.length);
    if (index === NO_INDEX) return HAS_NAN;
    const top = z[index]!;
    if (!(Math.abs(top) < Infinity)) return NOTHING_FINITE;
    this.weigher = new Weigher(top, filters.temperature, z.length);
    const isListed = filters.topK < z.length || filters.typicalP < 1;
    if (filters.temperature === 0 || (filters.topP <= 0 && !isListed)) this.items = [{ key: 0, z: top, index, weight: this.weigher.unit }];
    else if (isListed) this.cutList(topItems(z, 0, z.length, Math.min(filters.topK, z.length)));
    else this.takeFrom(filters.topP < 1 ? this.nucleus() : { key: -Infinity, z: -Infinity, index: z.length, weight: 0 });

    this.items.sort((a, b) => a.index - b.index);
    const sum = new Sum();
    this.sums = Float64Array.from(this.items, (item) => sum.add(item.weight).value);
    this.total = sum.value;
    return SAMPLED;
  }

  private cutList(items: Item[]): void {
    const { filters, weigher } = this;
    for (const item of items) item.weight = weigher.of(item.z);
    const kept = (filters.topP < 1 ? mostLikely(items, filters.topP) : items).filter(({ z }) => z >= weigher.top + filters.minDistance || z === weigher.top);
    this.items = this.likely(filters.typicalP < 1 ? this.typical(kept) : kept);
  }

  /** By the distance of −log p from its mean: the smallest set with the share typicalP. */
  private typical(items: Item[]): Item[] {
    const { weigher, filters } = this;
    let sum = 0;
    let weights = 0;
    for (const { z, weight } of items) {
      sum += (weight / weigher.unit) * weigher.distance(z);
      weights += weight / weigher.unit;
    }
    const mean = sum / weights;
    for (const item of items) item.key = -Math.abs(weigher.distance(item.z) - mean);
    return mostLikely(items.sort(inOrder), filters.typicalP);
  }

  /** Those of the share epsilon or more. */
  private likely(items: Item[]): Item[] {
    if (this.filters.epsilon <= 0) return items;
    const least = this.filters.epsilon * sumOf(items);
    const most = items.reduce((largest, { z }) => Math.max(largest, z), -Infinity);
    return items.filter(({ weight, z }) => weight >= least || z === most);
  }

  /** The last item of the smallest set of the most probable tokens that has the share topP. */
  private nucleus(): Item {
    const { z, weigher } = this;
    const all = new Sum();
    for (const logit of z) all.add(weigher.of(logit));
    const target = this.filters.topP * all.value;
    const sorted = z.slice().sort();
    const sum = new Sum();
    let same = 0;
    let edge = NaN;
    for (let i = sorted.length - 1; i >= 0; i--) {
      same = sorted[i] === edge ? same + 1 : 1;
      edge = sorted[i]!;
      if (sum.add(weigher.of(edge)).value >= target) break;
    }
    let index = -1;
    while (same-- > 0) index = z.indexOf(edge, index + 1);
    return { key: edge, z: edge, index, weight: 0 };
  }

  /** All down to an item, and to minDistance below the largest. */
  private takeFrom(last: Item): void {
    const { z, weigher } = this;
    const least = Math.min(weigher.top, weigher.top + this.filters.minDistance);
    for (let index = 0; index < z.length; index++) {
      const logit = z[index]!;
      if (!(logit > last.z || (logit === last.z && index <= last.index)) || logit < least) continue;
      this.items.push({ key: logit, z: logit, index, weight: weigher.of(logit) });
    }
    this.items = this.likely(this.items);
  }

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

  /** What logits are divided by to be kept; greedy ones are as they were, in units of 1. */
  private get divisor(): number {
    return this.filters.temperature || 1 / this.unit;
  }

  /** What kept logits are relative to: 0, or the largest one, if that over the temperature is beyond their type. */
  private origin(kept: Floats): number {
    const { top } = this.weigher;
    const largest = kept instanceof Float32Array ? Math.fround(top / this.divisor) : top / this.divisor;
    return Math.abs(largest) < Infinity ? 0 : top;
  }

  write(kept: Floats | null, probabilities: Floats | null, start: number): void {
    const { weigher, divisor } = this;
    const origin = kept === null ? 0 : this.origin(kept);
    const end = start + this.z.length;
    kept?.fill(-Infinity, start, end);
    probabilities?.fill(0, start, end);
    for (const { z, index } of this.items) {
      if (z === -Infinity) continue;
      if (kept !== null) kept[start + index] = (z - origin) / divisor;
      if (probabilities !== null) probabilities[start + index] = weigher.distance(z) > DEEPEST ? weigher.exactly(z) / (this.total / weigher.unit) : 0;
    }
  }
}

function sumOf(items: readonly Item[]): number {
  const sum = new Sum();
  for (const { weight } of items) sum.add(weight);
  return sum.value;
}

/** The first items that together have a share of all. */
function mostLikely(items: Item[], share: number): Item[] {
  const target = share * sumOf(items);
  const sum = new Sum();
  let kept = 0;
  do sum.add(items[kept++]!.weight);
  while (kept < items.length && sum.value < target);
  return items.slice(0, kept);
}

const argmax = (x: Floats, indices: Uint32Array, rows: number, cols: number): void => {
  for (let r = 0; r < rows; r++) indices[r] = first(x, r * cols, cols);
};

function topK(x: Floats, indices: Uint32Array, take: (to: number, from: number) => void, rows: number, cols: number, k: number, extras: Extras): void {
  const isPlain = extras.mask === null && extras.bias === null;
  for (let r = 0; r < rows; r++) {
    const [z, start] = isPlain ? [x, r * cols] : [withExtras(x, r, cols, extras).z, 0];
    if (first(z, start, cols) === NO_INDEX) {
      indices.fill(NO_INDEX, r * k, (r + 1) * k);
      continue;
    }
    topItems(z, start, cols, k).forEach(({ index }, i) => {
      indices[r * k + i] = index;
      take(r * k + i, r * cols + index);
    });
  }
}

const sample: SampleKernel<Floats> = (x, tokens, kept, probabilities, status, uniforms, rows, cols, draws, k, temperature, topP, minDistance, typicalP, epsilon, mask, maskLayout, bias) => {
  for (let r = 0; r < rows; r++) {
    const { z, unit } = raised(withExtras(x, r, cols, { mask, maskLayout, bias }, temperature >= LARGE_TEMPERATURE), temperature);
    const row = new SampleRow(z, unit, inUnits({ topK: k, temperature, topP, minDistance, typicalP, epsilon }, unit));
    status[r] = row.filter();
    if (status[r] !== SAMPLED) {
      tokens?.fill(NO_INDEX, r * draws, (r + 1) * draws);
      continue;
    }
    for (let d = r * draws; d < (r + 1) * draws; d++) tokens![d] = row.draw(uniforms![d]!);
    if (kept !== null || probabilities !== null) row.write(kept, probabilities, r * cols);
  }
};

const of = (): SamplingOfType<'f32', Floats, Floats> => ({
  argmax_f32: argmax,
  top_k_f32: (x, indices, values, rows, cols, k, mask, maskLayout, bias) => topK(x, indices, (to, from) => (values[to] = x[from]!), rows, cols, k, { mask, maskLayout, bias }),
  sample_f32: sample,
});

function ofHalf(toFloat: (bits: number) => number): SamplingOfType<'f16', Uint16Array, Float32Array> {
  const wide = (x: Uint16Array) => {
    const floats = new Float32Array(lengthOf(x));
    for (let i = 0; i < floats.length; i++) floats[i] = toFloat(x[i]!);
    return floats;
  };
  return {
    argmax_f16: (x, indices, rows, cols) => argmax(wide(x), indices, rows, cols),
    top_k_f16: (x, indices, values, rows, cols, k, mask, maskLayout, bias) =>
      topK(wide(x), indices, (to, from) => (values[to] = x[from]!), rows, cols, k, { mask, maskLayout, bias: bias && wide(bias) }),
    sample_f16: (x, tokens, kept, probabilities, status, uniforms, rows, cols, draws, k, temperature, topP, minDistance, typicalP, epsilon, mask, layout, bias) =>
      sample(wide(x), tokens, kept, probabilities, status, uniforms, rows, cols, draws, k, temperature, topP, minDistance, typicalP, epsilon, mask, layout, bias && wide(bias)),
  };
}

export const samplingKernels: BackendOf<'argmax' | 'top_k' | 'sample'> = /* @__PURE__ */ (() => {
  const { argmax_f32, top_k_f32, sample_f32 } = of();
  const [half, brain] = [ofHalf(float16.toFloat), ofHalf(bfloat16.toFloat)];
  return {
    name: 'js',
    ...{ argmax_f32, top_k_f32, sample_f32 },
    ...{ argmax_f64: argmax_f32, top_k_f64: top_k_f32, sample_f64: sample_f32 },
    ...half,
    ...{ argmax_bf16: brain.argmax_f16, top_k_bf16: brain.top_k_f16, sample_bf16: brain.sample_f16 },
  };
})();
