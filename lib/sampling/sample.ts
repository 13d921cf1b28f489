/** sample, sampleMany and filterLogits: draws tokens from logits, and shows the logits that filters leave. */
import { outOfRange } from '../call/errors.js';
import { type FloatArray, type LogitArray } from '../call/types.js';
import { SAMPLE } from '../backend/operators.js';
import { backendFor } from '../backend/choice.js';
import { samplingKernels } from '../js/sampling/sampling.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { count, positive } from '../call/checks.js';
import { types, type NewFloat32Array, type NewFloat64Array, type NewUint32Array } from '../call/types.js';
import { fraction } from '../call/values.js';
import { ln } from '../math/log.js';
import { optionsOf, type Given } from './options.js';
import { checkCount, checkEither, noiseOf, SEED_OPTIONS, streamOf, type Noise, type SeedOptions } from './random.js';
import { hasNaN, MASKED_OPTIONS, nothingFinite, rowsOf, type MaskedOptions } from './rows.js';

/** Which tokens may be drawn. Filters apply in this order, each to the probabilities that earlier ones left. */
export interface FilterOptions<A extends LogitArray = LogitArray> extends MaskedOptions<A> {
  /**
   * The divisor of the logits, first of all. 0: the largest logit alone is left (the lowest index of several). Default:
   * 1.
   */
  temperature?: number | null | undefined;
  /** The k largest logits. 0: all. Default: 0. */
  topK?: number | null | undefined;
  /** The smallest set of the most probable tokens that together have this share; at least one. 1: all. Default: 1. */
  topP?: number | null | undefined;
  /**
   * The tokens with at least this part of the largest probability: logits ≥ largest + temperature · ln minP. 0: all.
   * Default: 0.
   */
  minP?: number | null | undefined;
  /**
   * The smallest set with this share of the tokens whose −ln p is nearest to its mean, the entropy; at least one. 1:
   * all. Default: 1.
   */
  typicalP?: number | null | undefined;
  /** The tokens with at least this probability, and the most probable in any case. 0: all. Default: 0. */
  epsilonCutoff?: number | null | undefined;
}

export interface SampleOptions<A extends LogitArray = LogitArray> extends FilterOptions<A>, SeedOptions {
  /** Instead of a seed: a number u for each draw, 0 ≤ u < 1. */
  noise?: Noise | null | undefined;
}

export interface FilteredLogits<A> {
  /**
   * (logits + bias) / temperature where a token is left, −∞ elsewhere: `sample` draws from their softmax. Rows
   * whose largest one is beyond the type, as at a temperature of 1e-39 in float32, are relative to it:
   * (logits + bias − largest) / temperature.
   */
  readonly logits: A;
  /** The probabilities of the tokens that are left, 0 elsewhere. */
  readonly probabilities: A;
}

const FILTER_OPTIONS = [...MASKED_OPTIONS, 'temperature', 'topK', 'topP', 'minP', 'typicalP', 'epsilonCutoff'];
export const SAMPLE_OPTIONS = [...FILTER_OPTIONS, ...SEED_OPTIONS, 'noise'];

/** The checked filters, as kernels take them. */
function filtersOf(options: Given<FilterOptions>, cols: number) {
  const temperature = positive(options.temperature ?? 1, 'temperature', true);
  const topK = count(options.topK ?? 0, 'topK', 0);
  const topP = fraction(options.topP ?? 1, 'topP');
  const minP = fraction(options.minP ?? 0, 'minP');
  const typicalP = fraction(options.typicalP ?? 1, 'typicalP');
  const epsilon = fraction(options.epsilonCutoff ?? 0, 'epsilonCutoff');
  return {
    topK: topK === 0 ? cols : Math.min(topK, cols),
    temperature,
    topP,
    minDistance: minP === 0 ? -Infinity : temperature * ln(minP),
    typicalP,
    epsilon,
  };
}

interface Outputs {
  /** Tokens of each row. */
  readonly draws: number;
  /** Whether kept logits and probabilities are wanted. */
  readonly wantsLogits: boolean;
}

type NewFloatArray = NewFloat32Array | NewFloat64Array;
type Finish<R> = (tokens: NewUint32Array, kept: NewFloatArray, probabilities: NewFloatArray) => R;

/** The checked call; `finish` makes its result. */
function callFor<R>(logits: LogitArray, options: Given<SampleOptions>, outputs: Outputs, finish: Finish<R>): Call<R> {
  const { draws, wantsLogits } = outputs;
  checkEither(options);
  const noise = noiseOf(options.noise, 'numbers from 0 to below 1', (u) => u >= 0 && u < 1);
  const { x, type, rows, cols, mask, maskLayout, bias } = rowsOf(logits, options);
  const filters = filtersOf(options, cols);
  const uniforms = wantsLogits ? new Float64Array(0) : uniformsOf(options, noise, rows, draws);
  const tokens = new Uint32Array(rows * draws);
  const status = new Int32Array(rows);
  const Floats = types.isFloat64Array(x) ? Float64Array : Float32Array;
  const length = wantsLogits ? rows * cols : 0;
  const [kept, probabilities] = [new Floats(length), new Floats(length)];
  const results = { kept: wantsLogits ? kept : null, probabilities: wantsLogits ? probabilities : null };
  return callOf(SAMPLE, {
    backend: backendFor(rows * cols, samplingKernels),
    type,
    args: { x, tokens, ...results, status, uniforms, rows, cols, draws, ...filters, mask, maskLayout, bias },
    own: ['tokens', 'kept', 'probabilities', 'status', 'uniforms'],
    names: { x: 'logits' },
    work: rows * cols,
    finish() {
      const row = status.findIndex((code) => code !== 0);
      if (row >= 0) throw status[row] === 1 ? hasNaN(row) : nothingFinite(row);
      return finish(tokens, kept, probabilities);
    },
  });
}

