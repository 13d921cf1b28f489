/** sample, sampleMany, filterLogits and topK as promises, off the event loop. */
import type { AsyncOptions } from '../call/abort.js';
import { later } from '../call/off-loop.js';
import { stepsLater } from '../call/steps.js';
import type { LogitArray, NewFloat32Array, NewFloat64Array, NewUint32Array } from '../call/types.js';
import { topKCall } from '../selection/select.js';
import type {
  Detailed,
  FilteredLogits,
  FilterLogitsOptions,
  Plain,
  SampleOneOptions,
  SampleOptions,
  SampleResult,
} from './sample-options.js';
import { filterSteps, sampleManySteps, sampleSteps } from './sample.js';

type Later<O> = O & AsyncOptions;

/**
 * As sample of flash-softmax/sampling.
 *
 * @example
 * import { sample } from 'flash-softmax/promises';
 * console.log((await sample(Float32Array.of(1, 3, 2, 3), { temperature: 0.8, seed: 42, step: 0 }))[0]); // → 3
 */
export const sample = /* @__PURE__ */ stepsLater(sampleSteps, 1) as {
  <A extends LogitArray>(logits: A, options: Later<SampleOneOptions<A> & Detailed>): Promise<SampleResult>;
  <A extends LogitArray>(logits: A, options?: Later<SampleOneOptions<A> & Plain>): Promise<NewUint32Array>;
  <A extends LogitArray>(logits: A, options?: Later<SampleOneOptions<A>>): Promise<NewUint32Array | SampleResult>;
};

/**
 * As sampleMany of flash-softmax/sampling.
 *
 * @example
 * import { sampleMany } from 'flash-softmax/promises';
 * console.log((await sampleMany(Float32Array.of(1, 3, 2), 5, { seed: 42, step: 0 })).join(' ')); // → 1 2 2 1 1
 */
export const sampleMany = /* @__PURE__ */ stepsLater(sampleManySteps, 2) as {
  <A extends LogitArray>(logits: A, n: number, options: Later<SampleOptions<A> & Detailed>): Promise<SampleResult>;
  <A extends LogitArray>(logits: A, n: number, options?: Later<SampleOptions<A> & Plain>): Promise<NewUint32Array>;
  <A extends LogitArray>(
    logits: A,
    n: number,
    options?: Later<SampleOptions<A>>,
  ): Promise<NewUint32Array | SampleResult>;
};

type FilteredOf<A> = FilteredLogits<A extends Float64Array ? NewFloat64Array : NewFloat32Array>;

/**
 * As filterLogits of flash-softmax/sampling.
 *
 * @example
 * import { filterLogits } from 'flash-softmax/promises';
 * const { logits } = await filterLogits(Float32Array.of(1, 3, 2, 0), { topK: 2 });
 * console.log(logits.join(' ')); // → -Infinity 3 2 -Infinity
 */
export const filterLogits = /* @__PURE__ */ stepsLater(filterSteps, 1) as <A extends LogitArray>(
  logits: A,
  options?: Later<FilterLogitsOptions<A>>,
) => Promise<FilteredOf<A>>;

/**
 * As topK of flash-softmax/sampling.
 *
 * @example
 * import { topK } from 'flash-softmax/promises';
 * console.log((await topK(Float32Array.of(1, 3, 2, 3), 2)).indices.join(' ')); // → 1 3
 */
export const topK = /* @__PURE__ */ later(topKCall, 2);
