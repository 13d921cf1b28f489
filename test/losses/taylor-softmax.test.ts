/** taylorSoftmax on every backend, against its definition in double-double arithmetic. */
import { describe, expect, it } from 'vitest';
import { countedError } from '../../lib/cli/oracle.js';
import type * as Losses from '../../lib/losses.js';
import type * as Promises from '../../lib/promises.js';
import { backends } from '../support/backends.js';
import { floats, row, typeNames, type Floats, type FloatsName, type KindName } from '../support/cases.js';
import { forceBackend } from '../support/force-backend.js';
import { sumsOf, taylorOracle } from './oracle.js';

let losses: typeof Losses;
let promises: typeof Promises;
const load = async () => {
  losses = await import('../../lib/losses.js');
  promises = await import('../../lib/promises.js');
};

/** Units of the last place: float rows are rounded once from double. */
const bound = (type: FloatsName, order: number): number => (type === 'f32' ? 0.51 : order === 2 ? 3 : 20);
const kinds: readonly KindName[] = ['N(0,1)', 'N(0,8)', 'equal', 'one peak', 'about 1e7', 'tiny logits'];

for (const backend of backends) {
  describe(backend, () => {
    forceBackend(backend, load);

    const check = (x: Floats, order: number, temperature: number, bias?: Floats): void => {
      const type = x instanceof Float32Array ? 'f32' : 'f64';
      const y = losses.taylorSoftmax(x, { order, temperature, bias });
      const wanted = taylorOracle(sumsOf(x, bias), order, temperature);
      wanted.forEach(({ hi, lo }, i) => {
        const error = countedError(y[i]!, hi, lo, type);
        if (!(error <= bound(type, order)))
          expect.fail(`${type} ${order} ${x.length}: y[${i}] ${y[i]} ${hi}: ${error}`);
      });
    };

    it.each(typeNames)('%s is exact at every length', (type) => {
      for (const kind of kinds) {
        for (const n of [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 100, 257]) {
          check(row(type, kind, n), 2, 1);
          check(row(type, kind, n), 4, n % 2 ? 1 : 0.7);
          if (type === 'f32') check(row(type, kind, n), n % 2 ? 6 : 8, 1.3, row(type, 'N(0,1)', n, 5));
        }
      }
    });

    it.each(typeNames)('%s gives the values of its definition', (type) => {
      const digits = type === 'f32' ? 7 : 15;
      const close = (y: Floats, wanted: readonly number[]) =>
        wanted.forEach((each, i) => expect(y[i]).toBeCloseTo(each, digits));
      const x = floats[type].of(0.7071067811865475, Math.SQRT2, Math.SQRT2);
      close(losses.taylorSoftmax(x), [0.2227646950249595, 0.3886176524875202, 0.3886176524875202]);
      close(losses.taylorSoftmax(x, { order: 4 }), [0.2000242137973642, 0.39998789310131794, 0.39998789310131794]);
      close(
        losses.taylorSoftmax(floats[type].of(-3, 1, 0.5)),
        [0.37735849056603776, 0.37735849056603776, 0.24528301886792453],
      );
    });

    it.each(typeNames)('%s has softmax’s edge values', (type) => {
      const of = (...x: number[]) => floats[type].from(x);
      const y = (x: Floats, mask?: Uint8Array) => losses.taylorSoftmax(x, { mask });
      expect(y(of(-Infinity, 3))).toEqual(of(0, 1));
      for (const bad of [of(-Infinity, -Infinity), of(1, NaN), of(1, Infinity)])
        expect([...y(bad)]).toEqual([NaN, NaN]);
      expect(y(of(5, NaN), Uint8Array.of(1, 0))).toEqual(of(1, 0));
      expect(y(of(NaN, 5), Uint8Array.of(1, 0))).toEqual(of(NaN, 0));
      expect(y(of(1, NaN), Uint8Array.of(0, 0))).toEqual(of(0, 0));
      expect(y(of())).toEqual(of());
      expect(y(of(-7))).toEqual(of(1));
    });

    it('scales rows whose sums no double holds', () => {
      const most = Number.MAX_VALUE;
      const thirds = losses.taylorSoftmax(Float64Array.of(most, most, 3, -most));
      [1 / 3, 1 / 3, 0, 1 / 3].forEach((each, i) => expect(thirds[i]).toBeCloseTo(each, 15));
      const y = losses.taylorSoftmax(Float32Array.of(3e38, 1.5e38, 1), { order: 16 });
      expect(y[1]! * 2 ** 16).toBeCloseTo(y[0]!, 4);
      expect(losses.taylorSoftmax(Float64Array.of(1, 2), { temperature: 1e-300 })[0]).toBeCloseTo(0.2, 15);
    });

    it('takes any axis, in place, a mask in bits, and half types', () => {
      const x = row('f32', 'N(0,1)', 3 * 29 * 21);
      const shape = [3, 29, 21];
      const y = losses.taylorSoftmax(x, { shape, axis: 1 });
      for (const [o, i] of [
        [0, 0],
        [1, 16],
        [2, 20],
      ] as const) {
        const along = Array.from({ length: 29 }, (_, c) => (o * 29 + c) * 21 + i);
        const wanted = taylorOracle(sumsOf(along.map((at) => x[at]!)), 2);
        along.forEach((at, c) =>
          expect(countedError(y[at]!, wanted[c]!.hi, wanted[c]!.lo, 'f32')).toBeLessThanOrEqual(0.51),
        );
      }
      const same = x.slice();
      expect(losses.taylorSoftmax(same, { shape, axis: 1, out: same })).toEqual(y);
      const halves = Uint16Array.of(0x3c00, 0xbc00, 0x4200, 0); // 1, −1, 3, 0
      const wide = losses.taylorSoftmax(halves, { dtype: 'float16', out: new Float32Array(4) });
      expect(wide).toEqual(losses.taylorSoftmax(Float32Array.of(1, -1, 3, 0)));
      expect(losses.taylorSoftmax(halves, { dtype: 'float16' })).toBeInstanceOf(Uint16Array);
    });

    it('is a promise too', async () => {
      const x = row('f32', 'N(0,8)', 9000);
      expect(await promises.taylorSoftmax(x, { cols: 9, order: 4 })).toEqual(
        losses.taylorSoftmax(x, { cols: 9, order: 4 }),
      );
    });

    it('refuses odd orders', () => {
      for (const order of [1, 3, 0, 18, 2.5, -2])
        expect(() => losses.taylorSoftmax(Float32Array.of(1), { order })).toThrow(RangeError);
      expect(() => losses.taylorSoftmax(Float32Array.of(1), { order: '2' as unknown as number })).toThrow(TypeError);
    });
  });
}
