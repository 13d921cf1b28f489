/** softNMS and nms: the boxes of an image without those that show the same thing. */
import { backendFor } from '../backend/choice.js';
import { SOFT_NMS } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { copyOf } from '../call/arrays.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { count, oneOf, positive } from '../call/checks.js';
import { outOfRange, wrongType } from '../call/errors.js';
import { FORM_OPTIONS, optionsOf, type Form } from '../call/options.js';
import type { NewFloat32Array, NewUint32Array } from '../call/types.js';
import { fraction } from '../call/values.js';
import { softNmsKernels } from '../js/detection/soft-nms.js';
import { edgeOf, formatOf, type BoxOptions } from './formats.js';
import { boxesIn, checkStatus, classesOf, imagesOf, listedClasses, type Classes } from './inputs.js';
import { GAUSSIAN, METHODS } from './methods.js';

export interface NMSOptions<Batch extends number | undefined = number | undefined> extends BoxOptions {
  /** Boxes whose IoU with a selected box is above this overlap it (a Gaussian asks only with `cut`). Default: 0.3. */
  iouThreshold?: number | undefined;
  /** Boxes with a score below this are dropped, before a round and after. −Infinity: none. Default: 0.001. */
  scoreThreshold?: number | undefined;
  /** How many boxes are selected at most, of each image. Default: all. */
  maxDetections?: number | undefined;
  /** A class for each box: boxes of different classes do not overlap. Default: all are of one class. */
  classes?: Classes | undefined;
  /** The number of images: `boxes` is [batch, n, 4], `scores` and `classes` are [batch, n]. Default: one image. */
  batch?: Batch | undefined;
}

export interface SoftNMSOptions<Batch extends number | undefined = number | undefined> extends NMSOptions<Batch> {
  /** What a score s is multiplied by; o is the IoU with the selected box. See {@link softNMS}. Default: 'gaussian'. */
  method?: 'gaussian' | 'linear' | 'hard' | undefined;
  /** The width of the Gaussian: finite and > 0. Default: 0.5. */
  sigma?: number | undefined;
  /** 'paper': exp(−o² / sigma). 'tensorflow': exp(−o² / (2 sigma)). Default: 'paper'. */
  sigmaConvention?: 'paper' | 'tensorflow' | undefined;
  /** Whether the Gaussian also drops boxes whose IoU is above `iouThreshold`, as tfjs does. Default: false. */
  cut?: boolean | undefined;
}

/** The selected boxes of one image, the largest score first. */
export interface Detections {
  /** Which boxes these are. */
  readonly indices: NewUint32Array;
  /** Their scores when they were selected. */
  readonly scores: NewFloat32Array;
  /** How many. */
  readonly count: number;
}

/** The selected boxes of several images: rows of m = min(n, maxDetections), filled up with zeros. */
export interface BatchedDetections {
  /** Which boxes of their image these are: [batch, m]. */
  readonly indices: NewUint32Array;
  /** Their scores when they were selected: [batch, m]. */
  readonly scores: NewFloat32Array;
  /** How many of each row are selected boxes. */
  readonly count: NewUint32Array;
}

/** What a call with an option `batch` of type Batch returns. */
export type DetectionsOf<Batch extends number | undefined> = [Batch] extends [undefined]
  ? Detections
  : [Batch] extends [number]
    ? BatchedDetections
    : Detections | BatchedDetections;

const NMS_NAMES = [
  'iouThreshold',
  'scoreThreshold',
  'maxDetections',
  'classes',
  'batch',
  'format',
  'coordinates',
] as const satisfies readonly (keyof NMSOptions)[];
const NAMES = [
  'method',
  'sigma',
  'sigmaConvention',
  'cut',
  ...NMS_NAMES,
] as const satisfies readonly (keyof SoftNMSOptions)[];

/**
 * Soft-NMS (Bodla et al., arXiv 1704.04503). The box with the largest score is selected, the lowest index among
 * equals; the scores s of the others are lowered by their IoU o with it; and so on, until no box is left:
 *
 *     gaussian: s exp(−o² / sigma)      linear: s (1 − o) where o > iouThreshold      hard: 0 where o > iouThreshold
 *
 * A box is dropped when its score is below `scoreThreshold`, or 0 because it was lowered. A score of −∞ never counts,
 * and with 'linear' and 'gaussian' no score below 0 does: a factor would raise it. An empty box, with corners the wrong
 * way round too, has the IoU 0 with every box.
 *
 * Corners, IoU and scores are computed in double: selected scores are within 0.51 ULP of exact for the boxes before
 * them (with 'linear' 1e-16 of the score before, where o is within 2⁻²⁶ of 1), and two boxes change places only if
 * their scores differ by less than 1e-11 of themselves. All backends, JavaScript too, select the same boxes, with the
 * same bits.
 *
 * @param boxes Four numbers a box, finite: [n, 4], or [batch, n, 4]. See {@link BoxOptions}.
 * @param scores A score for each box, neither NaN nor +∞.
 * @param options See {@link SoftNMSOptions}.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a number that makes no sense, lengths that do not
 *   fit, or a box with NaN or an infinite number, which it names.
 * @example
 * import { softNMS } from 'flash-softmax/detection';
 * const boxes = Float32Array.of(0, 0, 10, 10, 1, 1, 11, 11, 20, 20, 30, 30);
 * const { indices, scores } = softNMS(boxes, Float32Array.of(0.9, 0.8, 0.7), { sigma: 0.5 });
 * console.log(indices.join(' '), scores[2].toFixed(4)); // → 0 2 1 0.3167
 */
