/** OutputHead of flash-softmax/head, off the event loop, for flash-softmax/promises. */
import type { AsyncOptions } from '../call/abort.js';
import { stepsLater } from '../call/steps.js';
import type { NewFloat32Array, NewUint32Array, Returned } from '../call/types.js';
import type { LogProbs } from '../sampling/log-probs.js';
import type { Detailed, Plain, SampleResult } from '../sampling/sample-options.js';
import type { NewExpSums } from '../softmax/exp-sum-state.js';
import type { Reduction } from '../losses/reduce.js';
import type { Targets } from '../losses/targets.js';
import { crossEntropySteps, type HeadGradient, type HeadLoss, type HeadLossOptions } from './cross-entropy.js';
import { expSumSteps, logitsSteps, topKSteps } from './logits.js';
import type { HeadLogitsOptions, HeadSumOptions, HeadTopK, HeadTopKOptions } from './logits.js';
import type { HeadArray, OutputHeadOptions } from './matrix.js';
import { headLogProbsSteps, type HeadLogProbsOptions } from './log-probs.js';
import { matrixOfHead, OutputHead as Head } from './output-head.js';
import { sampleSteps, type HeadSampleOptions } from './sample.js';
import type { HiddenStates } from './states.js';

const logitsLater = /* @__PURE__ */ stepsLater(logitsSteps, 2);
const expSumLater = /* @__PURE__ */ stepsLater(expSumSteps, 2);
const topKLater = /* @__PURE__ */ stepsLater(topKSteps, 3);
const sampleLater = /* @__PURE__ */ stepsLater(sampleSteps, 2);
const logProbsLater = /* @__PURE__ */ stepsLater(headLogProbsSteps, 3);
const crossEntropyLater = /* @__PURE__ */ stepsLater(crossEntropySteps, 3);

/**
 * As OutputHead of flash-softmax/head, with methods that return promises and take a `signal`.
 *
 * @example
 * import { OutputHead } from 'flash-softmax/promises';
 * const head = new OutputHead(Float32Array.of(1, 0, 0, 1, 1, 1), { rows: 3, cols: 2 }); // three tokens
 * console.log((await head.sample(Float32Array.of(1, 2), { temperature: 0 }))[0]); // → 2
 */
export class OutputHead {
  readonly #head: Head;

  /** @throws As the constructor of OutputHead of flash-softmax/head. */
  constructor(weights: HeadArray, options: OutputHeadOptions) {
    this.#head = new Head(weights, options);
  }

  /** The same weights, with methods that return at once. */
  get sync(): Head {
    return this.#head;
  }
  get rows(): number {
    return this.#head.rows;
  }
  get cols(): number {
    return this.#head.cols;
  }

  /** As OutputHead.logits. */
  logits<Out extends Float32Array = NewFloat32Array>(
    hidden: HiddenStates,
    options?: HeadLogitsOptions<Out> & AsyncOptions,
  ): Promise<Returned<Out>> {
    return logitsLater(matrixOfHead(this.#head), hidden, options) as Promise<Returned<Out>>;
  }

  /** As OutputHead.expSum. */
  expSum(hidden: HiddenStates, options?: HeadSumOptions & AsyncOptions): Promise<NewExpSums> {
    return expSumLater(matrixOfHead(this.#head), hidden, options);
  }

  /** As OutputHead.topK. */
  topK(hidden: HiddenStates, k: number, options?: HeadTopKOptions & AsyncOptions): Promise<HeadTopK> {
    return topKLater(matrixOfHead(this.#head), hidden, k, options);
  }

  /** As OutputHead.sample. */
  sample(hidden: HiddenStates, options: HeadSampleOptions & Detailed & AsyncOptions): Promise<SampleResult>;
  sample(hidden: HiddenStates, options?: HeadSampleOptions & Plain & AsyncOptions): Promise<NewUint32Array>;
  sample(hidden: HiddenStates, options?: HeadSampleOptions & AsyncOptions): Promise<NewUint32Array | SampleResult>;
  sample(hidden: HiddenStates, options?: HeadSampleOptions & AsyncOptions): Promise<NewUint32Array | SampleResult> {
    return sampleLater(matrixOfHead(this.#head), hidden, options);
  }

  /** As OutputHead.logProbs. */
  logProbs(
    hidden: HiddenStates,
    tokens: ArrayLike<number> | number,
    options?: HeadLogProbsOptions & AsyncOptions,
  ): Promise<LogProbs> {
    return logProbsLater(matrixOfHead(this.#head), hidden, tokens, options);
  }

  /** As OutputHead.crossEntropy. */
  crossEntropy<R extends Reduction = 'none', G extends HeadGradient = 'none'>(
    hidden: HiddenStates,
    targets: Targets | Float32Array,
    options?: HeadLossOptions<R, G> & AsyncOptions,
  ): Promise<HeadLoss<R, G>> {
    return crossEntropyLater(matrixOfHead(this.#head), hidden, targets, options) as Promise<HeadLoss<R, G>>;
  }
}
