/** beamStep: one step of beam search. */
import { NO_INDEX, type KernelArray } from '../backend/backend.js';
import { backendFor } from '../backend/choice.js';
import { CROSS_ENTROPY, TOP_K } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { newLike } from '../call/axis.js';
import { callOf } from '../call/call.js';
import { count, positive } from '../call/checks.js';
import { outOfRange, wrongType, wrongValue } from '../call/errors.js';
import { FORM_OPTIONS, type Form } from '../call/options.js';
import { privately, runSteps, type Steps } from '../call/steps.js';
import type { LogitArray, NewFloat64Array, NewUint32Array } from '../call/types.js';
import { crossEntropyKernels } from '../js/losses/cross-entropy.js';
import { samplingKernels } from '../js/sampling/sampling.js';
import { listOf, optionsOf } from './options.js';
import { hasNaN, LogitSums, MASKED_OPTIONS, nothingFinite, rowsOf, type MaskedOptions, type Rows } from './rows.js';

export interface BeamStepOptions<A extends LogitArray = LogitArray> extends MaskedOptions<A> {
  /** The number of tokens of the vocabulary. Default: the length of `logits` by the number of scores. */
  cols?: number | null | undefined;
  /** How many rows that follow one another are the beams of one sequence. Default: all. */
  beams?: number | null | undefined;
  /** The divisor of the logits: finite and > 0. Default: 1. */
  temperature?: number | null | undefined;
}

export interface BeamStep {
  /** Of each sequence, `k` rows of logits: the beams that go on, the best first. */
  readonly beams: NewUint32Array;
  /** The token that continues each. */
  readonly tokens: NewUint32Array;
  /** The score of each: of its beam, plus ln p of its token. */
  readonly scores: NewFloat64Array;
  /** How many there are of each sequence: k, or beams · cols if that is less. */
  readonly k: number;
}

/**
 * The k best continuations of beams, over all beams and tokens of a sequence:
 *
 *     score[beam, token] = scores[beam] + ln softmax((logits[beam] + bias) / temperature)[token]
 *
 * No logSoftmax is written: k tokens of each row compete, and ln p is that of `logProbs`. Largest error of a score
 * seen: 4 · 10^-9 (float32, native), 2 · 10^-15 (float64 and JavaScript, scores near 10). Equal scores: the lower beam
 * comes first; within a beam the larger logit, then the lower token. A beam with the score −∞ has
 * continuations of −∞, which come last: start with scores [0, −∞, …] where all beams are the same prompt.
 * transformers takes k = 2 · beams, so that as many beams go on when sequences end.
 *
 * @param logits Row-major, a row for each beam.
 * @param scores The sum of ln p of each beam, as many as rows: numbers or −∞.
 * @param k How many, from 1.
 * @param options `beams`, `cols`, `temperature`; `mask`, `bias`; `dtype` for a Uint16Array.
 * @returns k beams, tokens and scores for each sequence, the best first.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for no beams, a score that is NaN or +∞, lengths that do
 *   not fit, and a row with a NaN or, unless its score is −∞, without a finite largest logit, which it names.
 * @example
 * import { beamStep } from 'flash-softmax/sampling';
 * const { beams, tokens, scores } = beamStep(Float32Array.of(0, 2, 3, 0), [-1, -1.5], 2); // two beams
 * console.log(beams.join(' '), tokens.join(' '), scores[0].toFixed(4)); // → 0 1 1 0 -1.1269
 */
export function beamStep<A extends LogitArray>(
  logits: A,
  scores: ArrayLike<number>,
  k: number,
  options?: BeamStepOptions<A>,
): BeamStep {
  return runSteps(beamStepSteps('now', logits, scores, k, options));
}

const OPTIONS = [...MASKED_OPTIONS, 'beams', 'temperature'];

/** The checked call: its generator has not begun. */
export function beamStepSteps(
  form: Form,
  logits: LogitArray,
  scores: ArrayLike<number>,
  k: number,
  options?: BeamStepOptions & AsyncOptions,
): Steps<BeamStep> {
  const given = optionsOf<BeamStepOptions>(options, [...OPTIONS, ...FORM_OPTIONS[form]]);
  const { beams, temperature, cols, ...rest } = given;
  const divisor = positive(temperature ?? 1, 'temperature');
  const wanted = count(k, 'k');
  const list = scoresOf(scores);
  const n = list.length;
  if (n === 0) throw wrongValue('at least one score', 'scores', 'none');
  const size = count(beams ?? n, 'beams');
  if (n % size !== 0) throw wrongValue(`a divisor of the ${n} scores`, 'beams', String(size));

  const whole = rowsOf(logits, { dtype: rest.dtype }).cols; // lengths are taken from here on
  const length = cols === undefined ? whole / n : count(cols, 'cols');
  if (whole === 0 || whole !== length * n || !Number.isInteger(length)) {
    throw wrongValue(`${n} rows, one a score,`, 'logits', `${whole} elements`);
  }
  if (length >= 2 ** 31) throw outOfRange('rows of less than 2^31 logits', 'logits', length);
  const rows = rowsOf(logits, { ...rest, cols: length });
  return steps({ form, rows, scores: list, beams: size, divisor, k: wanted });
}

