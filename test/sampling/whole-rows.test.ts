/**
 * Filters of whole rows, which kernels measure: on every backend the tokens of the JavaScript chain, for long rows too,
 * with masks, biases, halves, a number a row, and as promises.
 */
import { describe, expect, it } from 'vitest';
import type { SampleOneOptions, SampleResult } from '../../lib/sampling.js';
import { bfloat16, float16 } from '../../lib/math/half.js';
import { backends } from '../support/backends.js';
import { generator, row } from '../support/cases.js';
import { chainReference, type ReferenceOptions } from './chain-reference.js';
import { makers } from './cases.js';
import { forceSampling, type PromisesApi, type SamplingApi } from './force-sampling.js';

const CHAINS: [string, SampleOneOptions<Float32Array>][] = [
  ['topNSigma', { topNSigma: 1 }],
  ['topNSigma at a temperature', { topNSigma: 2.5, temperature: 0.6 }],
  ['topNSigma of llama.cpp', { topNSigma: 1.5, topK: 40, order: 'llama.cpp' }],
  ['topNSigma, minP and typicalP', { topNSigma: 2, minP: 0.02, typicalP: 0.9 }],
  ['topNSigma and topP', { topNSigma: 2, topP: 0.8 }],
  ['etaCutoff', { etaCutoff: 3e-4 }],
  ['etaCutoff, a large one', { etaCutoff: 0.4, temperature: 1.5 }],
  ['dynamicTemperature', { temperature: 0.8, dynamicTemperature: { range: 0.5 } }],
  ['dynamicTemperature and topP', { dynamicTemperature: { range: 1, exponent: 0.5 }, topP: 0.9, minP: 0.01 }],
  ['topH', { topH: 0.4 }],
  ['xtc', { xtc: { threshold: 0.02, probability: 1 } }],
  ['xtc behind topP, not drawn', { topP: 0.9, xtc: { threshold: 0.1, probability: 1e-9 } }],
  ['mirostat 2', { mirostat: { version: 2, tau: 4 } }],
  ['mirostat 1', { temperature: 0.9, mirostat: { version: 1, tau: 3 } }],
];

/** Logits of a kind as they are stored in a type. */
function stored(type: string, x: Float32Array): { x: Float32Array; dtype?: 'float16' | 'bfloat16' } {
  if (type === 'f32') return { x };
  if (type === 'f64') return { x: Float64Array.from(x, (z) => z * 1.0001) as unknown as Float32Array };
  const half = type === 'f16' ? float16 : bfloat16;
  const bits = Uint16Array.from(x, (z) => half.toBits(z)) as unknown as Float32Array;
  return { x: bits, dtype: type === 'f16' ? 'float16' : 'bfloat16' };
}

const results = new Map<string, string>();

