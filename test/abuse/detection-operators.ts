/** Sound calls of flash-softmax/detection. */
import { floats, type Operator } from './operator.js';

const BOXES = 600;
const CHANNELS = 24;

/** Boxes in the format 'cxcywh'. */
const boxes = () => floats(4 * BOXES, 31).map((x, i) => (i % 4 < 2 ? 300 * x : 20 + Math.abs(90 * x)));
const scores = () => floats(BOXES, 32).map((x) => Math.min(Math.abs(x), 1));
const classes = () => Int32Array.from({ length: BOXES }, (_, i) => i % 3);

export const detectionOperators: Operator[] = [
  {
    name: 'softNMS',
    hasPromise: true,
    arrays: () => ({ boxes: boxes(), scores: scores(), classes: classes() }),
    written: [],
    options: (arrays) => ({
      classes: arrays.classes,
      batch: 2,
      format: 'cxcywh',
      coordinates: 'continuous',
      method: 'gaussian',
      sigma: 0.4,
      sigmaConvention: 'paper',
      cut: false,
      iouThreshold: 0.5,
      scoreThreshold: 0.01,
      maxDetections: 200,
    }),
    call: (api, arrays, options) => api.softNMS!(arrays.boxes, arrays.scores, options),
  },
  {
    name: 'nms, listed classes',
    hasPromise: true,
    arrays: () => ({ boxes: boxes(), scores: scores() }),
    written: [],
    options: () => ({ format: 'cxcywh', scoreThreshold: 0.01 }),
    lists: () => ({ classes: Array.from(classes()) }),
    call: (api, arrays, options, lists) =>
      api.nms!(
        arrays.boxes,
        arrays.scores,
        Object.defineProperty(options, 'classes', { value: lists.classes, enumerable: true, configurable: true }),
      ),
  },
  {
    name: 'iouMatrix',
    hasPromise: true,
    arrays: () => ({ boxes: boxes(), others: boxes().reverse() }),
    written: [],
    options: () => ({ format: 'xywh', coordinates: 'continuous' }),
    call: (api, arrays, options) => api.iouMatrix!(arrays.boxes, arrays.others, options),
  },
  {
    name: 'decodeYolo',
    hasPromise: true,
    arrays: () => ({ output: floats(CHANNELS * BOXES, 33) }),
    written: [],
    options: () => ({ classes: CHANNELS - 4, scoreThreshold: 1, batch: 1, format: 'xyxy' }),
    lists: () => ({ shape: [1, CHANNELS, BOXES] }),
    call: (api, { output }, options, { shape }) =>
      api.decodeYolo!(
        output,
        Object.defineProperty(options, 'shape', { value: shape, enumerable: true, configurable: true }),
      ),
  },
];