/** A number in [0, 1) for each draw: the caller's noise, or the stream's. */
function uniformsOf(
  options: Given<SampleOptions>,
  noise: Float64Array | undefined,
  rows: number,
  draws: number,
): Float64Array {
  if (noise !== undefined) {
    checkCount(noise, rows * draws);
    return noise;
  }
  const stream = streamOf(options, rows);
  const uniforms = new Float64Array(rows * draws);
  for (let r = 0; r < rows; r++) {
    for (let d = 0; d < draws; d++) uniforms[r * draws + d] = stream.token(r, d);
  }
  return uniforms;
}

/**
 * One token of each row, drawn from softmax((logits + bias) / temperature) after the filters.
 *
 * The filters, in the order of transformers (`LogitsProcessorList` of v4): temperature, topK, topP, minP, typicalP,
 * epsilonCutoff. llama.cpp has the temperature last and typicalP before topP. Its rules for a single filter are the
 * rules here; the rules of minP (on logits) and of ties in typicalP (the smallest set, and not all tokens as far off)
 * come from llama.cpp. Among equal logits, lower indices count as more probable. A position that is masked, −∞, or
 * filtered has no part in any share.
 *
 * Drawn by inversion: u · Σ weights, along indices. Weights are rounded to a multiple of 2^-46 of the largest (a larger
 * step for rows of more than 65,536), and added as integers: the same u gives the same token on every backend, thread
 * and batch.
 *
 * @param logits Row-major: all of them one row, or rows of `cols`. Not written.
 * @param options The filters; `mask`, `bias`; `seed`, `step` and `firstRow`, or `noise`.
 * @returns An index for each row.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a number that makes no sense, lengths that do not
 *   fit, and for a row that has a NaN, +∞, or no finite logit left, which it names.
 */
export function sample<A extends LogitArray>(logits: A, options?: SampleOptions<A>): NewUint32Array {
  return runNow(sampleCall(logits, options));
}

/** The checked call, not run yet. `more` names options that the caller handles. */
export function sampleCall(
  logits: LogitArray,
  options: SampleOptions | undefined,
  more: readonly string[] = [],
): Call<NewUint32Array> {
  const given = optionsOf(options, more.length === 0 ? SAMPLE_OPTIONS : [...SAMPLE_OPTIONS, ...more]);
  return callFor(logits, given, { draws: 1, wantsLogits: false }, (tokens) => tokens);
}

/**
 * n tokens of each row, independent of one another, after filtering once: [rows, n]. The first of a row is the token of
 * {@link sample}.
 *
 * @param n The number of tokens, from 1.
 * @throws As {@link sample}.
 */
export function sampleMany<A extends LogitArray>(logits: A, n: number, options?: SampleOptions<A>): NewUint32Array {
  return runNow(sampleManyCall(logits, n, options));
}

/** The checked call, not run yet. `more` names options that the caller handles. */
export function sampleManyCall(
  logits: LogitArray,
  n: number,
  options: SampleOptions | undefined,
  more: readonly string[] = [],
): Call<NewUint32Array> {
  const given = optionsOf(options, [...SAMPLE_OPTIONS, ...more]);
  const draws = count(n, 'n', 1);
  if (draws > 2 ** 32 - 1) throw outOfRange('an integer below 2^32', 'n', n);
  return callFor(logits, given, { draws, wantsLogits: false }, (tokens) => tokens);
}

/**
 * The tokens that the filters of {@link sample} leave, as logits and as probabilities. For half types both are
 * Float32Arrays.
 *
 * Probabilities are exact to 10^-12, or rounded to float32; those below 2^-64 of the largest are 0.
 *
 * @param options The filters, `mask`, `bias`. With temperature 0 the logit that is left is not divided.
 * @throws As {@link sample}.
 */
export function filterLogits(
  logits: Float64Array,
  options?: FilterOptions<Float64Array>,
): FilteredLogits<NewFloat64Array>;
export function filterLogits<A extends Exclude<LogitArray, Float64Array>>(
  logits: A,
  options?: FilterOptions<A>,
): FilteredLogits<NewFloat32Array>;
export function filterLogits(logits: LogitArray, options?: FilterOptions): FilteredLogits<FloatArray> {
  return runNow(filterCall(logits, options));
}

/** The checked call, not run yet. `more` names options that the caller handles. */
export function filterCall(
  logits: LogitArray,
  options: FilterOptions | undefined,
  more: readonly string[] = [],
): Call<FilteredLogits<NewFloatArray>> {
  const given = optionsOf(options, [...FILTER_OPTIONS, ...more]);
  const outputs = { draws: 0, wantsLogits: true };
  return callFor(logits, given, outputs, (_, kept, probabilities) => ({ logits: kept, probabilities }));
}
