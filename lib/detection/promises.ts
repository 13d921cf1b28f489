/** The functions of flash-softmax/detection, off the event loop, for flash-softmax/promises. */
import { later } from '../call/off-loop.js';
import { decodeYoloCall } from './decode-yolo.js';
import { iouMatrixCall } from './iou-matrix.js';
import { nmsCall, softNMSCall } from './soft-nms.js';

/** As softNMS of flash-softmax/detection. */
export const softNMS = /* @__PURE__ */ later(softNMSCall, 2);

/** As nms of flash-softmax/detection. */
export const nms = /* @__PURE__ */ later(nmsCall, 2);

/** As iouMatrix of flash-softmax/detection. */
export const iouMatrix = /* @__PURE__ */ later(iouMatrixCall, 2);

/** As decodeYolo of flash-softmax/detection. */
export const decodeYolo = /* @__PURE__ */ later(decodeYoloCall, 1);
