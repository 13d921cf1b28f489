/** route on every backend, against its definition in double-double arithmetic. */
import { describe, expect, it } from 'vitest';
import { backends, isNative } from '../support/backends.js';
import { dtypes, floatsOf, halvesOf, type HalfName } from '../support/halves.js';
import { normals, routeOn, ulps, type Name } from './cases.js';
import { routeOracle, type Spec } from './route-oracle.js';

/** Units of the last place: 2 where a native sum of float terms is divided by. */
const boundOf = (backend: Name, { score, normalize }: Spec): number =>
  isNative(backend) && score !== 'sigmoid' && (normalize ?? 'none') === 'none' ? 2 : 0.51;

/** Checks the routes of some tokens, and returns the largest error of a weight. */
function check(backend: Name, x: Float32Array, spec: Spec): number {
  const { experts, k } = spec;
  const actual = routeOn(backend, x, spec);
  const counts = new Uint32Array(experts);
  let largest = 0;
  for (let t = 0; t < x.length / experts; t++) {
    const wanted = routeOracle(x.subarray(t * experts, (t + 1) * experts), spec);
    const got = Array.from(actual.experts.subarray(t * k, (t + 1) * k));
    expect(got, `${JSON.stringify(spec)}, token ${t}`).toEqual(wanted.experts);
    wanted.weights.forEach((w, j) => (largest = Math.max(largest, ulps(actual.weights[t * k + j]!, w))));
    for (const expert of got) counts[expert]!++;
    expect(actual.status[t]).toBe(0);
  }
  expect(actual.counts).toEqual(counts);
  expect(largest, JSON.stringify(spec)).toBeLessThanOrEqual(boundOf(backend, spec));
  return largest;
}

const biases = (experts: number, size: number) => Float64Array.from(normals(experts, 99, size));

/** Every way to score and to normalise. */
const ways = (['softmax', 'sigmoid'] as const).flatMap((score) =>
  (['none', 'sum', 'softmax'] as const).map((normalize) => ({ score, normalize })),
);

