/** Boxes and scores of detection, and soft-NMS replayed in fractions: each selection is judged by those before it. */
import { exactUlpError, fixed } from '../support/exact.js';
import type { Draw } from './draw.js';

export const FORMATS = ['xyxy', 'yxyx', 'xywh', 'cxcywh'] as const;
export type Format = (typeof FORMATS)[number];

/** Left, top, right, bottom in units of 2^-150: sums and halves of floats are whole numbers of these. */
export type Sides = readonly [bigint, bigint, bigint, bigint];
const toUnits = (x: number): bigint => fixed(x) >> 1250n;

/** The corners of a box are doubles by contract: sums of its floats are rounded once. */
export function sidesOf(boxes: Float32Array, i: number, format: Format, edge: number): Sides {
  const [a, b, c, d] = boxes.subarray(4 * i, 4 * i + 4) as unknown as [number, number, number, number];
  const corners = {
    xyxy: [a, b, c + edge, d + edge],
    yxyx: [b, a, d + edge, c + edge],
    xywh: [a, b, a + c, b + d],
    cxcywh: [a - c / 2, b - d / 2, a + c / 2, b + d / 2],
  };
  return corners[format].map(toUnits) as unknown as Sides;
}

const areaOf = ([left, top, right, bottom]: Sides): bigint =>
  right > left && bottom > top ? (right - left) * (bottom - top) : 0n;

/** IoU as a fraction. */
export function iouOf(a: Sides, b: Sides): [numerator: bigint, denominator: bigint] {
  const inner = a.map((side, i) => (side > b[i]! === i < 2 ? side : b[i]!)) as unknown as Sides;
  const common = areaOf(inner);
  return common === 0n ? [0n, 1n] : [common, areaOf(a) + areaOf(b) - common];
}

const someBox = (draw: Draw): number[] => {
  const [x, y, w, h] = [640 * draw.uniform(), 640 * draw.uniform(), 8 + 192 * draw.uniform(), 8 + 192 * draw.uniform()];
  return [x, y, x + w, y + h];
};
const gridBox = (draw: Draw, most: number): number[] => {
  const [x, y] = [draw.int(most) / 4, draw.int(most) / 4];
  return [x, y, x + (1 + draw.int(most)) / 4, y + (1 + draw.int(most)) / 4];
};
const boxKinds: Record<string, (draw: Draw) => (i: number) => number[]> = {
  'of an image': (draw) => () => someBox(draw),
  'of a coarse grid': (draw) => () => gridBox(draw, 8),
  'of a grid': (draw) => () => gridBox(draw, 120),
  'copies of a few': (draw) => {
    const few = Array.from({ length: 3 }, () => someBox(draw));
    return () => draw.pick(few);
  },
  'near copies': (draw) => {
    const box = someBox(draw);
    return () => box.map((x) => x + draw.int(3) * 2 ** -14);
  },
  tiny: (draw) => {
    const scale = 2 ** draw.between(-151, -100);
    return () => gridBox(draw, 20).map((x) => 4 * x * scale);
  },
  huge: (draw) => {
    const scale = 2 ** draw.between(90, 121);
    return () => gridBox(draw, 120).map((x, i) => (i < 2 ? -x : x) * scale);
  },
  'far from 0': (draw) => {
    const at = draw.sign() * draw.logUniform(1e3, 1e9);
    return () => someBox(draw).map((x) => at + x);
  },
  'of any size': (draw) => () =>
    Array.from({ length: 4 }, () => draw.sign() * draw.logUniform(1, 2) * 2 ** draw.between(-149, 127)),
  'empty or turned': (draw) => () => {
    const [a, b, c, d] = gridBox(draw, 20) as [number, number, number, number];
    return draw.pick([
      [a, b, a, d],
      [c, d, a, b],
      [c, b, a, d],
      [a, b, c, d],
      [0, -0, 0, 0],
      [-0, 0, c, d],
    ]);
  },
};

/** Boxes in a format, exact for most kinds. */
export function boxesOf(draw: Draw, n: number, format: Format): { boxes: Float32Array; text: string } {
  const text = draw.pick(Object.keys(boxKinds));
  const next = boxKinds[text]!(draw);
  const boxes = new Float32Array(4 * n);
  for (let i = 0; i < n; i++) {
    const [a, b, c, d] = next(i) as [number, number, number, number];
    boxes.set(
      {
        xyxy: [a, b, c, d],
        yxyx: [b, a, d, c],
        xywh: [a, b, c - a, d - b],
        cxcywh: [(a + c) / 2, (b + d) / 2, c - a, d - b],
      }[format],
      4 * i,
    );
  }
  for (let i = 0; i < boxes.length; i++) if (!Number.isFinite(boxes[i]!)) boxes[i] = 3.4028234663852886e38;
  return { boxes, text };
}

const scoreKinds: Record<string, (draw: Draw) => () => number> = {
  'u⁴': (draw) => () => draw.uniform() ** 4,
  sixteenths: (draw) => () => draw.int(17) / 16,
  'near 1': (draw) => () => 1 - draw.int(4) * 2 ** -24,
  constant: (draw) => {
    const value = draw.pick([0, 1, 0.5, 0.001, 2 ** -149]);
    return () => value;
  },
  'zeros among others': (draw) => () => draw.pick([0, -0, draw.uniform()]),
  subnormal: (draw) => () => draw.int(1000) * 2 ** -149,
  'of both signs': (draw) => () => draw.normal(),
  '−∞ between': (draw) => () => (draw.chance(0.4) ? -Infinity : draw.uniform()),
  'of any size': (draw) => () => draw.logUniform(1, 2) * 2 ** draw.between(-149, 127),
};

