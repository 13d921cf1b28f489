/** The functions of flash-softmax/detection, off the event loop, for flash-softmax/promises. */
import { later } from '../call/off-loop.js';
import { decodeYoloCall } from './decode-yolo.js';
import { iouMatrixCall } from './iou-matrix.js';
import { nmsCall, softNMSCall } from './soft-nms.js';

/**
 * As softNMS of flash-softmax/detection.
 *
 * @example
 * import { softNMS } from 'flash-softmax/promises';
 * const boxes = Float32Array.of(0, 0, 10, 10, 1, 1, 11, 11);
 * console.log((await softNMS(boxes, Float32Array.of(0.9, 0.8), { sigma: 0.5 })).scores[1].toFixed(4)); // → 0.3167
 */
export const softNMS = /* @__PURE__ */ later(softNMSCall, 2);

/**
 * As nms of flash-softmax/detection.
 *
 * @example
 * import { nms } from 'flash-softmax/promises';
 * const boxes = Float32Array.of(0, 0, 10, 10, 1, 1, 11, 11);
 * console.log((await nms(boxes, Float32Array.of(0.9, 0.8), { iouThreshold: 0.5 })).indices.join(' ')); // → 0
 */
export const nms = /* @__PURE__ */ later(nmsCall, 2);

/**
 * As iouMatrix of flash-softmax/detection.
 *
 * @example
 * import { iouMatrix } from 'flash-softmax/promises';
 * console.log((await iouMatrix(Float32Array.of(0, 0, 2, 2), Float32Array.of(1, 0, 3, 2)))[0].toFixed(4)); // → 0.3333
 */
export const iouMatrix = /* @__PURE__ */ later(iouMatrixCall, 2);

/**
 * As decodeYolo of flash-softmax/detection.
 *
 * @example
 * import { decodeYolo } from 'flash-softmax/promises';
 * const output = Float32Array.of(100, 50, 40, 20, 0.1, 0.9); // one box: centre, width, height and two scores
 * console.log((await decodeYolo(output, { classes: 2, shape: [1, 6, 1] })).boxes.join(' ')); // → 80 40 120 60
 */
export const decodeYolo = /* @__PURE__ */ later(decodeYoloCall, 1);
