/** softNMS and nms on every backend: values of the literature, an oracle in fractions, and a plain loop in double. */
import { describe, expect, it } from 'vitest';
import type * as Detection from '../../lib/detection.js';
import type { SoftNMSOptions } from '../../lib/detection.js';
import { backends } from '../support/backends.js';
import { generator } from '../support/cases.js';
import { exactUlpError } from '../support/exact.js';
import { forceBackend } from '../support/force-backend.js';
import { boxesAndScores, inFormat, softNmsOn, type Data } from './data.js';
import { exactNMS, type OracleOptions } from './oracle.js';

/** The error of scores that are rounded once, in ULP. */
const BOUND = 0.51;

/** Boxes that overlap often: corners on a grid of quarters, so that formats and sums are exact. */
function crowd(n: number, seed: number): Data {
  const bits = generator(seed);
  const pick = (count: number) => bits() % count;
  const boxes = new Float32Array(4 * n);
  const scores = new Float32Array(n);
  for (let i = 0; i < n; i++) {
    const [x, y, width, height] = [pick(120) / 4, pick(120) / 4, 1 + pick(80) / 4, 1 + pick(80) / 4];
    boxes.set([x, y, x + 2 * width, y + 2 * height], 4 * i);
    scores[i] = bits() / 2 ** 32;
  }
  return { boxes, scores };
}

/** Soft-NMS with a Gaussian, as its paper's code has it: a loop over all pairs. */
function plainLoop({ boxes, scores }: Data, sigma: number, threshold: number): [index: number, score: number][] {
  const s = Float64Array.from(scores);
  let left = Array.from(s.keys()).filter((i) => s[i]! >= threshold);
  const selected: [number, number][] = [];
  while (left.length > 0) {
    const best = left.reduce((a, b) => (s[b]! > s[a]! ? b : a));
    selected.push([best, s[best]!]);
    const [x0, y0, x1, y1] = boxes.subarray(4 * best, 4 * best + 4) as unknown as [number, number, number, number];
    left = left.filter((i) => {
      if (i === best) return false;
      const [a0, b0, a1, b1] = [boxes[4 * i]!, boxes[4 * i + 1]!, boxes[4 * i + 2]!, boxes[4 * i + 3]!];
      const [width, height] = [Math.min(x1, a1) - Math.max(x0, a0), Math.min(y1, b1) - Math.max(y0, b0)];
      if (width <= 0 || height <= 0) return true;
      const iou = (width * height) / ((x1 - x0) * (y1 - y0) + (a1 - a0) * (b1 - b0) - width * height);
      s[i]! *= Math.exp((-iou * iou) / sigma);
      return s[i]! >= threshold;
    });
  }
  return selected;
}

const VALUES: Data = {
  boxes: Float32Array.of(0, 0, 10, 10, 1, 1, 11, 11, 20, 20, 30, 30, 0, 0, 10, 8),
  scores: Float32Array.of(0.9, 0.8, 0.7, 0.6),
};

