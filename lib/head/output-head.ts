/** OutputHead: the last matrix of a model, from hidden states to tokens, log-probabilities, losses and sums. */
import { allocate } from '../call/allocate.js';
import { outOfRange } from '../call/errors.js';
import { runNow } from '../call/call.js';
import { runSteps } from '../call/steps.js';
import type { NewFloat32Array, NewUint32Array, Returned } from '../call/types.js';
import type { LogProbs } from '../sampling/log-probs.js';
import type { Detailed, Plain, SampleResult } from '../sampling/sample-options.js';
import type { NewExpSums } from '../softmax/exp-sum-state.js';
import type { Reduction } from '../losses/reduce.js';
import type { Targets } from '../losses/targets.js';
import { crossEntropySteps, type HeadGradient, type HeadLoss, type HeadLossOptions } from './cross-entropy.js';
import { HEAD_FORMATS, type HeadFormat } from './formats.js';
import { ggufArguments, onnxArguments, type HeadFileOptions, type OnnxHeadOptions } from './from-file.js';
import { expSumSteps, logitsSteps, topKSteps } from './logits.js';
import type { HeadLogitsOptions, HeadSumOptions, HeadTopK, HeadTopKOptions } from './logits.js';
import { headLogProbsSteps, type HeadLogProbsOptions } from './log-probs.js';
import { shardOf } from './kept.js';
import { rowsCall, weightsFor } from './matrix-calls.js';
import { matrixOf, type HeadArray, type HeadMatrix, type OutputHeadOptions } from './matrix.js';
import { sampleSteps, type HeadSampleOptions } from './sample.js';
import type { HiddenStates } from './states.js';
import type { HeadSource } from './source.js';

/** Access to the private parts of a head, for this file alone. */
let ownMatrix: (head: OutputHead) => HeadMatrix;

/** Makes a head of a matrix that has been checked. */
let headOf: (matrix: HeadMatrix) => OutputHead;

/**
 * The last matrix of a model, [rows, cols]: a row of weights for each class. It takes hidden states, of which there may
 * be any number, and reads its weights once for eight of them.
 *
 *     const head = new OutputHead(weights, { rows: 128256, cols: 2048, format: 'bfloat16' });
 *     const tokens = head.sample(hidden, { temperature: 0.7, topP: 0.9, seed: 1 });
 *
 * A logit is hidden · row (times an int8 row's scale) + bias, rounded to float32, then capped. Weights are the format's
 * exact values, rounded once to float32 (which changes only 'q4_K', and blocks with scales of more than 16 bits). The
 * largest error of a native logit is (cols / 512 + 40) · 2⁻²⁴ · Σ |hidden · weight|, times the scale; JavaScript sums
 * in double. All native instruction sets, numbers of threads, numbers of states and shards give the same bits.
 *
 * With `activations: 'int8'` a hidden state is rounded to bytes first, in blocks of 32 columns: q = h / s to
 * the nearest integer, s = max(max |h| / 127, 2⁻¹²⁶), as ggml does it but for s, which stays a float32. Products are
 * exact sums of integers. A logit is within (cols / 512 + 40) · 2⁻²⁴ · Σ |s · q · weight| of that of the states s ·
 * q (of 'q4_K', with |d · scale · nibble| + |dmin · minimum| as |weight|), and these are within Σ s / 2 · |weight|
 * of those of the states: a half of a 127th of the largest number of a block. A state with a number that is not
 * finite has NaN alone. It serves all methods; gradients are taken as if states were not rounded.
 *
 * The weights stay in the caller's memory, and must not change: they may be a view of a file. A promise needs memory
 * that no one can take away: it reads a SharedArrayBuffer where it is, and of other memory the first promise makes a
 * copy, which the head keeps.
 *
 * @example
 * import { OutputHead } from 'flash-softmax/head';
 * const head = new OutputHead(Float32Array.of(1, 0, 0, 1, 1, 1), { rows: 3, cols: 2 }); // three tokens
 * const hidden = Float32Array.of(1, 2);
 * console.log(head.logits(hidden).join(' '), head.sample(hidden, { temperature: 0 })[0]); // → 1 2 3 2
 */
export class OutputHead {
  readonly #matrix: HeadMatrix;

  static {
    ownMatrix = (head) => head.#matrix;
    headOf = (matrix) => new OutputHead(matrix as never, CHECKED as never);
  }

  /**
   * @param weights [rows, cols] in the array of the format: a Float32Array; a Uint16Array (or Float16Array) for
   *   'float16', a Uint16Array for 'bfloat16'; an Int8Array for 'int8'; a Uint8Array with the bytes of all others.
   * @throws TypeError (ERR_INVALID_ARG_TYPE) for an array of the wrong kind, a detached one, or an option of another
   *   name.
   * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for sizes and lengths that do not fit the format, and
   *   for `activations: 'int8'` beside weights of floats.
   */
  constructor(weights: HeadArray, options: OutputHeadOptions) {
    this.#matrix = (options as unknown) === CHECKED ? (weights as unknown as HeadMatrix) : matrixOf(weights, options);
  }

