/** safeStepRadius: how far logits may move along a direction before their softmax has a singularity. */
import { SAFE_STEP_RADIUS } from '../backend/operators.js';
import { backendFor } from '../backend/choice.js';
import type { AsyncOptions } from '../call/abort.js';
import { lengthOf } from '../call/arrays.js';
import { axisCall, type AxisOperator } from '../call/axis.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { likeArray, oneOf } from '../call/checks.js';
import { wrongValue } from '../call/errors.js';
import { optionNames, readable, type Form, type UnscaledOptions } from '../call/options.js';
import type { ElementType, LogitArray, NewFloat64Array, Returned } from '../call/types.js';
import { safeStepRadiusKernels } from '../js/losses/step-radius.js';
import { readerOf } from '../math/read.js';

export interface SafeStepRadiusOptions<A extends LogitArray = LogitArray, Out = Float64Array> extends Omit<
  UnscaledOptions<A, Out>,
  'bias'
> {
  /** 'none': a radius for each row. 'min': the least of all rows, ∞ without rows. Default: 'none'. */
  reduce?: 'none' | 'min' | undefined;
  /** The logits of rows of two classes, as long as `a`: radii are exact then, and not bounds. */
  logits?: A | undefined;
}

/**
 * How far a step along a direction stays inside the radius of convergence of log-softmax ("The ghosts of softmax",
 * complex zeros of the partition function), for the slopes a of each row's logits along that direction: the zeros of
 * Σ exp(x[i] + t a[i]) are no nearer than
 *
 *     π / (max a − min a)                        for rows of two classes with `logits`: √(δ² + π²) / |a[0] − a[1]|,
 *                                                δ being the difference of the two logits
 *
 * ∞ where all slopes of a row are equal, or masked; 0 where one is infinite; NaN for a NaN, also of `logits`. Largest
 * error seen: 2 ULP; with `logits` 3 ULP. One thread takes a row.
 *
 * @param a The slopes, a Jacobian times a direction: row-major, all of them one row, or rows as `cols` or `shape` and
 *   `axis` say. Not written.
 * @param options `reduce`, `logits`; `cols`, `shape`, `axis`, `mask`, `maskFormat`, `dtype` as softmax has
 *   them; `out` is a Float64Array with an element for each row, and not with `reduce`.
 * @returns A number with `reduce: 'min'`; else `out`, or a new Float64Array.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for `logits` of rows that do not have two classes, or
 *   beside a mask; for lengths that do not fit. Nothing was written then.
 * @example
 * import { safeStepRadius } from 'flash-softmax/losses';
 * console.log(safeStepRadius(Float32Array.of(0, 1, 2))[0].toFixed(4)); // π / 2 → 1.5708
 */
export function safeStepRadius<A extends LogitArray>(
  a: A,
  options: SafeStepRadiusOptions<A> & { reduce: 'min' },
): number;
export function safeStepRadius<A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  a: A,
  options?: SafeStepRadiusOptions<A, Out> & { reduce?: 'none' | undefined },
): Returned<Out>;
export function safeStepRadius(a: LogitArray, options?: SafeStepRadiusOptions): Float64Array | number {
  return runNow(safeStepRadiusCall('now', a, options));
}

const CHECKS: AxisOperator = {
  logits: 'a',
  result: 'row',
  names: /* @__PURE__ */ optionNames<SafeStepRadiusOptions>({
    cols: true,
    shape: true,
    axis: true,
    mask: true,
    maskFormat: true,
    out: true,
    dtype: true,
    reduce: true,
    logits: true,
  }),
};

export function safeStepRadiusCall(
  form: Form,
  a: LogitArray,
  options: SafeStepRadiusOptions & AsyncOptions = {},
): Call<Float64Array | number> {
  const { reduce = 'none', logits } = readable(options);
  const isLeast = oneOf(reduce, ['none', 'min'], 'reduce') === 'min';
  const call = axisCall(CHECKS, form, a, options);
  const { args, elements, type, isOutNew } = call;
  const out = call.out as Float64Array;
  if (isLeast && !isOutNew) throw wrongValue('no value', "out beside reduce 'min'", 'an array');
  const gaps = logits === undefined ? undefined : gapsOf(logits, a, call);
  const { x, outer, cols, inner, mask, maskLayout } = args;
  return callOf(SAFE_STEP_RADIUS, {
    backend: backendFor(elements, safeStepRadiusKernels),
    type: type as ElementType,
    args: { x, out, reach: Math.PI, outer, cols, inner, mask, maskLayout, bias: null },
    own: isOutNew ? ['out'] : [],
    names: { x: 'a' },
    work: elements,
    finish() {
      if (gaps !== undefined) lengthen(out, gaps);
      return isLeast ? leastOf(out) : out;
    },
  });
}

/** |x[0] − x[1]| of each row of two logits. */
function gapsOf(logits: LogitArray, a: LogitArray, { args, type }: ReturnType<typeof axisCall>): Float64Array {
  const { outer, cols, inner, mask } = args;
  if (cols !== 2) throw wrongValue('rows of two classes', 'logits', `rows of ${cols}`);
  if (mask !== null) throw wrongValue('no value', 'mask beside logits', 'an array');
  const read = readerOf(likeArray(logits, a, 'logits', 'a'), type);
  const gaps = new Float64Array(outer * inner);
  for (let row = 0; row < gaps.length; row++) {
    const at = Math.floor(row / inner) * 2 * inner + (row % inner);
    gaps[row] = Math.abs(read(at) - read(at + inner));
  }
  return gaps;
}

/** √(δ² + π²) / Δ from π / Δ. */
function lengthen(radii: Float64Array, gaps: Float64Array): void {
  for (let row = 0; row < lengthOf(radii); row++) {
    const ratio = gaps[row]! / Math.PI;
    // Beyond 2^27, √(1 + ratio²) is the ratio, whose square may overflow.
    radii[row]! *= ratio > 2 ** 27 ? ratio : Math.sqrt(1 + ratio * ratio);
  }
}

function leastOf(radii: Float64Array): number {
  let least = Infinity;
  for (let row = 0; row < lengthOf(radii); row++) least = Math.min(least, radii[row]!);
  return least;
}
