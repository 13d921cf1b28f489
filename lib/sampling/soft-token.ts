/** softToken: soft tokens as in Soft-Thinking and SofT-GRPO, mixtures of embeddings in place of one token. */
import { wrongType } from '../call/errors.js';
import { type LogitArray } from '../call/types.js';
import { NO_INDEX } from '../backend/backend.js';
import { count, positive } from '../call/checks.js';
import type { NewFloat64Array, NewUint32Array } from '../call/types.js';
import { fraction } from '../call/values.js';
import { exp } from '../math/exp.js';
import { ln } from '../math/log.js';
import { optionsOf } from './options.js';
import { checkCount, checkEither, noiseOf, SEED_OPTIONS, streamOf, type Noise, type SeedOptions } from './random.js';
import { hasNaN, LogitSums, MASKED_OPTIONS, nothingFinite, rowsOf, type MaskedOptions } from './rows.js';
import { shareLength, TokenWeights } from './weights.js';
import { topOf } from '../selection/select.js';

export interface SoftTokenOptions<A extends LogitArray = LogitArray> extends MaskedOptions<A>, SeedOptions {
  /** The divisor of the logits, first of all: finite and > 0. Default: 1. */
  temperature?: number | null | undefined;
  /** The most tokens of a soft token. Default and 0: 5, as in SofT-GRPO; Soft-Thinking has up to 30. */
  topK?: number | null | undefined;
  /** The least share of the k tokens' probability that the kept tokens have. Default: 0.95. */
  topP?: number | null | undefined;
  /** The Gumbel-softmax temperature. Default: 0.1, as in SofT-GRPO; Soft-Thinking with Gumbel noise has 0.5. */
  tau?: number | null | undefined;
  /** The least and the largest noise. Default: [−1.5, 3]. */
  noiseRange?: readonly [least: number, most: number] | null | undefined;
  /**
   * false: no noise, weights are the probabilities (Soft-Thinking itself). Or your own Gumbel noise, topK numbers for
   * each row.
   */
  noise?: false | Noise | null | undefined;
}

export interface SoftToken {
  /** Of each row, k tokens, the most probable first; 0 behind the last one. */
  readonly indices: NewUint32Array;
  /** Their weights, which sum to 1; 0 behind the last one. */
  readonly weights: NewFloat64Array;
  /** ln p of each token (renormalised over the kept tokens) plus its noise; −∞ behind the last one. */
  readonly noised: NewFloat64Array;
  /**
   * Of each row, the logarithm of the density of its noised values: Σ −g − e^−g, g = noised − ln p. 0 without noise.
   */
  readonly logProbability: NewFloat64Array;
  /** The number of kept tokens of each row. */
  readonly counts: NewUint32Array;
  /** topK, or `cols` if that is less. */
  readonly k: number;
}

const OPTIONS = [...MASKED_OPTIONS, 'temperature', 'topK', 'topP', 'tau', 'noiseRange', 'noise', ...SEED_OPTIONS];

/**
 * A soft token of each row: the weights with which embeddings are mixed to make the next input.
 *
 *     p = softmax((logits + bias) / temperature) over the topK largest, cut to topP, renormalised
 *     weights = softmax((ln p + g) / tau)        g: Gumbel noise, clamped to noiseRange        or p, with `noise: false`
 *
 * (Zhang et al., Soft Thinking, arXiv 2505.15778; Zheng et al., SofT-GRPO, arXiv 2511.06411.) SofT-GRPO's policy
 * gradient needs `noised` and `logProbability`: under other logits the density of the same `noised` is Σ −(noised − ln
 * p′) − e^−(noised − ln p′).
 *
 * @param logits Row-major: all of them one row, or rows of `cols`.
 * @throws TypeError, RangeError as `sample`.
 * @example
 * import { softToken } from 'flash-softmax/sampling';
 * const { indices, weights } = softToken(Float32Array.of(1, 3, 2), { topK: 2, topP: 1, noise: false });
 * console.log(indices.join(' '), weights[0].toFixed(4)); // → 1 2 0.7311
 */
