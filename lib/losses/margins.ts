/** marginCrossEntropy: the losses of ArcFace and CosFace on cosines. */
import type { KernelArray } from '../backend/backend.js';
import { backendFor } from '../backend/choice.js';
import { ROW_LOSS } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { copyInto, viewOf } from '../call/arrays.js';
import { axisCall, type AxisCall, type AxisOperator } from '../call/axis.js';
import { callOf } from '../call/call.js';
import { oneOf, positive } from '../call/checks.js';
import { checkWhole, newLike, scratchLike } from '../call/memory.js';
import { optionNames, readable, type AxisOptions, type Form } from '../call/options.js';
import { runSteps, type Steps } from '../call/steps.js';
import type { ElementType, LogitArray, NewFloat64Array } from '../call/types.js';
import { rowLossKernels } from '../js/losses/row-loss.js';
import { lowestOf, readerOf } from '../math/read.js';
import { gradientFor } from './gradient.js';
import { arc, marginsOf, type Moved } from './margin-angles.js';
import { reducerOf, reductionOf, totalOf, type LossOf, type Reducer, type Reduction } from './reduce.js';
import { indicesOf, positionsOf, type Targets } from './targets.js';

export interface MarginOptions<
  A extends LogitArray = LogitArray,
  Out = Float64Array,
  R extends Reduction = Reduction,
> extends Omit<AxisOptions<A, Out>, 'temperature' | 'bias' | 'mask' | 'maskFormat'> {
  /** 'arc' (ArcFace): the target's logit is scale · cos(θ + margin). 'cos' (CosFace): scale · (cos θ − margin). */
  kind: 'arc' | 'cos';
  /** What cosines are multiplied by: finite and > 0. Default: 64. */
  scale?: number | undefined;
  /**
   * One margin, or one for each row: finite numbers from 0, in radians for 'arc' and then at most 2²⁰. Default: 0.5 for
   * 'arc', 0.35 for 'cos'.
   */
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
  /** As in crossEntropy: 'mean' divides by the number of rows that are not ignored. Default: 'none'. */
  reduction?: R | undefined;
}

/**
 * The cross-entropy of scale · cosines with a margin at the target: ArcFace (arXiv 1801.07698), CosFace (arXiv
 * 1801.09414); with a margin for each row, ElasticFace (arXiv 2109.09416).
 *
 * cos(θ + m) is c cos m − √(1 − c²) sin m, with a slope of cos m + c sin m / √(1 − c²), where 1 − c² is at least 1e-12.
 * Cosines are clamped to [−1, 1], with gradient 0 where that changed them. The kernel is that of crossEntropy, with the
 * target's logit given: the loss of a confident row is log1p of the others' sum.
 *
 * Largest error seen: of a loss (12 + 2 · scale) · 2⁻⁵³, relative, as the target's logit is one double; of a float32
 * gradient the same and half a last place; at the target relative to the two terms of the slope, which may cancel.
 *
 * @param cosines Row-major: all of them one row, or rows as `cols` or `shape` and `axis` say. Not written, unless
 *   `gradient`.
 * @param targets An index for each row, as in {@link crossEntropy}.
 * @param options `kind`, `scale`, `margin`, `guard`, `gradient`, `ignoreIndex`, `reduction`, and `cols`, `shape`,
 *   `axis`, `out`, `dtype` as {@link crossEntropy} has them.
 * @returns `out`, or a new Float64Array; a number with `reduction` 'mean' or 'sum'.
 * @throws TypeError, RangeError as {@link crossEntropy} does.
 * @example
 * import { marginCrossEntropy } from 'flash-softmax/losses';
 * const cosines = Float32Array.of(0.8, 0.1, -0.3);
 * console.log(marginCrossEntropy(cosines, [0], { kind: 'arc', margin: 0.5, scale: 16 })[0].toFixed(4)); // → 0.0065
 */
export function marginCrossEntropy<
  A extends LogitArray,
  Out extends Float64Array = NewFloat64Array,
  R extends Reduction = 'none',
>(cosines: A, targets: Targets, options: MarginOptions<A, Out, R>): LossOf<R, Out> {
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
    reduction: true,
  }),
};

export function marginCrossEntropySteps<
  A extends LogitArray,
  Out extends Float64Array = NewFloat64Array,
  R extends Reduction = 'none',
>(form: Form, cosines: A, targets: Targets, options: MarginOptions<A, Out, R> & AsyncOptions): Steps<LossOf<R, Out>> {
  // All that could run a caller's code is read before axisCall takes lengths.
  const {
    kind,
    scale = 64,
    margin,
    guard = 'none',
    gradient,
    ignoreIndex = -100,
    reduction = 'none',
  } = readable(options);
  const list: unknown = Array.isArray(margin) ? Array.from(margin as readonly number[]) : margin;
  const indices = indicesOf(targets);
  const call = axisCall(CHECKS, form, cosines, options);
  const { outer, cols, inner } = call.args;
  const rows = outer * inner;
  const isArc = oneOf(kind, ['arc', 'cos'], 'kind') === 'arc';
  const by = positive(scale, 'scale');
  const margins = marginsOf(list, rows, isArc);
  const guarded = oneOf(guard, ['none', 'linear', 'easy'], 'guard');
  const positions = positionsOf(indices, rows, cols, ignoreIndex);
  const slopes = gradientFor(gradient, cosines, call);
  const total = reductionOf(reduction) === 'mean' ? totalOf(positions, null) : 1;
  const move = (c: number, row: number): Moved => (isArc ? arc(c, margins(row), guarded) : [c - margins(row).m, 1]);
  return steps({
    form,
    call,
    slopes,
    gradient,
    positions,
    scale: by,
    move,
    reducer: reducerOf(reduction, total),
  }) as Steps<LossOf<R, Out>>;
}

