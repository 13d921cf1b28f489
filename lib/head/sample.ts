/** Tokens and log-probabilities from hidden states. */
import type { AsyncOptions } from '../call/abort.js';
import { allocate } from '../call/allocate.js';
import { viewOf } from '../call/arrays.js';
import { count, positive } from '../call/checks.js';
import { FORM_OPTIONS, type Form } from '../call/options.js';
import type { Steps } from '../call/steps.js';
import type { NewUint32Array } from '../call/types.js';
import { checkedTokens, logProbsSteps, tokensOf, type LogProbs } from '../sampling/log-probs.js';
import { optionsOf } from '../sampling/options.js';
import { rowsOf } from '../sampling/rows.js';
import type { SampleOneOptions, SampleResult } from '../sampling/sample-options.js';
import { planOf } from '../sampling/sample-plan.js';
import { SAMPLE_OPTIONS, sampleStepsOf } from '../sampling/sample.js';
import { eachBlock, productOf } from './blocks.js';
import { logitsCall } from './matrix-calls.js';
import type { HeadMatrix } from './matrix.js';
import { statesOf, type HiddenStates, type StateOptions } from './states.js';

/** The options of `sample`, but for those that say where rows are. */
export type HeadSampleOptions = Omit<SampleOneOptions<Float32Array>, 'cols' | 'shape' | 'axis' | 'dtype'> &
  StateOptions;

const OPTIONS = SAMPLE_OPTIONS.filter((name) => name !== 'cols' && name !== 'shape' && name !== 'axis');

export function* sampleSteps(
  form: Form,
  matrix: HeadMatrix,
  hidden: HiddenStates,
  options?: HeadSampleOptions & AsyncOptions,
): Steps<NewUint32Array | SampleResult> {
  const { dtype, ...given } = optionsOf<HeadSampleOptions>(options, [...OPTIONS, ...FORM_OPTIONS[form]]);
  const states = statesOf(matrix, hidden, dtype);
  const logits = allocate('Float32Array', states.count * matrix.rows, 'logits');
  const plan = planOf(logits, { ...given, cols: matrix.rows }, 1);
  const product = yield* productOf(form, matrix, states);
  if (states.count > 0) yield logitsCall(product, { first: 0, n: states.count, from: 0, to: matrix.rows }, logits);
  return yield* sampleStepsOf(form, { ...plan, call: { ...plan.call, own: ['x', ...plan.call.own] } });
}

export interface HeadLogProbsOptions extends StateOptions {
  /** The divisor of the logits: finite and > 0. Default: 1. */
  temperature?: number | null | undefined;
  /** The number of most probable tokens that are wanted too. Default: 0. */
  top?: number | null | undefined;
}

export function* headLogProbsSteps(
  form: Form,
  matrix: HeadMatrix,
  hidden: HiddenStates,
  tokens: ArrayLike<number> | number,
  options?: HeadLogProbsOptions & AsyncOptions,
): Steps<LogProbs> {
  const names = ['dtype', 'temperature', 'top', ...FORM_OPTIONS[form]];
  const given = optionsOf<HeadLogProbsOptions>(options, names);
  const temperature = positive(given.temperature ?? 1, 'temperature');
  const n = Math.min(count(given.top ?? 0, 'top', 0), matrix.rows);
  const list = tokensOf(tokens);
  const states = statesOf(matrix, hidden, given.dtype);
  const chosen = checkedTokens(list, states.count, matrix.rows);
  const all = {
    logProbs: new Float64Array(states.count),
    ranks: new Uint32Array(states.count),
    top: {
      indices: allocate('Uint32Array', states.count * n, 'top.indices'),
      logProbs: allocate('Float64Array', states.count * n, 'top.logProbs'),
      n,
    },
  };
  yield* eachBlock(form, yield* productOf(form, matrix, states), matrix.rows, function* ({ logits, first, n: rows }) {
    const call = { ...rowsOf(logits, { cols: matrix.rows }), own: ['x'] as const };
    const found = yield* logProbsSteps(call, viewOf(chosen, first, first + rows), temperature, n, first);
    all.logProbs.set(found.logProbs, first);
    all.ranks.set(found.ranks, first);
    all.top.indices.set(found.top.indices, first * n);
    all.top.logProbs.set(found.top.logProbs, first * n);
  });
  return all;
}
