/** marginCrossEntropy: the losses of ArcFace and CosFace on cosines. */
import { backendFor } from '../backend/choice.js';
import { CROSS_ENTROPY } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { kindOf, lengthOf } from '../call/arrays.js';
import { axisCall, type AxisCall, type AxisOperator } from '../call/axis.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { apart, likeArray, oneOf, positive, sameOrApart } from '../call/checks.js';
import { outOfRange, wrongType, wrongValue } from '../call/errors.js';
import { optionNames, readable, type AxisOptions, type Form } from '../call/options.js';
import { isFloat32Array, isFloat64Array, type LogitArray, type NewFloat64Array, type Returned } from '../call/types.js';
import { crossEntropyKernels } from '../js/losses/cross-entropy.js';
import { bfloat16, float16 } from '../math/half.js';
import { indicesOf, positionsOf, type Targets } from './targets.js';

export interface MarginOptions<A extends LogitArray = LogitArray, Out = Float64Array> extends Omit<
  AxisOptions<A, Out>,
  'temperature' | 'bias' | 'mask' | 'maskFormat'
> {
  /** 'arc' (ArcFace): the target's logit is scale · cos(θ + margin). 'cos' (CosFace): scale · (cos θ − margin). */
  kind: 'arc' | 'cos';
  /** What cosines are multiplied by: finite and > 0. Default: 64. */
  scale?: number | undefined;
  /** One margin, or one for each row: finite numbers from 0. Default: 0.5 for 'arc', 0.35 for 'cos'. */
  margin?: number | Float32Array | Float64Array | readonly number[] | undefined;
  /**
   * For 'arc', where θ + margin passes π and the logit would rise again. 'linear': cos θ − margin · sin margin there;
   * 'easy': the margin only where cos θ > 0. Default: 'none'.
   */
  guard?: 'none' | 'linear' | 'easy' | undefined;
  /** Where the gradient of each loss by its cosines goes, if that is wanted. As in crossEntropy. */
  gradient?: A | undefined;
  /** A row with this target does not count: its loss and its gradient are 0. Default: −100. */
  ignoreIndex?: number | undefined;
}

/**
 * The cross-entropy of scale · cosines with a margin at the target: ArcFace (arXiv 1801.07698), CosFace (arXiv
 * 1801.09414); with a margin for each row, ElasticFace (arXiv 2109.09416).
 *
 * cos(θ + m) is c cos m − √(1 − c²) sin m, with a slope of cos m + c sin m / √(1 − c²), where 1 − c² is at least 1e-12.
 * Cosines are clamped to [−1, 1], with gradient 0 where that changed them. All is computed in double: losses are within
 * 1e-12 of their size at scale 64, and float32 gradients within 1 ULP, beside the slope's own 1e-12.
 *
 * @param cosines Row-major: all of them one row, or rows as `cols` or `shape` and `axis` say. Not written, unless
 *   `gradient`.
 * @param targets An index for each row, as in {@link crossEntropy}.
 * @param options `kind`, `scale`, `margin`, `guard`, `gradient`, `ignoreIndex`, and `cols`, `shape`, `axis`, `out`,
 *   `dtype` as {@link crossEntropy} has them.
 * @returns `out`, or a new Float64Array.
 * @throws TypeError, RangeError as {@link crossEntropy} does.
 */
export function marginCrossEntropy<A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  cosines: A,
  targets: Targets,
  options: MarginOptions<A, Out>,
): Returned<Out> {
  return runNow(marginCrossEntropyCall('now', cosines, targets, options));
}

const CHECKS: AxisOperator = {
  logits: 'cosines',
  result: 'row',
  names: /* @__PURE__ */ optionNames<MarginOptions>({
    cols: true,
    shape: true,
    axis: true,
    out: true,
    dtype: true,
    kind: true,
    scale: true,
    margin: true,
    guard: true,
    gradient: true,
    ignoreIndex: true,
  }),
};

