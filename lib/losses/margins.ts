/** marginCrossEntropy: the losses of ArcFace and CosFace on cosines. */
import type { AsyncOptions } from '../call/abort.js';
import { copyInto, lengthOf } from '../call/arrays.js';
import { axisCall, type AxisCall, type AxisOperator } from '../call/axis.js';
import { bitsOf, oneOf, positive } from '../call/checks.js';
import { outOfRange, trueLength, wrongType, wrongValue } from '../call/errors.js';
import { checkWhole } from '../call/memory.js';
import { optionNames, readable, type AxisOptions, type Form } from '../call/options.js';
import { runSteps, type Steps } from '../call/steps.js';
import { isFloat32Array, isFloat64Array, type LogitArray, type NewFloat64Array, type Returned } from '../call/types.js';
import { doublesOf, writerOf } from '../math/read.js';
import { crossEntropyCall } from './cross-entropy.js';
import { gradientFor } from './gradient.js';
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
  return runSteps(marginCrossEntropySteps('now', cosines, targets, options));
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

export function marginCrossEntropySteps<A extends LogitArray, Out extends Float64Array = NewFloat64Array>(
  form: Form,
  cosines: A,
  targets: Targets,
  options: MarginOptions<A, Out> & AsyncOptions,
): Steps<Returned<Out>> {
  // All that could run a caller's code is read before axisCall takes lengths.
  const { kind, scale = 64, margin, guard = 'none', gradient, ignoreIndex = -100 } = readable(options);
  const list: unknown = Array.isArray(margin) ? Array.from(margin as readonly number[]) : margin;
  const indices = indicesOf(targets);
  const call = axisCall(CHECKS, form, cosines, options);
  const { outer, cols, inner } = call.args;
  const rows = outer * inner;
  const isArc = oneOf(kind, ['arc', 'cos'], 'kind') === 'arc';
  const by = positive(scale, 'scale');
  const margins = marginsOf(list, rows, isArc ? 0.5 : 0.35);
  const guarded = oneOf(guard, ['none', 'linear', 'easy'], 'guard');
  const positions = positionsOf(indices, rows, cols, ignoreIndex);
  gradientFor(gradient, cosines, call);
  const move = (c: number, row: number) =>
    isArc ? arc(c, margins[row]!, guarded) : { logit: c - margins[row]!, slope: 1 };
  return steps({ form, call, gradient, positions, scale: by, move }) as Steps<Returned<Out>>;
}

interface Parts {
  readonly form: Form;
  readonly call: AxisCall;
  readonly gradient: LogitArray | undefined;
  readonly positions: Int32Array;
  readonly scale: number;
  /** The logit of a target's cosine, over the scale, and its slope. */
  move(c: number, row: number): { logit: number; slope: number };
}

/** The caller's cosines are copied before the first turn of the event loop. */
function* steps({ form, call, gradient, positions, scale, move }: Parts): Steps<Float64Array> {
  const { x, outer, cols, inner } = call.args;
  const out = call.out as Float64Array;
  const callers = [{ view: out, name: 'out', length: lengthOf(out) }];
  if (gradient !== undefined) callers.push({ view: gradient as never, name: 'gradient', length: lengthOf(gradient) });
  const given = doublesOf(x, call.type);
  const logits = given.map((c) => (c > 1 ? 1 : c < -1 ? -1 : c));
  const atTargets = new Float64Array(outer * inner);
  for (let row = 0; row < atTargets.length; row++) {
    if (positions[row]! < 0) continue;
    const at = placeOf(row, positions[row]!, call.args);
    const moved = move(logits[at]!, row);
    logits[at] = moved.logit;
    atTargets[row] = moved.slope;
  }
  const slopes = gradient === undefined ? undefined : new Float64Array(call.elements);
  // The temperature 1 / scale multiplies cosines by the scale, without an overflow.
  const settings = { shape: [outer, cols, inner], axis: 1, temperature: 1 / scale, ignoreIndex: -1, gradient: slopes };
  const loss = new Float64Array(outer * inner);
  if (call.elements > 0) yield crossEntropyCall(form, logits, positions, { ...settings, out: loss });
  if (form === 'later') callers.forEach(checkWhole);
  if (slopes !== undefined) {
    for (let row = 0; row < atTargets.length; row++)
      if (positions[row]! >= 0) slopes[placeOf(row, positions[row]!, call.args)]! *= atTargets[row]!;
    // Clamping gives the slope 0 where it changed a cosine.
    const write = writerOf(bitsOf(gradient!), call.type);
    for (let i = 0; i < given.length; i++) write(i, given[i]! > 1 || given[i]! < -1 ? 0 : slopes[i]!);
  }
  copyInto(out, loss);
  return out;
}

/** Where the element `column` of a row stands. */
const placeOf = (row: number, column: number, { cols, inner }: AxisCall['args']): number =>
  (Math.floor(row / inner) * cols + column) * inner + (row % inner);

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
  const length = Array.isArray(margin) ? margin.length : trueLength(margin as Float64Array, 'margin');
  if (length !== rows) throw wrongValue(`${rows} elements, one a row,`, 'margin', String(length));
  const copy = new Float64Array(rows);
  for (let i = 0; i < rows; i++) copy[i] = check(list[i]);
  return copy;
}
