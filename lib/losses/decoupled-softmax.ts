/** decoupledSoftmax: a loss of many positives a row, each against the negatives alone. */
import type { KernelArray } from '../backend/backend.js';
import type { AsyncOptions } from '../call/abort.js';
import { copyInto, lengthOf } from '../call/arrays.js';
import { axisCall, type AxisCall, type AxisOperator } from '../call/axis.js';
import { bitsOf } from '../call/checks.js';
import { checkWhole } from '../call/memory.js';
import { AXIS_NAMES, optionNames, readable, type AxisOptions, type Form } from '../call/options.js';
import { privately, runSteps, type Steps } from '../call/steps.js';
import type { LogitArray, NewFloat64Array, Returned } from '../call/types.js';
import { expBelowZero } from '../math/exp.js';
import { log1p } from '../math/log.js';
import { logSumExpCall } from '../softmax/log-sum-exp.js';
import { softmaxCall } from '../softmax/softmax.js';
import { gradientFor } from './gradient.js';
import { HIDDEN, numbersOf, rowsOf, type PositiveRows, type Positives } from './positives.js';
import { writerOf } from '../math/read.js';

export type { Positives };

export interface DecoupledSoftmaxOptions<A extends LogitArray = LogitArray, Out = Float64Array> extends AxisOptions<
  A,
  Out
> {
  /** Where the gradient of each row's loss by its logits goes, if that is wanted: as x, x itself or apart from it. */
  gradient?: A | undefined;
}

/**
 * The decoupled softmax loss of each row (Gupta et al., "Dual-Encoders for Extreme Multi-Label Classification", arXiv
 * 2310.10636): positives do not compete with one another, but each with the negatives N, all positions that are none:
 *
 *     L = Σⱼ w[j] softplus(lse(N) − s[j]) / Σⱼ w[j]      s = (logits + bias) / temperature
 *     ∂L/∂s[n] = softmax(N)[n] · Σⱼ w[j] σ(lse(N) − s[j]) / Σ w      ∂L/∂s[j] = −w[j] σ(lse(N) − s[j]) / Σ w
 *
 * and a temperature-th of ∂ by the logits. A row without positives, or whose weights sum to 0, has loss and gradient 0;
 * without negatives too. A masked positive, or one of −∞, costs +∞. Masked positions have gradient 0. Otherwise a row
 * with an unmasked NaN or +∞ has NaN for both. Losses are one a row, not reduced.
 *
 * It is composed of logSumExp and softmax with a mask. Largest error seen: of a loss 2⁻⁵⁰ · (1 + |lse| + |s|),
 * relative; of a float32 gradient 4 ULP.
 *
 * @param logits Row-major: all of them one row, or rows as `cols` or `shape` and `axis` say. Not written, unless
 *   `gradient`.
 * @param positives The positives of each row, in the order of logSumExp's results. They are copied first.
 * @param options See {@link AxisOptions}, and `gradient`; `out` is a Float64Array with an element for each row.
 * @returns `out`, or a new Float64Array.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for positives that are no compressed rows or are named
 *   twice, a number that makes no sense, lengths that do not fit, results that overlap. Nothing was written then.
 */
export function decoupledSoftmax<A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  logits: A,
  positives: Positives,
  options?: DecoupledSoftmaxOptions<A, Out>,
): Returned<Out> {
  return runSteps(decoupledSoftmaxSteps('now', logits, positives, options));
}

const CHECKS: AxisOperator = {
  logits: 'logits',
  result: 'row',
  names: /* @__PURE__ */ optionNames<DecoupledSoftmaxOptions>({ ...AXIS_NAMES.now, gradient: true }),
};

export function decoupledSoftmaxSteps<A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  form: Form,
  logits: A,
  positives: Positives,
  options: DecoupledSoftmaxOptions<A, Out> & AsyncOptions = {},
): Steps<Returned<Out>> {
  // All that could run a caller's code is read before axisCall takes lengths.
  const given = typeof options === 'object' && options !== null ? { ...options } : options;
  const { gradient } = readable(given);
  const csr = numbersOf(positives);
  const call = axisCall(CHECKS, form, logits, given);
  gradientFor(gradient, logits, call);
  const rows = rowsOf(csr, call);
  return steps({ form, logits, gradient, call, options: given, rows }) as Steps<Returned<Out>>;
}

interface Parts {
  readonly form: Form;
  readonly logits: LogitArray;
  readonly gradient: LogitArray | undefined;
  readonly call: AxisCall;
  readonly options: AxisOptions<LogitArray, LogitArray>;
  readonly rows: PositiveRows;
}

/** Elements whose gradients are written between two turns of the event loop. */
const PIECE = 2 ** 18;

