/**
 * The Gumbel trick: of logits with Gumbel noise the largest is a draw from the softmax, and the k largest are k draws
 * without replacement.
 */
import { wrongValue } from '../call/errors.js';
import { type FloatArray, type LogitArray } from '../call/types.js';
import { MASK_NONE } from '../backend/backend.js';
import { count, positive } from '../call/checks.js';
import { softmax } from '../softmax/softmax.js';
import { types, type NewFloat32Array, type NewFloat64Array, type NewUint32Array } from '../call/types.js';
import { twoSum } from '../math/log.js';
import { optionsOf, type Given } from './options.js';
import { checkCount, checkEither, noiseOf, SEED_OPTIONS, streamOf, type Noise, type SeedOptions } from './random.js';
import { hasNaN, inCallersOrder, LogitSums, MASKED_OPTIONS, nothingFinite, rowsOf, transposed } from './rows.js';
import type { MaskedOptions, Rows } from './rows.js';
import { topOf } from '../selection/select.js';

export interface GumbelOptions<A extends LogitArray = LogitArray> extends MaskedOptions<A>, SeedOptions {
  /** Instead of a seed: Gumbel(0, 1) noise for each logit, −ln(−ln u), below Infinity. */
  noise?: Noise | null | undefined;
  /**
   * The generator's number of the first column: of the shards of a vocabulary, the one that has the largest value of
   * `gumbelTopK` has the token that the whole vocabulary draws. Default: 0.
   */
  firstColumn?: number | null | undefined;
}

export interface GumbelMaxOptions<A extends LogitArray = LogitArray> extends GumbelOptions<A> {
  /** The divisor of the logits: finite and > 0. Default: 1. */
  temperature?: number | null | undefined;
}

export interface GumbelSoftmaxOptions<A extends LogitArray = LogitArray> extends GumbelOptions<A> {
  /** The temperature of the softmax: the nearer to 0, the nearer results are to one-hot. Default: 1. */
  tau?: number | null | undefined;
  /** 1 at the largest, 0 elsewhere, instead of the softmax. Default: false. */
  hard?: boolean | null | undefined;
}

const OPTIONS = [...MASKED_OPTIONS, ...SEED_OPTIONS, 'noise', 'firstColumn'];

/** Perturbed logits, relative to the largest logit of each row, in double. */
interface Perturbed extends Rows {
  /** Divided by `unit`. */
  readonly x: NewFloat64Array;
  readonly unit: 1 | 4;
  readonly sums: LogitSums;
  noiseAt(row: number, column: number): number;
}

/**
 * (logit + bias − largest) / temperature + noise, −∞ where it is masked. The largest is subtracted first, and exactly:
 * a logit of 1e16 has no bits for the noise.
 */
function perturb(logits: LogitArray, options: Given<GumbelOptions>, temperature: number): Perturbed {
  checkEither(options);
  const first = count(options.firstColumn ?? 0, 'firstColumn', 0);
  if (first > 0 && options.noise !== undefined) throw wrongValue('no value', 'firstColumn beside noise', String(first));
  const given = noiseOf(options.noise, 'numbers below Infinity', (g) => g < Infinity);
  const call = rowsOf(logits, options);
  const { rows, cols, inner } = call;
  if (given !== undefined) checkCount(given, rows * cols);
  if (first + cols > 2 ** 32) throw wrongValue('columns below 2^32', 'firstColumn', String(first));
  const noise = given === undefined || inner === 1 ? given : transposed(given, cols, inner);
  const stream = noise === undefined ? streamOf(options, rows) : undefined;

  const sums = new LogitSums(call);
  const { unit } = sums;
  const z = new Float64Array(rows * cols);
  const lows = new Float64Array(call.bias === null ? 0 : cols);
  for (let row = 0; row < rows; row++) {
    const at = row * cols;
    const [top, topLow] = largestOf(sums, row, z.subarray(at, at + cols), lows);
    let best = -Infinity;
    const take = (i: number, g: number) => {
      const logit = z[at + i]!;
      if (logit === -Infinity) return;
      z[at + i] = scaledDistance(logit - top + ((call.bias === null ? 0 : lows[i]!) - topLow), temperature) + g / unit;
      if (z[at + i]! > best) best = z[at + i]!;
    };
    if (noise === undefined) stream!.gumbel(row, cols, take, first);
    else for (let i = 0; i < cols; i++) take(i, noise[at + i]!);
    if (best === -Infinity) throw wrongValue('a finite number beside a finite logit', `row ${row} of noise`, 'none');
  }
  const noiseAt = (row: number, i: number) =>
    noise === undefined ? stream!.gumbelAt(row, first + i) : noise[row * cols + i]!;
  return { ...call, x: z, unit, sums, noiseAt, type: 'f64', mask: null, maskLayout: MASK_NONE, bias: null };
}

