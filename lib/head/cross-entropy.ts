/**
 * The loss of an OutputHead against the right classes, and its gradients: Cut Cross-Entropy (Wijmans et al., arXiv
 * 2411.09009). Logits are computed twice, a block at a time, and never kept.
 */
import type { AsyncOptions } from '../call/abort.js';
import { oneOf } from '../call/checks.js';
import { wrongValue } from '../call/errors.js';
import { FORM_OPTIONS, optionsOf, type Form } from '../call/options.js';
import { privately, type Steps } from '../call/steps.js';
import { isFloat32Array, type NewFloat32Array, type NewFloat64Array, type NewUint32Array } from '../call/types.js';
import { reducerOf, totalOf, type Reduction } from '../losses/reduce.js';
import { indicesOf, positionsOf, type Targets } from '../losses/targets.js';
import { productOf } from './blocks.js';
import { candidatesOf, listsOf, type CandidateOptions } from './candidates.js';
import { gradientsOf, type Gradients } from './loss-gradients.js';
import { checkSoft, checkWeights, lossOf, newLosses, termsOf, type Losses } from './loss-terms.js';
import { addLogits } from './log-sums.js';
import type { States } from './matrix-calls.js';
import type { HeadMatrix } from './matrix.js';
import { checkLogCounts, logCountsOf, preparedLists, sampledSteps, type LogCounts } from './sampled-loss.js';
import { statesOf, type HiddenStates, type StateOptions } from './states.js';

/** Which gradients a loss has: none; by the hidden states; by these and by the weights and the bias. */
export type HeadGradient = 'none' | 'hidden' | 'both';

export interface HeadLossOptions<R extends Reduction = Reduction, G extends HeadGradient = HeadGradient>
  extends StateOptions, CandidateOptions {
  /** Default: 'none'. */
  gradient?: G | undefined;
  /**
   * 'none': a loss a state; 'sum'; 'mean': the sum over the sum of the weights of the targets that are not ignored (the
   * states, with soft targets), NaN if that is 0. Default: 'none'.
   */
  reduction?: R | undefined;
  /** The target of states that do not count: their losses and gradients are 0. Default: −100. */
  ignoreIndex?: number | undefined;
  /** A weight w for each class of the head: a finite number from 0. Default: 1 for all. */
  weight?: Float32Array | Float64Array | readonly number[] | undefined;
  /** ε from 0 to 1: the target has 1 − ε, and all classes share the rest. Not beside `candidates`. Default: 0. */
  labelSmoothing?: number | undefined;
  /** c ≥ 0: adds c · logSumExp² to each loss, the z-loss of PaLM and ST-MoE. Default: 0. */
  lsePenalty?: number | undefined;
  /** Multiplies losses and gradients: a finite number. Default: 1. */
  scale?: number | undefined;
  /** What the logits are divided by: finite and > 0. Default: 1. */
  temperature?: number | undefined;
  /**
   * The logarithm of each candidate's expected count, which is subtracted from its logit: sampled softmax. In lists as
   * `candidates` has them. Default: no correction.
   */
  logCounts?: LogCounts | readonly LogCounts[] | undefined;
  /** The same of each state's target. Default: that of the candidate which is the target. */
  targetLogCounts?: LogCounts | undefined;
  /** Whether a candidate that is the target does not count beside the target. Default: true. */
  removeAccidentalHits?: boolean | undefined;
}

const NAMES = [
  'dtype',
  'candidates',
  'gradient',
  'reduction',
  'ignoreIndex',
  'weight',
  'labelSmoothing',
  'lsePenalty',
  'scale',
  'temperature',
  'logCounts',
  'targetLogCounts',
  'removeAccidentalHits',
] as const satisfies readonly (keyof HeadLossOptions)[];

/** A loss with its gradients by the numbers that are not null. */
export interface HeadLoss<R extends Reduction = Reduction, G extends HeadGradient = HeadGradient> {
  readonly loss: R extends 'none' ? NewFloat64Array : number;
  /** The log-sum-exp of each state's logits; with candidates, of the terms that count. */
  readonly lse: NewFloat64Array;
  /** By the hidden states, [count, cols]. */
  readonly hidden: G extends 'none' ? null : NewFloat32Array;
  /** By the weights as floats, [rows, cols]: those that `weightRows` gives without `normalize`. */
  readonly weights: G extends 'both' ? NewFloat32Array : null;
  /** By the bias; null for a head without one. */
  readonly bias: G extends 'both' ? NewFloat32Array | null : null;
  /** With candidates, the classes of the rows of `weights` and `bias`, rising: candidates and targets. Else null. */
  readonly classes: G extends 'both' ? NewUint32Array | null : null;
}

