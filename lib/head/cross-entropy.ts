/**
 * The loss of an OutputHead against the right classes, and its gradients: Cut Cross-Entropy (Wijmans et al., arXiv
 * 2411.09009). Logits are computed twice, a block at a time, and never kept.
 */
import { MASK_NONE } from '../backend/backend.js';
import { backend } from '../backend/choice.js';
import { HEAD_SUMS, LOG_SUM_EXP } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { allocate } from '../call/allocate.js';
import { lengthOf, viewOf } from '../call/arrays.js';
import { callOf, type Call } from '../call/call.js';
import { oneOf, positive } from '../call/checks.js';
import { FORM_OPTIONS, optionsOf, type Form } from '../call/options.js';
import type { Steps } from '../call/steps.js';
import type { NewFloat32Array, NewFloat64Array } from '../call/types.js';
import { finite } from '../call/values.js';
import { headKernels } from '../js/head/head.js';
import { logSumExpKernels } from '../js/softmax/log-sum-exp.js';
import { reducerOf, reductionOf, totalOf, type Reduction } from '../losses/reduce.js';
import { indicesOf, positionsOf, type Targets } from '../losses/targets.js';
import { expBelowZero } from '../math/exp.js';
import { log1p } from '../math/log.js';
import { CLASSES as BLOCK, eachBlock, productOf } from './blocks.js';
import { logitsCall, rowsCall, type Part, type Product } from './matrix-calls.js';
import type { HeadMatrix } from './matrix.js';
import { statesOf, type HiddenStates, type StateOptions } from './states.js';

/** Which gradients a loss has: none; by the hidden states; by these and by the weights and the bias. */
export type HeadGradient = 'none' | 'hidden' | 'both';

export interface HeadLossOptions<
  R extends Reduction = Reduction,
  G extends HeadGradient = HeadGradient,
> extends StateOptions {
  /** Default: 'none'. */
  gradient?: G | undefined;
  /** 'none': a loss a state; 'mean' over the states that are not ignored; 'sum'. Default: 'none'. */
  reduction?: R | undefined;
  /** The target of states that do not count: their losses and gradients are 0. Default: −100. */
  ignoreIndex?: number | undefined;
  /** c ≥ 0: adds c · logSumExp² to each loss, the z-loss of PaLM and ST-MoE. Default: 0. */
  lsePenalty?: number | undefined;
  /** Multiplies losses and gradients: a finite number. Default: 1. */
  scale?: number | undefined;
}

const NAMES = ['dtype', 'gradient', 'reduction', 'ignoreIndex', 'lsePenalty', 'scale'] as const;

/** A loss with its gradients by the numbers that are not null. */
export interface HeadLoss<R extends Reduction = Reduction, G extends HeadGradient = HeadGradient> {
  readonly loss: R extends 'none' ? NewFloat64Array : number;
  /** The log-sum-exp of each state's logits. */
  readonly lse: NewFloat64Array;
  /** By the hidden states, [count, cols]. */
  readonly hidden: G extends 'none' ? null : NewFloat32Array;
  /** By the weights as floats, [rows, cols]: those that `weightRows` gives without `normalize`. */
  readonly weights: G extends 'both' ? NewFloat32Array : null;
  /** By the bias; null for a head without one. */
  readonly bias: G extends 'both' ? NewFloat32Array | null : null;
}

/** Classes of a block of gradients, and states that go through them together. */
const [CLASSES, STATES] = [256, 1024];

/** What the gradient by a logit follows from. */
interface Losses {
  readonly targets: Int32Array;
  readonly lse: NewFloat64Array;
  /** The logit of each target. */
  readonly chosen: NewFloat64Array;
  /** Multiplies each loss. */
  readonly factor: number;
  readonly lsePenalty: number;
}

/** log(e^a + e^b). */
function logOfSum(a: number, b: number): number {
  if (a !== a || b !== b) return NaN;
  const [high, low] = a < b ? [b, a] : [a, b];
  return Math.abs(high) === Infinity ? high : high + log1p(expBelowZero(low - high), 0)[0];
}

/** The log-sum-exp of each row of a block: more exact than the logarithm of expSum's sums. */
const lseCall = (logits: Float32Array, rows: number, out: Float64Array): Call<void> =>
  callOf(LOG_SUM_EXP, {
    backend: backend(logSumExpKernels),
    type: 'f32',
    args: {
      x: logits,
      out,
      outer: rows,
      cols: logits.length / rows,
      inner: 1,
      temperature: 1,
      mask: null,
      maskLayout: MASK_NONE,
      bias: null,
    },
    own: ['x', 'out'],
    work: logits.length,
    finish: () => undefined,
  });

