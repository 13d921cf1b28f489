/** decoupledSoftmax: a loss of many positives a row, each against the negatives alone. */
import type { KernelArray } from '../backend/backend.js';
import { backendFor } from '../backend/choice.js';
import { counts } from '../backend/masks.js';
import { LOG_SUM_EXP, NORMALIZE } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { copyInto, lengthOf, viewOf } from '../call/arrays.js';
import { axisCall, type AxisArguments, type AxisCall, type AxisOperator } from '../call/axis.js';
import { callOf } from '../call/call.js';
import { bitsOf } from '../call/checks.js';
import { checkWhole, scratchLike } from '../call/memory.js';
import { AXIS_NAMES, optionNames, readable, type AxisOptions, type Form } from '../call/options.js';
import { ownCopy, privately, runSteps, type Steps } from '../call/steps.js';
import type { ElementType, LogitArray, NewFloat64Array, Returned } from '../call/types.js';
import { logSumExpKernels } from '../js/softmax/log-sum-exp.js';
import { normalizeKernels } from '../js/softmax/normalize.js';
import { expBelowZero, extendedExp } from '../math/exp.js';
import { extended } from '../math/extended.js';
import { log1p } from '../math/log.js';
import { lowestOf, readerOf, writerOf } from '../math/read.js';
import { RunningSum } from '../math/running-sum.js';
import { settle } from '../softmax/exp-sum-state.js';
import { gradientFor } from './gradient.js';
import { HIDDEN, numbersOf, rowsOf, type PositiveRows, type Positives } from './positives.js';

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
 * and a temperature-th of ∂ by the logits. A row without positives, or of weights 0, has loss and gradient 0.
 * Otherwise a row with an unmasked NaN or +∞ has NaN for both, and one without negatives 0. A masked positive, or one
 * of −∞, costs +∞. Masked positions have gradient 0. Losses are one a row, not reduced.
 *
 * It is composed of logSumExp and normalize over a copy in which positives are −∞. Largest error seen: of a loss
 * 2⁻⁵⁰ · (1 + |lse| + |s|), relative; of a float32 gradient 4 ULP, of a float64 gradient 2⁻⁵² · (1 + |lse|), relative.
 *
 * @param logits Row-major: all of them one row, or rows as `cols` or `shape` and `axis` say. Not written, unless
 *   `gradient`.
 * @param positives The positives of each row, in the order of logSumExp's results. They are copied first.
 * @param options See {@link AxisOptions}, and `gradient`; `out` is a Float64Array with an element for each row.
 * @returns `out`, or a new Float64Array.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for positives that are no compressed rows or are named
 *   twice, a number that makes no sense, lengths that do not fit, results that overlap. Nothing was written then.
 * @example
 * import { decoupledSoftmax } from 'flash-softmax/losses';
 * const positives = { indptr: [0, 2], indices: [0, 2] }; // of the one row: columns 0 and 2
 * console.log(decoupledSoftmax(Float32Array.of(2, -1, 2, 0), positives)[0].toFixed(4)); // → 0.1698
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
  return steps({ form, gradient, call, rows }) as Steps<Returned<Out>>;
}

interface Parts {
  readonly form: Form;
  readonly gradient: LogitArray | undefined;
  readonly call: AxisCall;
  readonly rows: PositiveRows;
}

function* steps({ form, call, gradient, rows }: Parts): Steps<Float64Array> {
  const { outer, inner } = call.args;
  const loss = call.out as Float64Array;
  const callers = [{ view: loss, name: 'out', length: lengthOf(loss) }];
  if (gradient !== undefined) callers.push({ view: gradient as never, name: 'gradient', length: lengthOf(gradient) });
  const shared = yield* negativesOf(form, call, rows);
  const lse = new Float64Array(outer * inner).fill(-Infinity);
  if (call.elements > 0) {
    yield callOf(LOG_SUM_EXP, {
      backend: backendFor(call.elements, logSumExpKernels),
      type: call.type as ElementType,
      args: { ...shared, out: lse },
      own: ['x', 'out'],
      work: call.elements,
      finish: () => undefined,
    });
  }
  const results = lossesOf(rows, lse);
  if (gradient !== undefined && call.elements > 0) {
    if (form === 'later') callers.forEach(checkWhole);
    const slopes = bitsOf(gradient);
    yield gradientOfNegatives(call, { ...shared, out: slopes, ...sumsOf(results.factors, lse, shared.temperature) });
    if (form === 'later') callers.forEach(checkWhole);
    writeRest(slopes, { call, shared, rows, results, lse });
  }
  if (form === 'later') checkWhole(callers[0]!);
  copyInto(loss, results.loss);
  return loss;
}

/** The arguments that both kernels share: a copy of the logits without its positives, and what belongs to it. */
function* negativesOf(form: Form, { args, type }: AxisCall, rows: PositiveRows) {
  const { x, outer, cols, inner, temperature, maskLayout } = args;
  const copies = [
    form === 'now' ? scratchOf(x) : ownCopy(x, 'logits'),
    args.bias === null ? null : privately(form, args.bias, 'bias'),
    args.mask === null ? null : privately(form, args.mask, 'mask'),
  ] as const;
  const negatives = yield* copies[0];
  const lowest = lowestOf(type as ElementType);
  for (const at of rows.places) if (at !== HIDDEN) negatives[at] = lowest;
  const bias = copies[1] === null ? null : yield* copies[1];
  const mask = copies[2] === null ? null : yield* copies[2];
  return { x: negatives, outer, cols, inner, temperature, mask, maskLayout, bias } as const;
}

