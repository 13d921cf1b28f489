/**
 * Rows and options of the sampling tests, and a plain float64 reference of the filters: Math.exp, sorts, sums in order.
 */
import { generator, normal, row, type Floats, type FloatsName } from '../support/cases.js';

/** The numbers that filters read. */
export interface Filters {
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  typicalP: number;
  epsilonCutoff: number;
}

export const none: Filters = { temperature: 1, topK: 0, topP: 1, minP: 0, typicalP: 1, epsilonCutoff: 0 };

type Maker = (type: FloatsName, n: number, seed: number) => Floats;
const made =
  (value: (random: () => number, i: number, n: number) => number): Maker =>
  (type, n, seed) =>
    row(type, value, n, seed);

/** Random rows, and rows made to be awkward: ties everywhere, one-hot, −∞, all equal, a ramp, steps of one ULP. */
export const makers: Record<string, Maker> = {
  'N(0,1)': made((random) => normal(random)),
  'N(0,8)': made((random) => 8 * normal(random)),
  'nearly flat': made((random) => normal(random) / 100),
  'all equal': made(() => -3.25),
  'five values': made((random) => random() % 5),
  'one-hot': made((_, i, n) => (i === n >> 1 ? 200 : 0)),
  'one finite': made((_, i, n) => (i === n >> 1 ? 2 : -Infinity)),
  'every third −∞': made((random, i) => (i % 3 === 1 ? -Infinity : 3 * normal(random))),
  rising: made((_, i, n) => (8 * i) / n),
  falling: made((_, i, n) => (-8 * i) / n),
  'steps of an ULP': made((random) => 1 + (random() % 4) * 2 ** -23),
  'two hundred powers': made((random) => -(random() % 200)),
};

export const lengths = [1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 100, 255, 256, 257, 1000, 1023, 1024, 1025, 2100];

const inOrder = (z: ArrayLike<number>) => (a: number, b: number) => (z[a] === z[b] ? a - b : z[b]! - z[a]!);

/** The length of the smallest prefix with the given share; at least 1. */
function prefix(order: readonly number[], w: ArrayLike<number>, share: number): number[] {
  const total = order.reduce((sum, i) => sum + w[i]!, 0);
  let sum = 0;
  let kept = 0;
  do sum += w[order[kept++]!]!;
  while (kept < order.length && sum < share * total);
  return order.slice(0, kept);
}

/** The tokens that are left, in order, and their probabilities. */
export function reference(z: ArrayLike<number>, f: Filters): { kept: number[]; p: number[] } {
  let kept = Array.from(z, (_, i) => i)
    .filter((i) => z[i]! > -Infinity)
    .sort(inOrder(z));
  const top = z[kept[0]!]!;
  if (f.temperature === 0) return { kept: [kept[0]!], p: [1] };
  const w = Array.from(z, (logit) => Math.exp((logit - top) / f.temperature));
  if (f.topK > 0) kept = kept.slice(0, f.topK);
  if (f.topP < 1) kept = prefix(kept, w, f.topP);
  if (f.minP > 0) kept = kept.filter((i) => z[i]! >= top + f.temperature * Math.log(f.minP));
  const sum = () => kept.reduce((all, i) => all + w[i]!, 0);
  if (f.typicalP < 1) {
    const all = sum();
    // −log p less its mean is the mean of the distances less the distance: with log Σ, distances below 1e-16 would be
    // lost.
    const distances = Array.from(z, (logit) => (logit - top) / f.temperature);
    const mean = kept.reduce((m, i) => (w[i] === 0 ? m : m + w[i]! * distances[i]!), 0) / all;
    const off = distances.map((distance) => Math.abs(mean - distance));
    kept = prefix(
      kept.slice().sort((a, b) => off[a]! - off[b]! || a - b),
      w,
      f.typicalP,
    );
  }
  if (f.epsilonCutoff > 0) {
    const all = sum();
    const most = kept.reduce((m, i) => Math.max(m, z[i]!), -Infinity);
    kept = kept.filter((i) => w[i]! / all >= f.epsilonCutoff || z[i] === most);
  }
  kept.sort((a, b) => a - b);
  const all = sum();
  return { kept, p: kept.map((i) => w[i]! / all) };
}

const pick = <T>(random: () => number, values: readonly T[]): T => values[random() % values.length]!;

/** Some options, most with one or two filters. */
export function someFilters(random: () => number, n: number): Filters {
  const off = () => random() % 2 === 0;
  return {
    temperature: pick(random, [1, 1, 0.7, 1.3, 0.1, 5]),
    topK: off() ? 0 : pick(random, [1, 2, 5, 50, n - 1, n, n + 3]),
    topP: off() ? 1 : pick(random, [0, 0.05, 0.3, 0.5, 0.75, 0.9, 0.95, 0.999]),
    minP: off() ? 0 : pick(random, [0.001, 0.05, 0.3, 1]),
    typicalP: random() % 4 ? 1 : pick(random, [0.1, 0.5, 0.95]),
    epsilonCutoff: random() % 4 ? 0 : pick(random, [1e-6, 3e-4, 0.02, 0.3]),
  };
}

export { generator };
