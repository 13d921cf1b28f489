/** fitGaussians: the mean of each class, and one covariance of all. */
import type { AsyncOptions } from '../call/abort.js';
import { copyOf, kindOf, viewOf } from '../call/arrays.js';
import { count } from '../call/checks.js';
import { describe, outOfRange, trueLength, wrongType, wrongValue } from '../call/errors.js';
import { FORM_OPTIONS, optionsOf, type Form } from '../call/options.js';
import { isFloat32Array, isFloat64Array, type FloatArray, type NewFloat64Array } from '../call/types.js';
import { fraction } from '../call/values.js';
import type { Targets } from '../losses/targets.js';
import { addProducts, BLOCK, cholesky } from './matrix.js';
import { runAll, type Steps } from './steps.js';

/** Gaussians of some classes with one covariance. All arrays are row-major. */
export interface GaussianModel {
  /** The mean of each class: [classes, dim]. */
  readonly means: NewFloat64Array;
  /** The covariance of all classes, shrunk: [dim, dim]. */
  readonly covariance: NewFloat64Array;
  /** Its Cholesky factor L, zeros above the diagonal, L·Lᵀ = covariance: [dim, dim]. */
  readonly cholesky: NewFloat64Array;
}

export interface FitOptions {
  /** The number of classes. Default: the largest label + 1. */
  classes?: number | undefined;
  /** The share, 0 to 1, of tr Σ / dim · I in the covariance. Default: 0. */
  shrinkage?: number | undefined;
}

/**
 * Fits class-conditional Gaussians with a tied covariance (Lee et al., "A simple unified framework for detecting
 * out-of-distribution samples and adversarial attacks", arXiv 1807.03888, equation 1):
 *
 *     μ_c = mean of the class      Σ = 1/N · Σᵢ (fᵢ − μ_c(i))·(fᵢ − μ_c(i))ᵀ      (1 − s)·Σ + s · tr Σ / dim · I
 *
 * Everything is computed in double, with differences from the means. Largest error: 1e-13 of the largest variance.
 *
 * @param features [samples, dim], row-major: as many samples as labels.
 * @param labels The class of each sample: integers from 0.
 * @param options `classes` and `shrinkage`.
 * @returns The model, for {@link mahalanobis}. It holds nothing but arrays: it can be stored and sent.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for lengths that do not fit, labels out of range, a
 * class without a sample, a feature that is not finite (each is named), and a covariance that is singular: what the
 * others leave of a variance is below dim · 2⁻⁴⁶ of it.
 * @example
 * import { fitGaussians } from 'flash-softmax/ood';
 * const features = Float64Array.of(0, 0, 2, 0, 10, 10, 10, 12); // four samples of two numbers
 * const { means } = fitGaussians(features, [0, 0, 1, 1], { classes: 2 });
 * console.log(means.join(' ')); // → 1 0 10 11
 */
export function fitGaussians(features: FloatArray, labels: Targets, options?: FitOptions): GaussianModel {
  return runAll(fitSteps('now', features, labels, options));
}

export function fitSteps(
  form: Form,
  features: FloatArray,
  labels: Targets,
  options?: FitOptions & AsyncOptions,
): Steps<GaussianModel> {
  const given = optionsOf<FitOptions>(options, ['classes', 'shrinkage', ...FORM_OPTIONS[form]]);
  const shrinkage = fraction(given.shrinkage ?? 0, 'shrinkage');
  const most = given.classes === undefined ? 2 ** 31 : count(given.classes, 'classes');
  const own = labelsOf(labels, most);
  const samples = own.length;
  const values = featuresOf(features, form);
  const length = values.length;
  if (samples === 0) throw wrongValue('at least one sample', 'labels', 'none');
  if (length === 0 || length % samples !== 0) {
    throw wrongValue(`a multiple of ${samples}, the number of labels,`, 'the length of features', String(length));
  }
  const classes = given.classes ?? own.reduce((top, label) => Math.max(top, label), 0) + 1;
  return fit(values, own, { classes, dim: length / samples, shrinkage });
}

