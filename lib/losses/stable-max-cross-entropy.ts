/** stableMaxCrossEntropy: the loss of logits whose probabilities are those of stableMax, and its gradient. */
import type { KernelArray } from '../backend/backend.js';
import { counts } from '../backend/masks.js';
import type { AsyncOptions } from '../call/abort.js';
import { copyInto, lengthOf } from '../call/arrays.js';
import { axisCall, type AxisCall, type AxisOperator } from '../call/axis.js';
import { bitsOf } from '../call/checks.js';
import { checkWhole } from '../call/memory.js';
import { namesWith, readable, UNSCALED_NAMES, type Form, type UnscaledOptions } from '../call/options.js';
import { runSteps, type Steps } from '../call/steps.js';
import type { LogitArray, NewFloat64Array } from '../call/types.js';
import { ln, log1p } from '../math/log.js';
import { doublesOf, writerOf } from '../math/read.js';
import { gradientFor } from './gradient.js';
import { reducerOf, reductionOf, totalOf, type LossOf, type Reducer, type Reduction } from './reduce.js';
import { stableMaxCall } from './stable-max.js';
import { indicesOf, positionsOf, type Targets } from './targets.js';

export interface StableMaxLossOptions<
  A extends LogitArray = LogitArray,
  Out = Float64Array,
  R extends Reduction = Reduction,
> extends UnscaledOptions<A, Out> {
  /** Where the gradient of each row's loss by its logits goes, if that is wanted: as x, x itself or apart from it. */
  gradient?: A | undefined;
  /** A row with this target does not count: its loss and its gradient are 0. Default: −100. */
  ignoreIndex?: number | undefined;
  /** As in crossEntropy: 'mean' divides by the number of rows that are not ignored. Default: 'none'. */
  reduction?: R | undefined;
}

/**
 * The cross-entropy of {@link stableMax} (Prieto et al., arXiv 2501.04697), with z = logits + bias:
 *
 *     L = −log p[target]      p = s(z) / Σ s(z)      ∂L/∂z[k] = (p[k] − [k = target]) / (1 + |z[k]|)
 *
 * Its gradient does not vanish by rounding where a row is confident. A target that is −∞ or masked costs +∞, and the
 * gradient is that of the others. Masked positions have gradient 0. A row with an unmasked NaN or +∞ has NaN for both.
 *
 * It is composed of stableMax in double. Losses and float64 gradients are within 1e-14 of their size, float32 gradients
 * are rounded once more.
 *
 * @param logits Row-major: all of them one row, or rows as `cols` or `shape` and `axis` say. Not written, unless
 *   `gradient`.
 * @param targets An index for each row, in the order of logSumExp's results: integers from 0 to the row's length − 1,
 *   or `ignoreIndex`. They are copied first.
 * @param options `gradient`, `ignoreIndex`, `reduction`; `cols`, `shape`, `axis`, `mask`, `maskFormat`, `bias`,
 *   `dtype` as softmax has them; `out` is a Float64Array with an element for each row.
 * @returns `out`, or a new Float64Array; a number with `reduction` 'mean' or 'sum'.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a target that is no position of a row, a number that
 *   makes no sense, lengths that do not fit, results that overlap. Nothing was written then.
 */
export function stableMaxCrossEntropy<
  A extends LogitArray,
  Out extends Float64Array = NewFloat64Array,
  R extends Reduction = 'none',
>(logits: A, targets: Targets, options?: StableMaxLossOptions<A, Out, R>): LossOf<R, Out> {
  return runSteps(stableMaxCrossEntropySteps('now', logits, targets, options));
}

const CHECKS: AxisOperator = {
  logits: 'logits',
  result: 'row',
  names: /* @__PURE__ */ namesWith<UnscaledOptions, StableMaxLossOptions>(UNSCALED_NAMES, {
    gradient: true,
    ignoreIndex: true,
    reduction: true,
  }),
};

export function stableMaxCrossEntropySteps<
  A extends LogitArray,
  Out extends Float64Array = NewFloat64Array,
  R extends Reduction = 'none',
>(
  form: Form,
  logits: A,
  targets: Targets,
  options: StableMaxLossOptions<A, Out, R> & AsyncOptions = {},
): Steps<LossOf<R, Out>> {
  // All that could run a caller's code is read before axisCall takes lengths.
  const { gradient, ignoreIndex = -100, reduction = 'none' } = readable(options);
  const indices = indicesOf(targets);
  const call = axisCall(CHECKS, form, logits, options);
  gradientFor(gradient, logits, call);
  const { outer, cols, inner } = call.args;
  const positions = positionsOf(indices, outer * inner, cols, ignoreIndex);
  const total = reductionOf(reduction) === 'mean' ? totalOf(positions, null) : 1;
  return steps({ form, call, gradient, positions, reducer: reducerOf(reduction, total) }) as Steps<LossOf<R, Out>>;
}

interface Parts {
  readonly form: Form;
  readonly call: AxisCall;
  readonly gradient: LogitArray | undefined;
  readonly positions: Int32Array;
  readonly reducer: Reducer;
}

