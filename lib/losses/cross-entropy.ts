/** crossEntropy: the loss of logits against the right classes, and its gradient. */
import type { KernelArray } from '../backend/backend.js';
import { backendFor } from '../backend/choice.js';
import { CROSS_ENTROPY } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { axisCall, type AxisCall, type AxisOperator } from '../call/axis.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { apart, likeArray, sameOrApart } from '../call/checks.js';
import { describe, outOfRange, trueLength, wrongType, wrongValue } from '../call/errors.js';
import { AXIS_NAMES, namesWith, readable, type AxisOptions, type Form } from '../call/options.js';
import {
  isInt16Array,
  isInt32Array,
  isInt8Array,
  isUint16Array,
  isUint32Array,
  isUint8Array,
  type ElementType,
  type LogitArray,
  type NewFloat64Array,
  type Returned,
} from '../call/types.js';
import { crossEntropyKernels } from '../js/losses/cross-entropy.js';

export interface CrossEntropyOptions<A extends LogitArray = LogitArray, Out = Float64Array> extends AxisOptions<
  A,
  Out
> {
  /** Where the gradient of each row's loss by its logits goes, if that is wanted: as x, x itself or apart from it. */
  gradient?: A | undefined;
  /** A row with this target does not count: its loss and its gradient are 0. Default: −100. */
  ignoreIndex?: number | undefined;
}

/** Class indices: one for each row. */
export type Targets = Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | readonly number[];

/**
 * The loss of each row, −logSoftmax(x)[target], with all that logSoftmax keeps: a confident row's loss is as small as
 * log1p(S) says. (It is as exact as logSumExp.) The gradient of it by the row's logits is
 *
 *     (softmax(x)[i] − (i is the target ? 1 : 0)) / temperature
 *
 * and at the target −(the sum of the others) / (the whole sum), so that it does not cancel either.
 *
 * A masked target has loss +∞, and masked positions have gradient 0. Otherwise a row with an unmasked NaN or +∞ has NaN
 * for both. Losses are one a row, not reduced: their mean is up to the caller, who knows which rows count.
 *
 * @param logits Row-major: all of them one row, or rows as `cols` or `shape` and `axis` say. Not written, unless
 *   `gradient`.
 * @param targets An index for each row, in the order of logSumExp's results: integers from 0 to the row's length − 1,
 *   or `ignoreIndex`. They are copied first.
 * @param options See {@link AxisOptions}, and `gradient`, `ignoreIndex`; `out` is a Float64Array with an element for
 *   each row.
 * @returns `out`, or a new Float64Array.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a target that is no position of a row, a number that
 *   makes no sense, lengths that do not fit, results that overlap. Nothing was written then.
 */
export function crossEntropy<A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  logits: A,
  targets: Targets,
  options?: CrossEntropyOptions<A, Out>,
): Returned<Out> {
  return runNow(crossEntropyCall('now', logits, targets, options));
}

const CHECKS: AxisOperator = {
  logits: 'logits',
  result: 'row',
  names: /* @__PURE__ */ namesWith<AxisOptions, CrossEntropyOptions>(AXIS_NAMES, {
    gradient: true,
    ignoreIndex: true,
  }),
};

export function crossEntropyCall<A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  form: Form,
  logits: A,
  targets: Targets,
  options: CrossEntropyOptions<A, Out> & AsyncOptions = {},
): Call<Returned<Out>> {
  // All that could run a caller's code is read before axisCall takes lengths.
  const { gradient, ignoreIndex = -100 } = readable(options);
  const indices = indicesOf(targets);
  const call = axisCall(CHECKS, form, logits, options);
  const { args, elements, type, out, isOutNew } = call;
  const { x, outer, cols, inner, temperature, mask, maskLayout, bias } = args;
  const loss = out as Returned<Out>;
  if (!Number.isInteger(ignoreIndex)) throw wrongType('an integer', 'ignoreIndex', ignoreIndex);
  const positions = positionsOf(indices, outer * inner, cols, ignoreIndex);
  const slopes = gradient === undefined ? null : gradientOf(gradient, logits, call);
  return callOf(CROSS_ENTROPY, {
    backend: backendFor(elements, crossEntropyKernels),
    type: type as ElementType,
    args: { x, targets: positions, loss, gradient: slopes, outer, cols, inner, temperature, mask, maskLayout, bias },
    own: isOutNew ? ['targets', 'loss'] : ['targets'],
    names: { x: 'logits', loss: 'out' },
    work: elements,
    finish: () => loss,
  });
}

/** The array for the gradient: like the logits, and apart from all other arrays but x. */
function gradientOf(gradient: LogitArray, logits: LogitArray, { args, out }: AxisCall): KernelArray {
  const { x, mask, bias } = args;
  const slopes = likeArray(gradient, logits, 'gradient', 'logits');
  sameOrApart(slopes, 'gradient', x, 'logits');
  apart(slopes, 'gradient', out, 'out');
  apart(slopes, 'gradient', mask, 'mask');
  apart(slopes, 'gradient', bias, 'bias');
  return slopes;
}

const isIndices = (x: unknown): boolean =>
  isInt32Array(x) || isUint32Array(x) || isUint8Array(x) || isUint16Array(x) || isInt8Array(x) || isInt16Array(x);

/** Targets whose elements run no code when they are read: the elements of a list are read here, once. */
function indicesOf(targets: Targets): Targets {
  if (Array.isArray(targets)) return Array.from(targets as readonly number[]);
  if (!isIndices(targets)) throw wrongType('an Int32Array, another array of integers,', 'targets', targets);
  return targets;
}

/** A checked copy, private to the call: kernels read memory at these positions. */
function positionsOf(targets: Targets, rows: number, cols: number, ignoreIndex: number): Int32Array {
  const given = Array.isArray(targets) ? targets.length : trueLength(targets as Int32Array, 'targets');
  if (given !== rows) throw wrongValue(`${rows} elements, one a row,`, 'targets', String(given));
  const positions = new Int32Array(rows);
  for (let i = 0; i < rows; i++) {
    const target: unknown = targets[i];
    if (target === ignoreIndex) positions[i] = -1;
    else if (typeof target !== 'number') throw wrongType('integers', 'targets', target);
    else if (Number.isInteger(target) && target >= 0 && target < Math.min(cols, 2 ** 31)) positions[i] = target;
    else throw outOfRange(`integers from 0 to ${cols - 1}`, 'targets', `${describe(target)} at ${i}`);
  }
  return positions;
}
