/** Logits and biases whose sum overflows a double: it counts as finite, and decides. */
import { describe, expect, it } from 'vitest';
import type { SampleKernel, TopKKernel } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import { backends } from '../support/backends.js';

const M = Number.MAX_VALUE;

for (const name of backends) {
  const backend = backendNamed(name);

  describe(`${name}: sums of x and bias beyond the doubles`, () => {
    const topK = (x: Float64Array, bias: Float64Array, k: number, mask: Uint8Array | null = null): number[] => {
      const [indices, values] = [new Uint32Array(k), new Float64Array(k)];
      (backend.top_k_f64 as TopKKernel<Float64Array>)(
        x,
        indices,
        values,
        null,
        null,
        1,
        x.length,
        k,
        mask,
        mask ? 1 : 0,
        bias,
      );
      return [...indices];
    };

    it('topK orders them', () => {
      expect(topK(Float64Array.of(M, M, 1, -M, -M), Float64Array.of(M / 2, M, 0, -M, -M / 4), 5)).toEqual([
        1, 0, 2, 4, 3,
      ]);
      // A masked sum does not count; a sum with an infinite part does not overflow.
      expect(topK(Float64Array.of(M, 1, 2), Float64Array.of(M, 5, 0), 2, Uint8Array.of(0, 1, 1))).toEqual([1, 2]);
      expect(topK(Float64Array.of(M, -Infinity, 2), Float64Array.of(M, M, -M), 3)).toEqual([0, 2, 1]);
      for (const n of [10, 300, 5000]) {
        const x = Float64Array.from({ length: n }, (_, i) => -M + i * 2 ** 990);
        expect(topK(x, new Float64Array(n).fill(-M), 3), `${n}`).toEqual([n - 1, n - 2, n - 3]);
      }
    });

    const probabilities = (
      x: Float64Array,
      bias: Float64Array,
      temperature: number,
      options: { k?: number; p?: number } = {},
    ) => {
      const [kept, out, status] = [new Float64Array(x.length), new Float64Array(x.length), new Int32Array(1)];
      const { k = x.length, p = 1 } = options;
      (backend.sample_f64 as SampleKernel<Float64Array>)(
        x,
        new Uint32Array(0),
        kept,
        out,
        status,
        new Float64Array(0),
        null,
        1,
        x.length,
        0,
        k,
        temperature,
        p,
        -Infinity,
        1,
        0,
        null,
        0,
        bias,
      );
      expect(status[0]).toBe(0);
      return out;
    };

    it('probabilities follow from the exact sums', () => {
      for (const sign of [1, -1]) {
        for (const n of [2, 10, 300, 5000]) {
          const all = new Float64Array(n).fill(sign * M);
          for (const temperature of [1, 1e-308, Number.MIN_VALUE, 1e300]) {
            const uniform = probabilities(all, all.slice(), temperature);
            uniform.forEach((v) => expect(Math.abs(v * n - 1)).toBeLessThan(1e-9));
          }
        }
      }
      // A distance of 2^1022 at a temperature of 2^1022.
      const [a, b] = probabilities(
        Float64Array.of(2 ** 1023, 2 ** 1023),
        Float64Array.of(2 ** 1023, 2 ** 1022),
        2 ** 1022,
      );
      expect(a).toBeCloseTo(1 / (1 + Math.exp(-1)), 9);
      expect(b).toBeCloseTo(1 / (1 + Math.E), 9);
      const cut = probabilities(Float64Array.of(M, M, 0), Float64Array.of(M, M / 2, 0), 1, { k: 2, p: 0.9 });
      expect([...cut]).toEqual([1, 0, 0]);
    });
  });
}
