/** The masks of grammars: 32-bit words, as xgrammar and llguidance fill them, for every function that takes a mask. */
import { describe, expect, it } from 'vitest';
import { backends } from '../support/backends.js';
import { generator, row } from '../support/cases.js';
import { forceBackend } from '../support/force-backend.js';

for (const name of backends.filter((each) => each !== 'scalar')) {
  describe(name, () => {
    let sampling: typeof import('../../lib/sampling.js');
    let root: typeof import('../../lib/index.js');
    let later: typeof import('../../lib/promises.js');
    forceBackend(name, async () => {
      sampling = await import('../../lib/sampling.js');
      root = await import('../../lib/index.js');
      later = await import('../../lib/promises.js');
    });

    it.each([1, 31, 32, 33, 64, 100, 257, 1000])('rows of %i', async (cols) => {
      const random = generator(cols);
      for (const rows of [1, 2, 5]) {
        const each = Math.ceil(cols / 32);
        // Unused bits of the last word may be anything.
        const words = Int32Array.from({ length: rows * each }, () => random() | 0);
        for (let r = 0; r < rows; r++) words[r * each]! |= 1;
        const bytesOf = (count: number) =>
          Uint8Array.from({ length: count * cols }, (_, i) => {
            const [r, c] = [Math.floor(i / cols), i % cols];
            return (words[r * each + (c >> 5)]! >>> (c & 31)) & 1;
          });
        const x = row('f32', 'N(0,8)', rows * cols) as Float32Array;
        for (const count of new Set([1, rows])) {
          const bits = { mask: words.slice(0, count * each), maskFormat: 'bits' } as const;
          const bytes = { mask: bytesOf(count) };
          const options = { cols, seed: 1 };
          expect(sampling.sample(x, { ...options, ...bits })).toEqual(sampling.sample(x, { ...options, ...bytes }));
          expect(sampling.filterLogits(x, { cols, topNSigma: 2, ...bits })).toEqual(
            sampling.filterLogits(x, { cols, topNSigma: 2, ...bytes }),
          );
          expect(root.softmax(x, { cols, ...bits })).toEqual(root.softmax(x, { cols, ...bytes }));
          expect(await later.logSumExp(x, { cols, ...bits })).toEqual(root.logSumExp(x, { cols, ...bytes }));
          expect(await later.sample(x, { ...options, ...bits, topP: 0.9 })).toEqual(
            sampling.sample(x, { ...options, ...bytes, topP: 0.9 }),
          );
        }
      }
    });

    it('are read in place, at any offset, and never beyond their end', () => {
      const memory = new Int32Array(10).fill(-1);
      memory[4] = 0b100;
      const x = Float32Array.of(5, 4, 3, 9, 1);
      expect(sampling.sample(x, { mask: memory.subarray(4, 5), maskFormat: 'bits' })).toEqual(Uint32Array.of(2));
      expect(() => root.softmax(x, { mask: memory.subarray(4, 6), maskFormat: 'bits' })).toThrow('1 word for mask');
      expect(() => root.softmax(x, { mask: new Int32Array(0), maskFormat: 'bits' })).toThrow('1 word for mask');
      const shape = { shape: [2, 40, 3], axis: 1 };
      const z = row('f32', 'N(0,1)', 240) as Float32Array;
      const one = Int32Array.of(0x5555, 1);
      const mask = Uint8Array.from({ length: 40 }, (_, c) => (one[c >> 5]! >>> (c & 31)) & 1);
      expect(root.softmax(z, { ...shape, mask: one, maskFormat: 'bits' })).toEqual(root.softmax(z, { ...shape, mask }));
      expect(() => root.softmax(z, { ...shape, mask: new Int32Array(12), maskFormat: 'bits' })).toThrow('2 words');
    });
  });
}