export function softToken<A extends LogitArray>(logits: A, options?: SoftTokenOptions<A>): SoftToken {
  const given = optionsOf<SoftTokenOptions>(options, OPTIONS);
  const temperature = positive(given.temperature ?? 1, 'temperature');
  const tau = positive(given.tau ?? 0.1, 'tau');
  const topP = fraction(given.topP ?? 0.95, 'topP');
  const [least, most] = rangeOf(given.noiseRange ?? [-1.5, 3]);
  const wanted = count(given.topK ?? 5, 'topK', 1);
  checkEither(given);
  const noise = given.noise === false ? false : noiseOf(given.noise, 'numbers', (g) => g === g);
  const call = rowsOf(logits, given);
  const { rows, cols } = call;
  const k = Math.min(wanted, cols);
  if (noise) checkCount(noise, rows * k);
  const stream = noise === undefined ? streamOf(given, rows) : undefined;

  const { indices } = topOf(call, k);
  const result: SoftToken = {
    indices,
    weights: new Float64Array(rows * k),
    noised: new Float64Array(rows * k).fill(-Infinity),
    logProbability: new Float64Array(rows),
    counts: new Uint32Array(rows),
    k,
  };
  const sums = new LogitSums(call);
  const g = new Float64Array(k);
  for (let row = 0; row < rows; row++) {
    const best = indices.subarray(row * k, (row + 1) * k);
    const p = keptProbabilities(bestLogits(sums, row, best), cols, temperature / sums.unit, topP);
    if (noise) g.set(noise.subarray(row * k, (row + 1) * k));
    else stream?.gumbel(row, k, (i, value) => (g[i] = value));
    const clamped = noise === false ? undefined : g.map((value) => Math.min(most, Math.max(least, value)));
    mixRow(result, row, p, clamped, tau);
  }
  return result;
}

/** The logits of a row's best tokens. Throws for a row with a NaN or without a finite largest logit. */
function bestLogits(sums: LogitSums, row: number, best: Uint32Array): Float64Array {
  if (best[0] === NO_INDEX) throw hasNaN(row);
  const logits = Float64Array.from(best, (column) => sums.read(row, column));
  if (logits.length === 0 || !(Math.abs(logits[0]!) < Infinity)) throw nothingFinite(row);
  return logits;
}

/** The probabilities of the first logits that have the share topP, not renormalised. `n`: the length of the row. */
function keptProbabilities(logits: Float64Array, n: number, temperature: number, topP: number): Float64Array {
  const weights = new TokenWeights(logits[0]!, Math.max(temperature, Number.MIN_VALUE), n);
  const weightOf = (i: number): number => (logits[i] === -Infinity ? 0 : weights.of(logits[i]!));
  let nonzero = 0;
  while (nonzero < logits.length && weightOf(nonzero) > 0) nonzero++;
  const kept = shareLength(nonzero, weightOf, topP);
  return Float64Array.from({ length: kept }, (_, i) => weights.unrounded(logits[i]!));
}

/** Writes the results of a row from the probabilities of its tokens; without noise the weights are these. */
function mixRow(result: SoftToken, row: number, p: Float64Array, noise: Float64Array | undefined, tau: number): void {
  const { indices, weights, noised, k } = result;
  const at = row * k;
  const kept = p.length;
  const sum = p.reduce((a, b) => a + b, 0);
  let density = 0;
  for (let i = 0; i < kept; i++) {
    const g = noise === undefined ? 0 : noise[i]!;
    noised[at + i] = ln(p[i]! / sum) + g;
    if (noise !== undefined) density += -g - exp(-g);
  }
  const largest = noised.subarray(at, at + kept).reduce((a, b) => Math.max(a, b), -Infinity);
  let total = 0;
  for (let i = 0; i < kept; i++) {
    weights[at + i] = noise === undefined ? p[i]! : exp(Math.max(-700, (noised[at + i]! - largest) / tau));
    total += weights[at + i]!;
  }
  for (let i = 0; i < kept; i++) weights[at + i]! /= total;
  indices.fill(0, at + kept, at + k);
  result.counts[row] = kept;
  result.logProbability[row] = density;
}

function rangeOf(range: unknown): readonly [number, number] {
  if (!Array.isArray(range) || range.length !== 2) throw wrongType('two numbers', 'noiseRange', range);
  const [least, most]: unknown[] = range;
  if (!(typeof least === 'number' && typeof most === 'number' && least <= most && least >= -700 && most <= 700)) {
    throw wrongType('two rising numbers within ±700', 'noiseRange', range);
  }
  return [least, most];
}
