/** The JavaScript backend’s softmax with every layout of rows, masks and biases of the Backend interface. */
import { describe, expect, it } from 'vitest';
import { MASK_BITS, MASK_BYTES, MASK_ROW_BITS, MASK_ROW_BYTES } from '../../lib/backend/backend.js';
import { HELD_LENGTH } from '../../lib/js/rows/row.js';
import { floats, generator, row, typeNames, type Floats } from '../support/cases.js';
import { expectSameBits, softmax } from './js-kernel.js';
import { packedBits } from '../support/cases.js';

for (const type of typeNames) {
  const make = (values: Iterable<number>): Floats => floats[type].from(values);

  describe(`${type}: layouts`, () => {
    const x = row(type, 'N(0,8)', 3 * 20 * 7);

    it('rows along any axis are rows', () => {
      for (const [outer, cols, inner] of [
        [3, 20, 7],
        [1, 60, 7],
        [21, 4, 5],
        [1, 3, 140],
        [420, 1, 1],
        [4, 1, 105],
      ] as const) {
        const y = softmax(x, { outer, cols, inner });
        for (let o = 0; o < outer; o++) {
          for (let i = 0; i < inner; i++) {
            const pick = (a: Floats) => make(Array.from({ length: cols }, (_, c) => a[(o * cols + c) * inner + i]!));
            expectSameBits(pick(y), softmax(pick(x)), `[${outer}, ${cols}, ${inner}], row ${o}, ${i}`);
          }
        }
        const inPlace = x.slice();
        expectSameBits(
          softmax(inPlace, { outer, cols, inner, out: inPlace }),
          y,
          `[${outer}, ${cols}, ${inner}] in place`,
        );
      }
    });

    it('masked positions have no effect, with any value', () => {
      const random = generator(1);
      const [outer, cols, inner] = [3, 20, 7];
      const perElement = Uint8Array.from(x, () => (random() % 3 ? random() & 0xff : 0));
      const perColumn = perElement.slice(0, cols);
      for (const [mask, maskLayout, kept] of [
        [perElement, MASK_BYTES, (at: number) => perElement[at]],
        [packedBits(perElement), MASK_BITS, (at: number) => perElement[at]],
        [perColumn, MASK_ROW_BYTES, (_: number, c: number) => perColumn[c]],
        [packedBits(perColumn), MASK_ROW_BITS, (_: number, c: number) => perColumn[c]],
      ] as const) {
        const replaced = x.map((v, at) =>
          kept(at, Math.floor(at / inner) % cols) ? v : [NaN, Infinity, 1e38, -Infinity][at % 4]!,
        );
        const y = softmax(replaced, { outer, cols, inner, mask, maskLayout });
        for (let o = 0; o < outer; o++) {
          for (let i = 0; i < inner; i++) {
            const at = Array.from({ length: cols }, (_, c) => (o * cols + c) * inner + i);
            const visible = at.filter((a, c) => kept(a, c));
            expectSameBits(
              make(visible.map((a) => y[a]!)),
              softmax(make(visible.map((a) => x[a]!))),
              `layout ${maskLayout}`,
            );
            for (const [c, a] of at.entries()) if (!kept(a, c)) expect(y[a]).toBe(0);
          }
        }
      }
    });

    it('a row with nothing or only −∞ visible is 0; a visible NaN or +∞ makes every visible position NaN', () => {
      const logits = make([1, -Infinity, NaN, Infinity, 2]);
      const masked = (...mask: number[]) => [
        ...softmax(logits, { mask: Uint8Array.from(mask), maskLayout: MASK_BYTES }),
      ];
      expect(masked(0, 0, 0, 0, 0)).toEqual([0, 0, 0, 0, 0]);
      expect(masked(0, 1, 0, 0, 0)).toEqual([0, 0, 0, 0, 0]);
      expect(masked(0, 1, 1, 0, 0)).toEqual([0, NaN, NaN, 0, 0]);
      expect(masked(1, 1, 0, 1, 0)).toEqual([NaN, NaN, 0, NaN, 0]);
      expect(masked(0, 1, 0, 0, 255)).toEqual([0, 0, 0, 0, 1]);
    });

    it('a bias of one row is for all rows; −∞ in it hides; +∞ − ∞ is NaN', () => {
      const cols = 20;
      const bias = row(type, 'N(0,1)', cols, 5);
      const wide = make(Array.from(x, (_, i) => bias[i % cols]!));
      expectSameBits(softmax(x, { cols, bias }), softmax(x, { cols, bias: wide }), 'broadcast');

      expect([...softmax(make([1, 5, 1]), { bias: make([0, -Infinity, 0]) })]).toEqual([0.5, 0, 0.5]);
      expect([...softmax(make([1, Infinity]), { bias: make([0, -Infinity]) })]).toEqual([NaN, NaN]);
      expect([...softmax(make([1, 5]), { bias: make([-Infinity, -Infinity]) })]).toEqual([NaN, NaN]);
    });

    it('long rows have masks and biases too', () => {
      const n = HELD_LENGTH + 1000;
      const long = row(type, 'N(0,8)', n);
      const bias = row(type, 'N(0,1)', n, 3);
      const mask = Uint8Array.from({ length: n }, (_, i) => Number(i < 900 || i >= HELD_LENGTH - 5));
      const y = softmax(long, { mask, maskLayout: MASK_BYTES, bias });
      const visible = (a: Floats) => a.filter((_, i) => mask[i]);
      expect(y.every((v, i) => (mask[i] ? v > 0 : v === 0))).toBe(true);
      expectSameBits(visible(y), softmax(visible(long), { bias: visible(bias) }), 'the visible elements');
    });
  });
}
