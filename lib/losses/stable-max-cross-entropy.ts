/** stableMaxCrossEntropy: the loss of logits whose probabilities are those of stableMax, and its gradient. */
import type { AsyncOptions } from '../call/abort.js';
import { copyInto, lengthOf } from '../call/arrays.js';
import { axisCall, type AxisCall, type AxisOperator } from '../call/axis.js';
import { bitsOf } from '../call/checks.js';
import { checkWhole } from '../call/memory.js';
import { namesWith, readable, UNSCALED_NAMES, type Form, type UnscaledOptions } from '../call/options.js';
import { runSteps, type Steps } from '../call/steps.js';
import type { LogitArray, NewFloat64Array, Returned } from '../call/types.js';
import { expBelowZero } from '../math/exp.js';
import { gradientFor } from './gradient.js';
import { doublesOf, writerOf } from '../math/read.js';
import { logStableMaxCall } from './stable-max.js';
import { indicesOf, positionsOf, type Targets } from './targets.js';

export interface StableMaxLossOptions<A extends LogitArray = LogitArray, Out = Float64Array> extends UnscaledOptions<
  A,
  Out
> {
  /** Where the gradient of each row's loss by its logits goes, if that is wanted: as x, x itself or apart from it. */
  gradient?: A | undefined;
  /** A row with this target does not count: its loss and its gradient are 0. Default: −100. */
  ignoreIndex?: number | undefined;
}

/**
 * The cross-entropy of {@link stableMax} (Prieto et al., arXiv 2501.04697), with z = logits + bias:
 *
 *     L = −log p[target]      p = s(z) / Σ s(z)      ∂L/∂z[k] = (p[k] − [k = target]) / (1 + |z[k]|)
 *
 * Its gradient does not vanish by rounding where a row is confident. A target that is −∞ or masked costs +∞, and the
 * gradient is that of the others. Masked positions have gradient 0. A row with an unmasked NaN or +∞ has NaN for both.
 *
 * It is composed of logStableMax in double: losses are as exact as logStableMax of doubles, gradients within 1e-14 of
 * their size, float32 gradients rounded once more.
 *
 * @param logits Row-major: all of them one row, or rows as `cols` or `shape` and `axis` say. Not written, unless
 *   `gradient`.
 * @param targets An index for each row, in the order of logSumExp's results: integers from 0 to the row's length − 1,
 *   or `ignoreIndex`. They are copied first.
 * @param options `gradient`, `ignoreIndex`; `cols`, `shape`, `axis`, `mask`, `maskFormat`, `bias`, `dtype` as softmax
 *   has them; `out` is a Float64Array with an element for each row.
 * @returns `out`, or a new Float64Array.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a target that is no position of a row, a number that
 *   makes no sense, lengths that do not fit, results that overlap. Nothing was written then.
 */
export function stableMaxCrossEntropy<A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  logits: A,
  targets: Targets,
  options?: StableMaxLossOptions<A, Out>,
): Returned<Out> {
  return runSteps(stableMaxCrossEntropySteps('now', logits, targets, options));
}

const CHECKS: AxisOperator = {
  logits: 'logits',
  result: 'row',
  names: /* @__PURE__ */ namesWith<UnscaledOptions, StableMaxLossOptions>(UNSCALED_NAMES, {
    gradient: true,
    ignoreIndex: true,
  }),
};

export function stableMaxCrossEntropySteps<A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  form: Form,
  logits: A,
  targets: Targets,
  options: StableMaxLossOptions<A, Out> & AsyncOptions = {},
): Steps<Returned<Out>> {
  // All that could run a caller's code is read before axisCall takes lengths.
  const { gradient, ignoreIndex = -100 } = readable(options);
  const indices = indicesOf(targets);
  const call = axisCall(CHECKS, form, logits, options);
  gradientFor(gradient, logits, call);
  const { outer, cols, inner } = call.args;
  const positions = positionsOf(indices, outer * inner, cols, ignoreIndex);
  return steps({ form, call, gradient, positions }) as Steps<Returned<Out>>;
}

interface Parts {
  readonly form: Form;
  readonly call: AxisCall;
  readonly gradient: LogitArray | undefined;
  readonly positions: Int32Array;
}

/** Copies of the caller's numbers are taken before the first turn of the event loop. */
function* steps({ form, call, gradient, positions }: Parts): Steps<Float64Array> {
  const { x, bias, mask, maskLayout, outer, cols, inner } = call.args;
  const loss = call.out as Float64Array;
  const callers = [{ view: loss, name: 'out', length: lengthOf(loss) }];
  if (gradient !== undefined) callers.push({ view: gradient as never, name: 'gradient', length: lengthOf(gradient) });
  const z = doublesOf(x, call.type);
  if (bias !== null) addBias(z, doublesOf(bias, call.type), call.args);
  const logs = new Float64Array(call.elements);
  const maskFormat = maskLayout > 2 ? 'bits' : 'bytes';
  const settings = { shape: [outer, cols, inner], axis: 1, mask: mask ?? undefined, maskFormat, out: logs } as const;
  if (call.elements > 0) yield logStableMaxCall(form, z, settings);
  if (form === 'later') callers.forEach(checkWhole);
  // Both results are whole before either is written.
  const losses = lossesOf(logs, positions, call.args);
  if (gradient !== undefined) {
    writeSlopes(writerOf(bitsOf(gradient), call.type), { z, logs, positions }, call.args);
  }
  copyInto(loss, losses);
  return loss;
}

type Sizes = Pick<AxisCall['args'], 'outer' | 'cols' | 'inner'>;

/** Adds a bias an element, or one row's to all rows. */
function addBias(z: Float64Array, bias: Float64Array, { cols, inner }: Sizes): void {
  const isShared = bias.length !== z.length;
  for (let i = 0; i < z.length; i++) z[i]! += bias[isShared ? Math.floor(i / inner) % cols : i]!;
}

function lossesOf(logs: Float64Array, positions: Int32Array, { cols, inner }: Sizes): Float64Array {
  const losses = new Float64Array(positions.length);
  for (let row = 0; row < losses.length; row++) {
    const target = positions[row]!;
    if (target >= 0) losses[row] = -logs[(Math.floor(row / inner) * cols + target) * inner + (row % inner)]!;
  }
  return losses;
}

interface Rows {
  readonly z: Float64Array;
  readonly logs: Float64Array;
  readonly positions: Int32Array;
}

function writeSlopes(write: (i: number, slope: number) => void, rows: Rows, { cols, inner }: Sizes): void {
  const { z, logs, positions } = rows;
  for (let row = 0; row < positions.length; row++) {
    const target = positions[row]!;
    const start = Math.floor(row / inner) * cols * inner + (row % inner);
    for (let c = 0, at = start; c < cols; c++, at += inner) {
      const log = logs[at]!;
      if (target < 0 || log === -Infinity) write(at, 0);
      else if (log !== log) write(at, NaN);
      else write(at, (c === target ? expMinusOne(log) : expBelowZero(log)) / (1 + Math.abs(z[at]!)));
    }
  }
}

/** exp(log) − 1 for log ≤ 0, without cancellation. */
function expMinusOne(log: number): number {
  if (!(log > -0.5)) return expBelowZero(log) - 1;
  let sum = 0;
  for (let k = 18; k > 0; k--) sum = ((sum + 1) * log) / k;
  return sum;
}
