/** Tokens from hidden states: sample draws from blocks of logits where it can, and from written logits elsewhere. */
import { MASK_NONE } from '../backend/backend.js';
import { isShared } from '../backend/masks.js';
import type { AsyncOptions } from '../call/abort.js';
import { allocate } from '../call/allocate.js';
import { lengthOf, viewOf } from '../call/arrays.js';
import { biasOf, maskOf } from '../call/mask.js';
import { FORM_OPTIONS, type Form } from '../call/options.js';
import type { Steps } from '../call/steps.js';
import type { NewUint32Array } from '../call/types.js';
import type { LogProbs } from '../sampling/log-probs.js';
import { optionsOf, type Given } from '../sampling/options.js';
import { partOfPlan } from '../sampling/plan-part.js';
import { PrivateMemory } from '../call/private-memory.js';
import { privateRows, type Rows } from '../sampling/rows.js';
import type { SampleOneOptions, SampleResult } from '../sampling/sample-options.js';
import { checkStatus, planFor, type Plan } from '../sampling/sample-plan.js';
import { isDetailed, resultOf, SAMPLE_OPTIONS, sampleStepsOf } from '../sampling/sample.js';
import { memoryFor, productOf, STATES } from './blocks.js';
import { logitsCall, type Product } from './matrix-calls.js';
import type { HeadMatrix } from './matrix.js';
import { candidateDrawer } from './sample-candidates.js';
import { sumDrawer } from './sample-sums.js';
import { statesOf, type HiddenStates, type StateOptions } from './states.js';

/** The options of `sample`, but for those that say where rows are. */
export type HeadSampleOptions = Omit<SampleOneOptions<Float32Array>, 'cols' | 'shape' | 'axis' | 'dtype'> &
  StateOptions;

const OPTIONS = SAMPLE_OPTIONS.filter((name) => name !== 'cols' && name !== 'shape' && name !== 'axis');

/** Logits of fewer classes are written, as they take no more memory than blocks. */
const FEWEST = 2 ** 14;

/** The rows of logits that are not written: their mask and bias are checked. */
function rowsWithout(rows: number, cols: number, { mask, maskFormat, bias }: Given<HeadSampleOptions>): Rows {
  const x = new Float32Array(0);
  const elements = rows * cols;
  const kernelMask = mask === undefined ? undefined : maskOf(mask, maskFormat ?? 'bytes', elements, { cols, inner: 1 });
  return {
    x,
    type: 'f32',
    rows,
    cols,
    mask: kernelMask?.mask ?? null,
    maskLayout: kernelMask?.maskLayout ?? MASK_NONE,
    bias: bias === undefined ? null : biasOf(bias, x, elements, cols, 'logits'),
    inner: 1,
    own: ['x'],
  };
}

/** Draws the tokens of a group of states from blocks of logits; returns the states whose tokens are not certain. */
export type Drawer = (product: Product, plan: Plan) => Steps<readonly number[]>;

/** How a call draws without written logits; undefined: it cannot. */
function drawerOf(form: Form, plan: Plan): Drawer | undefined {
  const { call, wanted } = plan;
  if (call.cols < FEWEST || wanted !== undefined || call.mask !== null || call.bias !== null) return undefined;
  return sumDrawer(form, plan) ?? candidateDrawer(form, plan);
}

/** The states that are written together: all, where each has a mask or a bias of its own. */
function groupSize({ call: { rows, cols, mask, maskLayout, bias } }: Plan): number {
  const hasOwn = (mask !== null && !isShared(maskLayout)) || (bias !== null && lengthOf(bias) !== cols);
  return hasOwn ? Math.max(1, rows) : STATES;
}

/** The states [first, first + n) of a product. */
const statesPart = (product: Product, first: number, n: number): Product => {
  const { matrix, states } = product;
  const hidden = viewOf(states.hidden, first * matrix.cols, (first + n) * matrix.cols);
  return { ...product, states: { hidden, count: n, inverse: null } };
};

