/**
 * soft_nms in double, with the steps of native/detection/soft_nms.h: the same boxes and the same bits.
 */
import { NO_INDEX, type BackendOf } from '../../backend/backend.js';
import type { Kernel } from '../../backend/operators.js';
import { viewOf } from '../../call/arrays.js';
import { GAUSSIAN, HARD, LINEAR } from '../../detection/methods.js';
import { powerOfTwo } from '../../math/extended.js';
import { ln } from '../../math/log.js';
import { LOG2_E } from '../../math/powers.js';
import { BoxBlocks } from './box-blocks.js';
import { columnsOf, hasFiniteSides } from './boxes.js';

/** What is not above 2^-150 is 0 as a float. */
const SMALLEST = 2 ** -150 * (1 + 2 ** -52);

/** The key of the score 0 under a Gaussian: finite, and below all others. */
const KEY_OF_ZERO = -(2 ** 1020);

const LN2_HIGH = 0x162e42fee / 2 ** 33;
const LN2_LOW = 1.9082149292705877e-10;
const ROUND = 2 ** 52 + 2 ** 51;
const FACTORS = [
  1 / 6227020800,
  1 / 479001600,
  1 / 39916800,
  1 / 3628800,
  1 / 362880,
  1 / 40320,
  1 / 5040,
  1 / 720,
  1 / 120,
  1 / 24,
  1 / 6,
  1 / 2,
];

/** e^x for x of at most 100; 0 below −110. Max error: 2 ULP. */
function expOf(x: number): number {
  if (x < -110) return 0;
  const k = x * LOG2_E + ROUND - ROUND;
  const r = x - k * LN2_HIGH - k * LN2_LOW;
  let p = FACTORS[0]!;
  for (let i = 1; i < 12; i++) p = p * r + FACTORS[i]!;
  return (1 + (r + r * r * p)) * powerOfTwo(k);
}

interface Suppression {
  readonly method: number;
  readonly sigma: number;
  readonly iouThreshold: number;
  readonly scoreThreshold: number;
}

/** The smallest key that a lowered score may have. */
function leastKey({ method, sigma, scoreThreshold }: Suppression): number {
  const least = Math.max(scoreThreshold, SMALLEST);
  return method === GAUSSIAN && least < Infinity ? sigma * ln(least) : least;
}

function keyOf(score: number, { method, sigma }: Suppression): number {
  if (method !== GAUSSIAN) return score;
  return score > 0 ? sigma * ln(score) : KEY_OF_ZERO;
}

/** Selects the first box of a block: lowers the keys of the boxes that overlap it, and drops boxes. */
function select(blocks: BoxBlocks, from: number, s: Suppression, least: number): void {
  const { lanes, left, top, minusRight, minusBottom, low, high, best } = blocks;
  const chosen = blocks.first[from]!;
  const box: Chosen = {
    x: lanes.left[chosen]!,
    y: lanes.top[chosen]!,
    minusX: lanes.minusRight[chosen]!,
    minusY: lanes.minusBottom[chosen]!,
    area: lanes.area[chosen]!,
    label: lanes.classes === null ? 0 : lanes.classes[chosen]!,
  };
  const { x, y, minusX, minusY, label } = box;
  blocks.remove(chosen);
  blocks.findFirst(from);
  for (let block = 0; block < blocks.blocks; block++) {
    if (Math.max(x, left[block]!) + Math.max(minusX, minusRight[block]!) >= 0) continue;
    if (Math.max(y, top[block]!) + Math.max(minusY, minusBottom[block]!) >= 0) continue;
    if (label < low[block]! || label > high[block]! || best[block] === -Infinity) continue;
    if (lower(blocks, block, box, s, least)) blocks.findFirst(block);
  }
}

/** A selected box. */
interface Chosen {
  readonly x: number;
  readonly y: number;
  readonly minusX: number;
  readonly minusY: number;
  readonly area: number;
  readonly label: number;
}

/** Lowers the keys of a block's boxes by their overlap with a selected one. Returns whether any overlaps. */
function lower(blocks: BoxBlocks, block: number, box: Chosen, s: Suppression, least: number): boolean {
  const { left, top, minusRight, minusBottom, area, keys, classes } = blocks.lanes;
  const { method, iouThreshold } = s;
  const { x, y, minusX, minusY, area: own, label } = box;
  const end = Math.min((block + 1) * BoxBlocks.size, blocks.index.length);
  let hasChanged = false;
  for (let i = block * BoxBlocks.size; i < end; i++) {
    const width = Math.max(x, left[i]!) + Math.max(minusX, minusRight[i]!);
    if (!(width < 0)) continue;
    const height = Math.max(y, top[i]!) + Math.max(minusY, minusBottom[i]!);
    if (!(height < 0) || (classes !== null && classes[i] !== label)) continue;
    const common = width * height;
    const iou = common / (own + area[i]! - common);
    const isAbove = iou > iouThreshold;
    hasChanged = true;
    let key = keys[i]!;
    if (method === GAUSSIAN) key -= iou * iou;
    else if (isAbove) key *= 1 - iou;
    keys[i] = key;
    const isLow = method === GAUSSIAN || (method === LINEAR && isAbove) ? key < least : false;
    if (isLow || (isAbove && method !== LINEAR)) blocks.remove(i);
  }
  return hasChanged;
}

/** The first box with a coordinate that is not finite, or a score that is NaN or +∞; NO_INDEX if there is none. */
function firstWrong(boxes: Float32Array, scores: Float32Array, first: number, n: number): number {
  for (let i = 0; i < n; i++) {
    if (!hasFiniteSides(boxes, first + i) || !(scores[first + i]! < Infinity)) return i;
  }
  return NO_INDEX;
}

const softNms: Kernel<'soft_nms', never> = (
  boxes,
  scores,
  classes,
  indices,
  kept,
  counts,
  status,
  batch,
  n,
  most,
  format,
  edge,
  method,
  sigma,
  iouThreshold,
  threshold,
) => {
  // A factor raises scores below 0: such boxes are dropped.
  const scoreThreshold = method === HARD ? threshold : Math.max(threshold, 0);
  const s: Suppression = { method, sigma, iouThreshold, scoreThreshold };
  const least = method === LINEAR || method === GAUSSIAN ? leastKey(s) : 0;
  for (let image = 0; image < batch; image++) {
    counts[image] = 0;
    status[image] = firstWrong(boxes, scores, image * n, n);
    if (status[image] !== NO_INDEX) continue;
    const keys = new Float64Array(n);
    const order = new Uint32Array(n);
    let left = 0;
    for (let i = 0; i < n; i++) {
      const score = scores[image * n + i]!;
      if (!(score >= scoreThreshold && score > -Infinity)) continue;
      keys[i] = keyOf(score, s);
      order[left++] = i;
    }
    const columns = columnsOf(boxes, image * n, n, format, edge);
    const all = { ...columns, keys, classes: classes && viewOf(classes, image * n, image * n + n) };
    const blocks = new BoxBlocks(all, order.subarray(0, left));
    for (let i = image * most; i < (image + 1) * most; i++) {
      const block = blocks.firstBlock();
      if (block < 0) break;
      const key = blocks.best[block]!;
      indices[i] = blocks.index[blocks.first[block]!]!;
      kept[i] = method === GAUSSIAN ? expOf(key / sigma) : key;
      counts[image] = counts[image]! + 1;
      select(blocks, block, s, least);
    }
  }
};

export const softNmsKernels: BackendOf<'soft_nms'> = { name: 'js', soft_nms_f32: softNms };