export function scoresOf(draw: Draw, n: number): { scores: Float32Array; text: string } {
  const text = draw.pick(Object.keys(scoreKinds));
  const next = scoreKinds[text]!(draw);
  const scores = Float32Array.from({ length: n }, next);
  return { scores: scores.map((x) => (x === Infinity ? 1 : x)), text };
}

export interface Rules {
  readonly method: 'gaussian' | 'linear' | 'hard';
  readonly width: number;
  readonly cut: boolean;
  readonly iouThreshold: number;
  readonly scoreThreshold: number;
  readonly most: number;
}

const BITS = 400n;
const ONE = 1n << BITS;

/** e^-x to 400 bits, x ≥ 0 in units of 2^-400. */
function expOfMinus(x: bigint): bigint {
  if (x > 300n * ONE) return 0n;
  const reduced = -x >> 10n;
  let [sum, term] = [ONE, ONE];
  for (let k = 1n; term !== 0n && term !== -1n; k++) sum += term = ((term * reduced) >> BITS) / k;
  for (let i = 0; i < 10; i++) sum = (sum * sum) >> BITS;
  return sum;
}

interface Candidate {
  readonly index: number;
  score: bigint;
  isLowered: boolean;
  /** True if the rounding of doubles decides whether the box is still there, or what it was lowered by. */
  isUnsure: boolean;
  isUnknown: boolean;
}

/** Two scores of which one is lowered may change places within 1e-11. */
const CLOSE = 10n ** 11n;
const abs = (x: bigint): bigint => (x < 0n ? -x : x);
const inBits = (x: number): bigint => fixed(x) >> (1400n - BITS);

export interface Image {
  readonly sides: readonly Sides[];
  readonly scores: Float32Array;
  readonly classes: ArrayLike<number> | undefined;
}

/** Lowers a box by its overlap with a selected one. Returns false if it is dropped for certain. */
function lower(box: Candidate, [p, q]: [bigint, bigint], rules: Rules, least: bigint): boolean {
  if (p === 0n) return true;
  const limit = inBits(rules.iouThreshold);
  const [iou, bound] = [p << BITS, limit * q];
  const isAbove = iou > bound;
  const isNear = abs(iou - bound) <= bound >> 48n;
  const asks = rules.method !== 'gaussian' || rules.cut;
  if (asks && isNear) {
    box.isUnsure = true;
    if (rules.method === 'linear') box.isUnknown = true;
  } else if (asks && isAbove && rules.method !== 'linear') return false;
  if (rules.method === 'hard') return true;
  if (rules.method === 'linear') {
    if (!isAbove) return true;
    // 1 − o is rounded at 1: nothing is promised for two boxes that are nearly one.
    if ((q - p) << 26n < q) box.isUnknown = true;
    box.score = (box.score * (q - p)) / q;
  } else {
    const x = (p * p * 2n ** (BITS + 1400n)) / (q * q * fixed(rules.width));
    box.score = (box.score * expOfMinus(x)) >> BITS;
  }
  box.isLowered = true;
  if (abs(box.score - least) * CLOSE <= abs(least)) box.isUnsure = true;
  else if (box.score < least) return box.isUnknown;
  return true;
}

/** The fault of the boxes selected from one image, in words. */
export function faultOfSelection(
  image: Image,
  rules: Rules,
  indices: ArrayLike<number>,
  kept: Float32Array,
): string | undefined {
  const { sides, scores, classes } = image;
  const scoreThreshold = rules.method === 'hard' ? rules.scoreThreshold : Math.max(0, rules.scoreThreshold);
  let left: Candidate[] = [];
  scores.forEach((s, index) => {
    if (!(s >= scoreThreshold) || s === -Infinity) return;
    left.push({ index, score: inBits(s), isLowered: false, isUnsure: false, isUnknown: false });
  });
  // A lowered score that is 0 as a float is dropped.
  const zero = inBits(2 ** -150);
  const given = scoreThreshold < 2 ** 130 ? inBits(Math.max(scoreThreshold, -1)) : ONE << 130n;
  const least = given > zero ? given : zero;
  for (let turn = 0; turn < indices.length; turn++) {
    const chosen = left.find(({ index }) => index === indices[turn]);
    if (chosen === undefined) return `selection ${turn} is box ${indices[turn]}, which is not left`;
    if (!chosen.isUnknown) {
      const value = chosen.score << (1400n - BITS);
      const error = value === 0n ? (kept[turn] === 0 ? 0 : Infinity) : exactUlpError('f32', kept[turn]!, value);
      if (!(error <= 0.51)) return `the score of selection ${turn} is ${kept[turn]}, ${error} ULP off`;
    }
    for (const other of left) {
      if (other === chosen || other.isUnsure || other.isUnknown || chosen.isUnknown) continue;
      const isExact = !other.isLowered && !chosen.isLowered;
      const ahead = other.score - chosen.score;
      if (isExact ? ahead > 0n : ahead * CLOSE > other.score)
        return `selection ${turn} is box ${chosen.index}, but ${other.index} has a larger score`;
      if (isExact && ahead === 0n && other.index < chosen.index)
        return `selection ${turn} is box ${chosen.index}, but ${other.index} comes first`;
    }
    left = left.filter(
      (box) =>
        box !== chosen &&
        ((classes && classes[box.index] !== classes[chosen.index]) ||
          lower(box, iouOf(sides[box.index]!, sides[chosen.index]!), rules, least)),
    );
  }
  const missed = left.find(({ isUnsure, isUnknown }) => !isUnsure && !isUnknown);
  return missed && indices.length < rules.most ? `box ${missed.index} is left` : undefined;
}
