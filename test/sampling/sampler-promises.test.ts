/** sampleAll and sampleNext of flash-softmax/promises: the draws of samplers off the event loop, and their states. */
import { describe, expect, it } from 'vitest';
import type { Sampler as Kind, SamplerOptions } from '../../lib/sampling.js';
import { backends } from '../support/backends.js';
import { row } from '../support/cases.js';
import { forceSampling, type PromisesApi, type SamplingApi } from './force-sampling.js';

/** Samplers of the kernel of samplers, and of functions. */
const OPTIONS: [string, SamplerOptions][] = [
  ['penalties', { topK: 50, topP: 0.9, repetitionPenalty: 1.3, presencePenalty: 0.5 }],
  ['greedy', { temperature: 0, noRepeatNgram: 2 }],
  ['mirostat', { mirostat: { version: 2, tau: 3 }, repetitionPenalty: 1.1 }],
  ['topNSigma and xtc', { topNSigma: 2, xtc: { threshold: 0.1, probability: 0.5 }, forced: [1, 2, 3, 9] }],
];

for (const name of backends.filter((each) => each !== 'scalar')) {
  describe(name, () => {
    let api: SamplingApi;
    let later: PromisesApi;
    forceSampling(name, (...loaded) => ([api, later] = loaded));
    const samplersOf = (n: number, options: SamplerOptions): Kind[] =>
      Array.from({ length: n }, (_, i) => {
        const sampler = new api.Sampler({ ...options, seed: i });
        return sampler.accept([1, 2, i, 2], { prompt: true }).accept([7, i]);
      });

    it.each(OPTIONS)('%s: the tokens and states of the synchronous calls', async (_, options) => {
      for (const [type, cols] of [
        ['f32', 700],
        ['f64', 700],
        ['f32', 20_000],
      ] as const) {
        const [mine, theirs] = [samplersOf(3, options), samplersOf(3, options)];
        for (let step = 0; step < 3; step++) {
          const x = row(type, 'N(0,8)', 3 * cols, step) as Float32Array;
          const before = x.slice();
          const tokens = await later.sampleAll(mine, x, { cols });
          expect(tokens).toEqual(api.Sampler.sampleAll(theirs, x));
          expect(x).toEqual(before);
          const one = x.subarray(0, cols);
          expect(await later.sampleNext(mine[1]!, one)).toBe(theirs[1]!.next(one));
        }
        expect(mine.map((each) => each.save())).toEqual(theirs.map((each) => each.save()));
      }
    });

    it('a sampler that is drawing refuses all else, and shows its state of before', async () => {
      for (const [, options] of OPTIONS) {
        const samplers = samplersOf(2, options);
        const x = row('f32', 'N(0,1)', 20_000) as Float32Array;
        const state = samplers[0]!.save();
        const promise = later.sampleAll(samplers, x);
        const busy = { name: 'RangeError', code: 'ERR_INVALID_STATE' };
        expect(() => samplers[0]!.next(x.subarray(0, 10_000))).toThrow(expect.objectContaining(busy));
        expect(() => samplers[0]!.accept(3)).toThrow(expect.objectContaining(busy));
        expect(() => samplers[1]!.restore(state)).toThrow(expect.objectContaining(busy));
        expect(() => api.Sampler.sampleAll([samplers[1]!], x)).toThrow(expect.objectContaining(busy));
        await expect(later.sampleAll([samplers[0]!], x)).rejects.toMatchObject(busy);
        await expect(later.sampleNext(samplers[0]!, x)).rejects.toMatchObject(busy);
        expect(samplers[0]!.save()).toEqual(state);
        const tokens = await promise;
        expect(samplers.map((each) => each.history.at(-1))).toEqual([...tokens]);
        samplers[0]!.accept(3);
      }
    });

    it('an error or an abort leaves all states as they were, and the samplers free', async () => {
      for (const [, options] of OPTIONS) {
        const [samplers, others] = [samplersOf(2, options), samplersOf(2, options)];
        const x = row('f32', 'N(0,1)', 40_000) as Float32Array;
        const states = samplers.map((each) => each.save());
        const bad = x.slice().fill(NaN, 20_000);
        await expect(later.sampleAll(samplers, bad)).rejects.toThrow('no NaN for row 1 of logits');
        const reason = new Error('enough');
        await expect(later.sampleAll(samplers, x, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
        const controller = new AbortController();
        const promise = later.sampleAll(samplers, x, { signal: controller.signal });
        controller.abort(reason);
        await expect(promise).rejects.toBe(reason);
        const gone = x.slice();
        const lost = later.sampleAll(samplers, gone);
        structuredClone(gone.buffer, { transfer: [gone.buffer] });
        await lost.catch(() => undefined);
        if (samplers[0]!.save().step === 0) expect(samplers.map((each) => each.save())).toEqual(states);
        else samplers.forEach((each, i) => each.restore(states[i]!));
        expect(await later.sampleAll(samplers, x)).toEqual(api.Sampler.sampleAll(others, x));
      }
    });

    it('refuses what the synchronous calls refuse', async () => {
      const [one, two] = samplersOf(2, {});
      const x = new Float32Array(20);
      const type = { code: 'ERR_INVALID_ARG_TYPE' };
      await expect(later.sampleAll([one!, one!], x)).rejects.toThrow(/a sampler of its own for samplers\[1\]/);
      await expect(later.sampleAll([one!, {} as Kind], x)).rejects.toMatchObject(type);
      await expect(later.sampleAll([one!, two!], x, { rows: 2 } as never)).rejects.toThrow(/only cols, signal/);
      await expect(later.sampleAll([one!, two!], x, { cols: 3 })).rejects.toThrow(/2 rows, one a sampler/);
      await expect(later.sampleNext(one!, [1, 2] as never)).rejects.toMatchObject(type);
      await expect(later.sampleNext(one!, x, { cols: 4 } as never)).rejects.toThrow(/only signal/);
      await expect(later.sampleAll([one!], x, { signal: 3 as never })).rejects.toMatchObject(type);
      expect(await later.sampleAll([], new Float32Array(0))).toEqual(new Uint32Array(0));
    });
  });
}
