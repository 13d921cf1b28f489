/** The edge of topP in the JavaScript backend, whose buckets spare a sort, beside a sort of the whole row. */
import { expect, it } from 'vitest';
import { BestItems } from '../../lib/js/sampling/items.js';
import { lastOfNucleus } from '../../lib/js/sampling/nucleus.js';
import { IntegerSum, TokenWeights } from '../../lib/sampling/weights.js';
import { generator, normal } from '../support/cases.js';

const order = (x: Float64Array): number[] => Array.from(x.keys()).sort((a, b) => x[b]! - x[a]! || a - b);

/** The last token of the smallest set with the share topP, as its definition has it. */
function wantedLast(x: Float64Array, weights: TokenWeights, topP: number): number {
  const all = new IntegerSum();
  x.forEach((z) => all.add(weights.of(z)));
  const sum = new IntegerSum();
  return order(x).find((i) => sum.add(weights.of(x[i]!)).value >= topP * all.value)!;
}

const random = generator(3);
const next = () => normal(random);
const rows: Record<string, (n: number) => Float64Array> = {
  'N(0,3)': (n) => Float64Array.from({ length: n }, () => 3 * next()),
  'whole numbers': (n) => Float64Array.from({ length: n }, () => Math.round(2 * next())),
  'all equal': (n) => new Float64Array(n),
  'every third −∞': (n) => Float64Array.from({ length: n }, (_, i) => (i % 3 === 1 ? -Infinity : next())),
  'zeros of both signs': (n) => Float64Array.from({ length: n }, (_, i) => (i % 2 ? 0 : -0)),
};

it.each(Object.keys(rows))('%s', (kind) => {
  for (const n of [1, 2, 127, 128, 129, 1000, 20_000]) {
    const x = rows[kind]!(n);
    const top = x.reduce((a, b) => Math.max(a, b));
    for (const temperature of [0.3, 1, 50]) {
      const weights = new TokenWeights(top, temperature, n);
      for (const topP of [1e-9, 0.1, 0.5, 0.95, 0.999999, 1 - 2 ** -53]) {
        const last = lastOfNucleus(x, 0, n, weights, topP);
        expect(last.index, `${n}, T ${temperature}, topP ${topP}`).toBe(wantedLast(x, weights, topP));
      }
    }
    const best = new BestItems();
    for (const k of [1, 2, 5, n].filter((each) => each <= n)) {
      expect(best.find(x, 0, n, k)).toBe(true);
      expect(Array.from(best.indices.subarray(0, k))).toEqual(order(x).slice(0, k));
    }
  }
});

it('a NaN is found wherever it lies', () => {
  const best = new BestItems();
  for (const n of [1, 3, 50, 67]) {
    for (let at = 0; at < n; at++) {
      const x = new Float32Array(n).fill(-5);
      x[at] = NaN;
      for (const k of [1, n]) expect(best.find(x, 0, n, k)).toBe(false);
    }
  }
});
