/** flash-softmax/detection: from a detector's output to the boxes of an image. */
export {
  decodeYolo,
  type BatchedDecodedBoxes,
  type DecodedBoxes,
  type DecodedBoxesOf,
  type DecodeYoloOptions,
} from './detection/decode-yolo.js';
export type { BoxFormat, BoxOptions } from './detection/formats.js';
export type { Classes } from './detection/inputs.js';
export { iouMatrix } from './detection/iou-matrix.js';
export {
  nms,
  softNMS,
  type BatchedDetections,
  type Detections,
  type DetectionsOf,
  type NMSOptions,
  type SoftNMSOptions,
} from './detection/soft-nms.js';