  /**
   * The head of a tensor of a GGUF file: F32, F16, BF16, Q8_0, Q4_0, Q4_K or Q6_K. Usually 'output.weight', and
   * 'token_embd.weight' where a model has one matrix for both.
   *
   * @param source A path or a URL, of which the header and the tensor are read at once, into shared memory; or the
   *   bytes of a file, which the weights are a view of (a copy, if they are halves or floats at an odd address).
   * @throws RangeError (ERR_INVALID_ARG_VALUE) that names the field, for a file that is not what it says. No more
   *   memory is taken than the file has bytes. What the file system throws.
   */
  static fromGGUF(source: HeadSource, tensor: string, options?: HeadFileOptions): OutputHead {
    const [weights, own] = ggufArguments(source, tensor, options);
    return new OutputHead(weights, own);
  }

  /**
   * The head of an initializer of an ONNX model: FLOAT, FLOAT16 or BFLOAT16, as [rows, cols] or, where MatMul or Gemm
   * has it so, as [cols, rows], which is copied; or the weights of MatMulNBits with 4 or 8 bits, with the scales,
   * zero points and bias of its node. External data is read from the folder of the model, or `externalData`.
   *
   * @param source As for {@link fromGGUF}.
   * @throws As {@link fromGGUF}.
   */
  static fromOnnx(source: HeadSource, initializer: string, options?: OnnxHeadOptions): OutputHead {
    const [weights, own] = onnxArguments(source, initializer, options);
    return new OutputHead(weights, own);
  }