/** A distance over the temperature. Finite: a token 1e308 temperatures below the largest can still be drawn, last. */
const scaledDistance = (distance: number, temperature: number): number =>
  Math.max(distance / temperature, -Number.MAX_VALUE);

/** Reads a row of sums into `z` and `lows`; returns the largest sum. Throws if it is not finite, or for a NaN. */
function largestOf(sums: LogitSums, row: number, z: Float64Array, lows: Float64Array): [high: number, low: number] {
  let [top, topLow, isNaNRow] = [-Infinity, 0, false];
  for (let i = 0; i < z.length; i++) {
    const logit = sums.read(row, i);
    z[i] = logit;
    isNaNRow ||= logit !== logit;
    if (lows.length > 0) lows[i] = sums.low;
    if (logit > top || (logit === top && sums.low > topLow)) [top, topLow] = [logit, sums.low];
  }
  if (isNaNRow) throw hasNaN(row);
  if (!(Math.abs(top) < Infinity)) throw nothingFinite(row);
  return [top, topLow];
}

/** A larger distance, in temperatures, plus noise is the distance: noise is lost in rounding. */
const DEEP = -(2 ** 60);

/** Decides among tokens whose perturbed logits are the same double: by distance, then by rounding error. */
interface Tie {
  readonly index: number;
  readonly distance: number;
  readonly low: number;
}

/**
 * The k largest perturbed logits of each row, in order. Each is a distance plus noise, and a double does not hold both
 * if the distance is large: tokens that are equal as doubles are compared again.
 */
function largestPerturbed(perturbed: Perturbed, temperature: number, k: number): GumbelTopK {
  const top = topOf(perturbed, k);
  const { x: z, rows, cols } = perturbed;
  for (let row = 0; row < rows && k > 0; row++) {
    const values = top.values.subarray(row * k, (row + 1) * k);
    const edge = values[k - 1]!;
    let [above, equal] = [0, 0];
    for (let i = row * cols; i < (row + 1) * cols; i++) {
      if (z[i]! > edge) above++;
      else if (z[i] === edge) equal++;
    }
    const isTied = above + equal > k || values.some((value, i) => i > 0 && value === values[i - 1]);
    if (isTied)
      breakTies(perturbed, temperature, row, { indices: top.indices.subarray(row * k, (row + 1) * k), values });
  }
  return top;
}

/** Chooses again among the tied tokens of a row. The k largest values are right; `indices` change. */
function breakTies(
  perturbed: Perturbed,
  temperature: number,
  row: number,
  { indices, values }: { readonly indices: Uint32Array; readonly values: Float64Array },
): void {
  const { x: z, cols } = perturbed;
  const tieOf = tieFinder(perturbed, temperature, row);
  let to = 0;
  for (let from = 0; from < values.length; from = to) {
    const value = values[from]!;
    to = from + 1;
    while (to < values.length && values[to] === value) to++;
    if (value === -Infinity) return;
    const isLast = to === values.length; // other tokens of its value may have been left out
    if (!isLast && to === from + 1) continue;
    const tied: Tie[] = [];
    for (let i = 0; i < cols; i++) if (z[row * cols + i] === value) tied.push(tieOf(i, value));
    tied.sort((a, b) => b.distance - a.distance || b.low - a.low || a.index - b.index);
    for (let i = from; i < to; i++) indices[i] = tied[i - from]!.index;
  }
}

/** A function that gives the tie of a token and its perturbed logit. */
function tieFinder({ sums, unit, noiseAt, cols }: Perturbed, temperature: number, row: number) {
  const [top, topLow] = largestOf(sums, row, new Float64Array(cols), new Float64Array(cols));
  return (index: number, value: number): Tie => {
    const high = sums.read(row, index);
    const distance = high - top + (sums.low - topLow);
    const noise = noiseAt(row, index);
    const low = twoSum(scaledDistance(distance, temperature), noise / unit)[1];
    return value < DEEP ? { index, distance, low: noise } : { index, distance: 0, low };
  };
}

