/** Operators. Made by scripts/operators.mjs from native/operators.def. Do not edit. */
import type { OperatorOf } from '../operator.js';

const SINGLE = ['f32'];

export const SOFT_NMS: OperatorOf<'soft_nms'> = {
  name: 'soft_nms', types: SINGLE, inPlace: null, inputs: ['boxes', 'scores', 'classes'],
  outputs: ['indices', 'kept', 'counts', 'status'], logits: [], results: [],
  parameters: [
    'boxes', 'scores', 'classes', 'indices', 'kept', 'counts', 'status', 'batch', 'n', 'most', 'format', 'edge',
    'method', 'sigma', 'iouThreshold', 'scoreThreshold',
  ],
  call: (kernel, a) => kernel(
    a.boxes, a.scores, a.classes, a.indices, a.kept, a.counts, a.status, a.batch, a.n, a.most, a.format, a.edge,
    a.method, a.sigma, a.iouThreshold, a.scoreThreshold,
  ),
};

export const IOU_MATRIX: OperatorOf<'iou_matrix'> = {
  name: 'iou_matrix', types: SINGLE, inPlace: null, inputs: ['boxes', 'others'], outputs: ['out', 'status'],
  logits: [], results: [],
  parameters: ['boxes', 'others', 'out', 'status', 'rows', 'cols', 'format', 'edge'],
  call: (kernel, a) => kernel(a.boxes, a.others, a.out, a.status, a.rows, a.cols, a.format, a.edge),
};

export const DECODE_YOLO: OperatorOf<'decode_yolo'> = {
  name: 'decode_yolo', types: SINGLE, inPlace: null, inputs: ['x'],
  outputs: ['boxes', 'scores', 'labels', 'indices', 'counts', 'status'], logits: [], results: [],
  parameters: [
    'x', 'boxes', 'scores', 'labels', 'indices', 'counts', 'status', 'batch', 'n', 'classes', 'layout', 'format',
    'scoreThreshold',
  ],
  call: (kernel, a) => kernel(
    a.x, a.boxes, a.scores, a.labels, a.indices, a.counts, a.status, a.batch, a.n, a.classes, a.layout, a.format,
    a.scoreThreshold,
  ),
};