/** A copy of a call that runs at once, in memory that was used before. */
function* scratchOf(x: KernelArray): Generator<undefined, KernelArray> {
  const copy = viewOf(scratchLike(x, lengthOf(x)) as KernelArray, 0, lengthOf(x));
  copyInto(copy, x);
  return copy;
}

type Shared = ReturnType<typeof negativesOf> extends Generator<undefined, infer Args> ? Args : never;

/** exp(x / T) over exp(lse) · T / factor: the gradient of all negatives. */
const gradientOfNegatives = (call: AxisCall, args: Shared & ReturnType<typeof sumsOf> & { out: KernelArray }) =>
  callOf(NORMALIZE, {
    backend: backendFor(call.elements, normalizeKernels),
    type: call.type as ElementType,
    args,
    own: ['x', 'mantissa', 'exponent'],
    names: { out: 'gradient' },
    work: call.elements,
    finish: () => undefined,
  });

interface Computed {
  readonly call: AxisCall;
  readonly shared: Shared;
  readonly rows: PositiveRows;
  readonly results: ReturnType<typeof lossesOf>;
  readonly lse: Float64Array;
}

/** Writes the gradient of positives, and of rows that normalize cannot give. */
function writeRest(slopes: KernelArray, { call, shared, rows, results, lse }: Computed): void {
  const type = call.type as ElementType;
  const write = writerOf(slopes, type);
  const far = {
    args: { ...call.args, ...shared },
    read: readerOf(shared.x, type),
    readBias: biasReaderOf(shared.bias, shared, type),
  };
  for (let r = 0; r < lse.length; r++) {
    if (results.factors[r] === 0) clearRow(slopes, r, call.args);
    else if (Math.abs(lse[r]!) > FARTHEST && lse[r] !== Infinity) writeFarRow(write, far, r, results.factors[r]!);
  }
  rows.places.forEach((at, j) => {
    if (at !== HIDDEN) write(at, -results.slopes[j]! / shared.temperature + 0);
  });
}

/** The sum of each row that makes normalize give factor / T · exp(z) / exp(lse), as mantissa · 2^exponent. */
function sumsOf(factors: Float64Array, lse: Float64Array, temperature: number) {
  const [mantissa, exponent] = [new Float64Array(lse.length), new Int32Array(lse.length)];
  for (let r = 0; r < lse.length; r++) {
    const isFinite = Math.abs(lse[r]!) <= FARTHEST && factors[r]! > 0;
    const [m, e] = isFinite ? extendedExp(lse[r]!) : [NaN, 0];
    const [f, shift] = extended(factors[r]!, 0);
    const [t, octaves] = extended(temperature, 0);
    mantissa[r] = (m * t) / f;
    exponent[r] = e + octaves - shift;
    settle(mantissa, exponent, r);
  }
  return { mantissa, exponent };
}

/** Writes 0 to a row, where normalize gave NaN: one without positives or negatives. */
function clearRow(slopes: KernelArray, row: number, { cols, inner }: AxisArguments): void {
  const start = Math.floor(row / inner) * cols * inner + (row % inner);
  for (let c = 0; c < cols; c++) slopes[start + c * inner] = 0;
}

/** The logarithm of the largest sum that normalize takes. */
const FARTHEST = 2 ** 30;

interface FarRows {
  readonly args: AxisArguments;
  read(i: number): number;
  readBias(i: number, column: number): number;
}

function biasReaderOf(bias: KernelArray | null, { cols }: { cols: number }, type: ElementType) {
  if (bias === null) return () => 0;
  const [read, isShared] = [readerOf(bias, type), lengthOf(bias) === cols];
  return (i: number, column: number) => read(isShared ? column : i);
}

/** The gradient of the negatives of a row whose sum is beyond the exponents of normalize. */
function writeFarRow(write: (i: number, v: number) => void, rows: FarRows, row: number, factor: number): void {
  const { cols, inner, temperature, mask, maskLayout } = rows.args;
  const start = Math.floor(row / inner) * cols * inner + (row % inner);
  const at = (c: number): number => start + c * inner;
  const logit = (c: number): number =>
    mask === null || counts(mask, maskLayout, at(c), c) ? rows.read(at(c)) + rows.readBias(at(c), c) : -Infinity;
  let [top, sum] = [-Infinity, 0];
  for (let c = 0; c < cols; c++) top = Math.max(top, logit(c));
  const term = (c: number): number => expBelowZero((logit(c) - top) / temperature);
  for (let c = 0; c < cols; c++) sum += term(c);
  for (let c = 0; c < cols; c++) write(at(c), (factor * (term(c) / sum)) / temperature);
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
    const [sum, factor] = [new RunningSum(), new RunningSum()];
    for (let j = from; j < end; j++) {
      const score = scores[j]!;
      const isBad = lse[r] === Infinity || score === Infinity;
      const t = isBad || score !== score ? NaN : lse[r] === -Infinity ? -Infinity : lse[r]! - score;
      const e = t === t ? expBelowZero(-Math.abs(t)) : NaN;
      const share = weights[j]! / whole;
      // A weight of 0 drops a positive, an infinite loss too.
      if (share > 0) sum.add(share * (Math.max(t, 0) + log1p(e, 0)[0]));
      const slope = share > 0 ? (share * (t > 0 ? 1 : e)) / (1 + e) : 0;
      results.slopes[j] = slope;
      factor.add(slope);
    }
    results.loss[r] = sum.total;
    results.factors[r] = factor.total;
  }
  return results;
}
