/** Boxes and scores for the tests of detection. */
import { backendNamed } from '../../lib/backend/named.js';
import type { BackendName } from '../../lib/backend/backend.js';
import { generator } from '../support/cases.js';

export interface Data {
  readonly boxes: Float32Array;
  readonly scores: Float32Array;
}

/** n boxes with centres uniform in 640², sides from 8 to 200, and scores u⁴. */
export function boxesAndScores(n: number, seed = 1): Data {
  const bits = generator(seed);
  const random = () => bits() / 2 ** 32;
  const boxes = new Float32Array(4 * n);
  const scores = new Float32Array(n);
  for (let i = 0; i < n; i++) {
    const [x, y, width, height] = [640 * random(), 640 * random(), 8 + 192 * random(), 8 + 192 * random()];
    boxes.set([x - width / 2, y - height / 2, x + width / 2, y + height / 2], 4 * i);
    scores[i] = random() ** 4;
  }
  return { boxes, scores };
}

/** The same boxes in another format, where that is exact. */
export function inFormat(boxes: Float32Array, format: 'xyxy' | 'yxyx' | 'xywh' | 'cxcywh'): Float32Array {
  const to = new Float32Array(boxes.length);
  for (let i = 0; i < boxes.length; i += 4) {
    const [a, b, c, d] = boxes.subarray(i, i + 4) as unknown as [number, number, number, number];
    if (format === 'xyxy') to.set([a, b, c, d], i);
    else if (format === 'yxyx') to.set([b, a, d, c], i);
    else if (format === 'xywh') to.set([a, b, c - a, d - b], i);
    else to.set([(a + c) / 2, (b + d) / 2, c - a, d - b], i);
  }
  return to;
}

export interface KernelOptions {
  classes?: Int32Array;
  batch?: number;
  most?: number;
  format?: number;
  edge?: number;
  method?: number;
  sigma?: number;
  iouThreshold?: number;
  scoreThreshold?: number;
}

/** soft_nms of one backend. */
export function softNmsOn(name: BackendName, { boxes, scores }: Data, options: KernelOptions = {}) {
  const { classes = null, batch = 1, format = 0, edge = 0, method = 2, sigma = 0.5 } = options;
  const { iouThreshold = Infinity, scoreThreshold = 0.001 } = options;
  const n = scores.length / batch;
  const most = Math.min(n, options.most ?? n);
  const [indices, kept] = [new Uint32Array(batch * most), new Float32Array(batch * most)];
  const [counts, status] = [new Uint32Array(batch), new Uint32Array(batch)];
  const kernel = backendNamed(name).soft_nms_f32;
  const suppression = [method, sigma, iouThreshold, scoreThreshold] as const;
  kernel(boxes, scores, classes, indices, kept, counts, status, batch, n, most, format, edge, ...suppression);
  return { indices, kept, counts, status };
}
