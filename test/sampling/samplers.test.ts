/** Samplers on every backend: their draws are those of penalize and sample, one by one and in one call. */
import { describe, expect, it } from 'vitest';
import type { Sampler as Kind, SamplerOptions } from '../../lib/sampling.js';
import { backends } from '../support/backends.js';
import { row, type FloatsName } from '../support/cases.js';
import { forceBackend } from '../support/force-backend.js';

const OPTIONS: [string, SamplerOptions][] = [
  ['no penalty', { topK: 40 }],
  ['penalties that lower', { topK: 50, topP: 0.9, minP: 0.02, repetitionPenalty: 1.3, presencePenalty: 0.5 }],
  ['heavy penalties', { topK: 20, repetitionPenalty: 3, frequencyPenalty: 2, banned: [1, 2, 3] }],
  ['penalties that raise', { topK: 20, repetitionPenalty: 0.8, frequencyPenalty: -0.2 }],
  ['biases above 0', { topK: 20, presencePenalty: 1, logitBias: { 5: 9, 9: -3, 11: -Infinity } }],
  ['greedy', { temperature: 0, repetitionPenalty: 1.5, noRepeatNgram: 2 }],
  ['many', { topK: 100, repetitionPenalty: 1.2, penaltyWindow: 30, countedTokens: 'all', frequencyPenalty: 0.4 }],
  ['typical', { typicalP: 0.8, topK: 300, frequencyPenalty: 0.3, epsilonCutoff: 1e-4 }],
  ['all tokens', { temperature: 1.1, topP: 0.7, presencePenalty: 0.4, encoderRepetitionPenalty: 1.3 }],
  ['sequences', { topK: 9, dry: { multiplier: 2, allowedLength: 1 }, sequenceBias: new Map([[[1, 2], 4]]) }],
  ['forced', { forced: [4, 5, 6], repetitionPenalty: 2 }],
  ['a huge temperature', { temperature: 1e305, presencePenalty: 1 }],
];