for (const backend of backends) {
  describe(backend, () => {
    it('has the values of the definitions', () => {
      const x = Float32Array.of(1, 3, 2, 0.5);
      const of = (spec: Partial<Spec>, logits = x) =>
        routeOn(backend, logits, { experts: logits.length, k: 2, ...spec });
      const near = (actual: Float32Array, wanted: number[]) =>
        wanted.forEach((w, i) => expect(Math.abs(actual[i]! / w - 1)).toBeLessThan(2 ** -23));
      near(of({ normalize: 'softmax' }).weights, [0.7310585786300049, 0.2689414213699951]);
      near(of({ normalize: 'sum' }).weights, [0.7310585786300049, 0.2689414213699951]);
      near(of({}).weights, [0.6307955432474668, 0.23205671194331448]);
      expect(of({}).experts).toEqual(Uint32Array.of(1, 2));

      const y = Float32Array.of(0.5, -1, 2, 0.1, 1.5, 1.4, -0.2, 0, 3, -2, -2, -2, 0.9, 0.8, 0.7, 0.6);
      const selectBias = new Float64Array(16);
      [selectBias[7], selectBias[8]] = [0.9, -0.5];
      const groups = { groups: 4, topGroups: 2, k: 3 };
      const v3 = of({ ...groups, selectBias, score: 'sigmoid', normalize: 'sum', scale: 2.5 }, y);
      expect(v3.experts).toEqual(Uint32Array.of(7, 2, 4));
      near(v3.weights, [0.5686026994063216, 1.0016471923348484, 0.9297501082588302]);
      const plain = of(groups, y);
      expect(plain.experts).toEqual(Uint32Array.of(8, 2, 0));
      near(plain.weights, [0.40268518959258964, 0.14813960251533817, 0.033054413233572146]);

      // Negative choices: a dropped group that counted as 0 would win.
      const low = { groups: 2, topGroups: 1, selectBias: new Float64Array(4).fill(-1) };
      expect(of(low).experts).toEqual(Uint32Array.of(1, 0));
      expect(of(low, Float32Array.of(0, 0, 3, 1)).experts).toEqual(Uint32Array.of(2, 3));
    });

    it('is exact for every number of experts', () => {
      for (const way of ways) {
        for (const experts of [1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 60, 64, 65, 100, 128, 160, 256, 257]) {
          for (const k of new Set([1, 2, Math.min(8, experts), Math.min(17, experts)])) {
            if (k > experts) continue;
            check(backend, normals(2 * experts, experts + k, 3), { experts, k, ...way, scale: 2.5 });
          }
        }
      }
    });

    it('is exact with a bias', () => {
      for (const way of ways) {
        for (const experts of [1, 5, 16, 40, 256]) {
          for (const size of [0.01, 3]) {
            const selectBias = biases(experts, size);
            check(backend, normals(3 * experts, experts, 2), { experts, k: Math.min(6, experts), ...way, selectBias });
          }
        }
      }
    });

    it('is exact with groups', () => {
      for (const way of ways) {
        for (const [experts, groups, topGroups, k] of [
          [256, 8, 4, 8],
          [160, 8, 3, 6],
          [64, 64, 7, 7],
          [60, 12, 5, 25],
          [300, 150, 149, 20],
          [9, 3, 1, 3],
          [16, 1, 1, 4],
        ] as const) {
          const spec = { experts, groups, topGroups, k, ...way };
          check(backend, normals(3 * experts, experts, 2), spec);
          check(backend, normals(3 * experts, experts, 2), { ...spec, selectBias: biases(experts, 0.1) });
        }
      }
    });

    it('takes logits of every size', () => {
      const experts = 48;
      for (const way of ways) {
        for (const [size, shift] of [
          [1e-3, 0],
          [100, 0],
          [8, 1e4],
          [8, -1e4],
          [8, 3e4],
          [64, 1e7],
          [1e36, 0],
          [3e37, -1e38],
        ] as const) {
          const x = normals(4 * experts, 5, size).map((v) => v + shift);
          check(backend, x, { experts, k: 5, ...way });
          check(backend, x, { experts, k: 5, ...way, groups: 6, topGroups: 2 });
        }
      }
    });

    it('takes the lower index of equal choices', () => {
      for (const experts of [8, 40, 256]) {
        for (const k of [1, 4, 8]) {
          const ties = normals(4 * experts, k).map((v) => Math.round(v * 2) / 2);
          for (const x of [ties, new Float32Array(experts), new Float32Array(experts).fill(-Infinity)]) {
            for (const way of ways) {
              check(backend, x, { experts, k, ...way });
              check(backend, x, { experts, k, ...way, groups: 4, topGroups: 4 });
            }
            check(backend, x, { experts, k, score: 'sigmoid', selectBias: new Float64Array(experts) });
          }
        }
      }
    });

    it('has 1/k where scores are 0/0', () => {
      const nothing = new Float32Array(20).fill(-Infinity);
      for (const way of ways) {
        const isSigmoid = way.score === 'sigmoid' && way.normalize === 'none';
        const { weights } = routeOn(backend, nothing, { experts: 20, k: 4, ...way, scale: 2 });
        expect(weights).toEqual(new Float32Array(4).fill(isSigmoid ? 0 : 0.5));
      }
      // Sigmoids that no double holds still have a quotient.
      const far = Float32Array.of(-2000, -2001, -3000);
      const { weights } = routeOn(backend, far, { experts: 3, k: 2, score: 'sigmoid', normalize: 'sum' });
      expect(weights[0]).toBeCloseTo(0.7310585786300049, 7);
    });

    it('knows −∞ and +∞', () => {
      const x = Float32Array.of(-Infinity, 2, -Infinity, 1, -Infinity, 0, 3, -Infinity, -1);
      for (const way of ways) {
        check(backend, x, { experts: 9, k: 7, ...way });
        check(backend, x, { experts: 9, k: 5, ...way, groups: 3, topGroups: 2 });
        check(backend, x, { experts: 9, k: 7, ...way, selectBias: biases(9, 1) });
      }
      const high = Float32Array.of(1, Infinity, 2, Infinity);
      check(backend, high, { experts: 4, k: 3, score: 'sigmoid' });
      check(backend, high, { experts: 4, k: 3, score: 'sigmoid', normalize: 'sum' });
      for (const way of ways.filter(({ score, normalize }) => score === 'softmax' || normalize === 'softmax')) {
        expect(routeOn(backend, high, { experts: 4, k: 3, ...way }).status).toEqual(Int32Array.of(2));
      }
    });

    it('names tokens with a NaN or too few experts, and passes over masked ones', () => {
      for (const at of [0, 15, 16, 31, 32, 36]) {
        const x = normals(3 * 37, 1);
        x[37 + at] = NaN;
        x[74 + at] = Infinity;
        expect(routeOn(backend, x, { experts: 37, k: 3 }).status).toEqual(Int32Array.of(0, 1, 2));
        const mask = Uint8Array.of(1, 0, 0);
        const { status, experts, weights, counts } = routeOn(backend, x, { experts: 37, k: 3 }, { mask });
        expect(status).toEqual(new Int32Array(3));
        expect(experts.subarray(3)).toEqual(new Uint32Array(6));
        expect(weights.subarray(3)).toEqual(new Float32Array(6));
        expect(counts.reduce((a, b) => a + b)).toBe(3);
      }
      const selectBias = new Float64Array(20).fill(-Infinity);
      selectBias.fill(0, 5, 8);
      for (const score of ['softmax', 'sigmoid'] as const) {
        check(backend, normals(40, 2), { experts: 20, k: 3, score, selectBias });
        const { status } = routeOn(backend, normals(40, 2), { experts: 20, k: 4, score, selectBias });
        expect(status).toEqual(Int32Array.of(3, 3));
      }
    });

    it.each(['f16', 'bf16'] as const)('%s is the float32 route of the same numbers', (type: HalfName) => {
      for (const experts of [8, 33, 256]) {
        const halves = halvesOf(type, normals(5 * experts, 3));
        for (const way of ways) {
          const spec = { experts, k: 4, ...way };
          const wide = routeOn(backend, floatsOf(type, halves), spec);
          expect(routeOn(backend, halves, spec, { type })).toEqual(wide);
        }
        expect(dtypes[type]).toBeDefined();
      }
    });
  });
}

describe('all native backends', () => {
  it('have the same bits', () => {
    const x = normals(64 * 256, 8, 2);
    const natives = backends.filter(isNative);
    for (const way of ways) {
      for (const more of [{}, { groups: 8, topGroups: 3 }, { selectBias: biases(256, 0.2) }]) {
        const all = natives.map((name) => routeOn(name, x, { experts: 256, k: 8, ...way, ...more }));
        for (const each of all) expect(each).toEqual(all[0]);
      }
    }
  });
});
