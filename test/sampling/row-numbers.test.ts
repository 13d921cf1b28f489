/** Row r of a batch is that row alone with `firstRow: r`: in verifyDraft (xtc decides row by row) and beamStep. */
import { describe, expect, it } from 'vitest';
import { backends } from '../support/backends.js';
import { row } from '../support/cases.js';
import { forceSampling, type PromisesApi, type SamplingApi } from './force-sampling.js';

for (const name of backends.filter((each) => each !== 'scalar')) {
  describe(name, () => {
    let api: SamplingApi;
    let later: PromisesApi;
    forceSampling(name, (...loaded) => ([api, later] = loaded));

    it('verifyDraft: xtc drops a token of a row where sample drops it', async () => {
      const [k, cols] = [6, 300];
      // Two likely tokens a row; xtc drops the first.
      const one = Float32Array.from({ length: cols }, (_, i) => (i === 7 ? 30 : i === 9 ? 29.5 : 0));
      const target = new Float32Array((k + 1) * cols);
      for (let r = 0; r <= k; r++) target.set(one, r * cols);
      const seen = new Set<number>();
      for (let step = 0; step < 12; step++) {
        for (const firstRow of [0, 5]) {
          const options = { cols, xtc: { threshold: 0.1, probability: 0.5 }, seed: 3, step, firstRow };
          const { logits } = api.filterLogits(target, options);
          const drops = Array.from({ length: k + 1 }, (_, r) => logits[r * cols + 7] === -Infinity);
          const alone = drops.map((_, r) => api.filterLogits(one, { ...options, firstRow: firstRow + r }).logits[7]);
          expect(alone.map((z) => z === -Infinity)).toEqual(drops);
          // Where xtc applies, 9 is all that is left; drafts of it pass there, and the next token is not 7.
          const tokens = drops.slice(0, k).map((isDropped) => (isDropped ? 9 : 7));
          const verified = api.verifyDraft(null, target, tokens, options);
          if (drops[verified.accepted]) expect(verified.token).toBe(9);
          for (let r = 0; r < verified.accepted; r++) seen.add(tokens[r]!);
          if (verified.accepted < k) expect(drops[verified.accepted]).toBe(false);
          expect(await later.verifyDraft(null, target, tokens, options)).toEqual(verified);
          // Drafts that sample drew with the same filters from the same rows are all accepted.
          const draft = target.subarray(0, k * cols);
          const drawn = api.sample(draft, options);
          expect(api.verifyDraft(draft, target, drawn, options).accepted).toBe(k);
        }
      }
      expect(seen.size).toBe(2);
      const last = { cols, seed: 1, firstRow: 2 ** 32 - k };
      expect(() => api.verifyDraft(null, target, [7, 7, 7, 7, 7, 7], last)).toThrow(RangeError);
    });

    it('beamStep: a sequence of a batch has what it has alone', () => {
      const [sequences, beams, cols] = [3, 2, 500];
      const x = row('f32', 'N(0,8)', sequences * beams * cols, 4) as Float32Array;
      const scores = [0, -1, -2, -0.5, -3, -Infinity];
      const all = api.beamStep(x, scores, 4, { beams, temperature: 0.8 });
      for (let s = 0; s < sequences; s++) {
        const own = x.subarray(s * beams * cols, (s + 1) * beams * cols);
        const one = api.beamStep(own, scores.slice(s * beams, (s + 1) * beams), 4, { temperature: 0.8 });
        expect(all.tokens.subarray(4 * s, 4 * s + 4)).toEqual(one.tokens);
        expect(all.scores.subarray(4 * s, 4 * s + 4)).toEqual(one.scores);
        expect(all.beams.subarray(4 * s, 4 * s + 4)).toEqual(one.beams.map((beam) => beam + s * beams));
      }
    });

    it('every function of logits takes any axis of a shape', () => {
      const [shape, axis, n] = [[2, 40, 3], 1, 40];
      const x = row('f32', 'N(0,8)', 240, 2) as Float32Array;
      const rows = new Float32Array(240);
      for (let o = 0; o < 2; o++)
        for (let c = 0; c < n; c++) for (let i = 0; i < 3; i++) rows[(o * 3 + i) * n + c] = x[(o * n + c) * 3 + i]!;
      const [given, plain] = [{ shape, axis }, { cols: n }];
      const seed = { seed: 5, step: 2 };
      expect(api.argmax(x, given)).toEqual(api.argmax(rows, plain));
      // Indices of topK have the axis' place: [2, 4, 3] beside [6, 4]. Draws are [rows, n].
      const placed = (values: ArrayLike<number>, k: number) =>
        Array.from(
          { length: 6 * k },
          (_, at) => values[(Math.floor(at / (3 * k)) * 3 + (at % 3)) * k + (Math.floor(at / 3) % k)],
        );
      expect([...api.topK(x, 4, given).indices]).toEqual(placed(api.topK(rows, 4, plain).indices, 4));
      for (const options of [{ topP: 0.8 }, { topNSigma: 1 }, { etaCutoff: 0.01 }, { topH: 0.4 }, { typicalP: 0.7 }]) {
        expect(api.sample(x, { ...options, ...given, ...seed })).toEqual(
          api.sample(rows, { ...options, ...plain, ...seed }),
        );
        const [mine, theirs] = [given, plain].map((each, i) => api.filterLogits(i ? rows : x, { ...options, ...each }));
        expect([...mine!.logits]).toEqual(placed(theirs!.logits, n));
      }
      expect(api.gumbelMax(x, { ...given, ...seed })).toEqual(api.gumbelMax(rows, { ...plain, ...seed }));
      expect(api.gumbelTopK(x, 3, { ...given, ...seed })).toEqual(api.gumbelTopK(rows, 3, { ...plain, ...seed }));
      expect([...api.gumbelSoftmax(x, { ...given, ...seed })]).toEqual(
        placed(api.gumbelSoftmax(rows, { ...plain, ...seed }), n),
      );
      const tokens = api.argmax(rows, plain);
      expect(api.logProbs(x, tokens, given).logProbs).toEqual(api.logProbs(rows, tokens, plain).logProbs);
    });
  });
}
