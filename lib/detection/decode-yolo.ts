/** decodeYolo: from a detector's output to boxes, scores and classes. */
import { NO_INDEX } from '../backend/backend.js';
import { backendFor } from '../backend/choice.js';
import { DECODE_YOLO } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { copyOf } from '../call/arrays.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { count, oneOf } from '../call/checks.js';
import { outOfRange, trueLength, wrongType, wrongValue } from '../call/errors.js';
import { FORM_OPTIONS, optionsOf, type Form } from '../call/options.js';
import { isFloat32Array, type NewFloat32Array, type NewInt32Array, type NewUint32Array } from '../call/types.js';
import { decodeYoloKernels } from '../js/detection/decode-yolo.js';
import { formatOf, type BoxFormat } from './formats.js';
import { checkStatus } from './inputs.js';
import { BOXES_FIRST, CHANNELS_FIRST, LAYOUTS } from './layouts.js';

export interface DecodeYoloOptions<Batch extends number | undefined = number | undefined> {
  /** The number of classes, from 1 to 2^24. */
  classes: number;
  /** The dimensions of the output, as a runtime gives them: [1, 84, 8400]. 4 + classes among them tells the layout. */
  shape?: readonly number[] | undefined;
  /**
   * 'channels-first': [batch, 4 + classes, n]. 'boxes-first': [batch, n, 4 + classes]. Needed without `shape`, and
   * where n is 4 + classes. Default: as `shape` says.
   */
  layout?: 'channels-first' | 'boxes-first' | undefined;
  /** Boxes whose largest score is below this are left out. Default: −Infinity, which leaves out none. */
  scoreThreshold?: number | undefined;
  /** The number of images. Default: one image. */
  batch?: Batch | undefined;
  /** The format of the resulting boxes; the output has 'cxcywh'. Default: 'xyxy', as softNMS has it. */
  format?: BoxFormat | undefined;
}

/** Boxes of one image, in the order of the output. */
export interface DecodedBoxes {
  /** [count, 4]. */
  readonly boxes: NewFloat32Array;
  /** The largest class score of each box. */
  readonly scores: NewFloat32Array;
  /** The class with this score, the lowest among equals. */
  readonly classes: NewInt32Array;
  /** Which of the output's n boxes these are. */
  readonly indices: NewUint32Array;
  /** How many. */
  readonly count: number;
}

/** Boxes of several images: rows of n, of which the first are boxes. The rest has the score −∞, which softNMS drops. */
export interface BatchedDecodedBoxes {
  /** [batch, n, 4]. */
  readonly boxes: NewFloat32Array;
  /** [batch, n]. */
  readonly scores: NewFloat32Array;
  /** [batch, n]. */
  readonly classes: NewInt32Array;
  /** [batch, n]. */
  readonly indices: NewUint32Array;
  /** How many of each row are boxes. */
  readonly count: NewUint32Array;
}

/** What a call with an option `batch` of type Batch returns. */
export type DecodedBoxesOf<Batch extends number | undefined> = [Batch] extends [undefined]
  ? DecodedBoxes
  : [Batch] extends [number]
    ? BatchedDecodedBoxes
    : DecodedBoxes | BatchedDecodedBoxes;

const NAMES = [
  'classes',
  'shape',
  'layout',
  'scoreThreshold',
  'batch',
  'format',
] as const satisfies readonly (keyof DecodeYoloOptions)[];

/**
 * Reads the output of a YOLO detector without anchors (v8 and later, also v9, v11, v12): for each box the centre, the
 * width and the height, then a score for each class. It gives each box its best class, and leaves out boxes whose score
 * is below a threshold. Feed the result to {@link softNMS} or {@link nms}.
 *
 * Boxes are converted in double and rounded once; scores are those of the output. All backends have the same bits.
 *
 * @param output [batch, 4 + classes, n] or [batch, n, 4 + classes]; see `layout`. Coordinates are finite.
 * @param options See {@link DecodeYoloOptions}. `classes` is needed, and `shape` or `layout`.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for sizes that do not fit or do not tell the layout, or
 *   a box with NaN or an infinite coordinate, which it names.
 * @example
 * import { decodeYolo } from 'flash-softmax/detection';
 * const output = Float32Array.of(100, 50, 40, 20, 0.1, 0.9); // one box: centre, width, height and two scores
 * const { boxes, scores, classes } = decodeYolo(output, { classes: 2, shape: [1, 6, 1] });
 * console.log(boxes.join(' '), scores[0].toFixed(1), classes[0]); // → 80 40 120 60 0.9 1
 */
export function decodeYolo<Batch extends number | undefined = undefined>(
  output: Float32Array,
  options: DecodeYoloOptions<Batch>,
): DecodedBoxesOf<Batch> {
  return runNow(decodeYoloCall('now', output, options));
}