for (const name of backends.filter((each) => each !== 'scalar')) {
  describe(name, () => {
    let api: typeof import('../../lib/sampling.js');
    let settings: typeof import('../../lib/threads.js');
    forceBackend(name, async () => {
      api = await import('../../lib/sampling.js');
      settings = await import('../../lib/threads.js');
    });

    it.each(OPTIONS)('%s: draws what penalize and sample draw', (_, options) => {
      const { temperature, topK, topP, minP, typicalP, epsilonCutoff, ...penalties } = options;
      const filters = { temperature, topK, topP, minP, typicalP, epsilonCutoff };
      for (const type of ['f32', 'f64'] as FloatsName[]) {
        for (const cols of [40, 700, 9000]) {
          const sampler = new api.Sampler({ ...options, seed: 3 });
          const prompt = [1, 2, 1, 7, 30];
          sampler.accept(prompt, { prompt: true }).accept([2, 1]);
          for (let step = 0; step < 12; step++) {
            const logits = row(type, step % 2 ? 'N(0,8)' : 'N(0,1)', cols, step) as Float32Array;
            if (step === 5) logits.fill(-Infinity, 10, 16);
            const before = logits.slice();
            const { history } = sampler;
            const changed = api.penalize(logits, history, { ...penalties, promptLength: prompt.length });
            const expected = api.sample(changed, { ...filters, seed: 3, step })[0];
            expect(sampler.next(logits)).toBe(expected);
            expect(logits).toEqual(before);
            if (step === 7) sampler.restore(JSON.parse(JSON.stringify(sampler.save())) as ReturnType<Kind['save']>);
          }
        }
      }
    });

    it('finds the largest changed logits, whatever is banned', () => {
      const cols = 30_000;
      const logits = row('f32', 'N(0,8)', cols, 3) as Float32Array;
      const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
      for (const n of [1, 10, 60, 400, 5000, cols - 3]) {
        for (const topK of [1, 3, 50, 64, 65, 500]) {
          const options = { banned: order.slice(0, n), topK, seed: n };
          const expected = api.sample(
            api.penalize(logits, [], options.banned.length ? { banned: options.banned } : {}),
            {
              topK,
              seed: n,
            },
          )[0];
          expect(new api.Sampler(options).next(logits)).toBe(expected);
        }
      }
      const all = new api.Sampler({ banned: order, topK: 5, seed: 1 });
      expect(() => all.next(logits)).toThrow('a finite largest logit for row 0');
      const ties = new Float32Array(5000).fill(2);
      expect(new api.Sampler({ temperature: 0, banned: [0, 1, 2] }).next(ties)).toBe(3);
      expect(new api.Sampler({ temperature: 0, presencePenalty: 1 }).accept([0, 1, 4]).next(ties)).toBe(2);
    });

    it('bans a NaN and +∞, and refuses others', () => {
      const logits = Float32Array.from({ length: 600 }, (_, i) => i / 100);
      logits[7] = NaN;
      logits[9] = Infinity;
      const sampler = new api.Sampler({ banned: [7, 9], topK: 3, seed: 1 });
      expect(sampler.next(logits)).toBeGreaterThan(596);
      expect(() => new api.Sampler({ banned: [7], topK: 3 }).next(logits)).toThrow('a finite largest logit for row 0');
      expect(() => new api.Sampler({ banned: [9], topK: 3 }).next(logits)).toThrow('no NaN for row 0');
    });

    it('draws for many sequences in one call', () => {
      const cols = 3000;
      for (const threads of [1, 3]) {
        settings.setThreads(threads);
        const samplers = () =>
          OPTIONS.slice(0, 10).flatMap(([, options], i) => [
            new api.Sampler({ ...options, seed: i }).accept([1, 2, 3, i], { prompt: true }),
            new api.Sampler({ ...options, seed: 50 + i }).accept([5, 5, i]),
          ]);
        const [together, single] = [samplers(), samplers()];
        for (let step = 0; step < 12; step++) {
          const from = step > 6 ? 3 : 0; // some leave, others stay
          const logits = row('f32', 'N(0,1)', (together.length - from) * cols, step) as Float32Array;
          const tokens = api.Sampler.sampleAll(together.slice(from), logits);
          expect(Array.from(tokens)).toEqual(
            single.slice(from).map((each, r) => each.next(logits.subarray(r * cols, (r + 1) * cols))),
          );
        }
        expect(together.map((each) => each.save())).toEqual(single.map((each) => each.save()));
        const forced = [new api.Sampler({ forced: 1, seed: 1 }), new api.Sampler({ seed: 2 })];
        expect(api.Sampler.sampleAll(forced, new Float32Array(6), { cols: 3 })[0]).toBe(1);
      }
      settings.setThreads(1);
    });

    it('changes no sampler where a row fails, and names it', () => {
      for (const more of [{}, { forced: [0, 1] }]) {
        const samplers = [1, 2, 3].map((seed) => new api.Sampler({ seed, presencePenalty: 1, ...more }).accept([0, 1]));
        const before = samplers.map((each) => each.save());
        const logits = new Float32Array(12);
        logits[4] = NaN;
        expect(() => api.Sampler.sampleAll(samplers, logits)).toThrow('no NaN for row 1 of logits');
        logits.fill(-Infinity, 4);
        expect(() => api.Sampler.sampleAll(samplers, logits)).toThrow('a finite largest logit for row 1 of logits');
        expect(samplers.map((each) => each.save())).toEqual(before);
      }
      const [a, b] = [new api.Sampler(), new api.Sampler({ banned: [9] })];
      const all =
        (...args: unknown[]) =>
        () =>
          Reflect.apply(api.Sampler.sampleAll, undefined, args) as unknown;
      expect(all([a, a], new Float32Array(4))).toThrow('a sampler of its own for samplers[1] but received samplers[0]');
      expect(all([a, {}], new Float32Array(4))).toThrow('a Sampler for samplers[1] but received an Object');
      expect(all([a, b], new Float32Array(5))).toThrow('2 rows, one a sampler, for logits but received 5 elements');
      expect(all([a, b], new Float32Array(8))).toThrow('tokens from 0 to 3 for banned but received 9');
      expect(all([a, b], new Float32Array(8), { cols: 3 })).toThrow('2 rows, one a sampler,');
      expect(all(3, new Float32Array(8))).toThrow('an array for samplers');
      expect(all([a], [1])).toThrow('a Float32Array or Float64Array for logits');
      expect(api.Sampler.sampleAll([], new Float32Array(0))).toEqual(new Uint32Array(0));
      expect(a.save().step).toBe(0);
    });

    it('tells prompt and output apart', () => {
      const logits = Float64Array.of(3, 2.9, 2.8, 0);
      const of = (options: SamplerOptions, prompt: boolean) =>
        new api.Sampler({ temperature: 0, ...options }).accept([0, 0, 1], { prompt }).next(logits);
      expect(of({ presencePenalty: 1 }, true)).toBe(0);
      expect(of({ presencePenalty: 1 }, false)).toBe(2);
      expect(of({ frequencyPenalty: 0.15 }, true)).toBe(0);
      expect(of({ frequencyPenalty: 0.15 }, false)).toBe(2);
      expect(of({ frequencyPenalty: 0.15, countedTokens: 'all' }, true)).toBe(2);
      expect(of({ presencePenalty: 1, countedTokens: 'all', penaltyWindow: 1 }, true)).toBe(0);
      expect(of({ repetitionPenalty: 2 }, true)).toBe(2);
      const sampler = new api.Sampler({ presencePenalty: 1, penaltyWindow: 2, temperature: 0 });
      sampler.accept([0], { prompt: true }).accept([0, 1]).accept([1, 1], { prompt: true });
      expect(sampler.next(logits)).toBe(0); // 0 and the output's 1 have left the window
      expect(sampler.save()).toMatchObject({ version: 2, prompt: [[0, 1], [3, 5]] }); // prettier-ignore
      const other = new api.Sampler({ presencePenalty: 1, penaltyWindow: 2, temperature: 0 }).restore(sampler.save());
      expect(other.save()).toEqual(sampler.save());
      expect(other.next(logits)).toBe(sampler.next(logits));
    });

    it('stops', () => {
      const logits = Float32Array.of(1, 5, 4, 2);
      const sampler = new api.Sampler({ temperature: 0, stop: [1, 3], minTokens: 2 }).accept([1, 3], { prompt: true });
      expect([sampler.finished, sampler.stopped]).toEqual([false, undefined]);
      expect([sampler.next(logits), sampler.next(logits)]).toEqual([2, 2]);
      expect(sampler.finished).toBe(false);
      expect(sampler.next(logits)).toBe(1);
      expect([sampler.finished, sampler.stopped]).toEqual([true, 1]);
      expect(new api.Sampler({ stop: 1 }).restore(sampler.save()).stopped).toBe(1);
      expect(new api.Sampler({ stop: 2 }).accept([0, 2, 1]).stopped).toBe(2);
      expect(() => new api.Sampler({ minTokens: 1 })).toThrow('tokens beside minTokens for stop but received none');
      expect(() => new api.Sampler({ stop: 9 }).next(logits)).toThrow('tokens from 0 to 3 for stop but received 9');
      expect(() => new api.Sampler().accept([1], { prompt: 1 } as never)).toThrow('a boolean for prompt');
      expect(() => new api.Sampler().accept([1], { other: 1 } as never)).toThrow('only prompt for options');
      const before = sampler.save();
      for (const prompt of [
        null,
        [[0, 9]],
        [[1, 1]],
        [
          [1, 2],
          [0, 1],
        ],
        [3],
      ]) {
        // prettier-ignore
        expect(() => sampler.restore({ ...before, prompt } as never)).toThrow('state.prompt');
      }
      expect(() => sampler.restore({ ...before, version: 3 } as never)).toThrow('version 1 or 2 for state');
      expect(sampler.save()).toEqual(before);
    });
  });
}
