/** Options of one a row, marked rows, ln p beside tokens, seeds a row, any axis, shards of Gumbel draws. */
import { describe, expect, it } from 'vitest';
import { backends } from '../support/backends.js';
import { row } from '../support/cases.js';
import { forceSampling, type PromisesApi, type SamplingApi } from './force-sampling.js';

const cols = 700;
const rows = 12;
const NONE = 0xffffffff;

for (const name of backends.filter((each) => each !== 'scalar')) {
  describe(name, () => {
    let api: SamplingApi;
    let later: PromisesApi;
    forceSampling(name, (...loaded) => ([api, later] = loaded));
    const x = row('f32', 'N(0,8)', rows * cols) as Float32Array;
    const of = <T>(values: readonly T[]): T[] => Array.from({ length: rows }, (_, r) => values[r % values.length]!);
    const lists = {
      temperature: of([0.7, 1, 0, 1.5]),
      topK: of([0, 40, 3]),
      topP: Float32Array.from(of([0.5, 1, 0.75])),
      minP: of([0, 0.125]),
      typicalP: of([1, 1, 0.5, 1, 1]),
      epsilonCutoff: of([0, 0, 0, 0.01]),
    };
    const chained = {
      ...lists,
      topNSigma: of([0, 2]),
      topH: of([1, 1, 0.5]),
      etaCutoff: of([0, 0.01]),
      xtc: { threshold: of([0.1, 0.2]), probability: of([0.5, 0, 1]) },
      minKeep: of([1, 3]),
      dynamicTemperature: { range: of([0, 0.5]), exponent: 1 },
      order: 'llama.cpp',
    } as const;

    /** The options of row r alone. */
    const alone = (value: unknown, r: number): unknown => {
      if (Array.isArray(value) || ArrayBuffer.isView(value)) return (value as number[])[r];
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, alone(each, r)]));
    };
    const rowOf = (r: number) => x.subarray(r * cols, (r + 1) * cols);

    it('each row has the bits of that row alone', async () => {
      const { order: _, topH: __, etaCutoff: ___, ...inOrder } = chained;
      for (const options of [lists, inOrder, { ...chained, topH: 1, etaCutoff: 0, epsilonCutoff: 0 }]) {
        const all = api.sampleMany(x, 3, { ...options, cols, seed: 5, step: 2 } as object) as Uint32Array;
        const filtered = api.filterLogits(x, { ...options, cols, seed: 5, step: 2 } as object);
        for (let r = 0; r < rows; r++) {
          const own = { ...(alone(options, r) as object), seed: 5, step: 2, firstRow: r };
          expect(all.subarray(3 * r, 3 * r + 3), `row ${r}`).toEqual(api.sampleMany(rowOf(r), 3, own));
          const { logits, probabilities } = api.filterLogits(rowOf(r), own);
          expect(filtered.logits.subarray(r * cols, (r + 1) * cols)).toEqual(logits);
          expect(filtered.probabilities.subarray(r * cols, (r + 1) * cols)).toEqual(probabilities);
        }
        expect(await later.sampleMany(x, 3, { ...options, cols, seed: 5, step: 2 } as object)).toEqual(all);
        expect(await later.filterLogits(x, { ...options, cols, seed: 5, step: 2 } as object)).toEqual(filtered);
      }
    });

    it('seeds and steps a row: each row draws as row 0, or as its own row with one seed', () => {
      const seeds = of<number | bigint>([1, 2, 2n ** 63n]);
      const steps = Uint32Array.from({ length: rows }, (_, r) => r * r);
      const tokens = api.sample(x, { cols, seed: seeds, step: steps });
      const oneSeed = api.sample(x, { cols, seed: 9, step: steps, firstRow: 4 });
      for (let r = 0; r < rows; r++) {
        expect(tokens[r]).toBe(api.sample(rowOf(r), { seed: seeds[r]!, step: steps[r]! })[0]);
        expect(oneSeed[r]).toBe(api.sample(rowOf(r), { seed: 9, step: steps[r]!, firstRow: 4 + r })[0]);
      }
      expect(api.sample(x, { cols, seed: BigUint64Array.from(seeds, BigInt), step: steps })).toEqual(tokens);
    });

    it('a bad row is marked, and the others have their tokens', async () => {
      const bad = x.slice();
      bad[2 * cols + 5] = NaN;
      bad[4 * cols] = Infinity;
      bad.fill(-Infinity, 5 * cols, 6 * cols);
      const good = api.sample(x, { cols, seed: 3, topP: 0.9 });
      for (const more of [{}, { logProbs: 2 }, { topNSigma: 3 }, { mirostat: { version: 2, mu: 9 } }] as const) {
        const options = { ...more, cols, seed: 3, topP: 0.9, invalid: 'mark' } as const;
        const result = api.sample(bad, options);
        expect([...result.status]).toEqual([0, 0, 1, 0, 2, 2, 0, 0, 0, 0, 0, 0]);
        result.tokens.forEach((token, r) => {
          if (result.status[r] !== 0) expect(token).toBe(NONE);
          else if (!('mirostat' in more) && !('topNSigma' in more)) expect(token).toBe(good[r]);
        });
        expect(await later.sample(bad, options)).toEqual(result);
      }
      const { logProbs, ranks, top } = api.sample(bad, { cols, seed: 3, logProbs: 2, invalid: 'mark' });
      expect([logProbs[2], ranks[2], top.indices[4], top.logProbs[4]]).toEqual([NaN, NONE, NONE, NaN]);
      expect(() => api.sample(bad, { cols, seed: 3 })).toThrow('no NaN for row 2 of logits');
      expect(api.sample(new Float32Array(0), { cols: 4, invalid: 'mark' }).tokens).toHaveLength(0);
      expect([...api.sample(new Float32Array(0), { invalid: 'mark', logProbs: 3 }).status]).toEqual([2]);
    });

    it('ln p of drawn tokens is that of logProbs', async () => {
      const bias = row('f32', 'N(0,1)', cols) as Float32Array;
      const mask = Uint8Array.from({ length: cols }, (_, i) => i % 7);
      for (const more of [{}, { bias }, { mask }, { bias, mask }]) {
        for (const n of [0, 1, 5, 2000]) {
          for (const topNSigma of [0, 4]) {
            const options = { cols, ...more, temperature: 1.3, topK: 30, topNSigma, seed: 8, logProbs: n };
            const result = api.sample(x, options);
            const { logProbs, ranks, top } = api.logProbs(x, result.tokens, { cols, ...more, top: n });
            expect({ ...result, logProbs, ranks, top }).toEqual(result);
            expect(await later.sample(x, options)).toEqual(result);
          }
        }
      }
    });

    it('ranks count the tokens before a token', () => {
      for (const n of [1, 5, 16, 300, 5000, 20_001]) {
        const z = row('f32', 'N(0,1)', n).map((v) => Math.round(8 * v) / 8) as Float32Array;
        for (const token of [0, n >> 1, n - 1]) {
          const before = z.reduce((sum, v, i) => sum + +(v > z[token]! || (v === z[token] && i < token)), 0);
          expect(api.logProbs(z, token).ranks[0]).toBe(before + 1);
          expect(api.logProbs(Float64Array.from(z), token).ranks[0]).toBe(before + 1);
        }
      }
      expect([...api.logProbs(Float32Array.of(1, -Infinity, 3, -Infinity), 3).ranks]).toEqual([4]);
    });

    it('rows along any axis', () => {
      const shape = [3, 50, 4];
      const z = row('f32', 'N(0,8)', 600) as Float32Array;
      z[10] = z[14] = 99;
      const turned = Float32Array.from({ length: 600 }, (_, at) => {
        const [r, c] = [Math.floor(at / 50), at % 50];
        return z[(Math.floor(r / 4) * 50 + c) * 4 + (r % 4)]!;
      });
      const back = (values: ArrayLike<number>, n: number) =>
        Array.from({ length: 12 * n }, (_, at) => {
          const [o, j, i] = [Math.floor(at / (4 * n)), Math.floor(at / 4) % n, at % 4];
          return values[(o * 4 + i) * n + j]!;
        });
      const [along, flat] = [{ shape, axis: 1 }, { cols: 50 }];
      expect(api.argmax(z, along)).toEqual(api.argmax(turned, flat));
      for (const largest of [true, false]) {
        const [top, wanted] = [api.topK(z, 7, { ...along, largest }), api.topK(turned, 7, { ...flat, largest })];
        expect([...top.indices]).toEqual(back(wanted.indices, 7));
        expect([...top.values]).toEqual(back(wanted.values, 7));
      }
      const bias = row('f32', 'N(0,1)', 600, 4) as Float32Array;
      const mask = Uint8Array.from({ length: 600 }, (_, i) => i % 5);
      const turn = <A extends Float32Array | Uint8Array>(a: A): A =>
        a.map((_, at) => a[(Math.floor(at / 200) * 50 + (at % 50)) * 4 + (Math.floor(at / 50) % 4)]!) as A;
      for (const more of [{}, { topNSigma: 2 }]) {
        const [here, there] = [
          { ...along, ...more, bias, mask, seed: 2 },
          { ...flat, ...more, bias: turn(bias), mask: turn(mask), seed: 2 },
        ];
        expect(api.sample(z, here)).toEqual(api.sample(turned, there));
        expect([...api.filterLogits(z, here).logits]).toEqual(back(api.filterLogits(turned, there).logits, 50));
        const bits = new Uint8Array(75);
        mask.forEach((m, i) => (bits[i >> 3]! |= +(m > 0) << (i & 7)));
        expect(api.sample(z, { ...here, mask: bits, maskFormat: 'bits' })).toEqual(api.sample(turned, there));
      }
      expect([...api.gumbelSoftmax(z, { ...along, seed: 1 })]).toEqual(
        back(api.gumbelSoftmax(turned, { ...flat, seed: 1 }), 50),
      );
    });

    it('the k smallest, and none', async () => {
      const z = Float64Array.of(3, -0, 0, 5, -Infinity, 0);
      expect(api.topK(z, 4, { largest: false })).toEqual({
        indices: Uint32Array.of(4, 1, 2, 5),
        values: Float64Array.of(-Infinity, -0, 0, 0),
        k: 4,
      });
      expect(api.topK(z, 0)).toEqual({ indices: new Uint32Array(0), values: new Float64Array(0), k: 0 });
      expect(() => api.topK(Float32Array.of(1, NaN), 1, { largest: false })).toThrow('no NaN for row 0 of x');
      expect(await later.topK(z, 4, { largest: false })).toEqual(api.topK(z, 4, { largest: false }));
      expect(z[0]).toBe(3);
      const half = Uint16Array.of(0x3c00, 0xbc00, 0x4000);
      expect(api.topK(half, 2, { largest: false, dtype: 'float16' }).values).toEqual(Uint16Array.of(0xbc00, 0x3c00));
    });

    it('shards of a vocabulary draw the token of the whole', () => {
      const z = row('f32', 'N(0,1)', 8 * 101) as Float32Array;
      for (let step = 0; step < 40; step++) {
        const options = { cols: 101, temperature: 0.8, seed: 3, step };
        const whole = api.gumbelMax(z, options);
        const shards = [
          [0, 37],
          [37, 80],
          [80, 101],
        ].map(([from, to]) => {
          const part = Float32Array.from({ length: 8 * (to! - from!) }, (_, i) => {
            const [r, c] = [Math.floor(i / (to! - from!)), i % (to! - from!)];
            return z[r * 101 + from! + c]!;
          });
          return { from: from!, ...api.gumbelTopK(part, 1, { ...options, cols: to! - from!, firstColumn: from! }) };
        });
        for (let r = 0; r < 8; r++) {
          const best = shards.reduce((a, b) => (b.values[r]! > a.values[r]! ? b : a));
          expect(best.from + best.indices[r]!).toBe(whole[r]);
        }
      }
    });
  });
}