for (const name of backends) {
  describe(name, () => {
    let api: SamplingApi;
    let later: PromisesApi;
    forceSampling(name, (...loaded) => ([api, later] = loaded));

    it.each(CHAINS)('%s: the same tokens on every backend, and as a promise', async (title, options) => {
      for (const type of ['f32', 'f64', 'f16', 'bf16']) {
        for (const cols of [17, 3000]) {
          const logits = row('f32', cols === 17 ? 'N(0,1)' : 'N(0,8)', 3 * cols, 5) as Float32Array;
          logits.fill(-Infinity, cols + 2, cols + 5);
          const { x, dtype } = stored(type, logits);
          const mask = Uint8Array.from({ length: cols }, (_, i) => +(i % 5 > 0));
          const bias = stored(type, logits.slice(0, cols)).x;
          for (const more of [{}, { mask }, { mask, bias }]) {
            const all = { ...options, ...more, cols, dtype, seed: 9, invalid: 'mark' as const };
            const { tokens, mu, status } = api.sample(x, all) as SampleResult;
            const text = JSON.stringify([[...tokens], [...mu], [...status]]);
            const key = `${title} ${type} ${cols} ${Object.keys(more).join()}`;
            expect(text, key).toBe(results.get(key) ?? text);
            results.set(key, text);
            if (cols === 17) continue;
            const promised = (await later.sample(x, all)) as SampleResult;
            expect(JSON.stringify([[...promised.tokens], [...promised.mu], [...promised.status]]), key).toBe(text);
          }
        }
      }
    });

    it.each(CHAINS.slice(0, 11))('%s: what the formulas keep of long rows', (_, { order, ...options }) => {
      const names = Object.keys(options).filter((each) => each !== 'dynamicTemperature' && each !== 'minKeep');
      const active =
        'dynamicTemperature' in options && !names.includes('temperature') ? ['temperature', ...names] : names;
      const sequence = (
        ['temperature', 'topNSigma', 'topH', 'topK', 'topP', 'minP', 'typicalP', 'etaCutoff', 'xtc'] as const
      ).filter((each) => active.includes(each));
      for (const kind of ['N(0,1)', 'N(0,8)', 'five values', 'all equal']) {
        const x = makers[kind]!('f32', 5000, 3) as Float32Array;
        const kept = chainReference(x, options as unknown as ReferenceOptions, [...sequence]);
        if (kept === undefined) continue;
        const { logits } = api.filterLogits(x, { ...options, order });
        const tokens = Array.from(logits, (_, i) => i).filter((i) => logits[i]! > -Infinity);
        expect(tokens, kind).toEqual(kept.tokens);
      }
    });

    it('at an edge that rough sums leave open: what every backend keeps', () => {
      const cols = 20_000;
      const x = new Float32Array(cols).fill(-Infinity);
      for (let i = 0; i < 8; i++) x[2500 * i + 1] = 0;
      const two = Float32Array.from(row('f32', 'N(0,1)', cols, 6), (z) => (z > 1 ? 6 : z));
      const p = Math.max(...Array.from(api.filterLogits(two).probabilities).filter((each, i) => two[i]! < 6 && each));
      const near = [-(2 ** -19), -(2 ** -24), 0, 2 ** -24, 2 ** -19].map((off) => 1 + off);
      const cases: [Float32Array, SampleOneOptions<Float32Array>][] = near.flatMap((scale) => [
        [x, { xtc: { threshold: scale / 8, probability: 1 }, seed: 3 }],
        [x, { mirostat: { version: 2, mu: 3 / scale }, seed: 3 }],
        [x, { epsilonCutoff: scale / 8, seed: 3 }],
        [two, { epsilonCutoff: p * scale }],
        [two, { epsilonCutoff: p * scale, temperature: 0.7 }],
        [two, { mirostat: { version: 2, mu: -Math.log2(p * scale) }, seed: 3 }],
      ]);
      for (const [i, [logits, options]] of cases.entries()) {
        const { mirostat, ...others } = options;
        const { tokens, mu } = api.sample(logits, { ...options, seed: 4, invalid: 'mark' }) as SampleResult;
        const kept = mirostat ? [] : Array.from(api.filterLogits(logits, others).logits).filter((z) => z > -Infinity);
        const text = JSON.stringify([[...tokens], [...mu], kept.length]);
        expect(text, JSON.stringify(options)).toBe(results.get(`edge ${i}`) ?? text);
        results.set(`edge ${i}`, text);
        if (options.xtc) expect(kept).toHaveLength((options.xtc.threshold as number) > 1 / 8 ? 8 : 1);
        if (logits === x && options.epsilonCutoff !== undefined) expect(kept).toHaveLength(8);
      }
    });

    it('a row of a batch has the tokens that it has alone', () => {
      const random = generator(4);
      const [rows, cols] = [6, 2500];
      const x = row('f32', 'N(0,8)', rows * cols, 8) as Float32Array;
      x.fill(NaN, 2 * cols, 2 * cols + 1).fill(-Infinity, 4 * cols, 5 * cols);
      const each = (values: number[]) => Array.from({ length: rows }, () => values[random() % values.length]!);
      const numbers = [
        { topNSigma: each([0, 1, 2]), temperature: each([0, 0.7, 1]) },
        { etaCutoff: each([0, 1e-4, 0.1]), temperature: each([0, 0.7, 1]) },
        { dynamicTemperature: { range: each([0, 0.4]) }, temperature: each([0, 0.3, 1]) },
        { xtc: { threshold: each([0.01, 0.05, 0.7]), probability: each([0, 0.5, 1]) }, temperature: each([0, 1]) },
        { mirostat: { version: 2 as const, mu: each([2, 5, 9]) }, temperature: each([0.6, 1]) },
        { topH: each([0.3, 0.6]), minKeep: each([1, 120]) },
      ];
      for (const options of numbers) {
        const all = api.sample(x, { ...(options as object), cols, seed: 2, invalid: 'mark' }) as SampleResult;
        for (let r = 0; r < rows; r++) {
          const own = (value: unknown): unknown =>
            Array.isArray(value)
              ? (value as number[])[r]
              : typeof value === 'object' && value !== null
                ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, own(inner)]))
                : value;
          const alone = { ...(own(options) as object), seed: 2, firstRow: r, invalid: 'mark' as const };
          const one = api.sample(x.subarray(r * cols, (r + 1) * cols), alone) as SampleResult;
          expect([all.tokens[r], all.status[r], all.mu[r]], JSON.stringify(alone)).toEqual([
            one.tokens[0],
            one.status[0],
            one.mu[0],
          ]);
        }
      }
    });
  });
}
