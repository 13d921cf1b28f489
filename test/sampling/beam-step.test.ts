/** beamStep against a full sort of all beams and tokens, in double-double logarithms. */
import { describe, expect, it } from 'vitest';
import { backends } from '../support/backends.js';
import { row, type FloatsName } from '../support/cases.js';
import { forceSampling, type PromisesApi, type SamplingApi } from './force-sampling.js';

interface Best {
  beam: number;
  token: number;
  score: number;
}

/** ln p by compensated sums; −∞ where the mask hides. */
function logProbsOf(z: readonly number[]): number[] {
  const top = Math.max(...z);
  let [sum, rest] = [0, 0];
  for (const each of z) {
    const term = Math.exp(each - top);
    const next = sum + term;
    rest += Math.abs(sum) > Math.abs(term) ? sum - next + term : term - next + sum;
    sum = next;
  }
  return z.map((each) => each - top - Math.log(sum + rest));
}
function expected(rows: readonly number[][], scores: readonly number[], k: number): Best[] {
  const all = rows.flatMap((z, beam) =>
    logProbsOf(z).map((logProb, token) => ({ beam, token, score: scores[beam]! + logProb })),
  );
  return all.sort((a, b) => b.score - a.score || a.beam - b.beam || a.token - b.token).slice(0, k);
}

for (const name of backends.filter((each) => each !== 'scalar')) {
  describe(name, () => {
    let api: SamplingApi;
    let later: PromisesApi;
    forceSampling(name, (...loaded) => ([api, later] = loaded));

    it.each([
      [1, 50, 4],
      [4, 301, 8],
      [3, 5, 100],
      [5, 4096, 20],
    ])('%i beams of %i tokens, the best %i', async (beams, cols, k) => {
      for (const type of ['f32', 'f64'] as FloatsName[]) {
        const logits = row(type, 'N(0,1)', beams * cols) as Float32Array;
        const bias = row(type, 'N(0,1)', cols, 9) as Float32Array;
        const mask = Uint8Array.from({ length: cols }, (_, i) => (i % 5 === 2 ? 0 : 1));
        const scores = Array.from({ length: beams }, (_, i) => -1.3 * i);
        for (const options of [{}, { temperature: 0.7 }, { mask, bias, temperature: 2 }]) {
          const { temperature = 1 } = options;
          const hasMask = 'mask' in options;
          const rows = scores.map((_, b) =>
            Array.from(logits.subarray(b * cols, (b + 1) * cols), (z, i) =>
              hasMask ? (mask[i] ? (z + bias[i]!) / temperature : -Infinity) : z / temperature,
            ),
          );
          const best = expected(rows, scores, k);
          const result = api.beamStep(logits, scores, k, options);
          expect(result.k).toBe(Math.min(k, beams * cols));
          for (const [i, { beam, token, score }] of best.entries()) {
            if (score === -Infinity) break;
            expect([result.beams[i], result.tokens[i]]).toEqual([beam, token]);
            expect(Math.abs(result.scores[i]! - score)).toBeLessThan(type === 'f32' ? 2e-8 : 1e-14);
          }
          expect(await later.beamStep(logits, scores, k, options)).toEqual(result);
        }
      }
    });

    it('takes several sequences, dead beams and ties', () => {
      const logits = Float32Array.of(1, 2, 3, 3, 2, 1, 0, 0, 0, 5, 5, 5);
      const scores = Float64Array.of(0, -Infinity, -1, -1);
      const result = api.beamStep(logits, scores, 2, { beams: 2 });
      expect(Array.from(result.beams)).toEqual([0, 0, 2, 2]);
      expect(Array.from(result.tokens)).toEqual([2, 1, 0, 1]);
      expect(result.scores[2]).toBeCloseTo(-1 - Math.log(3), 7);
      const all = api.beamStep(logits, scores, 9, { beams: 2 });
      expect(all.k).toBe(6);
      expect(Array.from(all.scores.subarray(3, 6))).toEqual([-Infinity, -Infinity, -Infinity]);
      expect(Array.from(all.beams.subarray(6))).toEqual([2, 2, 2, 3, 3, 3]);
      const dead = logits.slice().fill(-Infinity, 3, 6);
      expect(api.beamStep(dead, scores, 2, { beams: 2 }).tokens[0]).toBe(2);
      const half = Uint16Array.of(0x3c00, 0, 0, 0x4000);
      expect(api.beamStep(half, [0, 0], 1, { dtype: 'float16' })).toMatchObject({ k: 1, beams: Uint32Array.of(1) });
    });

    it('refuses what makes no sense, and names it', async () => {
      const x = new Float32Array(6);
      const step =
        (...args: unknown[]) =>
        () =>
          Reflect.apply(api.beamStep, undefined, args) as unknown;
      expect(step(x, [], 1)).toThrow('at least one score for scores');
      expect(step(x, [0, NaN], 1)).toThrow('Expected a number or −∞ for scores[1] but received NaN');
      expect(step(x, [0, '1'], 1)).toThrow("Expected a number for scores[1] but received '1'");
      expect(step(x, [0, 0], 0)).toThrow('a positive integer for k');
      expect(step(x, [0, 0, 0, 0], 1)).toThrow('4 rows, one a score, for logits but received 6 elements');
      expect(step(x, [0, 0], 1, { cols: 2 })).toThrow('2 rows, one a score,');
      expect(step(x, [0, 0], 1, { beams: 3 })).toThrow('a divisor of the 2 scores for beams');
      expect(step(x, 3, 1)).toThrow('an array of numbers for scores');
      expect(step(x, [0, 0], 1, { topK: 3 })).toThrow(TypeError);
      expect(step(x.slice().fill(NaN, 4), [0, 0], 1)).toThrow('no NaN for row 1 of logits');
      expect(step(x.slice().fill(-Infinity, 3), [0, 0], 1)).toThrow('a finite largest logit for row 1 of logits');
      expect(step(x.slice().fill(Infinity, 3, 4), [0, 0], 1)).toThrow('a finite largest logit for row 1 of logits');
      const reason = new Error('enough');
      const signal = AbortSignal.abort(reason);
      await expect(later.beamStep(x, [0, 0], 1, { signal })).rejects.toBe(reason);
    });
  });
}
