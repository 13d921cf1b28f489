/** topLabels: the most probable labels, from the logits of a classifier. */
import { allocate } from '../../call/allocate.js';
import { lengthOf } from '../../call/arrays.js';
import { bitsOf, count, oneOf } from '../../call/checks.js';
import { wrongValue } from '../../call/errors.js';
import { checkOptions } from '../../call/options.js';
import { topK } from '../../selection/select.js';
import { isUint16Array, type FloatArray, type LogitArray } from '../../call/types.js';
import { readerOf } from '../../math/read.js';
import { softmax } from '../../softmax/softmax.js';
import { fromTensor, type TensorLike } from '../onnxruntime/from-tensor.js';

/** The fields of a model's config that are read. */
export interface LabelConfig {
  /** The name of each class. */
  readonly id2label?: Readonly<Record<number, string>> | null | undefined;
  /** 'multi_label_classification': each class has a probability of its own, by the sigmoid. */
  readonly problem_type?: string | null | undefined;
}

export interface TopLabelsOptions {
  /** How many labels of each input, at most. Default: 5. */
  readonly topK?: number | null | undefined;
  /** The config of the model, `classifier.model.config`. Default: labels 'LABEL_0', 'LABEL_1' …. */
  readonly config?: LabelConfig | null | undefined;
  /** Default: 'sigmoid' where the config says 'multi_label_classification', else 'softmax'. */
  readonly function?: 'softmax' | 'sigmoid' | null | undefined;
}

/** A label as pipelines of transformers.js give it, and its class. */
export interface Label {
  readonly label: string;
  readonly score: number;
  readonly index: number;
}

/**
 * The most probable labels of each input of a batch, the most probable first: what classification pipelines of
 * transformers.js do after their model, for all inputs at once.
 *
 *     const { logits } = await classifier.model(await classifier.tokenizer(texts, { padding: true }));
 *     const labels = topLabels(logits, { topK: 3, config: classifier.model.config });
 *
 * Scores are softmax over all classes, rounded to float32; the sigmoid is the softmax of a logit beside 0. Of equal
 * logits the lower class comes first.
 *
 * @param logits [batch, classes], of float32, float64 or float16.
 * @returns For each input its labels.
 * @throws TypeError and RangeError as `fromTensor`; RangeError for other dimensions, and for a row with a NaN.
 * @example
 * import { topLabels } from 'flash-softmax/adapters/transformers';
 * const logits = { type: 'float32', dims: [1, 2], data: Float32Array.of(3, 1) };
 * console.log(topLabels(logits, { topK: 1, config: { id2label: { 0: 'good', 1: 'bad' } } })[0][0].label); // → good
 */
export function topLabels(logits: TensorLike, options?: TopLabelsOptions): Label[][] {
  checkOptions(options, ['topK', 'config', 'function']);
  const given = { ...options };
  const wanted = count(given.topK ?? 5, 'topK');
  const { id2label, problem_type: problem } = { ...given.config };
  const isMultiLabel = problem === 'multi_label_classification';
  const name = oneOf(given.function ?? (isMultiLabel ? 'sigmoid' : 'softmax'), ['softmax', 'sigmoid'], 'function');
  const { data, shape, ...dtype } = fromTensor(logits);
  if (shape.length !== 2) throw wrongValue('2 dimensions, [batch, classes],', 'logits', String(shape.length));
  const [batch, cols] = [shape[0]!, shape[1]!];
  if (batch === 0 || cols === 0) return Array.from({ length: batch }, () => []);
  const { indices, k } = topK(data, wanted, { cols, ...dtype });
  const scores = name === 'softmax' ? softmaxOf(data, cols) : sigmoidOf(data, indices, cols);
  return Array.from({ length: batch }, (_, row) =>
    Array.from(indices.subarray(row * k, (row + 1) * k), (index): Label => ({
      label: id2label?.[index] ?? `LABEL_${index}`,
      score: scores[row * cols + index]!,
      index,
    })),
  );
}

/** The probabilities of all classes: those of halves as floats. */
function softmaxOf(data: LogitArray, cols: number): FloatArray {
  const x = bitsOf(data);
  if (!isUint16Array(x)) return softmax(x as FloatArray, { cols });
  return softmax(x, { cols, dtype: 'float16', out: allocate('Float32Array', lengthOf(data), 'the scores') });
}

/** The sigmoid of each class of `indices`; 0 elsewhere. */
function sigmoidOf(data: LogitArray, indices: Uint32Array, cols: number): FloatArray {
  const bits = bitsOf(data);
  const logit = readerOf(bits, isUint16Array(bits) ? 'f16' : 'f64');
  const scores = allocate('Float64Array', lengthOf(data), 'the scores');
  const pairs = Float64Array.of(0, 0);
  const per = indices.length / (lengthOf(data) / cols);
  for (let i = 0; i < indices.length; i++) {
    const at = Math.floor(i / per) * cols + indices[i]!;
    pairs[0] = logit(at);
    scores[at] = softmax(pairs)[0]!;
  }
  return scores;
}
