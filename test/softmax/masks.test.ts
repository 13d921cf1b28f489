/** Masks and biases as the kernels take them: every layout, on every backend. Masked logits have no effect. */
import { describe, expect, it } from 'vitest';
import { backends, sameBitBackends, softmaxOn, type SoftmaxOptions } from '../support/backends.js';
import {
  firstDifference,
  floats,
  generator,
  packedBits,
  normal,
  row,
  typeNames,
  type Floats,
  type FloatsName,
} from '../support/cases.js';
import { bound, oracle, worstError } from '../support/oracle.js';

const shapes = [
  [1, 1],
  [1, 2],
  [3, 7],
  [5, 8],
  [4, 10],
  [3, 16],
  [2, 17],
  [7, 33],
  [2, 64],
  [3, 100],
  [2, 257],
  [3, 1000],
  [1, 20_001],
] as const;

/** 1 keeps an element. About two thirds are kept, and nothing of every fifth row. */
function randomMask(rows: number, cols: number): Uint8Array {
  const random = generator(rows * 1000 + cols);
  return Uint8Array.from({ length: rows * cols }, (_, i) => (Math.floor(i / cols) % 5 !== 4 && random() % 3 ? 1 : 0));
}

/** The rows with −∞ where masked, which the oracle takes; null for a row that is masked out. */
function visible(x: Floats, mask: Uint8Array, r: number, cols: number): Floats | null {
  const keep = mask.subarray(r * cols, (r + 1) * cols);
  return keep.some(Boolean) ? x.slice(r * cols, (r + 1) * cols).map((v, i) => (keep[i] ? v : -Infinity)) : null;
}

function expectMasked(
  name: string,
  type: FloatsName,
  x: Floats,
  y: Floats,
  mask: Uint8Array,
  cols: number,
  temperature: number,
): void {
  for (let r = 0; r * cols < x.length; r++) {
    const part = y.subarray(r * cols, (r + 1) * cols);
    const logits = visible(x, mask, r, cols);
    if (!logits) {
      expect(
        part.every((v) => Object.is(v, 0)),
        `row ${r} of ${cols}: nothing visible, all 0`,
      ).toBe(true);
      continue;
    }
    expect(
      part.every((v, i) => mask[r * cols + i] || Object.is(v, 0)),
      `row ${r} of ${cols}: 0 where masked`,
    ).toBe(true);
    expect(worstError(type, part, oracle(logits, temperature)).error, `row ${r} of ${cols}`).toBeLessThanOrEqual(
      bound(name, type),
    );
  }
}

for (const type of typeNames) {
  describe(`masks, ${type}`, () => {
    for (const name of backends) {
      it(`${name}: hide elements of any value`, () => {
        for (const [rows, cols] of shapes) {
          const mask = randomMask(rows, cols);
          for (const hidden of [undefined, NaN, Infinity, -Infinity, 3.4e38, 1e7]) {
            const x = row(type, 'N(0,8)', rows * cols).map((v, i) => (mask[i] || hidden === undefined ? v : hidden));
            for (const temperature of [1, 0.7]) {
              const y = softmaxOn(name, x, { cols, temperature, mask, maskLayout: 1 });
              expectMasked(name, type, x, y, mask, cols, temperature);
              const inBits = softmaxOn(name, x, { cols, temperature, mask: packedBits(mask), maskLayout: 3 });
              expect(firstDifference(inBits, y), `${rows}×${cols}, in bits`).toBe(-1);
              const inPlace = x.slice();
              softmaxOn(name, inPlace, { cols, temperature, mask, maskLayout: 1, out: inPlace });
              expect(firstDifference(inPlace, y), `${rows}×${cols}, in place`).toBe(-1);
            }
          }
        }
      });

      it(`${name}: one mask for all rows`, () => {
        for (const [rows, cols] of shapes) {
          const mask = randomMask(1, cols);
          const repeated = Uint8Array.from({ length: rows * cols }, (_, i) => mask[i % cols]!);
          const x = row(type, 'N(0,8)', rows * cols);
          const wanted = softmaxOn(name, x, { cols, mask: repeated, maskLayout: 1 });
          expect(
            firstDifference(softmaxOn(name, x, { cols, mask, maskLayout: 2 }), wanted),
            `${rows}×${cols}, bytes`,
          ).toBe(-1);
          expect(
            firstDifference(softmaxOn(name, x, { cols, mask: packedBits(mask), maskLayout: 4 }), wanted),
            `${rows}×${cols}, bits`,
          ).toBe(-1);
        }
      });

      it(`${name}: any byte but 0 keeps`, () => {
        const x = row(type, 'N(0,1)', 300);
        const mask = randomMask(1, 300);
        const nonzero = mask.map((keep, i) => (keep ? [1, 2, 127, 128, 255][i % 5]! : 0));
        const wanted = softmaxOn(name, x, { mask, maskLayout: 1 });
        expect(firstDifference(softmaxOn(name, x, { mask: nonzero, maskLayout: 1 }), wanted)).toBe(-1);
      });

      it(`${name}: a visible NaN or +∞ counts, a mask that keeps all changes nothing`, () => {
        for (const n of [1, 2, 17, 100, 1000]) {
          const x = row(type, 'N(0,1)', n);
          const all = new Uint8Array(n).fill(1);
          expect(firstDifference(softmaxOn(name, x, { mask: all, maskLayout: 1 }), softmaxOn(name, x))).toBe(-1);
          for (const value of [NaN, Infinity]) {
            x[n >> 1] = value;
            const y = softmaxOn(name, x, { mask: all, maskLayout: 1 });
            expect(y.every(Number.isNaN), `${value}, ${n} elements`).toBe(true);
          }
        }
      });

      it(`${name}: a bias is added without rounding`, () => {
        for (const [rows, cols] of shapes) {
          const random = generator(cols);
          // Multiples of 2^-14 up to a few hundred, so that the oracle's doubles hold x + bias exactly.
          const grid = (scale: number) =>
            new floats[type](rows * cols).map(() => Math.round(scale * normal(random) * 2 ** 14) / 2 ** 14);
          const [x, bias] = [grid(8), grid(100)];
          const one = bias.slice(0, cols);
          const sums = (b: Floats) => Float64Array.from(x, (v, i) => v + b[i % b.length]!);
          for (const b of [bias, one]) {
            const y = softmaxOn<Floats>(name, x, { cols, temperature: 1.3, bias: b });
            const s = sums(b);
            for (let r = 0; r < rows; r++) {
              const span = [r * cols, (r + 1) * cols] as const;
              const { error } = worstError(type, y.subarray(...span), oracle(s.subarray(...span), 1.3));
              expect(error, `row ${r} of ${rows}×${cols}`).toBeLessThanOrEqual(bound(name, type));
            }
          }
        }
      });
    }

    it('the native backends have the same bits', () => {
      const [first, ...others] = sameBitBackends;
      if (first === undefined) return;
      for (const [rows, cols] of shapes) {
        const x = row(type, 'N(0,8)', rows * cols);
        const bias = row(type, 'N(0,1)', rows * cols, 5);
        const mask = randomMask(rows, cols);
        const options: SoftmaxOptions<Floats>[] = [
          { cols, mask, maskLayout: 1 },
          { cols, bias },
          { cols, mask, maskLayout: 1, bias, temperature: 0.7 },
        ];
        for (const option of options) {
          const wanted = softmaxOn(first, x, option);
          for (const name of others)
            expect(firstDifference(softmaxOn(name, x, option), wanted), `${name}, ${rows}×${cols}`).toBe(-1);
        }
      }
    });
  });
}