export function decodeYoloCall<Batch extends number | undefined = undefined>(
  form: Form,
  output: Float32Array,
  options: DecodeYoloOptions<Batch> & AsyncOptions,
): Call<DecodedBoxesOf<Batch>> {
  const given = optionsOf<DecodeYoloOptions>(options, [...NAMES, ...FORM_OPTIONS[form]]);
  const { classes, layout, scoreThreshold = -Infinity, batch: images, format = 'xyxy' } = given;
  const shape = listedShape(given.shape);
  const boxFormat = formatOf(format);
  const wanted = layout === undefined ? undefined : LAYOUTS.indexOf(oneOf(layout, LAYOUTS, 'layout'));
  const batch = images === undefined ? 1 : count(images, 'batch');
  if (count(classes, 'classes') > 2 ** 24) throw outOfRange('at most 2^24', 'classes', classes);
  if (typeof scoreThreshold !== 'number') throw wrongType('a number', 'scoreThreshold', scoreThreshold);
  if (Number.isNaN(scoreThreshold)) throw outOfRange('a number', 'scoreThreshold', scoreThreshold);

  if (!isFloat32Array(output)) throw wrongType('a Float32Array', 'output', output);
  const length = trueLength(output, 'output');
  const channels = 4 + classes;
  if (length % (batch * channels) !== 0) {
    throw wrongValue(`a multiple of ${batch * channels} numbers, batch · (4 + classes),`, 'output', String(length));
  }
  const n = length / (batch * channels);
  if (n >= NO_INDEX) throw outOfRange('fewer than 2^32 − 1 boxes', 'output', n);
  const kernelLayout = layoutOf(shape, wanted, { batch, channels, n });
  const results = {
    boxes: new Float32Array(batch * n * 4),
    scores: new Float32Array(batch * n),
    labels: new Int32Array(batch * n),
    indices: new Uint32Array(batch * n),
    counts: new Uint32Array(batch),
    status: new Uint32Array(batch),
  };
  return callOf(DECODE_YOLO, {
    backend: backendFor(length, decodeYoloKernels),
    type: 'f32',
    args: { x: output, ...results, batch, n, classes, layout: kernelLayout, format: boxFormat, scoreThreshold },
    own: ['boxes', 'scores', 'labels', 'indices', 'counts', 'status'],
    names: { x: 'output' },
    work: length,
    finish: () => decoded(results, n, images !== undefined) as DecodedBoxesOf<Batch>,
  });
}

interface Results {
  readonly boxes: NewFloat32Array;
  readonly scores: NewFloat32Array;
  readonly labels: NewInt32Array;
  readonly indices: NewUint32Array;
  readonly counts: NewUint32Array;
  readonly status: NewUint32Array;
}

function decoded(results: Results, n: number, isBatched: boolean): DecodedBoxes | BatchedDecodedBoxes {
  const { boxes, scores, labels, indices, counts, status } = results;
  checkStatus(status, 'output', isBatched);
  if (isBatched) {
    counts.forEach((found, image) => scores.fill(-Infinity, image * n + found, (image + 1) * n));
    return { boxes, scores, classes: labels, indices, count: counts };
  }
  const found = counts[0]!;
  if (found === n) return { boxes, scores, classes: labels, indices, count: n };
  return {
    boxes: copyOf(boxes, 0, 4 * found),
    scores: copyOf(scores, 0, found),
    classes: copyOf(labels, 0, found),
    indices: copyOf(indices, 0, found),
    count: found,
  };
}

/** A copy of `shape`, each element read once. */
function listedShape(shape: unknown): readonly unknown[] | undefined {
  if (shape === undefined) return undefined;
  if (!Array.isArray(shape)) throw wrongType('an array of integers', 'shape', shape);
  return Array.from(shape as readonly unknown[]);
}

interface Sizes {
  readonly batch: number;
  readonly channels: number;
  readonly n: number;
}

/** The layout that the shape tells, or that the option names. */
function layoutOf(shape: readonly unknown[] | undefined, wanted: number | undefined, sizes: Sizes): number {
  const { batch, channels, n } = sizes;
  if (shape === undefined) {
    if (wanted === undefined) throw wrongValue('shape, or a layout', 'options', 'neither');
    return wanted;
  }
  const dimensions = shape.length === 2 ? [1, ...shape] : shape;
  const fits = (layout: number): boolean => {
    const expected = layout === CHANNELS_FIRST ? [batch, channels, n] : [batch, n, channels];
    return dimensions.length === 3 && expected.every((size, i) => size === dimensions[i]);
  };
  const layouts = [CHANNELS_FIRST, BOXES_FIRST].filter((layout) => fits(layout) && layout === (wanted ?? layout));
  if (layouts.length === 1) return layouts[0]!;
  const expected = `[${batch}, ${channels}, ${n}] or [${batch}, ${n}, ${channels}]`;
  if (layouts.length === 0)
    throw wrongValue(`${expected}, as batch (default: 1), classes and layout say,`, 'shape', `[${shape.join(', ')}]`);
  throw wrongValue(`a layout beside a shape that is both ${expected}`, 'layout', 'none');
}
