/** decoupledSoftmax on every backend, against its definition in double-double arithmetic and finite differences. */
import { describe, expect, it } from 'vitest';
import { add, divide, expDD, multiplyNumber, ulpError, type DD } from '../../lib/cli/oracle.js';
import type * as Losses from '../../lib/losses.js';
import type * as Promises from '../../lib/promises.js';
import { log1pDD } from '../softmax/log-oracle.js';
import { backends } from '../support/backends.js';
import { floats, generator, row, typeNames, type Floats } from '../support/cases.js';
import { forceBackend } from '../support/force-backend.js';
import { dd, slopeOf, softplusDD, subtract, sumsOf, total } from './oracle.js';

let losses: typeof Losses;
let promises: typeof Promises;
const load = async () => {
  losses = await import('../../lib/losses.js');
  promises = await import('../../lib/promises.js');
};

/** The loss of one row of finite logits. */
function oracle(x: readonly DD[], positives: readonly number[], weights: readonly number[], temperature: number): DD {
  const s = x.map((v) => divide(v, dd(temperature)));
  const negatives = s.filter((_, i) => !positives.includes(i));
  if (positives.length === 0 || negatives.length === 0) return dd(0);
  const top = negatives.reduce((a, b) => (b.hi > a.hi ? b : a));
  const others = total(negatives.filter((v) => v !== top).map((v) => expDD(subtract(v, top))));
  const lse = add(top, log1pDD(others));
  const terms = positives.map((j, i) => multiplyNumber(softplusDD(subtract(lse, s[j]!)), weights[i]!));
  return divide(total(terms), total(weights.map((w) => dd(w))));
}

