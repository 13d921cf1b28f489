/** The Gumbel trick: logits with Gumbel noise, whose largest is a draw from softmax, whose k largest are one without replacement. */
import { wrongValue, type FloatArray, type LogitArray } from '../arguments.js';
import { MASK_NONE } from '../backend/backend.js';
import { softmax } from '../softmax.js';
import { count, optionsOf, positive } from '../options.js';
import { types } from '../types.js';
import { checkEither, noiseOf, SEED_OPTIONS, streamOf, type SeedOptions } from './random.js';
import { hasNaN, logitsOf, MASKED_OPTIONS, nothingFinite, rowsOf, type MaskedOptions, type Rows } from './rows.js';
import { topOf } from './select.js';

export interface GumbelOptions<A extends LogitArray = LogitArray> extends MaskedOptions<A>, SeedOptions {
  /** Instead of a seed: Gumbel(0, 1) noise for each logit, as −ln(−ln u) gives it. */
  noise?: Float64Array | Float32Array | readonly number[] | undefined;
}

export interface GumbelMaxOptions<A extends LogitArray = LogitArray> extends GumbelOptions<A> {
  /** What logits are divided by: finite and > 0. Default: 1. */
  temperature?: number | undefined;
}

export interface GumbelSoftmaxOptions<A extends LogitArray = LogitArray> extends GumbelOptions<A> {
  /** The temperature of the softmax: the nearer to 0, the nearer results are to one-hot. Default: 1. */
  tau?: number | undefined;
  /** 1 at the largest, 0 elsewhere, instead of the softmax. Default: false. */
  hard?: boolean | undefined;
}

const OPTIONS = [...MASKED_OPTIONS, ...SEED_OPTIONS, 'noise'];

/** (x + bias) / temperature + Gumbel noise, −∞ where the mask says so. */
function perturb(logits: LogitArray, options: GumbelOptions, temperature: number): Rows & { readonly x: Float64Array } {
  const call = rowsOf(logits, options);
  const { rows, cols } = call;
  checkEither(options);
  const noise = options.noise === undefined ? undefined : noiseOf(options.noise, call.x.length, 'numbers', (g) => g === g);
  const stream = noise === undefined ? streamOf(options, rows) : undefined;
  const read = logitsOf(call);
  const z = new Float64Array(call.x.length);
  for (let row = 0; row < rows; row++) {
    let isNaNThere = false;
    let top = -Infinity;
    const take = (i: number, g: number) => {
      const logit = read(row, i);
      isNaNThere ||= logit !== logit;
      if (logit > top) top = logit;
      z[row * cols + i] = logit === -Infinity ? logit : logit / temperature + g;
    };
    if (noise !== undefined) for (let i = 0; i < cols; i++) take(i, noise[row * cols + i]!);
    else stream!.gumbel(row, cols, take);
    if (isNaNThere) throw hasNaN(row);
    if (!(Math.abs(top) < Infinity)) throw nothingFinite(row);
  }
  return { x: z, type: 'f64', rows, cols, mask: null, maskLayout: MASK_NONE, bias: null };
}

/**
 * softmax((logits + bias + g) / tau) of each row, g being Gumbel noise (Jang, Gu & Poole, arXiv 1611.01144; Maddison, Mnih & Teh, arXiv
 * 1611.00712): a draw from softmax(logits) that is soft, and differentiable by the logits. With `hard`, one-hot at its largest.
 *
 * @param logits Row-major: all of them one row, or rows of `cols`. Not written.
 * @param options `tau`, `hard`; `cols`, `mask`, `bias`, `dtype`; `seed`, `step`, `firstRow`, or `noise`, a number for each logit.
 * @returns A new array of the type of logits; a Float32Array for half types.
 * @throws TypeError, RangeError as `sample`, also for a row without a finite logit, which it names.
 */
export function gumbelSoftmax(logits: Float64Array, options?: GumbelSoftmaxOptions<Float64Array>): Float64Array;
export function gumbelSoftmax<A extends Exclude<LogitArray, Float64Array>>(logits: A, options?: GumbelSoftmaxOptions<A>): Float32Array;
export function gumbelSoftmax(logits: LogitArray, options?: GumbelSoftmaxOptions): FloatArray {
  const { tau, hard, ...given } = optionsOf(options, [...OPTIONS, 'tau', 'hard']);
  const temperature = positive(tau ?? 1, 'tau');
  const perturbed = perturb(logits, given, 1);
  const { x: z, cols } = perturbed;
  const isDouble = types.isFloat64Array(logits);
  if (hard) {
    const out = isDouble ? new Float64Array(z.length) : new Float32Array(z.length);
    topOf(perturbed, 1).indices.forEach((index, row) => (out[row * cols + index] = 1));
    return out;
  }
  if (isDouble) return softmax(z, { cols, temperature, out: z });
  return softmax(Float32Array.from(z), { cols, temperature });
}

/**
 * One token of each row, the largest of (logits + bias) / temperature + Gumbel noise: a draw from the softmax, by other means than
 * `sample`, and with other tokens for the same seed.
 *
 * @throws TypeError, RangeError as `sample`.
 */
export function gumbelMax<A extends LogitArray>(logits: A, options?: GumbelMaxOptions<A>): Uint32Array {
  return gumbelTopK(logits, 1, options).indices;
}

export interface GumbelTopK {
  /** Of each row, k tokens in the order in which they were drawn. */
  readonly indices: Uint32Array;
  /** Their perturbed logits, (logits + bias) / temperature + noise. */
  readonly values: Float64Array;
}

/**
 * k different tokens of each row: drawn one after the other from the softmax of what is left (Kool, van Hoof & Welling, arXiv
 * 1903.06059, Gumbel-top-k).
 *
 * @param k How many, from 1. A row with fewer finite logits is a RangeError that names it.
 * @throws TypeError, RangeError as `sample`.
 */
export function gumbelTopK<A extends LogitArray>(logits: A, k: number, options?: GumbelMaxOptions<A>): GumbelTopK {
  const { temperature, ...given } = optionsOf(options, [...OPTIONS, 'temperature']);
  const divisor = positive(temperature ?? 1, 'temperature');
  const most = count(k, 'k', 1);
  const perturbed = perturb(logits, given, divisor);
  const { rows, cols } = perturbed;
  if (most > cols) throw wrongValue(`at most ${cols}, the length of a row,`, 'k', String(k));
  const top = topOf(perturbed, most);
  for (let row = 0; row < rows; row++) {
    if (top.values[(row + 1) * most - 1] === -Infinity) throw wrongValue(`${most} finite logits`, `row ${row} of logits`, 'fewer');
  }
  return top;
}
