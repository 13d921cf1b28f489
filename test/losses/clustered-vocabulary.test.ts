/** ClusteredVocabulary on every backend, against a softmax over all tokens. */
import { describe, expect, it } from 'vitest';
import { softmaxOracle, ulpError } from '../../lib/cli/oracle.js';
import type * as Losses from '../../lib/losses.js';
import { logRow, logSoftmaxOf } from '../softmax/log-oracle.js';
import { backends } from '../support/backends.js';
import { floats, generator, row, typeNames } from '../support/cases.js';
import { forceBackend } from '../support/force-backend.js';

let losses: typeof Losses;
const load = async () => {
  losses = await import('../../lib/losses.js');
};
const MAP = [0, 1, 1, 2, 0, 1];

for (const backend of backends) {
  describe(backend, () => {
    forceBackend(backend, load);

    it('gives the values of its definition', () => {
      const vocabulary = new losses.ClusteredVocabulary(MAP);
      const l = Float64Array.of(2, 0, -1);
      const p = [
        0.4072004575950812, 0.0551085892627086, 0.0551085892627086, 0.0202733170217118, 0.4072004575950812,
        0.0551085892627086,
      ];
      p.forEach((each, v) => expect(vocabulary.probabilities(l)[v]).toBeCloseTo(each, 15));
      expect(vocabulary.logSumExp(l)[0]).toBeCloseTo(2.898449689986433, 15);
      expect([...vocabulary.expand(l)]).toEqual([2, 0, 0, -1, 2, 0]);
    });

    it.each(typeNames)('%s is the softmax over all tokens', (type) => {
      const random = generator(9);
      for (const [codes, tokens] of [
        [1, 1],
        [1, 9],
        [5, 5],
        [7, 40],
        [40, 17],
      ] as const) {
        const map = Array.from({ length: tokens }, () => random() % codes);
        const vocabulary = new losses.ClusteredVocabulary(Uint32Array.from(map), { codes });
        for (const temperature of [1, 0.7]) {
          const l = row(type, 'N(0,8)', 3 * codes) as Float64Array;
          const p = vocabulary.probabilities(l, { temperature });
          const logs = vocabulary.logProbs(l, { temperature });
          for (let r = 0; r < 3; r++) {
            const all = floats[type].from(map.map((c) => l[r * codes + c]!));
            const wanted = softmaxOracle(all, { temperature });
            const of = logRow(all, temperature);
            map.forEach((_, v) => {
              const [error, most] = [
                ulpError(p[r * tokens + v]!, wanted.hi[v]!, wanted.lo[v]!, type),
                type === 'f32' ? 0.51 : 6,
              ];
              expect(error).toBeLessThanOrEqual(most);
              const log = logSoftmaxOf(of, v);
              const size = Math.max(1, Math.abs(log.hi));
              expect(Math.abs(logs[r * tokens + v]! - log.hi)).toBeLessThanOrEqual(
                size * (type === 'f32' ? 2 ** -24 : 1e-14),
              );
            });
          }
        }
      }
    });

    it.each(typeNames)('%s: losses are −ln p, with the gradient of a softmax over the codes', (type) => {
      const vocabulary = new losses.ClusteredVocabulary(MAP, { codes: 4 });
      const l = floats[type].of(2, 0, -1, NaN, 0.5, -3, 1, Infinity) as Float64Array;
      const gradient = new floats[type](8) as Float64Array;
      const loss = vocabulary.crossEntropy(l, [2, 4], { gradient, temperature: 0.5 });
      const logs = vocabulary.logProbs(l, { temperature: 0.5 });
      expect(loss[0]).toBeCloseTo(-logs[2]!, 6);
      expect(loss[1]).toBeCloseTo(-logs[6 + 4]!, 6);
      const p = vocabulary.probabilities(l, { temperature: 0.5 });
      const ofCode = (r: number, c: number) => MAP.reduce((sum, each, v) => sum + (each === c ? p[r * 6 + v]! : 0), 0);
      for (const [r, target] of [
        [0, 1],
        [1, 0],
      ] as const) {
        for (let c = 0; c < 4; c++) {
          expect(gradient[r * 4 + c]).toBeCloseTo((ofCode(r, c) - (c === target ? 1 : 0)) / 0.5, 5);
        }
      }
      const ignored = vocabulary.crossEntropy(l, BigInt64Array.of(-100n, -100n), { gradient });
      expect([...ignored, ...gradient]).toEqual(new Array<number>(10).fill(0));
      expect(() => vocabulary.crossEntropy(l, [6, 0])).toThrow(RangeError);
    });

    it('has softmax’s edge values', () => {
      const vocabulary = new losses.ClusteredVocabulary([0, 0, 1], { codes: 3 });
      expect([...vocabulary.probabilities(Float32Array.of(-Infinity, 1, NaN))]).toEqual([0, 0, 1]);
      expect([...vocabulary.logProbs(Float32Array.of(-Infinity, 1, NaN))]).toEqual([-Infinity, -Infinity, 0]);
      for (const bad of [NaN, Infinity, -Infinity]) {
        const l = Float32Array.of(bad, bad === -Infinity ? bad : 1, 5);
        expect([...vocabulary.probabilities(l)]).toEqual([NaN, NaN, NaN]);
        expect(() => vocabulary.sample(l)).toThrow('row 0 of logits');
      }
      expect(vocabulary.crossEntropy(Float32Array.of(-Infinity, 1, 0), [0])[0]).toBe(Infinity);
      expect(vocabulary.probabilities(new Float32Array(0))).toEqual(new Float32Array(0));
      const halves = vocabulary.probabilities(Uint16Array.of(0, 0, 0), { dtype: 'float16' });
      expect([...halves]).toEqual([0x3555, 0x3555, 0x3555]);
      expect([...vocabulary.expand(Uint16Array.of(1, 2, 3), { dtype: 'bfloat16' })]).toEqual([1, 1, 2]);
    });

    it('draws tokens by their probabilities', () => {
      const vocabulary = new losses.ClusteredVocabulary(MAP);
      const n = 20_000;
      const l = Float32Array.from({ length: 3 * n }, (_, i) => [2, 0, -1][i % 3]!);
      const tokens = vocabulary.sample(l, { seed: 5 });
      const p = vocabulary.probabilities(l.subarray(0, 3));
      const counts = new Float64Array(6);
      for (const v of tokens) counts[v]!++;
      counts.forEach((count, v) => {
        expect(Math.abs(count - n * p[v]!)).toBeLessThan(4.5 * Math.sqrt(n * p[v]! * (1 - p[v]!)));
      });
      expect(vocabulary.sample(l.subarray(30), { seed: 5, firstRow: 10 })).toEqual(tokens.slice(10));
    });

    it('refuses maps and logits that make no sense', () => {
      for (const map of [[], [-1], [0.5], [NaN]]) {
        expect(() => new losses.ClusteredVocabulary(map)).toThrow(RangeError);
      }
      expect(() => new losses.ClusteredVocabulary([3], { codes: 3 })).toThrow(RangeError);
      expect(() => new losses.ClusteredVocabulary('01' as never)).toThrow(TypeError);
      const vocabulary = new losses.ClusteredVocabulary(MAP);
      expect(() => vocabulary.probabilities(new Float32Array(4))).toThrow(RangeError);
      expect(() => vocabulary.probabilities(new Float32Array(3), { temperature: 0 })).toThrow(RangeError);
      expect(() => vocabulary.probabilities(new Float32Array(3), { cols: 3 } as never)).toThrow(TypeError);
    });
  });
}