export function softNMS<Batch extends number | undefined = undefined>(
  boxes: Float32Array,
  scores: Float32Array,
  options?: SoftNMSOptions<Batch>,
): DetectionsOf<Batch> {
  return runNow(softNMSCall('now', boxes, scores, options));
}

/**
 * Non-maximum suppression: {@link softNMS} with the method 'hard'. Boxes keep their scores; what overlaps a selected
 * box by more than `iouThreshold` is dropped.
 *
 * @param boxes Four numbers a box, as in {@link softNMS}.
 * @param scores A score for each box.
 * @param options See {@link NMSOptions}. For scores that are no probabilities set `scoreThreshold` to −Infinity.
 * @throws TypeError, RangeError as {@link softNMS} does.
 * @example
 * import { nms } from 'flash-softmax/detection';
 * const boxes = Float32Array.of(0, 0, 10, 10, 1, 1, 11, 11, 20, 20, 30, 30);
 * console.log(nms(boxes, Float32Array.of(0.9, 0.8, 0.7), { iouThreshold: 0.5 }).indices.join(' ')); // → 0 2
 */
export function nms<Batch extends number | undefined = undefined>(
  boxes: Float32Array,
  scores: Float32Array,
  options?: NMSOptions<Batch>,
): DetectionsOf<Batch> {
  return runNow(nmsCall('now', boxes, scores, options));
}

export const softNMSCall = <Batch extends number | undefined = undefined>(
  form: Form,
  boxes: Float32Array,
  scores: Float32Array,
  options?: SoftNMSOptions<Batch> & AsyncOptions,
): Call<DetectionsOf<Batch>> =>
  detectionCall(boxes, scores, optionsOf<SoftNMSOptions>(options, [...NAMES, ...FORM_OPTIONS[form]]));

export const nmsCall = <Batch extends number | undefined = undefined>(
  form: Form,
  boxes: Float32Array,
  scores: Float32Array,
  options?: NMSOptions<Batch> & AsyncOptions,
): Call<DetectionsOf<Batch>> => {
  const given = optionsOf<NMSOptions>(options, [...NMS_NAMES, ...FORM_OPTIONS[form]]);
  return detectionCall(boxes, scores, { ...given, method: 'hard' });
};

/** The numbers of a call that say how scores are lowered. */
function suppressionOf(options: SoftNMSOptions) {
  const { method = 'gaussian', sigma = 0.5, sigmaConvention = 'paper', cut = false } = options;
  const { iouThreshold = 0.3, scoreThreshold = 0.001 } = options;
  const kernelMethod = METHODS.indexOf(oneOf(method, METHODS, 'method'));
  const isTwice = oneOf(sigmaConvention, ['paper', 'tensorflow'] as const, 'sigmaConvention') === 'tensorflow';
  if (typeof cut !== 'boolean') throw wrongType('a boolean', 'cut', cut);
  if (typeof scoreThreshold !== 'number') throw wrongType('a number', 'scoreThreshold', scoreThreshold);
  if (Number.isNaN(scoreThreshold)) throw outOfRange('a number', 'scoreThreshold', scoreThreshold);
  const width = positive(sigma, 'sigma') * (isTwice ? 2 : 1);
  const threshold = fraction(iouThreshold, 'iouThreshold');
  return {
    method: kernelMethod,
    // Beyond these a Gaussian drops all that overlaps, or nothing; its logarithms are still in the range of doubles.
    sigma: Math.min(Math.max(width, 1e-280), 1e300),
    iouThreshold: kernelMethod === GAUSSIAN && !cut ? Infinity : threshold,
    scoreThreshold,
  };
}

/** `options` are a copy, so that no getter runs once lengths are taken. */
function detectionCall<R>(boxes: Float32Array, scores: Float32Array, options: SoftNMSOptions): Call<R> {
  const { maxDetections, batch: images, format = 'xyxy', coordinates = 'continuous' } = options;
  const suppression = suppressionOf(options);
  const boxFormat = { format: formatOf(format), edge: edgeOf(coordinates) };
  const limit = maxDetections === undefined ? Infinity : count(maxDetections, 'maxDetections', 0);
  const listed = listedClasses(options.classes);

  const total = boxesIn(boxes, 'boxes');
  const { batch, n } = imagesOf(scores, total, images);
  const classes = classesOf(listed, total);
  const most = Math.min(n, limit);
  const [indices, kept] = [new Uint32Array(batch * most), new Float32Array(batch * most)];
  const [counts, status] = [new Uint32Array(batch), new Uint32Array(batch)];
  const isBatched = images !== undefined;
  return callOf(SOFT_NMS, {
    backend: backendFor(total, softNmsKernels),
    type: 'f32',
    args: { boxes, scores, classes, indices, kept, counts, status, batch, n, most, ...boxFormat, ...suppression },
    own: ['indices', 'kept', 'counts', 'status', ...(classes === listed ? [] : (['classes'] as const))],
    work: total * 64,
    finish: () => {
      checkStatus(status, 'boxes', isBatched);
      if (isBatched) return { indices, scores: kept, count: counts } as R;
      const found = counts[0]!;
      return { indices: copyOf(indices, 0, found), scores: copyOf(kept, 0, found), count: found } as R;
    },
  });
}