/** Copies of the caller's numbers are taken before the first turn of the event loop. */
function* steps({ form, call, gradient, positions, reducer }: Parts): Steps<Float64Array | number> {
  const { x, bias, mask, maskLayout, outer, cols, inner } = call.args;
  const loss = call.out as Float64Array;
  const callers = [{ view: loss, name: 'out', length: lengthOf(loss) }];
  if (gradient !== undefined) callers.push({ view: gradient as never, name: 'gradient', length: lengthOf(gradient) });
  const z = doublesOf(x, call.type);
  if (bias !== null) addBias(z, doublesOf(bias, call.type), call.args);
  const p = new Float64Array(call.elements);
  const maskFormat = maskLayout > 2 ? 'bits' : 'bytes';
  const hidden = maskedTargets(positions, call.args);
  const settings = { shape: [outer, cols, inner], axis: 1, mask: mask ?? undefined, maskFormat, out: p } as const;
  if (call.elements > 0) yield stableMaxCall(form, z, settings);
  if (form === 'later') callers.forEach(checkWhole);
  const rows = { z, p, positions, hidden, cols, inner, factor: reducer.factor };
  // All losses are known before either result is written.
  const losses = lossesOf(rows);
  if (gradient !== undefined) {
    const slopes = bitsOf(gradient);
    const isFloat = call.type === 'f32' || call.type === 'f64';
    const to = isFloat ? slopes : new Float64Array(call.elements);
    writeSlopes(to, rows);
    const write = writerOf(slopes, call.type);
    for (let i = 0; !isFloat && i < call.elements; i++) write(i, to[i]!);
  }
  copyInto(loss, losses);
  return reducer.result(loss);
}

type Sizes = Pick<AxisCall['args'], 'cols' | 'inner'>;

/** Adds a bias an element, or one row's to all rows. */
function addBias(z: Float64Array, bias: Float64Array, { cols, inner }: Sizes): void {
  const isShared = bias.length !== z.length;
  for (let i = 0; i < z.length; i++) z[i]! += bias[isShared ? Math.floor(i / inner) % cols : i]!;
}

interface Rows extends Sizes {
  readonly z: Float64Array;
  readonly p: Float64Array;
  readonly positions: Int32Array;
  /** 1 for a row whose target is masked. */
  readonly hidden: Uint8Array;
  readonly factor: number;
}

const startOf = (row: number, { cols, inner }: Sizes): number => Math.floor(row / inner) * cols * inner + (row % inner);

function maskedTargets(positions: Int32Array, { mask, maskLayout, cols, inner }: AxisCall['args']): Uint8Array {
  const hidden = new Uint8Array(positions.length);
  for (let row = 0; mask !== null && row < hidden.length; row++) {
    const at = startOf(row, { cols, inner }) + positions[row]! * inner;
    hidden[row] = +(positions[row]! >= 0 && !counts(mask, maskLayout, at, positions[row]!));
  }
  return hidden;
}

/** Elements whose sum is added to a row's sum at once, so that rounding errors stay few. */
const BLOCK = 512;

/** The sum of a row's probabilities but that of the target: it does not cancel. */
function othersOf({ p, cols, inner }: Rows, start: number, target: number): number {
  const end = start + cols * inner;
  let sum = 0;
  for (let at = start; at < end;) {
    const stop = Math.min(end, at + BLOCK * inner);
    let part = 0;
    for (; at < stop; at += inner) if (at !== target) part += p[at]!;
    sum += part;
  }
  return sum;
}

function lossesOf(rows: Rows): Float64Array {
  const losses = new Float64Array(rows.positions.length);
  for (let row = 0; row < losses.length; row++) {
    if (rows.positions[row]! < 0) continue;
    const start = startOf(row, rows);
    const at = start + rows.positions[row]! * rows.inner;
    losses[row] = rows.hidden[row] === 1 ? Infinity : lossOf(rows, start, at) * rows.factor;
  }
  return losses;
}

/** −ln p of an element. */
function lossOf(rows: Rows, start: number, target: number): number {
  const { z, p, cols, inner } = rows;
  const share = p[target]!;
  if (share > 0.5) return log1p(othersOf(rows, start, target) / share, 0)[0];
  if (!(share < 2 ** -1000)) return -ln(share);
  if (z[target] === -Infinity) return Infinity;
  // A probability far below another one has lost bits: ln s tells how far.
  let top = start;
  for (let at = start; at < start + cols * inner; at += inner) if (p[at]! > p[top]!) top = at;
  return logOf(z[top]!) - ln(p[top]!) - logOf(z[target]!);
}

/** ln s(z). */
const logOf = (z: number): number => (z < 0 ? -log1p(-z, 0)[0] : log1p(z, 0)[0]);

function writeSlopes(slopes: KernelArray, rows: Rows): void {
  const { z, p, positions, hidden, cols, inner, factor } = rows;
  for (let row = 0; row < positions.length; row++) {
    const start = startOf(row, rows);
    const isIgnored = positions[row]! < 0;
    const range = { start, end: start + cols * inner, inner, factor: isIgnored ? 0 : factor };
    const target = start + positions[row]! * inner;
    let atTarget = 0;
    if (!isIgnored && hidden[row] === 0 && z[target] !== -Infinity) {
      const missed = p[target]! > 0.5 ? othersOf(rows, start, target) : 1 - p[target]!;
      atTarget = (-missed / (1 + Math.abs(z[target]!))) * factor + 0;
    }
    slopeRow(slopes, { z, p }, range);
    if (!isIgnored && (hidden[row] === 1 || p[target] === p[target])) slopes[target] = atTarget;
  }
}

interface Range {
  readonly start: number;
  readonly end: number;
  readonly inner: number;
  readonly factor: number;
}

/** p / (1 + |z|) of a row's elements; a function of its own, which V8 optimises. */
function slopeRow(slopes: KernelArray, { z, p }: Pick<Rows, 'z' | 'p'>, { start, end, inner, factor }: Range): void {
  for (let at = start; at < end; at += inner) {
    const share = p[at]!;
    slopes[at] = share === 0 || factor === 0 ? 0 : (share / (1 + Math.abs(z[at]!))) * factor;
  }
}