/** Features, checked, as a plain array whose length is true; in a job a private copy. */
export function featuresOf(features: unknown, form: Form): FloatArray {
  if (!isFloat32Array(features) && !isFloat64Array(features)) {
    throw wrongType('a Float32Array or Float64Array', 'features', features);
  }
  trueLength(features, 'features');
  return form === 'now' ? viewOf(features) : (copyOf(features) as FloatArray);
}

const isInteger = (kind: string | undefined): boolean => /^((Ui|I)nt(8|16|32)|BigInt64)Array$/.test(kind ?? '');

/** A checked copy of the labels. */
function labelsOf(labels: Targets, most: number): Int32Array {
  const kind = kindOf(labels);
  if (!Array.isArray(labels) && !isInteger(kind)) {
    throw wrongType('an Int32Array, another array of integers,', 'labels', labels);
  }
  if (kind !== undefined) trueLength(labels as Int32Array, 'labels');
  const list: ArrayLike<unknown> =
    kind === undefined ? Array.from(labels as readonly number[]) : copyOf(labels as Int32Array);
  const own = new Int32Array(list.length);
  for (let i = 0; i < list.length; i++) {
    const given = list[i];
    const label = typeof given === 'bigint' ? Number(given) : given;
    if (typeof label !== 'number') throw wrongType('integers', 'labels', label);
    if (!(Number.isInteger(label) && label >= 0 && label < most)) {
      throw outOfRange(`integers from 0 to ${most - 1}`, 'labels', `${describe(label)} at ${i}`);
    }
    own[i] = label;
  }
  return own;
}

interface Sizes {
  readonly classes: number;
  readonly dim: number;
  readonly shrinkage: number;
}

function* fit(features: FloatArray, labels: Int32Array, { classes, dim, shrinkage }: Sizes): Steps<GaussianModel> {
  const samples = labels.length;
  const means = meansOf(features, labels, classes, dim);
  yield;
  const covariance = new Float64Array(dim * dim);
  const block = new Float64Array(dim * BLOCK);
  for (let first = 0; first < samples; first += BLOCK) {
    if (samples - first < BLOCK) block.fill(0);
    for (let t = 0; t < BLOCK && first + t < samples; t++) {
      const mean = labels[first + t]! * dim;
      const at = (first + t) * dim;
      for (let i = 0; i < dim; i++) block[i * BLOCK + t] = features[at + i]! - means[mean + i]!;
    }
    addProducts(covariance, block, dim);
    yield;
  }
  let trace = 0;
  for (let i = 0; i < dim; i++) trace += covariance[i * dim + i]! / samples;
  for (let i = 0; i < dim; i++) {
    for (let j = 0; j <= i; j++) {
      const kept = (1 - shrinkage) * (covariance[i * dim + j]! / samples);
      covariance[i * dim + j] = covariance[j * dim + i] = kept + (i === j ? shrinkage * (trace / dim) : 0);
    }
  }
  const factor = yield* cholesky(covariance, dim);
  if (factor === undefined) {
    throw wrongValue(
      'features with a covariance that is not singular, or more shrinkage',
      'features',
      'a singular one',
    );
  }
  return { means, covariance, cholesky: factor };
}

/** The mean of each class. Rounding errors are summed, too. */
function meansOf(features: FloatArray, labels: Int32Array, classes: number, dim: number): NewFloat64Array {
  const means = new Float64Array(classes * dim);
  const rest = new Float64Array(classes * dim);
  const counts = new Float64Array(classes);
  for (let s = 0; s < labels.length; s++) {
    const label = labels[s]!;
    counts[label]!++;
    for (let i = 0; i < dim; i++) {
      const at = label * dim + i;
      const x = features[s * dim + i]!;
      if (!(Math.abs(x) < Infinity)) throw wrongValue('finite numbers', `feature ${i} of sample ${s}`, String(x));
      const before = means[at]!;
      const sum = before + x;
      const ofX = sum - before;
      rest[at]! += before - (sum - ofX) + (x - ofX);
      means[at] = sum;
    }
  }
  const absent = counts.indexOf(0);
  if (absent >= 0) throw wrongValue('a sample of each class', 'labels', `none of class ${absent}`);
  for (let at = 0; at < means.length; at++) means[at] = (means[at]! + rest[at]!) / counts[Math.floor(at / dim)]!;
  return means;
}