/** What stands beside the losses of states. */
interface Computed {
  readonly losses: readonly Losses[];
  readonly gradients: Gradients;
  readonly classes: NewUint32Array | null;
}

/** Options whose lists are copies: nothing of the caller's runs behind this. */
function readOptions<R extends Reduction, G extends HeadGradient>(
  form: Form,
  targets: Targets | Float32Array,
  options: (HeadLossOptions<R, G> & AsyncOptions) | undefined,
) {
  const given = optionsOf<HeadLossOptions>(options, [...NAMES, ...FORM_OPTIONS[form]]);
  const lists = listsOf(given.candidates);
  const soft = isFloat32Array(targets) ? targets : null;
  const { logCounts, targetLogCounts, removeAccidentalHits: removes } = given;
  const counts = logCountsOf(logCounts, targetLogCounts, removes);
  const terms = termsOf(given);
  const others = { logCounts, targetLogCounts, removeAccidentalHits: removes };
  for (const [name, value] of Object.entries(others)) {
    if (lists === undefined && value !== undefined) throw wrongValue('no value without candidates', name, 'one');
  }
  if (lists !== undefined && terms.smoothing > 0)
    throw wrongValue('no value beside candidates', 'labelSmoothing', 'one');
  if (lists !== undefined && soft !== null) throw wrongValue('indices beside candidates', 'targets', 'a Float32Array');
  return {
    gradient: oneOf(given.gradient ?? 'none', ['none', 'hidden', 'both'], 'gradient'),
    lists,
    counts,
    terms,
    soft,
    indices: soft === null ? indicesOf(targets as Targets) : null,
    ignoreIndex: given.ignoreIndex ?? -100,
    dtype: given.dtype,
  };
}

type Read = ReturnType<typeof readOptions> & { readonly targets: Int32Array; readonly factor: number };

/** The steps of all losses and gradients. Checks stand before the first yield. */
function* computed(form: Form, matrix: HeadMatrix, states: States, read: Read): Steps<Computed> {
  const { terms, gradient, counts, soft: given, targets, factor } = read;
  const candidates = candidatesOf(read.lists, states.count, matrix.rows);
  if (candidates !== undefined) {
    checkLogCounts(counts, candidates, states.count);
    const call = { candidates, targets, terms, counts, gradient, factor };
    const lists = preparedLists(call);
    return yield* sampledSteps(form, { ...call, product: yield* productOf(form, matrix, states, true) }, lists);
  }
  const copied = given === null ? null : privately(form, given, 'targets');
  const soft = copied === null ? null : yield* copied;
  const losses = { ...newLosses(targets, soft, terms, matrix.rows), factor };
  const product = yield* productOf(form, matrix, states);
  yield* addLogits(form, product, losses);
  return { losses: [losses], gradients: yield* gradientsOf(product, losses, gradient), classes: null };
}

/** One number of each state, in the order of states. */
function fromAll(losses: readonly Losses[], count: number, numbersOf: (part: Losses) => ArrayLike<number>) {
  const all = new Float64Array(count);
  let at = 0;
  for (const part of losses) {
    all.set(numbersOf(part), at);
    at += part.targets.length;
  }
  return all;
}

export function* crossEntropySteps<R extends Reduction = 'none', G extends HeadGradient = 'none'>(
  form: Form,
  matrix: HeadMatrix,
  hidden: HiddenStates,
  targets: Targets | Float32Array,
  options?: HeadLossOptions<R, G> & AsyncOptions,
): Steps<HeadLoss<R, G>> {
  const read = readOptions(form, targets, options);
  const { terms, gradient, soft, indices } = read;
  const states = statesOf(matrix, hidden, read.dtype);
  const { count } = states;
  checkWeights(terms.weight, matrix.rows);
  if (soft !== null) checkSoft(soft, count, matrix.rows);
  const positions =
    indices === null ? new Int32Array(count) : positionsOf(indices, count, matrix.rows, read.ignoreIndex);
  const total = totalOf(positions, soft === null ? terms.weight : null);
  const reducer = reducerOf(terms.reduction, total, terms.scale);
  const result = yield* computed(form, matrix, states, { ...read, targets: positions, factor: reducer.factor });
  const { losses, gradients, classes } = result;
  const loss = fromAll(losses, count, (part) =>
    Float64Array.from(part.targets, (target, i) => (target < 0 ? 0 : lossOf(part, i) * reducer.factor)),
  );
  return {
    loss: reducer.result(loss),
    lse: fromAll(losses, count, ({ lse }) => lse),
    hidden: gradient === 'none' ? null : Float32Array.from(gradients.hidden),
    weights: gradients.weights,
    bias: gradients.bias,
    classes: gradient === 'both' ? classes : null,
  } as HeadLoss<R, G>;
}
