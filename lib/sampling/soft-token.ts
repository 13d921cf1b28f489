/** softToken: the soft tokens of Soft-Thinking and SofT-GRPO, mixtures of embeddings in place of one token. */
import { wrongType, type LogitArray } from '../call/arguments.js';
import { Sum, Weigher } from '../js/sampling/weights.js';
import { NO_INDEX } from '../backend/backend.js';
import { count, positive } from '../call/options.js';
import type { NewFloat64Array, NewUint32Array } from '../call/types.js';
import { exp, ln } from './log.js';
import { optionsOf } from './options.js';
import { checkCount, checkEither, noiseOf, SEED_OPTIONS, streamOf, type Noise, type SeedOptions } from './random.js';
import { hasNaN, LogitSums, MASKED_OPTIONS, nothingFinite, rowsOf, share, type MaskedOptions } from './rows.js';
import { topOf } from '../selection/select.js';

export interface SoftTokenOptions<A extends LogitArray = LogitArray> extends MaskedOptions<A>, SeedOptions {
  /** What logits are divided by first: finite and > 0. Default: 1. */
  temperature?: number | null | undefined;
  /** How many tokens a soft token is made of at most. Default and 0: 5, as in SofT-GRPO; Soft-Thinking has up to 30. */
  topK?: number | null | undefined;
  /** The share of the k tokens' probability that those which stay have at least. Default: 0.95. */
  topP?: number | null | undefined;
  /** The Gumbel-softmax temperature. Default: 0.1, as in SofT-GRPO; 0.5 is that of Soft-Thinking with Gumbel noise. */
  tau?: number | null | undefined;
  /** The least and the largest noise. Default: [−1.5, 3]. */
  noiseRange?: readonly [least: number, most: number] | null | undefined;
  /** false: no noise, weights are the probabilities (Soft-Thinking itself). Or Gumbel noise of your own, topK numbers for each row. */
  noise?: false | Noise | null | undefined;
}

export interface SoftToken {
  /** Of each row, k tokens, the most probable first; 0 behind the last one. */
  readonly indices: NewUint32Array;
  /** Their weights, which sum to 1; 0 behind the last one. */
  readonly weights: NewFloat64Array;
  /** ln p of each token (renormalised over those that stay) plus its noise; −∞ behind the last one. */
  readonly noised: NewFloat64Array;
  /** Of each row, the logarithm of the density of its noised values: Σ −g − e^−g, g = noised − ln p. 0 without noise. */
  readonly logProbability: NewFloat64Array;
  /** Of each row, how many tokens stay. */
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
 * (Zhang et al., Soft Thinking, arXiv 2505.15778; Zheng et al., SofT-GRPO, arXiv 2511.06411.) `noised` and `logProbability` are what
 * SofT-GRPO's policy gradient needs: under other logits the density of the same `noised` is Σ −(noised − ln p′) − e^−(noised − ln p′).
 *
 * @param logits Row-major: all of them one row, or rows of `cols`.
 * @throws TypeError, RangeError as `sample`.
 */
export function softToken<A extends LogitArray>(logits: A, options?: SoftTokenOptions<A>): SoftToken {
  const given = optionsOf<SoftTokenOptions>(options, OPTIONS);
  const temperature = positive(given.temperature ?? 1, 'temperature');
  const tau = positive(given.tau ?? 0.1, 'tau');
  const topP = share(given.topP ?? 0.95, 'topP');
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
  const sums = new LogitSums(call);
  const [weights, noised] = [new Float64Array(rows * k), new Float64Array(rows * k).fill(-Infinity)];
  const [logProbability, counts] = [new Float64Array(rows), new Uint32Array(rows)];
  for (let row = 0; row < rows; row++) {
    const at = row * k;
    if (indices[at] === NO_INDEX) throw hasNaN(row);
    const z = Float64Array.from(indices.subarray(at, at + k), (column) => sums.read(row, column));
    if (k === 0 || !(Math.abs(z[0]!) < Infinity)) throw nothingFinite(row);
    const weigher = new Weigher(z[0]!, Math.max(temperature / sums.unit, Number.MIN_VALUE), cols);
    const kept = cut(k, (i) => (z[i]! === -Infinity ? 0 : weigher.of(z[i]!)), topP);
    counts[row] = kept;
    indices.fill(0, at + kept, at + k);
    const p = Float64Array.from({ length: kept }, (_, i) => weigher.exactly(z[i]!));
    const sum = p.reduce((a, b) => a + b, 0);
    const g = new Float64Array(k);
    if (noise) g.set(noise.subarray(at, at + k));
    else if (stream !== undefined) stream.gumbel(row, k, (i, value) => (g[i] = value));
    let density = 0;
    for (let i = 0; i < kept; i++) {
      const value = noise === false ? 0 : Math.min(most, Math.max(least, g[i]!));
      noised[at + i] = ln(p[i]! / sum) + value;
      if (noise !== false) density += -value - exp(-value);
    }
    logProbability[row] = density;
    const largest = noised.subarray(at, at + kept).reduce((a, b) => Math.max(a, b), -Infinity);
    let all = 0;
    for (let i = 0; i < kept; i++) all += weights[at + i] = noise === false ? p[i]! : exp(Math.max(-700, (noised[at + i]! - largest) / tau));
    for (let i = 0; i < kept; i++) weights[at + i]! /= all;
  }
  return { indices, weights, noised, logProbability, counts, k };
}

/** How many of the first tokens have the share topP; those without a weight never. */
function cut(k: number, weight: (i: number) => number, topP: number): number {
  const all = new Sum();
  let positive = 0;
  for (let i = 0; i < k && weight(i) > 0; i++, positive++) all.add(weight(i));
  const target = topP * all.value;
  const sum = new Sum();
  let kept = 0;
  do sum.add(weight(kept++));
  while (kept < positive && sum.value < target);
  return kept;
}

function rangeOf(range: unknown): readonly [number, number] {
  if (!Array.isArray(range) || range.length !== 2) throw wrongType('two numbers', 'noiseRange', range);
  const [least, most]: unknown[] = range;
  if (!(typeof least === 'number' && typeof most === 'number' && least <= most && least >= -700 && most <= 700)) throw wrongType('two rising numbers within ±700', 'noiseRange', range);
  return [least, most];
}
