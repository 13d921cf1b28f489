/** decodeYolo on every backend, against a loop. */
import { describe, expect, it } from 'vitest';
import type * as Detection from '../../lib/detection.js';
import { backends } from '../support/backends.js';
import { generator } from '../support/cases.js';
import { forceBackend } from '../support/force-backend.js';

/** A detector's output, [batch, n, 4 + classes]; scores in steps, so that some are equal. */
function outputOf(batch: number, n: number, classes: number, seed = 1): Float32Array {
  const bits = generator(seed);
  return Float32Array.from({ length: batch * n * (4 + classes) }, (_, i) =>
    i % (4 + classes) < 4 ? (bits() % 6400) / 10 : (bits() % 1000) / 1000,
  );
}

/** [batch, n, channels] as [batch, channels, n]. */
function channelsFirst(output: Float32Array, batch: number, n: number): Float32Array {
  const channels = output.length / (batch * n);
  return output.map((_, at) => {
    const [image, rest] = [Math.floor(at / (n * channels)), at % (n * channels)];
    return output[image * n * channels + (rest % n) * channels + Math.floor(rest / n)]!;
  });
}

/** The boxes of one image, [n, 4 + classes], that reach the threshold. */
function expectedOf(output: Float32Array, classes: number, threshold: number) {
  const found = { boxes: [] as number[], scores: [] as number[], classes: [] as number[], indices: [] as number[] };
  for (let i = 0; i * (4 + classes) < output.length; i++) {
    const [x, y, width, height, ...scores] = output.subarray(i * (4 + classes), (i + 1) * (4 + classes));
    const best = Math.max(...scores);
    if (best < threshold) continue;
    found.boxes.push(...[x! - width! / 2, y! - height! / 2, x! + width! / 2, y! + height! / 2].map(Math.fround));
    found.scores.push(best);
    found.classes.push(scores.indexOf(best));
    found.indices.push(i);
  }
  return found;
}