  /** The number of classes. */
  get rows(): number {
    return this.#matrix.rows;
  }
  /** The length of a hidden state. */
  get cols(): number {
    return this.#matrix.cols;
  }
  get format(): HeadFormat {
    return HEAD_FORMATS[this.#matrix.format]!;
  }

  /**
   * The head of the classes [from, to), on the same memory: a shard of a vocabulary. Its logits have the bits that they
   * have in the whole.
   *
   * @throws RangeError (ERR_OUT_OF_RANGE) for numbers that are no rising integers from 0 to `rows`.
   */
  slice(from: number, to: number): OutputHead {
    checkRange(from, to, this.rows);
    return headOf(shardOf(this.#matrix, from, to));
  }

  /**
   * The weights of the classes [from, to) as floats, times the scale of an int8 row; with `normalize`, of length 1.
   *
   * @throws RangeError (ERR_OUT_OF_RANGE) for numbers that are no rising integers from 0 to `rows`.
   */
  weightRows(from: number, to: number): NewFloat32Array {
    checkRange(from, to, this.rows);
    const weights = runSteps(weightsFor('now', this.#matrix));
    const out = allocate('Float32Array', (to - from) * this.cols, 'weights');
    runNow(rowsCall(this.#matrix, weights, from, to, out));
    return out;
  }

  /**
   * The logits of each state.
   *
   * @param hidden [count, cols]: a Float32Array, a Float16Array, or a Uint16Array with `dtype`. They are copied.
   * @param options With `candidates`, results are [count, n] in the order of the lists, and only the rows of these
   *   classes are read: they are copied together first, with the bits that they have among all. So in all methods.
   * @returns [count, rows]: `out`, or a new Float32Array. What is not finite follows IEEE 754; each NaN is the same.
   * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
   * @throws RangeError (ERR_INVALID_ARG_VALUE) for lengths that do not fit, an overlap of `out`, and weights whose
   *   buffer was transferred or resized; ERR_OUT_OF_RANGE for a candidate that is no class, which it names.
   */
  logits<Out extends Float32Array = NewFloat32Array>(
    hidden: HiddenStates,
    options?: HeadLogitsOptions<Out>,
  ): Returned<Out> {
    return runSteps(logitsSteps('now', this.#matrix, hidden, options));
  }

  /**
   * The sum of the exponentials of each state's logits: to the bit what `expSum` gives of written logits, but no more
   * than 2^16 logits of eight states are in memory. Sums of shards are added by `mergeExpSums`; if shards but the last
   * have multiples of 2^16 classes, with the bits of the whole.
   *
   * @throws As {@link logits}, and RangeError for a temperature that is not finite and > 0, or an exponent that does
   *   not fit 32 bits.
   */
  expSum(hidden: HiddenStates, options?: HeadSumOptions): NewExpSums {
    return runSteps(expSumSteps('now', this.#matrix, hidden, options));
  }

  /**
   * The k largest logits of each state, in order; of equal ones those of the lowest classes, of equal `candidates`
   * those that are listed first. `indices` are the numbers of classes, not places in a list.
   *
   * @param k How many, from 0; all if there are fewer classes or candidates.
   * @throws As {@link logits}, and RangeError for a state whose logits have a NaN, which it names.
   */
  topK(hidden: HiddenStates, k: number, options?: HeadTopKOptions): HeadTopK {
    return runSteps(topKSteps('now', this.#matrix, hidden, k, options));
  }

  /**
   * A token of each state: the token that `sample` draws from its written logits with these options. From 16,384
   * classes on, and without `mask`, `bias` and `logProbs`, the logits are not written:
   *
   * - at a temperature alone, the sums of parts of 1,024 classes say which part has the token: it is computed again if
   *   the head has more than 65,536 classes;
   * - where the first filter is topK (up to 1,024) or topH, the first tokens of blocks of 65,536 classes are enough; so
   *   are they for minP, topP and epsilonCutoff if the head has more than 65,536 classes.
   *
   * Elsewhere, and where the errors of sums leave the choice open, or more than 256 tokens are left by minP, topP or
   * epsilonCutoff, the logits of at most eight states are written (of all, for a mask or a bias of each state).
   *
   * @param options Those of `sample`, but `cols`, `shape` and `axis`; `dtype` is the type of the hidden states.
   * @throws As {@link logits} and `sample`.
   */
  sample(hidden: HiddenStates, options: HeadSampleOptions & Detailed): SampleResult;
  sample(hidden: HiddenStates, options?: HeadSampleOptions & Plain): NewUint32Array;
  sample(hidden: HiddenStates, options?: HeadSampleOptions): NewUint32Array | SampleResult;
  sample(hidden: HiddenStates, options?: HeadSampleOptions): NewUint32Array | SampleResult {
    return runSteps(sampleSteps('now', this.#matrix, hidden, options));
  }

  /**
   * ln p of a chosen token of each state, its rank, and the most probable tokens: what `logProbs` gives of written
   * logits, of which those of eight states are in memory at a time.
   *
   * @param tokens A token for each state, or one number for one state: classes, of which `candidates` must have each.
   * @throws As {@link logits} and `logProbs`.
   */
  logProbs(hidden: HiddenStates, tokens: ArrayLike<number> | number, options?: HeadLogProbsOptions): LogProbs {
    return runSteps(headLogProbsSteps('now', this.#matrix, hidden, tokens, options));
  }

  /**
   * The loss of each state, logSumExp(logits) − logits[target], and the gradients by the hidden states, the weights and
   * the bias: Cut Cross-Entropy (Wijmans et al., arXiv 2411.09009). Logits are computed a block at a time, twice where
   * a gradient is wanted: no more than 2^19 of them are in memory.
   *
   * With class weights w, `labelSmoothing` ε, `lsePenalty` c, `scale` s and `temperature`, the loss of `crossEntropy`:
   *
   *     s · ((1 − ε) w[target] (−log p[target]) + ε / C · Σ w[k] (−log p[k]) + c · logSumExp²)
   *
   * With soft targets t the first two are Σ w[k] ((1 − ε) t[k] + ε / C) (−log p[k]), read a block at a time.
   *
   * With `candidates`, sampled softmax: p[target] is the share of the target among itself and the candidates, from each
   * of whose logits its `logCounts` is subtracted. The target counts once, whether it is a candidate or not, unless
   * `removeAccidentalHits` is false. `weights` and `bias` have the rows of candidates and targets alone: `classes`.
   *
   * −log p is within 8 · 10⁻⁸ + 2⁻⁵⁰ · (1 + |logSumExp| + |logit|) of that of the float32 logits, the first in native
   * code alone: the error of `logSumExp` of blocks of 2^16 classes, and what merging and subtracting them rounds.
   * Gradients by logits are rounded to float32; their sums with weights or states are chains of 64 in float32, added in
   * double. Gradients by the weights are by the numbers that `weightRows` gives (of an int8 row, with its scale); with
   * `normalize`, by the weights before they were divided.
   *
   * @param targets A class for each state: integers from 0 to rows − 1, or `ignoreIndex`. Or soft targets, a
   *   Float32Array [count, rows], which a promise copies unless its memory is shared.
   * @throws As {@link logits}, and RangeError for a target that is no class, a target that has no `logCounts`, or an
   *   option's wrong value.
   */
  crossEntropy<R extends Reduction = 'none', G extends HeadGradient = 'none'>(
    hidden: HiddenStates,
    targets: Targets | Float32Array,
    options?: HeadLossOptions<R, G>,
  ): HeadLoss<R, G> {
    return runSteps(crossEntropySteps('now', this.#matrix, hidden, targets, options));
  }
}

/** The matrix of a head of this copy of the package. */
export const matrixOfHead = (head: OutputHead): HeadMatrix => ownMatrix(head);

/** Stands for the options of a head whose matrix has been checked. */
const CHECKED = Symbol('checked');

function checkRange(from: unknown, to: unknown, rows: number): void {
  if (Number.isInteger(from) && Number.isInteger(to) && (from as number) >= 0 && (from as number) < (to as number)) {
    if ((to as number) <= rows) return;
  }
  throw outOfRange(`two rising integers from 0 to ${rows}`, 'from and to', `${String(from)}, ${String(to)}`);
}