for (const name of backends) {
  describe(name, () => {
    let softNMS: typeof Detection.softNMS;
    let nms: typeof Detection.nms;
    forceBackend(name, async () => {
      ({ softNMS, nms } = await import('../../lib/detection.js'));
    });

    it('has the values of the definition', () => {
      const cases: [SoftNMSOptions<undefined>, number[], number[]][] = [
        [{}, [0, 2, 1, 3], [0.9, 0.7, 0.31670864564916884, 0.09341463255278391]],
        [{ sigmaConvention: 'tensorflow' }, [0, 2, 1, 3], [0.9, 0.7, 0.5033556560915304, 0.23674623446143833]],
        [{ method: 'linear' }, [0, 2, 1, 3], [0.9, 0.7, 0.25546218487394956, 0.05538461538461537]],
        [{ method: 'hard' }, [0, 2], [0.9, 0.7]],
        [{ cut: true }, [0, 2], [0.9, 0.7]],
        [{ cut: true, iouThreshold: 0.75 }, [0, 2, 1], [0.9, 0.7, 0.31670864564916884]],
      ];
      for (const [options, indices, scores] of cases) {
        const result = softNMS(VALUES.boxes, VALUES.scores, options);
        expect(Array.from(result.indices)).toEqual(indices);
        expect(result.count).toBe(indices.length);
        // The scores of the definition are decimal, those of the call floats.
        scores.forEach((score, i) => expect(result.scores[i]! / score).toBeCloseTo(1, 6));
      }
      expect(nms(VALUES.boxes, VALUES.scores)).toEqual(softNMS(VALUES.boxes, VALUES.scores, { method: 'hard' }));
    });

    it('is within 0.51 ULP of fractions, with every option', () => {
      let worst = 0;
      for (let seed = 0; seed < 48; seed++) {
        const data = crowd(4 + seed, seed);
        const format = (['xyxy', 'yxyx', 'xywh', 'cxcywh'] as const)[seed % 4]!;
        const method = (['gaussian', 'linear', 'hard'] as const)[seed % 3]!;
        const options: OracleOptions = {
          format,
          method,
          coordinates: seed % 5 === 0 && format.endsWith('xy') ? 'pixels' : 'continuous',
          iouThreshold: [0.3, 0.5, 0][seed % 7] ?? 0.7,
          sigma: seed % 2 ? 0.5 : 0.3,
          sigmaConvention: seed % 9 < 3 ? 'tensorflow' : 'paper',
          cut: seed % 6 === 3,
          scoreThreshold: [0.001, 0, 0.05][seed % 3]!,
          ...(seed % 4 === 1 ? { maxDetections: 9 } : {}),
          ...(seed % 2 ? { classes: Array.from(data.scores, (_, i) => (i * 7) % 3) } : {}),
        };
        const boxes = inFormat(data.boxes, format);
        const result = softNMS(boxes, data.scores, options as SoftNMSOptions<undefined>);
        const expected = exactNMS(boxes, data.scores, options);
        expect(Array.from(result.indices), `seed ${seed}`).toEqual(expected.map(({ index }) => index));
        expected.forEach(({ score }, i) => (worst = Math.max(worst, exactUlpError('f32', result.scores[i]!, score))));
      }
      expect(worst).toBeLessThanOrEqual(BOUND);
    });

    it('selects 8,400 boxes as a plain loop does', () => {
      for (const n of [1000, 8400]) {
        const data = boxesAndScores(n, n);
        const { indices, kept, counts } = softNmsOn(name, data);
        const expected = plainLoop(data, 0.5, 0.001);
        expect(counts[0]).toBe(expected.length);
        expect(Array.from(indices.subarray(0, counts[0]))).toEqual(expected.map(([index]) => index));
        expected.forEach(([, score], i) => expect(Math.abs(kept[i]! / score - 1)).toBeLessThan(6.1e-8));
      }
    });

    it('puts the lower index first among equals', () => {
      const n = 100;
      const apart = Float32Array.from({ length: 4 * n }, (_, i) => 20 * (((i >> 2) * 37) % n) + (i % 4 > 1 ? 10 : 0));
      const equal = new Float32Array(n).fill(0.5);
      const all = Array.from({ length: n }, (_, i) => i);
      expect(Array.from(softNMS(apart, equal).indices)).toEqual(all);
      expect(Array.from(softNMS(apart, equal).scores)).toEqual(Array.from(equal));
      const same = Float32Array.from({ length: 4 * n }, (_, i) => (i % 4 > 1 ? 10 : 0));
      expect(Array.from(nms(same, equal).indices)).toEqual([0]);
      expect(Array.from(softNMS(same, equal, { method: 'linear', scoreThreshold: 0 }).indices)).toEqual([0]);
      const soft = softNMS(same, equal);
      expect(Array.from(soft.indices)).toEqual([0, 1, 2, 3]); // 0.5 · e^-8 is below 0.001
      expect(soft.scores[3]).toBe(Math.fround(0.5 * Math.exp(-6)));
    });

    it('takes no boxes, one box, and boxes below the threshold', () => {
      const none = { indices: new Uint32Array(), scores: new Float32Array(), count: 0 };
      expect(softNMS(new Float32Array(), new Float32Array())).toEqual(none);
      expect(softNMS(VALUES.boxes, VALUES.scores, { scoreThreshold: 0.95 })).toEqual(none);
      expect(softNMS(VALUES.boxes, VALUES.scores, { scoreThreshold: Infinity })).toEqual(none);
      expect(softNMS(VALUES.boxes, VALUES.scores, { maxDetections: 0 })).toEqual(none);
      expect(softNMS(VALUES.boxes.slice(0, 4), VALUES.scores.slice(0, 1)).count).toBe(1);
      const half = Float32Array.of(0.5, 0.5);
      const two = Float32Array.of(0, 0, 1, 1, 5, 5, 6, 6);
      expect(softNMS(two, half, { scoreThreshold: 0.5 }).count).toBe(2); // not below
      expect(softNMS(two, half, { scoreThreshold: 0.5 + 2 ** -50 }).count).toBe(0);
    });

    it('drops what is 0 because it was lowered, and keeps a score of 0 that was not', () => {
      const two = Float32Array.of(0, 0, 2, 2, 0, 0, 2, 1, 5, 5, 6, 6);
      const scores = Float32Array.of(0.5, 0, 0);
      for (const method of ['gaussian', 'linear', 'hard'] as const) {
        const { indices } = softNMS(two, scores, { method, scoreThreshold: 0 });
        expect(Array.from(indices), method).toEqual([0, 2]);
      }
      const tiny = Float32Array.of(0.5, 2 ** -149, 2 ** -149);
      expect(Array.from(softNMS(two, tiny, { scoreThreshold: 0 }).scores)).toEqual([0.5, 2 ** -149, 2 ** -149]);
      expect(softNMS(two, tiny, { scoreThreshold: 0, sigma: 0.05 }).count).toBe(2);
    });

    it('takes scores below 0 with the method hard alone', () => {
      const two = Float32Array.of(0, 0, 2, 2, 0, 0, 2, 1, 5, 5, 6, 6, 8, 8, 9, 9);
      const scores = Float32Array.of(-1, -2, -0.5, -Infinity);
      expect(Array.from(nms(two, scores, { scoreThreshold: -Infinity }).indices)).toEqual([2, 0]);
      expect(Array.from(nms(two, scores, { scoreThreshold: -0.75 }).indices)).toEqual([2]);
      for (const method of ['gaussian', 'linear'] as const) {
        expect(softNMS(two, scores, { method, scoreThreshold: -Infinity }).count).toBe(0);
      }
    });

    it('gives empty boxes the IoU 0', () => {
      const boxes = Float32Array.of(0, 0, 10, 10, 8, 2, 2, 8, 8, 8, 2, 2, 5, 5, 5, 9, 0, 0, 10, 10);
      const scores = Float32Array.of(0.9, 0.8, 0.7, 0.6, 0.5);
      expect(Array.from(nms(boxes, scores).indices)).toEqual([0, 1, 2, 3]);
      expect(Array.from(nms(boxes, scores, { coordinates: 'pixels', iouThreshold: 0 }).indices)).toEqual([0, 1, 2]);
      expect(Array.from(softNMS(boxes, scores).scores.subarray(0, 4))).toEqual(Array.from(scores.subarray(0, 4)));
    });

    it('takes any sigma and any coordinates', () => {
      const { boxes, scores } = crowd(50, 3);
      const hard = nms(boxes, scores, { iouThreshold: 0 });
      for (const sigma of [5e-324, 1e-300, 1e-12]) expect(softNMS(boxes, scores, { sigma })).toEqual(hard);
      for (const sigma of [1e12, 1e300, Number.MAX_VALUE]) {
        const { indices } = softNMS(boxes, scores, { sigma, sigmaConvention: 'tensorflow', scoreThreshold: 0 });
        const order = Array.from(scores.keys()).sort((a, b) => scores[b]! - scores[a]!);
        expect(Array.from(indices)).toEqual(order);
      }
      const expected = softNMS(boxes, scores);
      for (const scale of [2 ** -130, 2 ** -60, 2 ** 60, 2 ** 120]) {
        expect(
          softNMS(
            boxes.map((x) => x * scale),
            scores,
          ),
        ).toEqual(expected);
      }
    });

    it('names a box whose numbers are no use, and its image', () => {
      for (const [i, value] of [NaN, Infinity, -Infinity].entries()) {
        const boxes = VALUES.boxes.with(4 * i + i, value);
        expect(() => softNMS(boxes, VALUES.scores)).toThrow(
          expect.objectContaining({
            code: 'ERR_INVALID_ARG_VALUE',
            message: expect.stringContaining(`box ${i} of boxes`),
          }),
        );
      }
      for (const value of [NaN, Infinity]) {
        const scores = VALUES.scores.with(3, value);
        expect(() => nms(VALUES.boxes, scores, { scoreThreshold: 0.5 })).toThrow('box 3 of boxes');
        expect(() => nms(VALUES.boxes, scores, { batch: 2 })).toThrow('box 1 of image 1 of boxes');
      }
    });

    it('takes several images, each as by itself', () => {
      const images = [crowd(70, 1), crowd(70, 2), crowd(70, 3)];
      const boxes = Float32Array.from(images.flatMap((each) => Array.from(each.boxes)));
      const scores = Float32Array.from(images.flatMap((each) => Array.from(each.scores)));
      const classes = Uint8Array.from(scores, (_, i) => i % 2);
      for (const maxDetections of [70, 20, 3]) {
        const all = softNMS(boxes, scores, { batch: 3, maxDetections, classes });
        expect(all.indices.length).toBe(3 * maxDetections);
        images.forEach((each, image) => {
          const own = classes.slice(70 * image, 70 * image + 70);
          const one = softNMS(each.boxes, each.scores, { maxDetections, classes: own });
          expect(all.count[image]).toBe(one.count);
          const [from, end] = [image * maxDetections, image * maxDetections + one.count];
          expect(all.indices.slice(from, end)).toEqual(one.indices);
          expect(all.scores.slice(from, end)).toEqual(one.scores);
          expect(all.scores.slice(end, (image + 1) * maxDetections).every((x) => x === 0)).toBe(true);
        });
      }
    });

    it('compares classes, whatever their numbers and types', () => {
      const { boxes, scores } = crowd(200, 5);
      const labels = Array.from(scores, (_, i) => (i * i) % 5);
      const result = softNMS(boxes, scores, { classes: labels });
      for (const other of [Uint8Array.from(labels), Int32Array.from(labels), Uint32Array.from(labels)]) {
        expect(softNMS(boxes, scores, { classes: other })).toEqual(result);
      }
      const far = labels.map((label) => label * 123456789 - 2 ** 30);
      expect(softNMS(boxes, scores, { classes: Int32Array.from(far) })).toEqual(
        softNMS(boxes, scores, { classes: far.map((label) => label | 0) }),
      );
      for (let label = 0; label < 5; label++) {
        const members = labels.flatMap((each, i) => (each === label ? [i] : []));
        const own = softNMS(
          Float32Array.from(members.flatMap((i) => Array.from(boxes.subarray(4 * i, 4 * i + 4)))),
          Float32Array.from(members, (i) => scores[i]!),
        );
        const places = Array.from(result.indices.keys()).filter((i) => labels[result.indices[i]!] === label);
        expect(places.map((i) => result.indices[i])).toEqual(Array.from(own.indices, (i) => members[i]!));
        expect(places.map((i) => result.scores[i])).toEqual(Array.from(own.scores));
      }
      const distinct = Int32Array.from(scores.keys());
      expect(softNMS(boxes, scores, { classes: distinct, scoreThreshold: 0 }).count).toBe(200);
    });
  });
}

it('gives the same bits on all backends', () => {
  for (let seed = 0; seed < 60; seed++) {
    const data = seed % 2 ? crowd(3 * seed, seed) : boxesAndScores(20 * seed, seed);
    const n = data.scores.length;
    if (seed % 5 === 0) data.scores.forEach((score, i) => (data.scores[i] = Math.round(score * 16) / 16));
    const options = {
      format: (seed >> 1) % 4,
      method: seed % 3,
      edge: seed % 4 === 3 ? 1 : 0,
      iouThreshold: seed % 3 === 2 && seed % 2 ? Infinity : (seed % 10) / 10,
      scoreThreshold: seed % 7 ? 0.001 : 0,
      ...(seed % 4 > 1 ? { classes: Int32Array.from({ length: n }, (_, i) => (i * 31) % (1 + seed)) } : {}),
    };
    const expected = softNmsOn('js', data, options);
    for (const name of backends) expect(softNmsOn(name, data, options), `${name}, seed ${seed}`).toEqual(expected);
  }
});
