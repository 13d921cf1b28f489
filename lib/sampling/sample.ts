/** sample, sampleMany and filterLogits: draws tokens from logits, and shows the logits that filters leave. */
import type { AsyncOptions } from '../call/abort.js';
import { runNow, type Call } from '../call/call.js';
import { count } from '../call/checks.js';
import { outOfRange } from '../call/errors.js';
import { FORM_OPTIONS, type Form } from '../call/options.js';
import { PrivateMemory } from '../call/private-memory.js';
import { runSteps, type Steps } from '../call/steps.js';
import type { FloatArray, LogitArray, NewFloat32Array, NewFloat64Array, NewUint32Array } from '../call/types.js';
import { kernelPlan } from './chain-kernels.js';
import { chainSteps } from './chain-steps.js';
import { FILTER_OPTIONS } from './filter-options.js';
import { chosenLogs } from './log-probs.js';
import { optionsOf } from './options.js';
import { SEED_OPTIONS } from './random.js';
import { inCallersOrder, privateRows } from './rows.js';
import type { Detailed, FilteredLogits, FilterLogitsOptions, Plain } from './sample-options.js';
import type { SampleOneOptions, SampleOptions, SampleResult } from './sample-options.js';
import { checkStatus, nativeCall, planOf, type NewFloatArray, type Plan } from './sample-plan.js';

export type { FilterOptions } from './filter-options.js';
export type * from './sample-options.js';

const SAMPLE_MANY_OPTIONS = [...FILTER_OPTIONS, ...SEED_OPTIONS, 'noise', 'mirostat', 'invalid'];
export const SAMPLE_OPTIONS = [...SAMPLE_MANY_OPTIONS, 'logProbs'];

export const resultOf = (plan: Plan, logs: Omit<SampleResult, 'tokens' | 'status' | 'mu'>): SampleResult => ({
  tokens: plan.tokens,
  status: plan.status,
  ...logs,
  mu: plan.mu,
});

/** Whether a call has more than the steps of one kernel, or a result with more than tokens. */
export const isDetailed = ({ marks, wanted, mu, filters }: Plan): boolean =>
  marks || wanted !== undefined || mu.length > 0 || filters.mirostat !== undefined;

/** The steps of a call: the kernel, or filters in another order; then ln p. */
export function* sampleStepsOf(form: Form, plan: Plan): Steps<NewUint32Array | SampleResult> {
  const memory = new PrivateMemory();
  try {
    const isCopied = form === 'later' && (!plan.filters.isNative || plan.wanted !== undefined);
    return yield* stepsOf(form, isCopied ? { ...plan, call: yield* privateRows(plan.call, memory) } : plan);
  } finally {
    memory.release();
  }
}

function* stepsOf(form: Form, plan: Plan): Steps<NewUint32Array | SampleResult> {
  const native = plan.filters.isNative ? plan : yield* kernelPlan(form, plan);
  if (native === undefined) yield* chainSteps(form, plan);
  else yield nativeCall(native, () => undefined);
  checkStatus(plan);
  if (!isDetailed(plan)) return plan.tokens;
  return resultOf(plan, yield* chosenLogs(plan.call, plan, plan.wanted));
}

/**
 * One token of each row, drawn from softmax((logits + bias) / temperature) after the filters.
 *
 * The filters, in the order of transformers (`LogitsProcessorList` of v4): temperature, topK, topP, minP, typicalP,
 * epsilonCutoff, etaCutoff; `order` changes it. The rules of minP (on logits) and of ties in typicalP (the smallest
 * set, and not all tokens as far off) come from llama.cpp. Among equal logits, lower indices count as more probable. A
 * position that is masked, −∞, or filtered has no part in any share. guides/sampling.md compares all options with those
 * of vLLM, llama.cpp, transformers and OpenAI.
 *
 * Each number may be one a row, as may `seed` and `step`. Row r has the token that it has alone with `firstRow: r` and
 * its own numbers.
 *
 * Drawn by inversion: u · Σ weights, along indices. Weights are rounded to a multiple of 2^-46 of the largest (a larger
 * step for rows of more than 65,536), and added as integers: the same u gives the same token on every backend, thread
 * and batch.
 *
 * @param logits Row-major: all of them one row, or rows of `cols`; or of any axis of a `shape`. Not written.
 * @param options The filters; `mask`, `bias`; `seed`, `step` and `firstRow`, or `noise`; `invalid`, `logProbs`,
 *   `mirostat`.
 * @returns An index for each row; with `invalid: 'mark'`, `logProbs` or `mirostat` a {@link SampleResult}.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a number that makes no sense, lengths that do not
 *   fit, and for a row that has a NaN, +∞, or no finite logit left, which it names.
 * @example
 * import { sample } from 'flash-softmax/sampling';
 * const logits = Float32Array.of(1, 3, 2, 3, 0, -1);
 * console.log(sample(logits, { temperature: 0.8, topK: 50, topP: 0.95, seed: 42, step: 0 })[0]); // → 3
 */
