/** softTopK and its gradient on every backend, against their definitions in double-double arithmetic. */
import { describe, expect, it } from 'vitest';
import { multiplyNumber, ulpError } from '../../lib/cli/oracle.js';
import type * as Losses from '../../lib/losses.js';
import type * as Promises from '../../lib/promises.js';
import { backends } from '../support/backends.js';
import { floats, row, typeNames, type Floats, type KindName } from '../support/cases.js';
import { forceBackend } from '../support/force-backend.js';
import { slopeOf, softTopKOracle, sumsOf, total } from './oracle.js';

let losses: typeof Losses;
let promises: typeof Promises;
const load = async () => {
  losses = await import('../../lib/losses.js');
  promises = await import('../../lib/promises.js');
};
const kinds: readonly KindName[] = ['N(0,1)', 'N(0,8)', 'equal', 'one peak', 'about 1e5', 'two values'];

for (const backend of backends) {
  describe(backend, () => {
    forceBackend(backend, load);

    it.each(typeNames)('%s is exact at every length', (type) => {
      for (const kind of kinds) {
        for (const n of [2, 3, 8, 9, 16, 17, 33, 70]) {
          const x = row(type, kind, n);
          const bias = n === 33 ? row(type, 'N(0,1)', n, 5) : undefined;
          for (const [k, alpha] of [
            [1, 1],
            [n / 2, 0.7],
            [n - 1, 2],
            [0.01, 1],
          ] as const) {
            const y = losses.softTopK(x, k, { alpha, bias });
            const spread = Math.max(...x) - Math.min(...x);
            softTopKOracle(sumsOf(x, bias), k, alpha).forEach(({ hi, lo }, i) => {
              const most = type === 'f32' ? 0.51 : 10 - 4 * Math.log(hi) + alpha * spread;
              const error = ulpError(y[i]!, hi, lo, type);
              if (hi > 1e-26 && !(error <= most)) expect.fail(`${kind} ${n} ${k} ${alpha}: y[${i}] ${y[i]}: ${error}`);
            });
          }
        }
      }
    });

    it.each(typeNames)('%s gives the values of its definition', (type) => {
      const x = floats[type].of(1, 3, 2, 0.5, -1);
      const digits = type === 'f32' ? 7 : 15;
      for (const [k, alpha, wanted] of [
        [2, 2, [0.2416768317420346, 0.9456532831590658, 0.7019271679002951, 0.10493941637537174, 0.00580330082323271]],
        [1, 1, [0.12217624489477684, 0.5070042401718632, 0.274485781920076, 0.0778458934173875, 0.018487839595896303]],
      ] as const) {
        const y = losses.softTopK(x, k, { alpha });
        wanted.forEach((each, i) => expect(y[i]).toBeCloseTo(each, digits));
      }
    });

    it('keeps the small results of both sides of a wide gap', () => {
      const y = losses.softTopK(Float64Array.of(500, 0, 499, 0), 2);
      // The root lies where both sides miss as much: p of the upper ones is 1, of the lower ones exp(−250) · √….
      expect(y[1]).toBe(y[3]);
      expect(Math.log(y[1]!)).toBeCloseTo(-250 + Math.log((1 + Math.E) / 2) / 2, 9);
      const far = losses.softTopK(Float64Array.of(1e300, 1, 0, -1e300), 2.5);
      expect(far[0]).toBe(1);
      expect(far[3]).toBe(0);
      expect(far[1]! + far[2]!).toBeCloseTo(1.5, 14);
      expect(Math.log(far[1]! / (1 - far[1]!)) - Math.log(far[2]! / (1 - far[2]!))).toBeCloseTo(1, 12);
      const extremes = losses.softTopK(Float32Array.of(3e38, -3e38, 1e38), 1);
      expect([...extremes]).toEqual([1, 0, 0]);
      expect(losses.softTopK(Float64Array.of(1.7e308, -1.7e308), 1)).toEqual(Float64Array.of(1, 0));
    });

    it('finds the root for many elements and a small k', () => {
      const x = row('f32', 'N(0,1)', 70_001);
      for (const k of [1, 3, 35_000.5, 70_000]) {
        const y = losses.softTopK(x, k);
        expect(y.reduce((sum, p) => sum + p, 0) / k).toBeCloseTo(1, 6);
      }
    });

    it.each(typeNames)('%s has the edge values', (type) => {
      const of = (...x: number[]) => floats[type].from(x);
      expect(losses.softTopK(of(1, -Infinity, 1), 1)).toEqual(of(0.5, 0, 0.5));
      expect(losses.softTopK(of(1, NaN, 1), 1, { mask: Uint8Array.of(1, 0, 1) })).toEqual(of(0.5, 0, 0.5));
      for (const bad of [NaN, Infinity])
        expect([...losses.softTopK(of(1, bad, 2), 1, { mask: Uint8Array.of(1, 1, 0) })]).toEqual([NaN, NaN, 0]);
      const out = of(9, 9, 9, 9);
      for (const x of [of(1, -Infinity, 3, 3), of(1, 2, -Infinity, -Infinity)]) {
        expect(() => losses.softTopK(x, 1, { cols: 2, out })).toThrow(
          expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }),
        );
      }
      expect(out).toEqual(of(9, 9, 9, 9));
      expect(() => losses.softTopK(of(1, -Infinity, -Infinity), 1)).toThrow('row 0 of x');
      for (const k of [0, -1, 2, NaN, Infinity]) expect(() => losses.softTopK(of(1, 2), k)).toThrow(RangeError);
      expect(() => losses.softTopK(of(), 1)).toThrow(RangeError);
      expect(losses.softTopK(of(), 1, { cols: 2 })).toEqual(of());
    });

    it('writes nothing before it rejects', async () => {
      const x = row('f32', 'N(0,1)', 6000).fill(-Infinity, 5900);
      const out = new Float32Array(6000).fill(9);
      await expect(promises.softTopK(x, 2, { cols: 50, out })).rejects.toThrow('row 118 of x');
      expect(out.every((y) => y === 9)).toBe(true);
      const same = row('f32', 'N(0,1)', 6000);
      const wanted = losses.softTopK(same, 2, { cols: 50 });
      expect(await promises.softTopK(same, 2, { cols: 50, out: same })).toBe(same);
      expect(same).toEqual(wanted);
    });

    it('takes any axis, in place, and half types', () => {
      const x = row('f32', 'N(0,1)', 3 * 29 * 21);
      const shape = [3, 29, 21];
      const y = losses.softTopK(x, 4, { shape, axis: 1, alpha: 2 });
      for (const r of [0, 17, 41, 62]) {
        const along = Array.from({ length: 29 }, (_, c) => (Math.floor(r / 21) * 29 + c) * 21 + (r % 21));
        softTopKOracle(sumsOf(along.map((at) => x[at]!)), 4, 2).forEach(({ hi, lo }, c) =>
          expect(ulpError(y[along[c]!]!, hi, lo, 'f32')).toBeLessThanOrEqual(0.51),
        );
      }
      const same = x.slice();
      expect(losses.softTopK(same, 4, { shape, axis: 1, alpha: 2, out: same })).toEqual(y);
      const halves = Uint16Array.of(0x3c00, 0xbc00, 0x4200, 0); // 1, −1, 3, 0
      expect(losses.softTopK(halves, 2, { dtype: 'float16', out: new Float32Array(4) })).toEqual(
        losses.softTopK(Float32Array.of(1, -1, 3, 0), 2),
      );
      const short = Uint16Array.of(0xfc00, 0, 0xfc00, 0);
      expect(() => losses.softTopK(short, 1, { dtype: 'float16', cols: 2 })).toThrow('row 0 of x');
    });

    it.each(typeNames)('the gradient of %s is right, and its finite differences', (type) => {
      for (const n of [2, 3, 8, 17, 40]) {
        const x = row(type, 'N(0,1)', n);
        const dp = row(type, 'N(0,1)', n, 9);
        const k = n / 3;
        const p = losses.softTopK(x, k, { alpha: 1.5 });
        const y = losses.softTopKBackward(p as Float64Array, dp as Float64Array, { alpha: 1.5 }) as Floats;
        for (let i = 0; i < n; i++) {
          const loss = (z: Parameters<typeof softTopKOracle>[0]) =>
            total(softTopKOracle(z, k, 1.5).map((each, j) => multiplyNumber(each, dp[j]!)));
          const wanted = slopeOf(loss, sumsOf(x), i, 2 ** -10);
          expect(Math.abs(y[i]! - wanted)).toBeLessThanOrEqual(type === 'f32' ? 1e-6 : 1e-11);
        }
        expect([...y].reduce((sum, each) => sum + each, 0)).toBeCloseTo(0, type === 'f32' ? 6 : 14);
      }
    });

    it.each(typeNames)('the gradient of %s has edge values', async (type) => {
      const of = (...x: number[]) => floats[type].from(x) as Float64Array;
      expect(losses.softTopKBackward(of(1, 0, 1), of(NaN, 3, 4))).toEqual(of(0, 0, 0));
      expect([...losses.softTopKBackward(of(0.5, 0, 0.5), of(NaN, 3, 4))]).toEqual([NaN, NaN, NaN]);
      expect([...losses.softTopKBackward(of(0.5, NaN), of(1, 3))]).toEqual([NaN, NaN]);
      expect(losses.softTopKBackward(of(0.5, 0, 0.5), of(1, NaN, 3), { alpha: 2 })).toEqual(of(-0.5, 0, 0.5));
      expect(losses.softTopKBackward(of(), of())).toEqual(of());
      const p = losses.softTopK(row(type, 'N(0,1)', 6000), 5, { cols: 30 }) as Float64Array;
      const dp = row(type, 'N(0,1)', 6000, 3) as Float64Array;
      const wanted = losses.softTopKBackward(p, dp, { cols: 30 });
      expect(await promises.softTopKBackward(p, dp, { cols: 30 })).toEqual(wanted);
      expect(losses.softTopKBackward(p.slice(), dp, { shape: [20, 30, 10], axis: 1 })).not.toEqual(wanted);
      const same = dp.slice();
      expect(losses.softTopKBackward(p, same, { cols: 30, out: same })).toEqual(wanted);
      expect(() => losses.softTopKBackward(p, of(1))).toThrow(RangeError);
    });
  });
}