/** Log-probabilities of all states, empty if they are not wanted. */
function emptyLogs({ call: { rows, cols }, wanted }: Plan): LogProbs {
  const [states, n] = wanted === undefined ? [0, 0] : [rows, Math.min(wanted, cols)];
  return {
    logProbs: allocate('Float64Array', states, 'logProbs'),
    ranks: allocate('Uint32Array', states, 'ranks'),
    top: {
      indices: allocate('Uint32Array', states * n, 'top.indices'),
      logProbs: allocate('Float64Array', states * n, 'top.logProbs'),
      n,
    },
  };
}

/** The results of a call, filled from those of its groups. */
class Results {
  readonly logs: LogProbs;
  /** Memory for the logits of a group. */
  memory: Float32Array | undefined;
  constructor(readonly plan: Plan) {
    this.logs = emptyLogs(plan);
  }
  store(first: number, { tokens, status, mu }: Pick<Plan, 'tokens' | 'status' | 'mu'>): void {
    this.plan.tokens.set(tokens, first);
    this.plan.status.set(status, first);
    if (mu.length > 0) this.plan.mu.set(mu, first);
  }
  storeLogs(first: number, { logProbs, ranks, top }: LogProbs): void {
    if (this.plan.wanted === undefined) return;
    this.logs.logProbs.set(logProbs, first);
    this.logs.ranks.set(ranks, first);
    this.logs.top.indices.set(top.indices, first * top.n);
    this.logs.top.logProbs.set(top.logProbs, first * top.n);
  }
}

/** Draws the tokens of states [first, first + n) from their written logits. */
function* drawWritten(form: Form, product: Product, results: Results, first: number, n: number): Steps<void> {
  const { rows } = product.matrix;
  results.memory ??= memoryFor(form, product.matrix, Math.min(groupSize(results.plan), product.states.count) * rows);
  const logits = viewOf(results.memory, 0, n * rows);
  yield logitsCall(product, { first, n, from: 0, to: rows }, logits);
  const call: Rows = { ...results.plan.call, x: logits, rows: n };
  const found = (yield* sampleStepsOf(form, partOfPlan(results.plan, first, call))) as SampleResult;
  results.store(first, found);
  results.storeLogs(first, found);
}

/** The lengths of runs of neighbours among rising numbers, each with the first. */
function* runsOf(numbers: readonly number[]): Generator<readonly [first: number, n: number]> {
  for (let i = 0, to = 0; i < numbers.length; i = to) {
    for (to = i + 1; to < numbers.length && numbers[to] === numbers[i]! + to - i;) to++;
    yield [numbers[i]!, to - i];
  }
}

/** Draws the tokens of all states. Where blocks decide less than half of a group, later groups are written at once. */
function* drawAll(form: Form, product: Product, plan: Plan): Steps<Results> {
  const results = new Results(plan);
  const { rows } = plan.call;
  const size = groupSize(plan);
  let drawer = drawerOf(form, plan);
  for (let first = 0; first < rows; first += size) {
    const n = Math.min(size, rows - first);
    if (drawer === undefined) {
      yield* drawWritten(form, product, results, first, n);
      continue;
    }
    const part = partOfPlan(plan, first, { ...plan.call, rows: n });
    const unsure = yield* drawer(statesPart(product, first, n), part);
    results.store(first, part);
    for (const [from, count] of runsOf(unsure)) yield* drawWritten(form, product, results, first + from, count);
    if (2 * unsure.length > n) drawer = undefined;
  }
  return results;
}

export function* sampleSteps(
  form: Form,
  matrix: HeadMatrix,
  hidden: HiddenStates,
  options?: HeadSampleOptions & AsyncOptions,
): Steps<NewUint32Array | SampleResult> {
  const { dtype, ...given } = optionsOf<HeadSampleOptions>(options, [...OPTIONS, ...FORM_OPTIONS[form]]);
  const states = statesOf(matrix, hidden, dtype);
  const checked = planFor(given, 1, () => rowsWithout(states.count, matrix.rows, given));
  const memory = new PrivateMemory();
  try {
    const call = form === 'later' ? yield* privateRows(checked.call, memory) : checked.call;
    const plan: Plan = { ...checked, call: { ...call, own: ['x', 'mask', 'bias'] } };
    const { logs } = yield* drawAll(form, yield* productOf(form, matrix, states), plan);
    checkStatus(plan);
    return isDetailed(plan) ? resultOf(plan, logs) : plan.tokens;
  } finally {
    memory.release();
  }
}