export function sample<A extends LogitArray>(logits: A, options: SampleOneOptions<A> & Detailed): SampleResult;
export function sample<A extends LogitArray>(logits: A, options?: SampleOneOptions<A> & Plain): NewUint32Array;
export function sample<A extends LogitArray>(logits: A, options?: SampleOneOptions<A>): NewUint32Array | SampleResult;
export function sample(logits: LogitArray, options?: SampleOneOptions): NewUint32Array | SampleResult {
  const plan = planOf(logits, optionsOf(options, SAMPLE_OPTIONS), 1);
  return plan.filters.isNative && !isDetailed(plan) ? runNow(tokensCall(plan)) : runSteps(sampleStepsOf('now', plan));
}

/** The call of one kernel that gives tokens. */
const tokensCall = (plan: Plan): Call<NewUint32Array> =>
  nativeCall(plan, () => {
    checkStatus(plan);
    return plan.tokens;
  });

export const sampleSteps = (
  form: Form,
  logits: LogitArray,
  options?: SampleOneOptions & AsyncOptions,
): Steps<NewUint32Array | SampleResult> =>
  sampleStepsOf(form, planOf(logits, optionsOf(options, [...SAMPLE_OPTIONS, ...FORM_OPTIONS[form]]), 1));

/**
 * n tokens of each row, independent of one another, after filtering once: [rows, n]. The first of a row is the token of
 * {@link sample}. `mu` of mirostat follows from the last one.
 *
 * @param n The number of tokens, from 1.
 * @returns As {@link sample}, without `logProbs`.
 * @throws As {@link sample}.
 * @example
 * import { sampleMany } from 'flash-softmax/sampling';
 * console.log(sampleMany(Float32Array.of(1, 3, 2), 5, { seed: 42, step: 0 }).join(' ')); // → 1 2 2 1 1
 */
export function sampleMany<A extends LogitArray>(
  logits: A,
  n: number,
  options: SampleOptions<A> & Detailed,
): SampleResult;
export function sampleMany<A extends LogitArray>(
  logits: A,
  n: number,
  options?: SampleOptions<A> & Plain,
): NewUint32Array;
export function sampleMany<A extends LogitArray>(
  logits: A,
  n: number,
  options?: SampleOptions<A>,
): NewUint32Array | SampleResult;
export function sampleMany(logits: LogitArray, n: number, options?: SampleOptions): NewUint32Array | SampleResult {
  return runSteps(sampleManySteps('now', logits, n, options));
}

export function sampleManySteps(
  form: Form,
  logits: LogitArray,
  n: number,
  options?: SampleOptions & AsyncOptions,
): Steps<NewUint32Array | SampleResult> {
  const given = optionsOf<SampleOptions>(options, [...SAMPLE_MANY_OPTIONS, ...FORM_OPTIONS[form]]);
  const draws = count(n, 'n', 1);
  if (draws > 2 ** 32 - 1) throw outOfRange('an integer below 2^32', 'n', n);
  return sampleStepsOf(form, planOf(logits, given, draws));
}

/**
 * The tokens that the filters of {@link sample} leave, as logits and as probabilities. For half types both are
 * Float32Arrays.
 *
 * Probabilities are exact to 10^-12, or rounded to float32; those below 2^-64 of the largest are 0.
 *
 * @param options The filters, `mask`, `bias`; a seed for xtc. With temperature 0 the logit that is left is not divided.
 * @throws As {@link sample}.
 * @example
 * import { filterLogits } from 'flash-softmax/sampling';
 * const { logits } = filterLogits(Float32Array.of(1, 3, 2, 0), { topK: 2 });
 * console.log(logits.join(' ')); // → -Infinity 3 2 -Infinity
 */
export function filterLogits(
  logits: Float64Array,
  options?: FilterLogitsOptions<Float64Array>,
): FilteredLogits<NewFloat64Array>;
export function filterLogits<A extends Exclude<LogitArray, Float64Array>>(
  logits: A,
  options?: FilterLogitsOptions<A>,
): FilteredLogits<NewFloat32Array>;
export function filterLogits(logits: LogitArray, options?: FilterLogitsOptions): FilteredLogits<FloatArray> {
  return runSteps(filterSteps('now', logits, options));
}

export function* filterSteps(
  form: Form,
  logits: LogitArray,
  options?: FilterLogitsOptions & AsyncOptions,
): Steps<FilteredLogits<NewFloatArray>> {
  const given = optionsOf<FilterLogitsOptions>(options, [...FILTER_OPTIONS, ...SEED_OPTIONS, ...FORM_OPTIONS[form]]);
  const plan = planOf(logits, given, 0);
  yield* sampleStepsOf(form, plan);
  return {
    logits: inCallersOrder(plan.call, plan.kept!),
    probabilities: inCallersOrder(plan.call, plan.probabilities!),
  };
}