/** A checked copy. */
function scoresOf(scores: unknown): number[] {
  const check = (score: unknown, i: number): number => {
    if (typeof score !== 'number') throw wrongType('a number', `scores[${i}]`, score);
    if (!(score < Infinity)) throw outOfRange('a number or −∞', `scores[${i}]`, score);
    return score;
  };
  return listOf(scores, 'scores', check, 'an array of numbers');
}

interface Parts {
  readonly form: Form;
  readonly rows: Rows;
  readonly scores: readonly number[];
  readonly beams: number;
  readonly divisor: number;
  readonly k: number;
}

function* steps({ form, rows: given, scores, beams, divisor, k }: Parts): Steps<BeamStep> {
  const x = yield* privately(form, given.x, 'logits');
  const mask = given.mask === null ? null : yield* privately(form, given.mask, 'mask');
  const bias = given.bias === null ? null : yield* privately(form, given.bias, 'bias');
  const rows: Rows = { ...given, x, mask, bias };
  const n = Math.min(k, rows.cols);
  const indices = new Uint32Array(rows.rows * n);
  yield topCall(rows, n, indices);
  const tops = Int32Array.from(scores, (_, row) => indices[row * n]!);
  const losses = new Float64Array(rows.rows);
  yield lossCall(rows, tops, losses, divisor);
  return bestOf(candidatesOf(rows, indices, losses, { scores, divisor, n }), { indices, n, beams }, k);
}

/** The n largest logits of each row. */
function topCall({ x, type, rows, cols, mask, maskLayout, bias }: Rows, n: number, indices: Uint32Array) {
  const values = newLike(x, rows * n) as KernelArray;
  return callOf(TOP_K, {
    backend: backendFor(rows * cols, samplingKernels),
    type,
    args: { x, indices, values, targets: null, ranks: null, rows, cols, k: n, mask, maskLayout, bias },
    own: ['x', 'indices', 'values', 'mask', 'bias'],
    work: rows * cols,
    finish() {
      for (let row = 0; row < rows; row++) if (indices[row * n] === NO_INDEX) throw hasNaN(row);
    },
  });
}

/** −ln p of a token of each row. */
function lossCall(call: Rows, targets: Int32Array, loss: Float64Array, temperature: number) {
  const { x, type, rows: outer, cols, mask, maskLayout, bias } = call;
  return callOf(CROSS_ENTROPY, {
    backend: backendFor(outer * cols, crossEntropyKernels),
    type,
    args: { x, targets, loss, gradient: null, outer, cols, inner: 1, temperature, mask, maskLayout, bias },
    own: ['x', 'targets', 'loss', 'mask', 'bias'],
    work: outer * cols,
    finish: () => undefined,
  });
}

interface Scoring {
  readonly scores: readonly number[];
  readonly divisor: number;
  readonly n: number;
}

/** The scores of n tokens of each row, in the order of the row's logits. */
function candidatesOf(rows: Rows, indices: Uint32Array, losses: Float64Array, { scores, divisor, n }: Scoring) {
  const sums = new LogitSums(rows);
  const candidates = new Float64Array(rows.rows * n).fill(-Infinity);
  for (let row = 0; row < rows.rows; row++) {
    if (scores[row] === -Infinity) continue;
    const top = sums.read(row, indices[row * n]!);
    const low = sums.low;
    if (!(Math.abs(top) < Infinity)) throw nothingFinite(row);
    for (let i = 0; i < n; i++) {
      const high = sums.read(row, indices[row * n + i]!);
      const distance = i === 0 ? 0 : sums.distance(high, sums.low, top, low, divisor);
      candidates[row * n + i] = scores[row]! + (distance - losses[row]!);
    }
  }
  return candidates;
}

interface Lists {
  readonly indices: Uint32Array;
  readonly n: number;
  readonly beams: number;
}

/** Merges the candidates of each sequence's rows, which are in order. */
function bestOf(candidates: Float64Array, { indices, n, beams }: Lists, wanted: number): BeamStep {
  const sequences = candidates.length / n / beams;
  const k = Math.min(wanted, n * beams);
  const result = {
    beams: new Uint32Array(sequences * k),
    tokens: new Uint32Array(sequences * k),
    scores: new Float64Array(sequences * k),
    k,
  };
  for (let sequence = 0; sequence < sequences; sequence++) {
    const taken = new Uint32Array(beams);
    for (let i = sequence * k; i < (sequence + 1) * k; i++) {
      const beam = bestBeam(candidates, taken, { first: sequence * beams, n });
      const row = sequence * beams + beam;
      const at = row * n + taken[beam]!;
      taken[beam]!++;
      [result.beams[i], result.tokens[i], result.scores[i]] = [row, indices[at]!, candidates[at]!];
    }
  }
  return result;
}

/** The beam of a sequence whose next candidate is the best. */
function bestBeam(candidates: Float64Array, taken: Uint32Array, { first, n }: { first: number; n: number }): number {
  let best = -1;
  let score = NaN;
  for (let beam = 0; beam < taken.length; beam++) {
    if (taken[beam]! === n) continue;
    const next = candidates[(first + beam) * n + taken[beam]!]!;
    if (best >= 0 && next <= score) continue;
    [best, score] = [beam, next];
  }
  return best;
}
