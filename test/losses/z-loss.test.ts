/** zLoss on every backend, against its definition in double-double arithmetic, and its finite differences. */
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { ulpError } from '../../lib/cli/oracle.js';
import type * as Losses from '../../lib/losses.js';
import type * as Promises from '../../lib/promises.js';
import { backends } from '../support/backends.js';
import { floats, row, typeNames, type Floats, type KindName } from '../support/cases.js';
import { forceBackend } from '../support/force-backend.js';
import { slopeOf, sumsOf, zLossOf } from './oracle.js';

let losses: typeof Losses;
let promises: typeof Promises;
const load = async () => {
  losses = await import('../../lib/losses.js');
  promises = await import('../../lib/promises.js');
};
const kinds: readonly KindName[] = ['N(0,1)', 'N(0,8)', 'one peak', 'about 1e7', 'about -1e6', 'tiny logits'];

for (const backend of backends) {
  describe(backend, () => {
    forceBackend(backend, load);

    it.each(typeNames)('%s losses are exact at every length', (type) => {
      for (const kind of kinds) {
        for (const n of [2, 3, 7, 8, 9, 16, 17, 33, 100, 257]) {
          const x = row(type, kind, n);
          const bias = n % 2 ? row(type, 'N(0,1)', n, 5) : undefined;
          for (const [a, b] of [
            [1, 1],
            [0.1, 10],
            [3, -2],
          ] as const) {
            const target = n >> 1;
            const wanted = zLossOf(sumsOf(x, bias), target, a, b);
            const error = ulpError(losses.zLoss(x, [target], { a, b, bias })[0]!, wanted.hi, wanted.lo, 'f64');
            // exp(−t) has t times the error of t = a (b − z), and |z| is at most √n.
            if (!(error <= 8 + a * (Math.abs(b) + Math.sqrt(n)))) expect.fail(`${kind} ${n} ${a} ${b}: ${error} ULP`);
          }
        }
      }
    });

    it.each(typeNames)('%s gradients are the finite differences of the definition', (type) => {
      for (const n of [2, 5, 16, 19, 40]) {
        for (const kind of ['N(0,1)', 'N(0,8)'] as const) {
          const x = row(type, kind, n);
          const gradient = x.slice();
          losses.zLoss(x, [n - 1], { a: 0.7, b: 2, gradient });
          const wanted = Array.from(x, (_, k) => slopeOf((o) => zLossOf(o, n - 1, 0.7, 2), sumsOf(x), k, 2 ** -14));
          const most = Math.max(...wanted.map(Math.abs));
          wanted.forEach((each, k) => {
            const unit = type === 'f32' ? 2 ** -24 * Math.abs(each) : 0;
            expect(Math.abs(gradient[k]! - each)).toBeLessThanOrEqual(unit + 1e-13 * most + 1e-15);
          });
        }
      }
    });

    it.each(typeNames)('%s gives the values of its definition', (type) => {
      const digits = type === 'f32' ? 7 : 14;
      const o = floats[type].of(2, -1, 0.5, 1);
      for (const [target, a, b, loss, slopes] of [
        [
          0,
          1,
          1,
          0.5671582881133316,
          [-0.13861943603380625, -0.09063578509902714, 0.08530426832849616, 0.14395095280433726],
        ],
        [
          1,
          0.1,
          10,
          14.251649431824575,
          [-0.15903497096630256, -0.13096997608989627, 0.20580996242697983, 0.08419498462921904],
        ],
      ] as const) {
        const gradient = o.slice();
        expect(losses.zLoss(o, [target], { a, b, gradient })[0]).toBeCloseTo(loss, 14);
        slopes.forEach((each, i) => expect(gradient[i]).toBeCloseTo(each, digits));
      }
    });

    it.each(typeNames)('%s has the edge values of a loss', (type) => {
      const of = (...x: number[]) => floats[type].from(x);
      const both = (x: Floats, target: number, mask?: Uint8Array): [number, number[]] => {
        const gradient = x.slice().fill(9);
        return [losses.zLoss(x, [target], { mask, gradient })[0]!, [...gradient]];
      };
      const atB = Math.log1p(Math.exp(1));
      for (const equal of [of(3), of(3, 3, 3)]) {
        const [loss, gradient] = both(equal, 0);
        expect(loss).toBeCloseTo(atB, 14);
        expect(gradient.every((g) => g === 0)).toBe(true);
      }
      for (const bad of [NaN, Infinity, -Infinity]) {
        expect(both(of(1, bad, 2), 0)).toEqual([NaN, [NaN, NaN, NaN]]);
        expect(both(of(1, bad, 2), -100)).toEqual([0, [0, 0, 0]]);
        const [loss, gradient] = both(of(1, bad, 2), 0, Uint8Array.of(1, 0, 1));
        expect([loss, gradient[1]]).toEqual([losses.zLoss(of(1, 2), [0])[0], 0]);
      }
      expect(both(of(1, 2, 3), 1, Uint8Array.of(1, 0, 1))).toEqual([Infinity, [0, 0, 0]]);
      expect(both(of(1, 2), 1, Uint8Array.of(0, 0))).toEqual([Infinity, [0, 0]]);
      expect(losses.zLoss(of(), [-100])).toEqual(Float64Array.of(0));
      expect(losses.zLoss(of(), [], { cols: 3 })).toEqual(Float64Array.of());
    });

    it('takes numbers whose squares no double holds', () => {
      const plain = [2, -1, 0.5, 1];
      const wanted = new Float64Array(4);
      const [loss] = losses.zLoss(Float64Array.from(plain), [1], { gradient: wanted });
      for (const unit of [2 ** 1020, 2 ** -1040, 2 ** 600]) {
        const gradient = new Float64Array(4);
        const x = Float64Array.from(plain, (v) => v * unit);
        expect(losses.zLoss(x, [1], { gradient })[0]).toBeCloseTo(loss!, 13);
        if (unit > 1) gradient.forEach((g, i) => expect(g * unit).toBeCloseTo(wanted[i]!, 10));
        const [far] = losses.zLoss(
          Float64Array.from(plain, (v) => v + 1e14),
          [1],
        );
        expect(far).toBeCloseTo(losses.zLoss(Float64Array.from(plain), [1])[0]!, 13);
      }
    });

    it('reads doubles of another realm in a unit too', () => {
      const x = runInNewContext('Float64Array.of(1.7e308, -1.7e308, 8e307)') as Float64Array;
      expect(losses.zLoss(x, [0])).toEqual(losses.zLoss(Float64Array.from(x), [0]));
      expect(losses.zLoss(x, [0])[0]).toBeLessThan(1);
    });

    it('takes any axis, its gradient in place, half types, and typed targets', async () => {
      const x = row('f32', 'N(0,1)', 3 * 29 * 21);
      const shape = [3, 29, 21];
      const targets = Int32Array.from({ length: 63 }, (_, i) => (i % 9 ? i % 29 : -1));
      const gradient = new Float32Array(x.length);
      const loss = losses.zLoss(x, targets, { shape, axis: 1, gradient, ignoreIndex: -1 });
      for (const r of [0, 1, 17, 41, 62]) {
        const along = Array.from({ length: 29 }, (_, c) => (Math.floor(r / 21) * 29 + c) * 21 + (r % 21));
        const of = Float32Array.from(along, (at) => x[at]!);
        const alone = new Float32Array(29);
        const [wanted] = losses.zLoss(of, [targets[r]!], { gradient: alone, ignoreIndex: -1 });
        expect(loss[r]).toBeCloseTo(wanted!, 13);
        along.forEach((at, c) => expect(gradient[at]).toBeCloseTo(alone[c]!, 7));
      }
      const same = x.slice();
      const big = BigInt64Array.from(targets, BigInt);
      expect(losses.zLoss(same, big, { shape, axis: 1, gradient: same, ignoreIndex: -1 })).toEqual(loss);
      expect(same).toEqual(gradient);
      const later = new Float32Array(x.length);
      expect(await promises.zLoss(x, targets, { shape, axis: 1, gradient: later, ignoreIndex: -1 })).toEqual(loss);
      expect(later).toEqual(gradient);
      const halves = Uint16Array.of(0x3c00, 0xbc00, 0x4200, 0); // 1, −1, 3, 0
      const slopes = new Uint16Array(4);
      expect(losses.zLoss(halves, [2], { dtype: 'float16', gradient: slopes })).toEqual(
        losses.zLoss(Float32Array.of(1, -1, 3, 0), [2]),
      );
      expect(slopes[2]! >> 15).toBe(1);
      expect(losses.zLoss(Uint16Array.of(), [-100], { dtype: 'bfloat16', out: Float64Array.of(7) })[0]).toBe(0);
    });

    it('refuses what makes no sense', () => {
      const x = Float32Array.of(1, 2);
      for (const targets of [[2], [-1], [0.5], [0, 1]]) expect(() => losses.zLoss(x, targets)).toThrow(RangeError);
      for (const options of [{ a: 0 }, { a: Infinity }, { b: NaN }]) {
        expect(() => losses.zLoss(x, [0], options)).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }));
      }
      // @ts-expect-error: there is no temperature
      expect(() => losses.zLoss(x, [0], { temperature: 2 })).toThrow(TypeError);
      expect(() => losses.zLoss(x, Float32Array.of(0) as unknown as Int32Array)).toThrow(TypeError);
    });
  });
}