function* steps({ form, logits, gradient, call, options, rows }: Parts): Steps<Float64Array> {
  const { bias, temperature, dtype } = options;
  const { outer, cols, inner } = call.args;
  const { type } = call;
  const loss = call.out as Float64Array;
  const callers = {
    out: { view: loss, name: 'out', length: lengthOf(loss) },
    gradient: gradient && { view: gradient, name: 'gradient', length: lengthOf(gradient) },
  };
  const x = yield* privately(form, logits, 'logits');
  const shift = bias === undefined ? undefined : yield* privately(form, bias, 'bias');
  const settings = { shape: [outer, cols, inner], axis: 1, mask: rows.negatives, bias: shift, temperature, dtype };
  const lse = new Float64Array(outer * inner);
  if (call.elements > 0) yield logSumExpCall(form, x, { ...settings, out: lse });
  else lse.fill(-Infinity);
  const results = lossesOf(rows, lse);
  if (gradient !== undefined && call.elements > 0) {
    const isDouble = type === 'f64';
    const probabilities = isDouble ? new Float64Array(call.elements) : new Float32Array(call.elements);
    yield softmaxCall(form, x, { ...settings, out: probabilities } as never);
    if (form === 'later') for (const caller of [callers.gradient!, callers.out]) checkWhole(caller);
    const slopes = bitsOf(gradient);
    yield* writeGradient(slopes, type, probabilities, { rows, results, call, turns: form === 'later' });
    // A promise looks again where it was written in turns.
    if (form === 'later') checkWhole(callers.gradient!);
  }
  if (form === 'later') checkWhole(callers.out);
  copyInto(loss, results.loss);
  return loss;
}

interface Results {
  readonly loss: Float64Array;
  /** Σ w σ / Σ w of each row, and w σ / Σ w of each positive. */
  readonly factors: Float64Array;
  readonly slopes: Float64Array;
}

function lossesOf({ indptr, weights, scores }: PositiveRows, lse: Float64Array): Results {
  const rows = lse.length;
  const results = {
    loss: new Float64Array(rows),
    factors: new Float64Array(rows),
    slopes: new Float64Array(scores.length),
  };
  for (let r = 0; r < rows; r++) {
    const [from, end] = [indptr[r]!, indptr[r + 1]!];
    let whole = 0;
    for (let j = from; j < end; j++) whole += weights[j]!;
    if (whole === 0) continue;
    let [sum, factor] = [0, 0];
    for (let j = from; j < end; j++) {
      const score = scores[j]!;
      const isBad = lse[r] === Infinity || score === Infinity;
      const t = lse[r] === -Infinity ? (score === score ? -Infinity : NaN) : isBad ? NaN : lse[r]! - score;
      const e = t === t ? expBelowZero(-Math.abs(t)) : NaN;
      const share = weights[j]! / whole;
      // A weight of 0 drops a positive, an infinite loss too.
      if (share > 0) sum += share * (Math.max(t, 0) + log1p(e, 0)[0]);
      const slope = share > 0 ? (share * (t > 0 ? 1 : e)) / (1 + e) : 0;
      results.slopes[j] = slope;
      factor += slope;
    }
    results.loss[r] = sum;
    results.factors[r] = factor;
  }
  return results;
}

interface Gradient {
  readonly rows: PositiveRows;
  readonly results: Results;
  readonly call: AxisCall;
  readonly turns: boolean;
}

function* writeGradient(
  slopes: KernelArray,
  type: string,
  probabilities: Float32Array | Float64Array,
  { rows, results, call, turns }: Gradient,
): Steps<void> {
  const { outer, cols, inner, temperature } = call.args;
  const write = writerOf(slopes, type);
  const factors = results.factors.map((factor) => factor / temperature);
  const group = Math.max(1, Math.floor(PIECE / Math.max(1, cols * inner)));
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const range = { start: o * cols * inner + i, cols, inner, factor: factors[o * inner + i]! };
      if (type === 'f32' || type === 'f64') scaleRow(slopes as Float32Array, probabilities as Float32Array, range);
      else roundRow(write, probabilities, range);
    }
    if (turns && o % group === group - 1) yield undefined;
  }
  for (let r = 0; r < outer * inner; r++) {
    if (results.factors[r] === 0) continue;
    for (let j = rows.indptr[r]!; j < rows.indptr[r + 1]!; j++) {
      if (rows.places[j] !== HIDDEN) write(rows.places[j]!, -results.slopes[j]! / temperature + 0);
    }
  }
}

/** A row of elements that lie `inner` apart, and what they are multiplied by; 0 makes them 0, NaN as well. */
interface Range {
  readonly start: number;
  readonly cols: number;
  readonly inner: number;
  readonly factor: number;
}

/** Functions of their own: V8 does not optimise a loop inside of a generator. */
function scaleRow(to: Float32Array, from: Float32Array, { start, cols, inner, factor }: Range): void {
  for (let c = 0, at = start; c < cols; c++, at += inner) to[at] = factor === 0 ? 0 : from[at]! * factor;
}

function roundRow(
  write: (i: number, value: number) => void,
  from: Float32Array | Float64Array,
  { start, cols, inner, factor }: Range,
): void {
  for (let c = 0, at = start; c < cols; c++, at += inner) write(at, factor === 0 ? 0 : from[at]! * factor);
}