interface Parts {
  readonly form: Form;
  readonly call: AxisCall;
  readonly slopes: KernelArray | null;
  readonly gradient: LogitArray | undefined;
  readonly positions: Int32Array;
  readonly scale: number;
  readonly reducer: Reducer;
  move(c: number, row: number): Moved;
}

/** Elements that are copied between two turns of the event loop. */
const PIECE = 2 ** 18;

function* steps(parts: Parts): Steps<Float64Array | number> {
  const { form, call, slopes, gradient, positions, scale, move, reducer } = parts;
  const { args, elements } = call;
  const { x, outer, cols, inner } = args;
  const type = call.type as ElementType;
  const loss = call.out as Float64Array;
  const caller = { view: x, name: 'cosines', length: elements };
  const copy = (form === 'now' ? scratchLike(x, elements) : newLike(x, elements, false)) as KernelArray;
  const changed: number[] = [];
  for (let at = 0; at < elements; at += PIECE) {
    if (form === 'later' && at > 0) {
      yield undefined;
      checkWhole(caller);
    }
    clampInto(copy, x, { from: at, to: Math.min(elements, at + PIECE), most: ONE[type] }, changed);
  }
  const given = takeTargets(copy, { type, args, positions, move });
  if (elements > 0) {
    const numbers = { kind: 0, parameter: 0, smoothing: 0, lsePenalty: 0, scale: reducer.factor };
    yield callOf(ROW_LOSS, {
      backend: backendFor(elements, rowLossKernels),
      type,
      // The temperature 1 / scale multiplies cosines by the scale, without an overflow.
      args: {
        x: copy,
        targets: positions,
        soft: null,
        weight: null,
        given,
        loss,
        gradient: slopes,
        ...numbers,
        ...{ outer, cols, inner, temperature: 1 / scale, mask: null, maskLayout: 0, bias: null },
      },
      own: call.isOutNew ? ['x', 'targets', 'given', 'loss'] : ['x', 'targets', 'given'],
      names: { loss: 'out' },
      work: elements,
      finish: () => undefined,
    });
  } else loss.fill(0);
  if (slopes !== null && changed.length > 0) {
    if (form === 'later') checkWhole({ view: gradient!, name: 'gradient', length: elements });
    for (const at of changed) slopes[at] = 0;
  }
  return reducer.result(loss);
}

/** The bits or the number of 1. */
const ONE: Readonly<Record<ElementType, number>> = { f32: 1, f64: 1, f16: 0x3c00, bf16: 0x3f80 };

interface Piece {
  readonly from: number;
  readonly to: number;
  readonly most: number;
}

/** Copies cosines, clamped to [−1, 1]; `changed` receives the places where that changed them. */
function clampInto(copy: KernelArray, x: KernelArray, { from, to, most }: Piece, changed: number[]): void {
  if (most === 1) {
    copyInto(copy, viewOf(x, from, to), from);
    for (let i = from; i < to; i++) {
      const c = copy[i]!;
      if (c <= 1 && c >= -1) continue;
      if (c === c) changed.push(i);
      copy[i] = c > 1 ? 1 : c < -1 ? -1 : c;
    }
    return;
  }
  const infinity = most === ONE.f16 ? 0x7c00 : 0x7f80;
  for (let i = from; i < to; i++) {
    const bits = x[i]!;
    const size = bits & 0x7fff;
    const isBeyond = size > most && size <= infinity; // larger bits are NaN
    copy[i] = isBeyond ? (bits & 0x8000) | most : bits;
    if (isBeyond) changed.push(i);
  }
}

interface Targeted extends Pick<Parts, 'positions' | 'move'> {
  readonly type: ElementType;
  readonly args: AxisCall['args'];
}

/** Puts −∞ in place of each target's cosine. Returns the target's logit over the scale, and its slope. */
function takeTargets(copy: KernelArray, { type, args, positions, move }: Targeted): Float64Array {
  const given = new Float64Array(2 * positions.length);
  const read = readerOf(copy, type);
  const lowest = lowestOf(type);
  for (let row = 0; row < positions.length; row++) {
    if (positions[row]! < 0) continue;
    const at = placeOf(row, positions[row]!, args);
    const moved = move(read(at), row);
    given[2 * row] = moved[0];
    given[2 * row + 1] = moved[1];
    copy[at] = lowest;
  }
  return given;
}

/** Where the element `column` of a row stands. */
const placeOf = (row: number, column: number, { cols, inner }: AxisCall['args']): number =>
  (Math.floor(row / inner) * cols + column) * inner + (row % inner);