for (const name of backends) {
  describe(name, () => {
    let decodeYolo: typeof Detection.decodeYolo;
    forceBackend(name, async () => {
      ({ decodeYolo } = await import('../../lib/detection.js'));
    });

    it('finds the best class of each box, in both layouts', () => {
      for (const [n, classes] of [
        [1, 1],
        [5, 3],
        [16, 80],
        [300, 20],
        [777, 17],
        [1000, 1],
      ] as const) {
        for (const scoreThreshold of [-Infinity, 0.5, 0.9985, 2]) {
          const output = outputOf(1, n, classes, n);
          const expected = expectedOf(output, classes, scoreThreshold);
          for (const layout of ['boxes-first', 'channels-first'] as const) {
            const given = layout === 'boxes-first' ? output : channelsFirst(output, 1, n);
            const shape = layout === 'boxes-first' ? [1, n, 4 + classes] : [1, 4 + classes, n];
            for (const options of [{ layout }, { shape, ...(n === 4 + classes ? { layout } : {}) }]) {
              const result = decodeYolo(given, { classes, scoreThreshold, ...options });
              expect(result.count).toBe(expected.indices.length);
              for (const key of ['boxes', 'scores', 'classes', 'indices'] as const) {
                expect(Array.from(result[key]), `${layout}, ${n}, ${key}`).toEqual(expected[key]);
              }
            }
          }
        }
      }
    });

    it('has the score of the class, where +0 and −0 are equal', () => {
      for (const classes of [2, 3, 17, 40]) {
        for (const layout of ['boxes-first', 'channels-first'] as const) {
          const output = new Float32Array(4 + classes).fill(1, 0, 4).fill(-0, classes + 3);
          expect(decodeYolo(output, { classes, layout }).scores[0]).toBe(0);
          const turned = output.map((x, i) => (i < 4 ? x : -x));
          expect(decodeYolo(turned, { classes, layout }).scores[0]).toBe(-0);
        }
      }
    });

    it('has boxes in every format', () => {
      const output = Float32Array.of(10, 20, 4, 6, 0.5);
      const boxes = { xyxy: [8, 17, 12, 23], yxyx: [17, 8, 23, 12], xywh: [8, 17, 4, 6], cxcywh: [10, 20, 4, 6] };
      for (const format of ['xyxy', 'yxyx', 'xywh', 'cxcywh'] as const) {
        const result = decodeYolo(output, { classes: 1, shape: [5, 1], format });
        expect(Array.from(result.boxes)).toEqual(boxes[format]);
      }
    });

    it('takes several images, in rows that softNMS takes', async () => {
      const { softNMS } = await import('../../lib/detection.js');
      const [batch, n, classes] = [3, 50, 4];
      const output = outputOf(batch, n, classes, 7);
      const options = { classes, scoreThreshold: 0.8 };
      const all = decodeYolo(channelsFirst(output, batch, n), { ...options, batch, shape: [batch, 4 + classes, n] });
      const kept = softNMS(all.boxes, all.scores, { classes: all.classes, batch, scoreThreshold: 0 });
      for (let image = 0; image < batch; image++) {
        const one = decodeYolo(output.subarray(image * n * 8, (image + 1) * n * 8), {
          ...options,
          layout: 'boxes-first',
        });
        const [from, end] = [image * n, image * n + one.count];
        expect(all.count[image]).toBe(one.count);
        expect(all.boxes.slice(4 * from, 4 * end)).toEqual(one.boxes);
        expect(all.indices.slice(from, end)).toEqual(one.indices);
        expect(all.scores.slice(end, (image + 1) * n).every((score) => score === -Infinity)).toBe(true);
        const { count, scores } = softNMS(one.boxes, one.scores, { classes: one.classes, scoreThreshold: 0 });
        expect(kept.count[image]).toBe(count);
        expect(kept.scores.slice(from, from + count)).toEqual(scores);
      }
    });

    it('takes infinite scores, and names a box with NaN or an infinite coordinate', () => {
      const [n, classes] = [600, 5];
      const output = outputOf(1, n, classes);
      const best = decodeYolo(output.with(9 * 400 + 6, Infinity), { classes, layout: 'boxes-first' });
      expect([best.scores[400], best.classes[400]]).toEqual([Infinity, 2]);
      const low = decodeYolo(
        output.map((x, i) => (i % 9 < 4 ? x : -Infinity)),
        { classes, layout: 'boxes-first' },
      );
      expect([low.scores[599], low.classes[599], low.count]).toEqual([-Infinity, 0, n]);
      for (const [channel, value] of [
        [0, NaN],
        [3, Infinity],
        [2, -Infinity],
        [4, NaN],
        [8, NaN],
      ] as const) {
        const wrong = output.with(9 * 311 + channel, value).with(9 * 599, NaN);
        for (const layout of ['boxes-first', 'channels-first'] as const) {
          const given = layout === 'boxes-first' ? wrong : channelsFirst(wrong, 1, n);
          expect(() => decodeYolo(given, { classes, layout })).toThrow('box 311 of output');
          expect(() => decodeYolo(given, { classes, layout, batch: 1 })).toThrow('box 311 of image 0 of output');
        }
      }
    });

    it('asks for a layout where sizes do not tell it', () => {
      const square = new Float32Array(25);
      expect(() => decodeYolo(square, { classes: 1, shape: [1, 5, 5] })).toThrow(/layout/);
      expect(() => decodeYolo(square, { classes: 1 })).toThrow(/shape, or a layout/);
      expect(decodeYolo(square, { classes: 1, shape: [1, 5, 5], layout: 'boxes-first' }).count).toBe(5);
      const output = new Float32Array(30);
      expect(() => decodeYolo(output, { classes: 1, shape: [1, 6, 5], layout: 'channels-first' })).toThrow(
        /\[1, 5, 6\]/,
      );
      for (const shape of [[1, 3, 10], [2, 5, 3], [30], [1, 1, 5, 6], [1, 5, '6']]) {
        expect(() => decodeYolo(output, { classes: 1, shape: shape as number[] })).toThrow(RangeError);
      }
      expect(decodeYolo(new Float32Array(), { classes: 1, layout: 'boxes-first' }).count).toBe(0);
    });
  });
}