export function marginCrossEntropyCall<A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  form: Form,
  cosines: A,
  targets: Targets,
  options: MarginOptions<A, Out> & AsyncOptions,
): Call<Returned<Out>> {
  // All that could run a caller's code is read before axisCall takes lengths.
  const { kind, scale = 64, margin, guard = 'none', gradient, ignoreIndex = -100 } = readable(options);
  const list: unknown = Array.isArray(margin) ? Array.from(margin as readonly number[]) : margin;
  const indices = indicesOf(targets);
  const call = axisCall(CHECKS, form, cosines, options);
  const { elements, out, isOutNew } = call;
  const { outer, cols, inner } = call.args;
  const rows = outer * inner;
  const isArc = oneOf(kind, ['arc', 'cos'], 'kind') === 'arc';
  const by = positive(scale, 'scale');
  const margins = marginsOf(list, rows, isArc ? 0.5 : 0.35);
  const guarded = oneOf(guard, ['none', 'linear', 'easy'], 'guard');
  const positions = positionsOf(indices, rows, cols, ignoreIndex);
  const slopes = gradient === undefined ? null : gradientOf(gradient, cosines, call);
  const given = doublesOf(cosines, call.type);
  const x = given.map((c) => (c > 1 ? 1 : c < -1 ? -1 : c));
  const atTargets = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    if (positions[row]! < 0) continue;
    const at = (Math.floor(row / inner) * cols + positions[row]!) * inner + (row % inner);
    const moved = isArc ? arc(x[at]!, margins[row]!, guarded) : { logit: x[at]! - margins[row]!, slope: 1 };
    x[at] = moved.logit;
    atTargets[row] = moved.slope;
  }
  const loss = out as Returned<Out>;
  // The temperature 1 / scale multiplies cosines by the scale, without an overflow.
  return callOf(CROSS_ENTROPY, {
    backend: backendFor(elements, crossEntropyKernels),
    type: 'f64',
    args: {
      x,
      targets: positions,
      loss,
      gradient: slopes === null ? null : x,
      outer,
      cols,
      inner,
      temperature: 1 / by,
      mask: null,
      maskLayout: 0,
      bias: null,
    },
    own: isOutNew ? ['x', 'targets', 'loss', 'gradient'] : ['x', 'targets', 'gradient'],
    names: { loss: 'out' },
    work: elements,
    finish: () => {
      if (slopes === null) return loss;
      scaleTargets(x, call, positions, atTargets);
      writeSlopes(slopes, call.type, x, given);
      return loss;
    },
  });
}

/** cos(θ + m) and its slope by c = cos θ. */
function arc(c: number, m: number, guard: 'none' | 'linear' | 'easy'): { logit: number; slope: number } {
  if (guard === 'easy' && !(c > 0)) return { logit: c, slope: 1 };
  if (guard === 'linear' && c < Math.cos(Math.PI - m)) return { logit: c - m * Math.sin(m), slope: 1 };
  const sine = Math.sqrt(Math.max((1 - c) * (1 + c), 1e-12));
  return { logit: c * Math.cos(m) - sine * Math.sin(m), slope: Math.cos(m) + (c * Math.sin(m)) / sine };
}

function marginsOf(margin: unknown, rows: number, fallback: number): ArrayLike<number> {
  const check = (m: unknown): number => {
    if (typeof m !== 'number') throw wrongType('a number, or one for each row', 'margin', m);
    if (!(m >= 0 && m < Infinity)) throw outOfRange('finite numbers from 0', 'margin', m);
    return m;
  };
  if (margin === undefined || typeof margin === 'number') return new Float64Array(rows).fill(check(margin ?? fallback));
  if (!Array.isArray(margin) && !isFloat32Array(margin) && !isFloat64Array(margin)) check(margin);
  const list = margin as ArrayLike<unknown>;
  const length = Array.isArray(margin) ? margin.length : lengthOf(margin as Float64Array);
  if (length !== rows) throw wrongValue(`${rows} elements, one a row,`, 'margin', String(length));
  const copy = new Float64Array(rows);
  for (let i = 0; i < rows; i++) copy[i] = check(list[i]);
  return copy;
}

const halfOf = (type: string) => (type[0] === 'b' ? bfloat16 : float16);

/** A copy of the cosines as doubles. */
function doublesOf(cosines: LogitArray, type: string): Float64Array {
  const copy = new Float64Array(lengthOf(cosines as Float64Array));
  const source = cosines as ArrayLike<number>;
  const isBits = kindOf(cosines) === 'Uint16Array';
  const half = halfOf(type);
  for (let i = 0; i < copy.length; i++) copy[i] = isBits ? half.toFloat(source[i]!) : source[i]!;
  return copy;
}

/** Multiplies the gradient at targets by the slopes of their logits. */
function scaleTargets(
  gradient: Float64Array,
  { args: { outer, cols, inner } }: AxisCall,
  targets: Int32Array,
  slopes: Float64Array,
): void {
  for (let row = 0; row < outer * inner; row++) {
    const target = targets[row]!;
    if (target >= 0) gradient[(Math.floor(row / inner) * cols + target) * inner + (row % inner)]! *= slopes[row]!;
  }
}

/** Writes the gradient by the cosines: 0 where clamping changed them. */
function writeSlopes(to: LogitArray, type: string, gradient: Float64Array, given: Float64Array): void {
  const isBits = kindOf(to) === 'Uint16Array';
  const half = halfOf(type);
  const results = to as unknown as number[];
  for (let i = 0; i < given.length; i++) {
    const slope = given[i]! > 1 || given[i]! < -1 ? 0 : gradient[i]!;
    results[i] = isBits ? half.toBits(slope) : slope;
  }
}

function gradientOf(gradient: LogitArray, cosines: LogitArray, { args, out }: AxisCall): LogitArray {
  const slopes = likeArray(gradient, cosines, 'gradient', 'cosines');
  sameOrApart(slopes, 'gradient', args.x, 'cosines');
  apart(slopes, 'gradient', out, 'out');
  return gradient;
}
