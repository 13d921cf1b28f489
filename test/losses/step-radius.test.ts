/** safeStepRadius on every backend. */
import { describe, expect, it } from 'vitest';
import type * as Losses from '../../lib/losses.js';
import type * as Promises from '../../lib/promises.js';
import { backends } from '../support/backends.js';
import { floats, row, typeNames } from '../support/cases.js';
import { forceBackend } from '../support/force-backend.js';

let losses: typeof Losses;
let promises: typeof Promises;
const load = async () => {
  losses = await import('../../lib/losses.js');
  promises = await import('../../lib/promises.js');
};

for (const backend of backends) {
  describe(backend, () => {
    forceBackend(backend, load);

    it.each(typeNames)('%s: π over the spread', async (type) => {
      for (const n of [1, 2, 7, 8, 9, 16, 17, 33, 257]) {
        const a = row(type, 'N(0,8)', 5 * n);
        const radii = losses.safeStepRadius(a, { cols: n });
        for (let r = 0; r < 5; r++) {
          const own = [...a.subarray(r * n, r * n + n)];
          expect(radii[r]).toBe(Math.PI / (Math.max(...own) - Math.min(...own)));
        }
        expect(losses.safeStepRadius(a, { cols: n, reduce: 'min' })).toBe(Math.min(...radii));
        expect(await promises.safeStepRadius(a, { cols: n, reduce: 'min' })).toBe(Math.min(...radii));
        expect(losses.safeStepRadius(a, { shape: [n, 5], axis: 0 })[3]).toBe(
          losses.safeStepRadius(floats[type].from(Array.from({ length: n }, (_, c) => a[c * 5 + 3]!)))[0],
        );
      }
    });

    it.each(typeNames)('%s: two classes with their logits', (type) => {
      const of = (...x: number[]) => floats[type].from(x) as Float64Array;
      expect(losses.safeStepRadius(of(1, 0), { logits: of(2, 0) })[0]).toBeCloseTo(3.724191778237173, 14);
      expect(losses.safeStepRadius(of(0, 1, 3, 3), { shape: [2, 2], axis: 0, logits: of(2, 0, 0, 0) })[0]).toBeCloseTo(
        3.724191778237173 / 3,
        14,
      );
      expect(losses.safeStepRadius(of(1, 0), { logits: of(1e30, 0) })[0]! / of(1e30)[0]!).toBeCloseTo(1, 14);
      expect(losses.safeStepRadius(of(1, 0), { logits: of(NaN, 0) })).toEqual(Float64Array.of(NaN));
      expect(() => losses.safeStepRadius(of(1, 0, 2), { logits: of(1, 0, 2) })).toThrow(RangeError);
      expect(() => losses.safeStepRadius(of(1, 0), { logits: of(1, 0), mask: Uint8Array.of(1, 1) })).toThrow(
        RangeError,
      );
    });

    it.each(typeNames)('%s: edge values', (type) => {
      const of = (...x: number[]) => floats[type].from(x) as Float64Array;
      const radius = (a: Float64Array, mask?: Uint8Array) => losses.safeStepRadius(a, { mask })[0];
      expect(radius(of(3))).toBe(Infinity);
      expect(radius(of(3, 3))).toBe(Infinity);
      expect(radius(of())).toBe(Infinity);
      expect(radius(of(1, NaN))).toBe(NaN);
      expect(radius(of(1, NaN, 2), Uint8Array.of(1, 0, 1))).toBe(Math.PI);
      expect(radius(of(1, NaN), Uint8Array.of(0, 0))).toBe(Infinity);
      for (const bad of [Infinity, -Infinity]) {
        expect(radius(of(1, bad))).toBe(0);
        expect(radius(of(bad, bad))).toBe(0);
      }
      expect(radius(of(0, 2 ** 100))).toBe(Math.PI / 2 ** 100);
      expect(losses.safeStepRadius(Float64Array.of(-1.7e308, 1.7e308))[0]).toBeCloseTo(0, 15);
      expect(losses.safeStepRadius(Float64Array.of(-(2 ** 1023), 2 ** 1023))[0]! * 2 ** 1020).toBe(Math.PI / 16);
      expect(losses.safeStepRadius(of(), { cols: 2, reduce: 'min' })).toBe(Infinity);
      expect(losses.safeStepRadius(Uint16Array.of(0x3c00, 0), { dtype: 'float16' })[0]).toBe(Math.PI);
      const twice = { reduce: 'min', out: new Float64Array(1) } as const;
      expect(() => losses.safeStepRadius(of(1, 2), twice)).toThrow(RangeError);
    });
  });
}
