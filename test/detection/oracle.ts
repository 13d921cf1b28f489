/**
 * Soft-NMS by its definition, in fractions of BigInts: IoU is exact, factors and products are good to 2^-1100. It
 * shares nothing with the kernels.
 */
import { exponential, fixed } from '../support/exact.js';

const BITS = 1400n;
const ONE = 1n << BITS;

/** A box in fixed point: left, top, right, bottom. */
type Sides = readonly [bigint, bigint, bigint, bigint];

export interface OracleOptions {
  method?: 'gaussian' | 'linear' | 'hard';
  sigma?: number;
  sigmaConvention?: 'paper' | 'tensorflow';
  cut?: boolean;
  iouThreshold?: number;
  scoreThreshold?: number;
  maxDetections?: number;
  classes?: ArrayLike<number>;
  format?: 'xyxy' | 'yxyx' | 'xywh' | 'cxcywh';
  coordinates?: 'continuous' | 'pixels';
}

export function sidesOf(boxes: Float32Array, i: number, options: OracleOptions): Sides {
  const { format = 'xyxy', coordinates = 'continuous' } = options;
  const [a, b, c, d] = Array.from(boxes.subarray(4 * i, 4 * i + 4), fixed) as [bigint, bigint, bigint, bigint];
  const edge = coordinates === 'pixels' ? ONE : 0n;
  if (format === 'xyxy') return [a, b, c + edge, d + edge];
  if (format === 'yxyx') return [b, a, d + edge, c + edge];
  if (format === 'xywh') return [a, b, a + c, b + d];
  return [a - c / 2n, b - d / 2n, a + c / 2n, b + d / 2n];
}

const min = (a: bigint, b: bigint) => (a < b ? a : b);
const max = (a: bigint, b: bigint) => (a > b ? a : b);
const positive = (a: bigint) => max(a, 0n);

/** IoU as a fraction. */
export function iouOf(a: Sides, b: Sides): [numerator: bigint, denominator: bigint] {
  const area = ([left, top, right, bottom]: Sides) => positive(right - left) * positive(bottom - top);
  const common = area([max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])]);
  return common === 0n ? [0n, 1n] : [common, area(a) + area(b) - common];
}

export interface Selected {
  readonly index: number;
  /** In fixed point. */
  readonly score: bigint;
}

export function exactNMS(boxes: Float32Array, scores: Float32Array, options: OracleOptions = {}): Selected[] {
  const { method = 'gaussian', sigma = 0.5, sigmaConvention = 'paper', cut = false } = options;
  const { iouThreshold = 0.3, scoreThreshold = 0.001, maxDetections = Infinity, classes } = options;
  const sides = Array.from(scores, (_, i) => sidesOf(boxes, i, options));
  const least = scoreThreshold === -Infinity ? -(ONE << 200n) : fixed(scoreThreshold);
  const limit = fixed(iouThreshold);
  const width = fixed(sigma) * (sigmaConvention === 'tensorflow' ? 2n : 1n);
  let left = Array.from(scores, (score, index) => ({ index, score: fixed(score) })).filter((x) => x.score >= least);
  const selected: Selected[] = [];
  while (left.length > 0 && selected.length < maxDetections) {
    const best = left.reduce((a, b) => (b.score > a.score ? b : a));
    selected.push(best);
    left = left
      .filter((each) => each !== best)
      .flatMap((each) => {
        if (classes && classes[each.index] !== classes[best.index]) return [each];
        const [p, q] = iouOf(sides[each.index]!, sides[best.index]!);
        const isAbove = p << BITS > limit * q;
        let factor = ONE;
        if (method === 'hard') factor = isAbove ? 0n : ONE;
        else if (method === 'linear') factor = isAbove ? ((q - p) << BITS) / q : ONE;
        else if (cut && isAbove) factor = 0n;
        else factor = exponential(-((((p * p) << BITS) / (q * q)) << BITS) / width);
        const score = (each.score * factor) >> BITS;
        return factor < ONE && (score < least || score === 0n) ? [] : [{ index: each.index, score }];
      });
  }
  return selected;
}
