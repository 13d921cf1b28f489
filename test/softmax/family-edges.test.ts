/** The logarithmic operators on numbers that a sum in the type loses, and on numbers at the edges of the type. */
import { describe, expect, it } from 'vitest';
import { backends } from '../support/backends.js';
import { floats, row, typeNames } from '../support/cases.js';
import { crossEntropyOn, logSoftmaxOn, logSumExpOn } from '../support/family.js';
import { expectNear } from './expect-near.js';

for (const type of typeNames) {
  const make = (...values: number[]) => new floats[type](values);
  for (const name of backends) {
    describe(`the logarithmic operators at the edges, ${type}, on ${name}`, () => {
      it('sums that a float or double would lose', () => {
        expect(logSumExpOn(name, make(0, -92))[0]).toBeCloseTo(1.1089390193121365e-40, 50);
        expect(logSoftmaxOn(name, make(0, -92))[0]! / -1.1089390193121365e-40).toBeCloseTo(1, 4);
        expect(logSoftmaxOn(name, make(20, 0))[0]! / -2.061153620314381e-9).toBeCloseTo(1, 7);
        for (const big of [1e4, 1e8, -1e8]) {
          for (const v of logSoftmaxOn(name, make(big, big, big)))
            expectNear(v, { hi: -1.0986122886681098, lo: 0 }, type, 1, `three times ${big}`);
        }
        expect(crossEntropyOn(name, make(0, 40, 0), [1]).loss[0]! / (2 * Math.exp(-40))).toBeCloseTo(1, 12);
      });

      it('numbers at the edge', () => {
        for (const n of [1, 2, 9, 17, 300]) {
          for (const at of [0, n >> 1, n - 1]) {
            const rowWith = (v: number) => row(type, 'N(0,8)', n).fill(v, at, at + 1);
            expect(logSoftmaxOn(name, rowWith(NaN)).every(Number.isNaN)).toBe(true);
            expect(logSumExpOn(name, rowWith(NaN))[0]).toBeNaN();
            expect(logSoftmaxOn(name, rowWith(Infinity)).every(Number.isNaN)).toBe(true);
            expect(logSumExpOn(name, rowWith(Infinity))[0]).toBe(Infinity);
            const { loss, gradient } = crossEntropyOn(name, rowWith(Infinity), [0]);
            expect([loss[0], ...gradient].every(Number.isNaN)).toBe(true);
            if (n > 1)
              expect(
                logSumExpOn(name, rowWith(Infinity).fill(NaN, (at + 1) % n, ((at + 1) % n) + 1))[0],
                'NaN beside +∞',
              ).toBeNaN();
          }
          const low = new floats[type](n).fill(-Infinity);
          expect(logSoftmaxOn(name, low).every(Number.isNaN)).toBe(true);
          expect(logSumExpOn(name, low)[0]).toBe(-Infinity);
          expect(logSumExpOn(name, low.slice().fill(NaN, n - 1))[0]).toBeNaN();
          // A row with visible −∞ only is no fault, as in softmax.
          const open = { mask: new Uint8Array(n).fill(1, n >> 1), maskLayout: 1 };
          expect(
            logSoftmaxOn(name, low, open).every((v) => v === -Infinity),
            'nothing but −∞, and a mask',
          ).toBe(true);
          const nothing = crossEntropyOn(name, low, [n - 1], open);
          expect([...nothing.loss, ...nothing.gradient]).toEqual([Infinity, ...new Array<number>(n).fill(0)]);
          const hidden = { mask: new Uint8Array(n), maskLayout: 1 };
          for (const inside of [NaN, Infinity, 3]) {
            const x = new floats[type](n).fill(inside);
            expect(
              logSoftmaxOn(name, x, hidden).every((v) => v === -Infinity),
              'nothing visible',
            ).toBe(true);
            expect(logSumExpOn(name, x, hidden)[0]).toBe(-Infinity);
            const { loss, gradient } = crossEntropyOn(name, x, [0], hidden);
            expect(loss[0]).toBe(Infinity);
            expect(gradient.every((v) => v === 0)).toBe(true);
          }
        }
        for (const temperature of [Number.MIN_VALUE, 1e-300, 1e-30, 1e30, 1e300, Number.MAX_VALUE]) {
          const logs = logSoftmaxOn(name, make(1, 1, 1), { temperature });
          for (const v of logs)
            expectNear(v, { hi: -1.0986122886681098, lo: 0 }, type, 1, `temperature ${temperature}`);
          expect(logSoftmaxOn(name, make(3, 2, -1), { temperature }).some(Number.isNaN)).toBe(false);
          const { gradient } = crossEntropyOn(name, make(3, 2, -1), [1], { temperature });
          expect(gradient.some(Number.isNaN), `temperature ${temperature}`).toBe(false);
        }
      });
    });
  }
}