/**
 * softmax((logits + bias + g) / tau) of each row, g being Gumbel noise (Jang, Gu & Poole, arXiv 1611.01144; Maddison,
 * Mnih & Teh, arXiv 1611.00712): a draw from softmax(logits) that is soft, and differentiable by the logits. With
 * `hard`, one-hot at its largest.
 *
 * @param logits Row-major: all of them one row, or rows of `cols`. Not written.
 * @param options `tau`, `hard`; `cols`, `mask`, `bias`, `dtype`; `seed`, `step`, `firstRow`, or `noise`, a number for
 *   each logit.
 * @returns A new array of the type of logits; a Float32Array for half types.
 * @throws TypeError, RangeError as `sample`, also for a row without a finite logit, which it names.
 * @example
 * import { gumbelSoftmax } from 'flash-softmax/sampling';
 * const p = gumbelSoftmax(Float32Array.of(1, 3, 2), { tau: 0.5, hard: true, seed: 1, step: 0 });
 * console.log(p.join(' ')); // → 0 1 0
 */
export function gumbelSoftmax(logits: Float64Array, options?: GumbelSoftmaxOptions<Float64Array>): NewFloat64Array;
export function gumbelSoftmax<A extends Exclude<LogitArray, Float64Array>>(
  logits: A,
  options?: GumbelSoftmaxOptions<A>,
): NewFloat32Array;
export function gumbelSoftmax(logits: LogitArray, options?: GumbelSoftmaxOptions): FloatArray {
  const { tau, hard, ...given } = optionsOf<GumbelSoftmaxOptions>(options, [...OPTIONS, 'tau', 'hard']);
  const temperature = positive(tau ?? 1, 'tau');
  const perturbed = perturb(logits, given, 1);
  const { x: z, cols, unit } = perturbed;
  if (hard) {
    const { indices } = largestPerturbed(perturbed, 1, Math.min(cols, 1));
    z.fill(0);
    indices.forEach((index, row) => (z[row * cols + index] = 1));
  } else {
    softmax(z, { cols: Math.max(cols, 1), temperature: Math.max(temperature / unit, Number.MIN_VALUE), out: z });
  }
  const results = inCallersOrder(perturbed, z);
  return types.isFloat64Array(logits) ? results : new Float32Array(results);
}

/**
 * One token of each row, the largest of (logits + bias) / temperature + Gumbel noise: a draw from the softmax, by
 * another method than `sample`, and with other tokens for the same seed.
 *
 * @throws TypeError, RangeError as `sample`.
 * @example
 * import { gumbelMax } from 'flash-softmax/sampling';
 * console.log(gumbelMax(Float32Array.of(1, 3, 2), { seed: 1, step: 0 })[0]); // → 1
 */
export function gumbelMax<A extends LogitArray>(logits: A, options?: GumbelMaxOptions<A>): NewUint32Array {
  return gumbelTopK(logits, 1, options).indices;
}

export interface GumbelTopK {
  /** Of each row, k tokens in the order in which they were drawn. */
  readonly indices: NewUint32Array;
  /** Their perturbed logits, (logits + bias) / temperature + noise; infinite if that overflows. */
  readonly values: NewFloat64Array;
}

/**
 * k different tokens of each row: drawn one after the other from the softmax of the tokens that are left (Kool, van
 * Hoof & Welling, arXiv 1903.06059, Gumbel-top-k).
 *
 * @param k The number of tokens, from 1. A row with fewer finite logits is a RangeError that names it.
 * @throws TypeError, RangeError as `sample`.
 * @example
 * import { gumbelTopK } from 'flash-softmax/sampling';
 * console.log(gumbelTopK(Float32Array.of(1, 3, 2, 0), 2, { seed: 1, step: 0 }).indices.join(' ')); // → 1 2
 */
export function gumbelTopK<A extends LogitArray>(logits: A, k: number, options?: GumbelMaxOptions<A>): GumbelTopK {
  const { temperature, ...given } = optionsOf<GumbelMaxOptions>(options, [...OPTIONS, 'temperature']);
  const divisor = positive(temperature ?? 1, 'temperature');
  const most = count(k, 'k', 1);
  const perturbed = perturb(logits, given, divisor);
  const { rows, cols, sums, noiseAt } = perturbed;
  if (most > cols) throw wrongValue(`at most ${cols}, the length of a row,`, 'k', String(k));
  const { indices, values } = largestPerturbed(perturbed, divisor, most);
  for (let row = 0; row < rows; row++) {
    const least = values[(row + 1) * most - 1];
    if (least === -Infinity) throw wrongValue(`${most} finite logits`, `row ${row} of logits`, 'fewer');
    for (let i = row * most; i < (row + 1) * most; i++) {
      values[i] = (sums.read(row, indices[i]!) / divisor) * sums.unit + noiseAt(row, indices[i]!);
    }
  }
  return { indices, values };
}