/** The log-sum-exps and targets' logits of all states. */
function* lossesOf(form: Form, product: Product, targets: Int32Array): Steps<Pick<Losses, 'lse' | 'chosen'>> {
  const [lse, chosen] = [new Float64Array(targets.length).fill(-Infinity), new Float64Array(targets.length)];
  yield* eachBlock(form, product, BLOCK, function* ({ logits, first, n, from, to }) {
    const ofBlock = new Float64Array(n);
    yield lseCall(logits, n, ofBlock);
    for (let i = 0; i < n; i++) {
      const target = targets[first + i]!;
      if (target >= from && target < to) chosen[first + i] = logits[i * (to - from) + target - from]!;
      lse[first + i] = logOfSum(lse[first + i]!, ofBlock[i]!);
    }
  });
  return { lse, chosen };
}

/** The loss of a state: lse − logit, and no less than 0. */
function lossOf({ targets, lse, chosen, lsePenalty }: Losses, i: number): number {
  if (targets[i]! < 0) return 0;
  const [sum, logit] = [lse[i]!, chosen[i]!];
  if (sum === Infinity || sum === -Infinity) return NaN;
  return Math.max(0, sum - logit) + (lsePenalty === 0 ? 0 : lsePenalty * sum * sum);
}

/** 1 − e^−d for d ≥ 0. */
const complement = (d: number): number => (d < 2 ** -20 ? d - (d * d) / 2 : 1 - expBelowZero(-d));

/** Turns the logits of states and of the classes [from, to) into gradients by dot products (before the factors). */
function toGradients(x: Float32Array, losses: Losses, softcap: number, { first, from, to }: Part): void {
  const { targets, lse, chosen, factor, lsePenalty } = losses;
  const width = to - from;
  for (let at = 0, i = first; at < x.length; at += width, i++) {
    const [target, sum] = [targets[i]!, lse[i]!];
    const counts = target >= 0;
    const ofAll = factor * (1 + (lsePenalty === 0 ? 0 : 2 * lsePenalty * sum));
    const isFinite = Math.abs(sum) < Infinity;
    for (let c = 0; c < width; c++) {
      const z = x[at + c]!;
      const slope = softcap > 0 ? 1 - (z / softcap) ** 2 : 1;
      const p = isFinite ? expBelowZero(Math.min(0, z - sum)) : NaN;
      x[at + c] = counts ? p * ofAll * slope : 0;
      if (!counts || from + c !== target) continue;
      const miss = isFinite ? complement(Math.max(0, sum - chosen[i]!)) : NaN;
      x[at + c] = (-miss * factor + p * (ofAll - factor)) * slope;
    }
  }
}

/** The call that adds Σ factors[i, j] · vectors[j] to sums[i]. */
function sumsCall(
  sums: Float64Array,
  factors: Float32Array,
  vectors: Float32Array,
  sizes: { readonly count: number; readonly rows: number; readonly cols: number },
): Call<void> {
  return callOf(HEAD_SUMS, {
    backend: backend(headKernels),
    type: 'f32',
    args: { sums, factors, vectors, out: sums, ...sizes },
    own: ['sums', 'factors', 'vectors', 'out'],
    work: sizes.count * sizes.rows * sizes.cols,
    finish: () => undefined,
  });
}

function transposeInto(to: Float32Array, from: Float32Array, n: number, width: number): void {
  for (let i = 0; i < n; i++) for (let c = 0; c < width; c++) to[c * n + i] = from[i * width + c]!;
}

/** Where gradients go. */
interface Gradients {
  /** By hidden states, those of length 1 for cosines. */
  readonly hidden: NewFloat64Array;
  readonly weights: NewFloat32Array | null;
  readonly bias: NewFloat32Array | null;
}

/** Adds up all gradients, a block of classes at a time. */
function* addGradients(product: Product, losses: Losses, to: Gradients): Steps<void> {
  const { matrix, states, weights } = product;
  const { cols } = matrix;
  const most = Math.min(STATES, states.count);
  const [logits, turned] = [
    allocate('Float32Array', most * CLASSES, 'logits'),
    allocate('Float32Array', to.weights ? most * CLASSES : 0, 'logits'),
  ];
  const rows = allocate('Float32Array', CLASSES * cols, 'weights');
  for (let from = 0; from < matrix.rows; from += CLASSES) {
    const end = Math.min(matrix.rows, from + CLASSES);
    const width = end - from;
    const byRows = allocate('Float64Array', to.weights ? width * cols : 0, 'weights');
    yield rowsCall(matrix, weights, from, end, rows);
    for (let first = 0; first < states.count; first += most) {
      const n = Math.min(most, states.count - first);
      const block = viewOf(logits, 0, n * width);
      const place = { first, n, from, to: end };
      yield logitsCall(product, place, block);
      toGradients(block, losses, matrix.softcap, place);
      const part = viewOf(to.hidden, first * cols, (first + n) * cols);
      yield sumsCall(part, block, rows, { count: n, rows: width, cols });
      if (to.weights === null) continue;
      addColumns(to.bias, block, from, width);
      transposeInto(turned, block, n, width);
      const hidden = viewOf(states.hidden, first * cols, (first + n) * cols);
      yield sumsCall(byRows, turned, hidden, { count: width, rows: n, cols });
    }
    if (to.weights !== null) storeRows(to.weights, byRows, rows, matrix, from);
  }
}

