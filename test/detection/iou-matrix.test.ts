/** iouMatrix on every backend, against fractions. */
import { describe, expect, it } from 'vitest';
import type * as Detection from '../../lib/detection.js';
import { backends } from '../support/backends.js';
import { exactUlpError } from '../support/exact.js';
import { forceBackend } from '../support/force-backend.js';
import { boxesAndScores, inFormat } from './data.js';
import { iouOf, sidesOf } from './oracle.js';

for (const name of backends) {
  describe(name, () => {
    let iouMatrix: typeof Detection.iouMatrix;
    forceBackend(name, async () => {
      ({ iouMatrix } = await import('../../lib/detection.js'));
    });

    it('has the values of the definition', () => {
      const boxes = Float32Array.of(0, 0, 10, 10, 1, 1, 11, 11, 20, 20, 30, 30, 0, 0, 10, 8);
      const [a, b, c] = [81 / 119, 4 / 5, 7 / 13].map(Math.fround) as [number, number, number];
      const expected = [1, a, 0, b, a, 1, 0, c, 0, 0, 1, 0, b, c, 0, 1];
      expect(Array.from(iouMatrix(boxes, boxes))).toEqual(expected);
      const pixels = iouMatrix(boxes, boxes.subarray(0, 4), { coordinates: 'pixels' });
      expect(Array.from(pixels)).toEqual([1, Math.fround(50 / 71), 0, Math.fround(9 / 11)]);
    });

    it('is within 0.51 ULP of fractions, in every format', () => {
      let worst = 0;
      for (const format of ['xyxy', 'yxyx', 'xywh', 'cxcywh'] as const) {
        for (const coordinates of ['continuous', 'pixels'] as const) {
          const boxes = inFormat(boxesAndScores(40, 1).boxes, format);
          const others = inFormat(boxesAndScores(37, 2).boxes, format);
          const options = { format, coordinates };
          const actual = iouMatrix(boxes, others, options);
          // The widths of sizes are widths: an edge moves corners alone.
          const edge = { format, coordinates: format.endsWith('wh') ? ('continuous' as const) : coordinates };
          for (let i = 0; i < 40; i++) {
            for (let j = 0; j < 37; j++) {
              const [p, q] = iouOf(sidesOf(boxes, i, edge), sidesOf(others, j, edge));
              if (p === 0n) expect(actual[37 * i + j]).toBe(0);
              else worst = Math.max(worst, exactUlpError('f32', actual[37 * i + j]!, (p << 1400n) / q));
            }
          }
        }
      }
      expect(worst).toBeLessThanOrEqual(0.51);
    });

    it('is symmetric, 1 for a box and itself, and of any size', () => {
      for (const n of [0, 1, 7, 15, 16, 17, 100]) {
        const { boxes } = boxesAndScores(n, n);
        const matrix = iouMatrix(boxes, boxes);
        expect(matrix.length).toBe(n * n);
        for (let i = 0; i < n; i++) {
          expect(matrix[i * n + i]).toBe(1);
          for (let j = 0; j < i; j++) expect(matrix[i * n + j]).toBe(matrix[j * n + i]);
        }
        expect(iouMatrix(boxes, new Float32Array()).length).toBe(0);
        expect(iouMatrix(new Float32Array(), boxes).length).toBe(0);
      }
    });

    it('gives empty boxes 0, and takes coordinates of any size', () => {
      const boxes = Float32Array.of(5, 5, 5, 9, 8, 2, 2, 8, 3e38, 3e38, -3e38, -3e38, 0, 0, 0, 0);
      expect(iouMatrix(boxes, boxes).every((iou) => iou === 0)).toBe(true);
      const large = Float32Array.of(-3e38, -3e38, 3e38, 3e38, 0, 0, 3e38, 3e38);
      expect(Array.from(iouMatrix(large, large))).toEqual([1, 0.25, 0.25, 1]);
      const small = Float32Array.of(0, 0, 2 ** -149, 2 ** -149, 0, 0, 2 ** -148, 2 ** -149);
      expect(Array.from(iouMatrix(small, small))).toEqual([1, 0.5, 0.5, 1]);
    });

    it('names a box whose numbers are no use', () => {
      const { boxes } = boxesAndScores(20, 1);
      for (const value of [NaN, Infinity]) {
        expect(() => iouMatrix(boxes.with(70, value), boxes)).toThrow('box 17 of boxes');
        expect(() => iouMatrix(boxes, boxes.with(3, value))).toThrow('box 0 of others');
      }
      expect(() => iouMatrix(boxes, boxes.with(3, NaN))).toThrow(RangeError);
    });
  });
}
