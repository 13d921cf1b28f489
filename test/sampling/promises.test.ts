/** Sampling in flash-softmax/promises: results, errors and the signal, as its other functions have them. */
import { describe, expect, it } from 'vitest';
import { backends } from '../support/backends.js';
import { row } from '../support/cases.js';
import { forceBackend } from '../support/force-backend.js';

for (const name of backends.filter((each) => each !== 'scalar')) {
  describe(name, () => {
    let sync: typeof import('../../lib/sampling.js');
    let later: typeof import('../../lib/promises.js');
    forceBackend(name, async () => {
      sync = await import('../../lib/sampling.js');
      later = await import('../../lib/promises.js');
    });

    it('gives the results of flash-softmax/sampling', async () => {
      for (const [type, n] of [
        ['f32', 600],
        ['f64', 600],
        ['f32', 60_000],
      ] as const) {
        const x = row(type, 'N(0,8)', n) as Float32Array;
        const options = {
          cols: n / 3,
          temperature: 0.7,
          topP: 0.9,
          minP: 0.01,
          mask: Uint8Array.from({ length: n / 3 }, (_, i) => i % 4),
          bias: x.slice(0, n / 3),
        };
        expect(await later.sample(x, { ...options, seed: 4 })).toEqual(sync.sample(x, { ...options, seed: 4 }));
        expect(await later.sampleMany(x, 3, { ...options, seed: 4 })).toEqual(
          sync.sampleMany(x, 3, { ...options, seed: 4 }),
        );
        expect(await later.filterLogits(x, options)).toEqual(sync.filterLogits(x, options));
        expect(await later.topK(x, 7, { cols: n / 3 })).toEqual(sync.topK(x, 7, { cols: n / 3 }));
      }
    });

    it('rejects what they throw, and for the reason of a signal', async () => {
      const x = new Float32Array(9000);
      await expect(later.sample(x, { topP: 2 })).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
      await expect(later.sample(x, { other: 2 } as never)).rejects.toThrow(/Expected only .*signal for options/);
      await expect(later.topK(x, -1)).rejects.toThrow(RangeError);
      await expect(later.sample(x.slice().fill(NaN), { cols: 3000 })).rejects.toThrow('no NaN for row 0');
      await expect(later.filterLogits(x.slice().fill(-Infinity), { cols: 3000 })).rejects.toThrow(
        'a finite largest logit for row 0',
      );
      const reason = new Error('enough');
      await expect(later.sample(x, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    });

    it('lets go of its arrays', async () => {
      const x = new Float32Array(900_000);
      const promise = later.sample(x, { cols: 9000, seed: 1 });
      structuredClone(x.buffer, { transfer: [x.buffer] });
      await expect(promise).rejects.toThrow(/until the promise settles/);
    });
  });
}