/** Adds the gradients of each class to those by the bias. */
function addColumns(bias: Float32Array | null, block: Float32Array, from: number, width: number): void {
  if (bias === null) return;
  for (let c = 0; c < width; c++) {
    let sum = 0;
    for (let at = c; at < block.length; at += width) sum += block[at]!;
    bias[from + c]! += sum;
  }
}

/** Rounds gradients by rows; those of cosines are turned into gradients by rows that have their own lengths. */
function storeRows(
  to: Float32Array,
  sums: Float64Array,
  rows: Float32Array,
  { cols, factors, isCosine }: HeadMatrix,
  from: number,
): void {
  for (let r = 0; r < sums.length / cols; r++) {
    if (isCosine) awayFrom(sums, rows, r, cols, Math.abs(factors![from + r]!));
    for (let c = 0; c < cols; c++) to[(from + r) * cols + c] = sums[r * cols + c]!;
  }
}

/** The gradient by a vector from the gradient by its direction: its part across the direction, over the length. */
function awayFrom(sums: Float64Array, directions: Float32Array, row: number, cols: number, inverse: number): void {
  let along = 0;
  for (let c = row * cols; c < (row + 1) * cols; c++) along += sums[c]! * directions[c]!;
  for (let c = row * cols; c < (row + 1) * cols; c++) sums[c] = (sums[c]! - along * directions[c]!) * inverse;
}

export function* crossEntropySteps<R extends Reduction = 'none', G extends HeadGradient = 'none'>(
  form: Form,
  matrix: HeadMatrix,
  hidden: HiddenStates,
  targets: Targets,
  options?: HeadLossOptions<R, G> & AsyncOptions,
): Steps<HeadLoss<R, G>> {
  const given = optionsOf<HeadLossOptions>(options, [...NAMES, ...FORM_OPTIONS[form]]);
  const gradient = oneOf(given.gradient ?? 'none', ['none', 'hidden', 'both'], 'gradient');
  const reduction = reductionOf(given.reduction ?? 'none');
  const lsePenalty = given.lsePenalty === undefined ? 0 : positive(given.lsePenalty, 'lsePenalty', true);
  const scale = given.scale === undefined ? 1 : finite(given.scale, 'scale');
  const indices = indicesOf(targets);
  const states = statesOf(matrix, hidden, given.dtype);
  const positions = positionsOf(indices, states.count, matrix.rows, given.ignoreIndex ?? -100);
  const product = yield* productOf(form, matrix, states);
  const reducer = reducerOf(reduction, totalOf(positions, null), scale);
  const parts = yield* lossesOf(form, product, positions);
  const losses = { ...parts, targets: positions, factor: reducer.factor, lsePenalty };
  const loss = Float64Array.from({ length: states.count }, (_, i) =>
    positions[i]! < 0 ? 0 : lossOf(losses, i) * reducer.factor,
  );
  const sums: Gradients = {
    hidden: allocate('Float64Array', gradient === 'none' ? 0 : states.hidden.length, 'hidden'),
    weights: gradient === 'both' ? allocate('Float32Array', matrix.rows * matrix.cols, 'weights') : null,
    bias: gradient === 'both' && matrix.bias !== null ? allocate('Float32Array', matrix.rows, 'bias') : null,
  };
  if (gradient !== 'none' && states.count > 0) yield* addGradients(product, losses, sums);
  for (let i = 0; states.inverse !== null && i * matrix.cols < lengthOf(sums.hidden); i++) {
    awayFrom(sums.hidden, states.hidden, i, matrix.cols, states.inverse[i]!);
  }
  return {
    loss: reducer.result(loss),
    lse: parts.lse,
    hidden: gradient === 'none' ? null : Float32Array.from(sums.hidden),
    weights: sums.weights,
    bias: sums.bias,
  } as HeadLoss<R, G>;
}
