/** Filters in any order against plain formulas, and the published examples and orders of llama.cpp and transformers. */
import { describe, expect, it } from 'vitest';
import { backends } from '../support/backends.js';
import { generator, typeNames } from '../support/cases.js';
import { forceBackend } from '../support/force-backend.js';
import { FILTER_ORDERS, type FilterName, type FilterOptions } from '../../lib/sampling/filter-options.js';
import { makers } from './cases.js';
import { chainReference, type ReferenceOptions } from './chain-reference.js';

type Options = FilterOptions<Float32Array>;

const pick = <T>(random: () => number, values: readonly T[]): T => values[random() % values.length]!;

/** Some filters and an order of them. */
function someChain(random: () => number, n: number): { options: Options; order: FilterName[] } {
  const all: Partial<Record<FilterName, Options>> = {
    temperature: pick(random, [
      { temperature: 0.7 },
      { temperature: 1.5 },
      { temperature: 0.8, dynamicTemperature: { range: pick(random, [0.3, 0.8, 2]) } },
      { temperature: 1.1, dynamicTemperature: { range: 0.5, exponent: pick(random, [0, 0.5, 2]) } },
    ]),
    topNSigma: { topNSigma: pick(random, [0.5, 1, 2, 3.3]) },
    topH: { topH: pick(random, [0.2, 0.4, 0.9]) },
    topK: { topK: pick(random, [1, 2, 5, 50, 200]) },
    topP: { topP: pick(random, [0.2, 0.5, 0.9, 0.99]) },
    minP: { minP: pick(random, [0.01, 0.05, 0.3]) },
    typicalP: { typicalP: pick(random, [0.3, 0.7, 0.95]) },
    epsilonCutoff: { epsilonCutoff: pick(random, [1e-4, 3e-3, 0.1]) },
    etaCutoff: { etaCutoff: pick(random, [1e-4, 3e-3, 0.1]) },
    xtc: { xtc: { threshold: pick(random, [0.02, 0.1, 0.3, 0.6]), probability: 1 } },
  };
  const order = (Object.keys(all) as FilterName[]).filter(() => random() % 3 === 0);
  for (let i = order.length - 1; i > 0; i--) {
    const j = random() % (i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  const options = Object.assign({}, ...order.map((name) => all[name])) as Options;
  return { options: random() % 3 ? options : { ...options, minKeep: pick(random, [2, 3, 10, n]) }, order };
}

const keptOf = (logits: ArrayLike<number>): number[] =>
  Array.from(logits, (_, i) => i).filter((i) => logits[i]! > -Infinity);

for (const name of backends.filter((each) => each !== 'scalar')) {
  describe(name, () => {
    let api: typeof import('../../lib/sampling.js');
    forceBackend(name, async () => {
      api = await import('../../lib/sampling.js');
    });

    it('400 chains of filters keep the tokens of the formulas, with their probabilities', () => {
      const random = generator(7);
      const kinds = Object.keys(makers);
      let judged = 0;
      for (let i = 0; i < 400; i++) {
        const n = pick(random, [1, 2, 3, 17, 100, 300, 1100]);
        const type = typeNames[i & 1]!;
        const x = makers[pick(random, kinds)]!(type, n, i);
        const { options, order } = someChain(random, n);
        const kept = chainReference(x, options, order);
        const got = api.filterLogits(x as Float32Array, { ...options, order });
        if (kept === undefined) continue;
        judged++;
        const text = JSON.stringify({ i, n, type, options, order });
        expect(keptOf(got.logits), text).toEqual(kept.tokens);
        kept.tokens.forEach((token, j) => {
          const wanted = kept.p[j]!;
          expect(Math.abs(got.probabilities[token]! - wanted), text).toBeLessThan(1e-6 * wanted + 2 ** -62);
        });
      }
      expect(judged).toBeGreaterThan(300);
    });

    it('mirostat 1 and 2 keep the tokens of the formulas, and move mu', () => {
      const random = generator(8);
      for (let i = 0; i < 60; i++) {
        const x = makers[pick(random, ['N(0,1)', 'N(0,8)', 'five values', 'all equal', 'rising'])]!('f32', 700, i);
        const version = pick(random, [1, 2] as const);
        const mu = pick(random, [0.5, 3, 6, 10, 30]);
        const temperature = pick(random, [1, 0.7]);
        const kept = chainReference(x, { temperature, mirostat: { version, mu } }, ['temperature', 'mirostat']);
        if (kept === undefined) continue;
        const noise = Float64Array.from({ length: 200 }, (_, d) => (d + 0.5) / 200);
        const options = { temperature, noise, mirostat: { version, mu, tau: 4, eta: 0.2 } };
        const { tokens, mu: next } = api.sampleMany(x as Float32Array, 200, options);
        for (const token of tokens) expect(kept.tokens).toContain(token);
        const p = kept.p[kept.tokens.indexOf(tokens[199]!)]!;
        expect(next[0]).toBeCloseTo(mu - 0.2 * (-Math.log2(p) - 4), 9);
      }
      const first = api.sample(Float32Array.of(1, 2), { mirostat: { version: 2 }, noise: [0.9] });
      expect(first.mu[0]).toBeCloseTo(10 - 0.1 * (-Math.log2(1 / (1 + Math.exp(-1))) - 5), 12);
    });

    // llama.cpp, tests/test-sampling.cpp: probabilities, filter, and the probabilities that are left.
    const four = [0.1, 0.2, 0.3, 0.4];
    it.each<[readonly number[], ReferenceOptions, readonly number[]]>([
      [four, { topK: 1 }, [1]],
      [four, { topK: 3 }, [0.22222, 0.33333, 0.44444]],
      [four, { topK: 4 }, four],
      [four, { topP: 0.7 }, [0.42857, 0.57143]],
      [four, { topP: 0.8 }, [0.22222, 0.33333, 0.44444]],
      [four, { minP: 0.24 }, four],
      [four, { minP: 0.26 }, [0.22222, 0.33333, 0.44444]],
      [four, { minP: 0.51 }, [0.42857, 0.57143]],
      [four, { minP: 0.76 }, [1]],
      [[0.4, 0.3, 0.2, 0.1], { xtc: { threshold: 0.09, probability: 1 } }, [1]],
      [[0.4, 0.3, 0.2, 0.1], { xtc: { threshold: 0.19, probability: 1 } }, [0.66667, 0.33333]],
      [[0.4, 0.3, 0.2, 0.1], { xtc: { threshold: 0.29, probability: 1 } }, [0.5, 0.33333, 0.16667]],
      [[0.4, 0.3, 0.2, 0.1], { xtc: { threshold: 0.39, probability: 1 } }, [0.4, 0.3, 0.2, 0.1]],
      [[0.97, 0.01, 0.01, 0.01], { typicalP: 0.5 }, [0.97 / 0.97]],
      [four, { topNSigma: 1 }, [0.42857, 0.57143]],
      [four, { topNSigma: 3 }, four],
    ])('%j, %j leave %j', (p, options, wanted) => {
      const { probabilities } = api.filterLogits(Float32Array.from(p, Math.log), {
        ...(options as Options),
        order: 'llama.cpp',
      });
      const kept = Array.from(probabilities).filter((each) => each > 0);
      expect(kept).toHaveLength(wanted.length);
      kept.forEach((each, i) => expect(each).toBeCloseTo(wanted[i]!, 4));
    });

    it.each([1, 2 ** 1021, 2 ** -1072])('topNSigma keeps the same of logits times %d', (unit) => {
      const x = Float64Array.of(4, 3, 2, 1, 0).map((each) => each * unit);
      const order: Options['order'] = ['topNSigma'];
      expect(keptOf(api.filterLogits(x, { topNSigma: 1, order }).logits)).toEqual([0, 1]);
      const tokens = Array.from({ length: 20 }, (_, seed) => api.sample(x, { topNSigma: 1, seed, order })[0]);
      expect(tokens.every((token) => token! < 2)).toBe(true);
    });

    it('an order decides: minP before and after a temperature', () => {
      const x = Float32Array.of(3, 1.5, 0);
      const kept = (options: Options) => keptOf(api.filterLogits(x, options).logits);
      expect(kept({ temperature: 2, minP: 0.3 })).toEqual([0, 1]);
      expect(kept({ temperature: 2, minP: 0.3, order: 'llama.cpp' })).toEqual([0]);
      expect(kept({ temperature: 2, minP: 0.3, order: ['minP', 'temperature'] })).toEqual([0]);
      expect(kept({ temperature: 2, minP: 0.3, order: 'vllm' })).toEqual([0, 1]);
      expect(kept({ temperature: 0, minP: 0.3, order: 'llama.cpp' })).toEqual([0]);
    });

    it('the kernel and the chain keep the same tokens', () => {
      const random = generator(3);
      for (let i = 0; i < 60; i++) {
        const x = makers[pick(random, Object.keys(makers))]!('f32', pick(random, [5, 300, 2000]), i) as Float32Array;
        const options = { temperature: 0.9, topK: 40, topP: 0.9, minP: 0.02, epsilonCutoff: 1e-3, seed: i };
        // topNSigma of 1e9 keeps all, and needs the chain.
        const chained = { ...options, topNSigma: 1e9 };
        expect(api.filterLogits(x, chained)).toEqual(api.filterLogits(x, options));
        expect(api.sampleMany(x, 5, chained)).toEqual(api.sampleMany(x, 5, options));
      }
    });

    it('masks, biases, halves and rows without an answer', () => {
      const x = Float32Array.of(1, 2, 3, NaN, 5, 6, 7, 8);
      const options = { cols: 4, topNSigma: 1, seed: 1 } as const;
      expect(() => api.sample(x, options)).toThrow('no NaN for row 0 of logits');
      const { tokens, status } = api.sample(x, { ...options, invalid: 'mark' });
      expect([...status]).toEqual([1, 0]);
      expect(tokens[0]).toBe(0xffffffff);
      const mask = Uint8Array.of(1, 1, 1, 0, 0, 0, 0, 0);
      expect([...api.sample(x, { ...options, mask, invalid: 'mark' }).status]).toEqual([0, 2]);
      const masked = api.filterLogits(x.subarray(0, 4), { topNSigma: 1, mask: mask.subarray(0, 4) });
      expect(keptOf(masked.logits)).toEqual(chainReference([1, 2, 3], { topNSigma: 1 }, ['topNSigma'])!.tokens);
      const biased = api.filterLogits(x.subarray(4), {
        xtc: { threshold: 0.1, probability: 1 },
        bias: Float32Array.of(9, 0, 0, 0),
      });
      const sums = chainReference([14, 6, 7, 8], { xtc: { threshold: 0.1, probability: 1 } }, ['xtc'])!;
      expect(keptOf(biased.logits)).toEqual(sums.tokens);
      const half = Uint16Array.of(0x3c00, 0x4000, 0x4200); // 1, 2, 3
      const kept = api.filterLogits(half, { dtype: 'float16', topNSigma: 0.5 });
      expect(kept).toEqual(api.filterLogits(Float32Array.of(1, 2, 3), { topNSigma: 0.5 }));
    });
  });
}

it('the orders are the published ones', () => {
  // common/common.h of llama.cpp, without penalties and dry; generation/utils.py of transformers; vLLM's sampler.py.
  expect(FILTER_ORDERS).toEqual({
    'llama.cpp': ['topNSigma', 'topK', 'typicalP', 'topP', 'minP', 'xtc', 'temperature', 'mirostat'],
    transformers: ['temperature', 'topH', 'topK', 'topP', 'minP', 'typicalP', 'epsilonCutoff', 'etaCutoff'],
    vllm: ['temperature', 'minP', 'topK', 'topP'],
  });
});
