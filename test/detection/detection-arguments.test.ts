/** The errors of flash-softmax/detection, and its promises. */
import { expect, it } from 'vitest';
import { decodeYolo, iouMatrix, nms, softNMS } from '../../lib/detection.js';
import * as promises from '../../lib/promises.js';
import { boxesAndScores } from './data.js';

const { boxes, scores } = boxesAndScores(300, 2);
const type = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
const value = { name: 'RangeError', code: 'ERR_INVALID_ARG_VALUE' };
const range = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };

const wrong: [options: Record<string, unknown>, error: object, message: string][] = [
  [{ sigmas: 1 }, type, 'sigmaConvention'],
  [{ sigma: '1' }, type, 'sigma'],
  [{ sigma: 0 }, range, 'sigma'],
  [{ sigma: -1 }, range, 'sigma'],
  [{ sigma: Infinity }, range, 'sigma'],
  [{ method: 'soft' }, value, "'hard', 'linear' or 'gaussian' for method"],
  [{ sigmaConvention: 1 }, type, 'sigmaConvention'],
  [{ cut: 1 }, type, 'cut'],
  [{ iouThreshold: 1.1 }, range, 'iouThreshold'],
  [{ iouThreshold: NaN }, range, 'iouThreshold'],
  [{ scoreThreshold: NaN }, range, 'scoreThreshold'],
  [{ scoreThreshold: null }, type, 'scoreThreshold'],
  [{ maxDetections: -1 }, range, 'maxDetections'],
  [{ maxDetections: 1.5 }, range, 'maxDetections'],
  [{ batch: 0 }, range, 'batch'],
  [{ batch: 7 }, value, 'batch'],
  [{ format: 'xy' }, value, 'format'],
  [{ coordinates: 'inches' }, value, 'coordinates'],
  [{ classes: new Int32Array(299) }, value, '300 elements, one a box, for classes'],
  [{ classes: new Float32Array(300) }, type, 'classes'],
  [{ classes: new Array(300).fill(0.5) }, range, 'classes'],
  [{ classes: new Array(300).fill('1') }, type, 'classes'],
  [{ classes: new Uint32Array(300).fill(2 ** 31) }, range, 'classes'],
];

it('softNMS refuses wrong options, at once and as a promise', async () => {
  for (const [options, error, message] of wrong) {
    const expected = expect.objectContaining({ ...error, message: expect.stringContaining(message) });
    expect(() => softNMS(boxes, scores, options), JSON.stringify(Object.keys(options))).toThrow(expected);
    await expect(promises.softNMS(boxes, scores, options)).rejects.toThrow(expected);
  }
  for (const name of ['method', 'sigma', 'sigmaConvention', 'cut']) {
    expect(() => nms(boxes, scores, { [name]: undefined } as object)).toThrow(expect.objectContaining(type));
  }
});

it('refuses wrong arrays', () => {
  expect(() => softNMS(boxes.subarray(1), scores)).toThrow(expect.objectContaining(value));
  expect(() => softNMS(boxes, scores.subarray(1))).toThrow(expect.objectContaining(value));
  expect(() => softNMS(Float64Array.from(boxes) as never, scores)).toThrow(expect.objectContaining(type));
  expect(() => softNMS(boxes, Array.from(scores) as never)).toThrow(expect.objectContaining(type));
  expect(() => iouMatrix(boxes, scores.subarray(0, 3))).toThrow(expect.objectContaining(value));
  expect(() => iouMatrix(boxes, null as never)).toThrow(expect.objectContaining(type));
  expect(() => iouMatrix(boxes, boxes, { out: boxes } as object)).toThrow(expect.objectContaining(type));
  for (const [options, error] of [
    [undefined, type],
    [{ layout: 'boxes-first' }, type],
    [{ classes: 0, layout: 'boxes-first' }, range],
    [{ classes: 2 ** 25, layout: 'boxes-first' }, range],
    [{ classes: 3, layout: 'boxes-first' }, value],
    [{ classes: 1, shape: 5 }, type],
    [{ classes: 1, layout: 'rows' }, value],
    [{ classes: 1, layout: 'boxes-first', scoreThreshold: NaN }, range],
    [{ classes: 1, layout: 'boxes-first', threshold: 1 }, type],
  ] as const) {
    expect(() => decodeYolo(boxes, options as never), JSON.stringify(options)).toThrow(expect.objectContaining(error));
  }
  const gone = boxes.slice();
  structuredClone(gone, { transfer: [gone.buffer] });
  expect(() => softNMS(gone, scores)).toThrow(expect.objectContaining(type));
});

it('reads options once, and before lengths', () => {
  const own = boxes.slice();
  const options = {
    get sigma() {
      structuredClone(own, { transfer: [own.buffer] });
      return 0.5;
    },
  };
  expect(() => softNMS(own, scores, options)).toThrow(expect.objectContaining(type));
});

it('promises give what functions return', async () => {
  const classes = Uint8Array.from(scores, (_, i) => i % 3);
  const options = { classes, batch: 2, maxDetections: 40 };
  expect(await promises.softNMS(boxes, scores, options)).toEqual(softNMS(boxes, scores, options));
  expect(await promises.softNMS(boxes, scores)).toEqual(softNMS(boxes, scores));
  expect(await promises.nms(boxes, scores)).toEqual(nms(boxes, scores));
  expect(await promises.iouMatrix(boxes, boxes)).toEqual(iouMatrix(boxes, boxes));
  const decode = { classes: 2, layout: 'boxes-first', scoreThreshold: 100 } as const;
  expect(await promises.decodeYolo(boxes, decode)).toEqual(decodeYolo(boxes, decode));
  await expect(promises.softNMS(boxes.with(40, NaN), scores)).rejects.toThrow('box 10 of boxes');
  await expect(promises.softNMS(boxes, scores, { signal: AbortSignal.abort() })).rejects.toThrow('abort');
});