for (const backend of backends) {
  describe(backend, () => {
    forceBackend(backend, load);

    it('sums over hundreds of positives that are alike to a few units in the last place', () => {
      const [cols, positives, temperature] = [646, 584, 2.941712819825975];
      const negatives = cols - positives;
      const gradient = new Float64Array(cols);
      const csr = { indptr: [0, positives], indices: Array.from({ length: positives }, (_, i) => i) };
      const [loss] = losses.decoupledSoftmax(new Float64Array(cols), csr, { temperature, gradient });
      expect(Math.abs(loss! / Math.log1p(negatives) - 1)).toBeLessThan(2 ** -50);
      expect(Math.abs(gradient[cols - 1]! * temperature * (negatives + 1) - 1)).toBeLessThan(2 ** -50);
    });

    it('is NaN for a positive of +∞ beside no negatives, and not for one that overflows', () => {
      const csr = { indptr: [0, 1], indices: [0] };
      expect([...losses.decoupledSoftmax(Float64Array.of(Infinity), csr)]).toEqual([NaN]);
      expect([...losses.decoupledSoftmax(Float64Array.of(4), csr, { temperature: 1e-308 })]).toEqual([0]);
    });

    it.each(typeNames)('%s losses and gradients are those of the definition', (type) => {
      const random = generator(5);
      for (const n of [2, 3, 8, 17, 40]) {
        const x = row(type, n % 2 ? 'N(0,1)' : 'N(0,8)', n);
        const bias = n === 17 ? row(type, 'N(0,1)', n, 3) : undefined;
        const indices = Array.from({ length: n }, (_, i) => i).filter((i) => i > 0 && random() % 3 === 0);
        const weights = indices.map((_, i) => 0.5 + (i % 4));
        const gradient = new floats[type](n) as Float64Array;
        const options = { temperature: 0.7, gradient, bias: bias as Float64Array };
        const [loss] = losses.decoupledSoftmax(
          x as Float64Array,
          { indptr: [0, indices.length], indices, weights },
          options,
        );
        const f = (z: readonly DD[]) => oracle(z, indices, weights, 0.7);
        const wanted = f(sumsOf(x, bias));
        expect(ulpError(loss!, wanted.hi, wanted.lo, 'f64') * 2 ** -52 * (indices.length > 0 ? 1 : 0)).toBeLessThan(
          1e-13,
        );
        for (let i = 0; i < n; i++) {
          const slope = slopeOf(f, sumsOf(x, bias), i, 2 ** -12);
          const bound = type === 'f32' ? 2 ** -22 * Math.abs(slope) + 1e-13 : 1e-12;
          expect(Math.abs(gradient[i]! - slope)).toBeLessThanOrEqual(bound);
        }
      }
    });

    it('gives the values of its definition', () => {
      const wanted = [-0.000168090550440911, 0.000148109236104714, -0.0597315491125192, 0.0597515304268554];
      const positives = { indptr: Uint32Array.of(0, 2), indices: Int32Array.of(0, 2) };
      const x = Float64Array.of(0.9, 0.2, 0.6, 0.5);
      const scaled = x.map((v) => v / 0.05);
      const gradient = new Float64Array(4);
      expect(losses.decoupledSoftmax(scaled, positives, { gradient })[0]).toBeCloseTo(0.06377983976191103, 14);
      wanted.forEach((each, i) => expect(gradient[i]).toBeCloseTo(each, 15));
      expect(losses.decoupledSoftmax(x, positives, { gradient, temperature: 0.05 })[0]).toBeCloseTo(
        0.06377983976191103,
        14,
      );
      wanted.forEach((each, i) => expect(gradient[i]).toBeCloseTo(each * 20, 14));
      expect(losses.decoupledSoftmax(Float64Array.of(1, 2, 0.5, -1), positives)[0]).toBeCloseTo(1.5451617567126719, 15);
    });

    it.each(typeNames)('%s has the edge values of a loss', (type) => {
      const both = (x: number[], indices: number[], options: { mask?: Uint8Array; weights?: number[] } = {}) => {
        const { weights, mask } = options;
        const gradient = floats[type].from(x).fill(9) as Float64Array;
        const logits = floats[type].from(x) as Float64Array;
        const positives = { indptr: [0, indices.length], indices, weights };
        return [losses.decoupledSoftmax(logits, positives, { mask, gradient })[0], ...gradient];
      };
      expect(both([1, NaN, 2], [])).toEqual([0, 0, 0, 0]);
      expect(both([1, 2], [0], { weights: [0] })).toEqual([0, 0, 0]);
      expect(both([1, 2], [0, 1])).toEqual([0, 0, 0]);
      expect(both([1], [0])).toEqual([0, 0]);
      expect(both([1, NaN], [0])).toEqual([NaN, NaN, NaN]);
      expect(both([NaN, 1], [0])).toEqual([NaN, NaN, NaN]);
      for (const infinite of [0, 1]) {
        expect(both(infinite === 0 ? [Infinity, 1] : [1, Infinity], [0])).toEqual([NaN, NaN, NaN]);
      }
      expect(both([-Infinity, 1], [0])).toEqual([Infinity, -1, 1]);
      expect(both([1, 1, NaN], [0], { mask: Uint8Array.of(0, 1, 0) })).toEqual([Infinity, 0, 1, 0]);
      expect(both([1, 1, NaN], [0], { mask: Uint8Array.of(1, 0, 0) })).toEqual([0, 0, 0, 0]);
      expect(both([1, 1], [0], { mask: Uint8Array.of(0, 0) })).toEqual([0, 0, 0]);
      const far = both([1000, -1000, 0], [0, 1]);
      expect(far.slice(0, 1)).toEqual([500]);
      expect(
        losses.decoupledSoftmax(floats[type].of() as Float64Array, { indptr: [0], indices: [] }, { cols: 3 }),
      ).toEqual(Float64Array.of());
      expect([...losses.decoupledSoftmax(floats[type].of() as Float64Array, { indptr: [0, 0], indices: [] })]).toEqual([
        0,
      ]);
    });

    it('takes any axis, half types, and is a promise too', async () => {
      const [cols, rows] = [30, 400];
      const x = row('f32', 'N(0,1)', cols * rows);
      const indices = Array.from({ length: 2 * rows }, (_, i) => (7 * i) % cols);
      const positives = { indptr: Array.from({ length: rows + 1 }, (_, r) => 2 * r), indices };
      const gradient = new Float32Array(x.length);
      const wanted = losses.decoupledSoftmax(x, positives, { cols, gradient });
      const turned = Float32Array.from(x, (_, at) => x[(at % rows) * cols + Math.floor(at / rows)]!);
      const along = losses.decoupledSoftmax(turned, positives, { shape: [cols, rows], axis: 0 });
      wanted.forEach((each, r) => expect(along[r]).toBeCloseTo(each, 12));
      const [later, out] = [new Float32Array(x.length), new Float64Array(rows)];
      expect(await promises.decoupledSoftmax(x, positives, { cols, gradient: later, out })).toBe(out);
      expect([out, later]).toEqual([wanted, gradient]);
      const same = x.slice();
      const pending = promises.decoupledSoftmax(same, positives, { cols, gradient: same });
      expect(await pending).toEqual(wanted);
      expect(same).toEqual(gradient);
      const aborted = promises.decoupledSoftmax(x, positives, { cols, signal: AbortSignal.abort() });
      await expect(aborted).rejects.toThrow(/abort/i);
      const halves = Uint16Array.of(0x3c00, 0xbc00, 0x4200, 0); // 1, −1, 3, 0
      const slopes = new Uint16Array(4);
      const one = { indptr: [0, 1], indices: [2] };
      expect(losses.decoupledSoftmax(halves, one, { dtype: 'float16', gradient: slopes })[0]).toBeCloseTo(
        losses.decoupledSoftmax(Float32Array.of(1, -1, 3, 0), one)[0]!,
        12,
      );
      expect(slopes[2]! >> 15).toBe(1);
    });

    it('refuses positives that are no compressed rows', () => {
      const x: Floats = Float32Array.of(1, 2, 3, 4);
      const run = (indptr: number[], indices: number[], weights?: number[]) => () =>
        losses.decoupledSoftmax(x, { indptr, indices, weights }, { cols: 2 });
      for (const wrong of [
        run([0, 1], [0]),
        run([0, 2, 1], [0]),
        run([1, 1, 1], [0]),
        run([0, 1, 1], [0, 1]),
        run([0, 1, 1], [2]),
        run([0, 1, 1], [-1]),
        run([0, 1, 1], [0.5]),
        run([0, 2, 2], [1, 1]),
        run([0, 1, 1], [0], [-1]),
        run([0, 1, 1], [0], [NaN]),
        run([0, 1, 1], [0], [1, 2]),
      ]) {
        expect(wrong).toThrow(RangeError);
      }
      expect(run([0, 1, 1], ['0' as unknown as number])).toThrow(TypeError);
      expect(() => losses.decoupledSoftmax(x, null as never)).toThrow(TypeError);
    });
  });
}
