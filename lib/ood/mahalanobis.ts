/** mahalanobis: how far features are from the nearest class. */
import type { AsyncOptions } from '../call/abort.js';
import { copyOf, lengthOf } from '../call/arrays.js';
import { describe, trueLength, wrongType, wrongValue } from '../call/errors.js';
import { FORM_OPTIONS, optionsOf, type Form } from '../call/options.js';
import { isFloat64Array, type FloatArray, type NewFloat64Array, type NewUint32Array } from '../call/types.js';
import { softmax } from '../softmax/softmax.js';
import { featuresOf, type GaussianModel } from './fit.js';
import { BLOCK, cholesky, solveLower } from './matrix.js';
import { runAll, type Steps } from './steps.js';

export interface MahalanobisOptions {
  /** What −d² is multiplied by: 1, as in the paper, or ½, the exponent of a Gaussian. Default: 1. */
  scale?: 1 | 0.5 | undefined;
}

/** A model that a caller put together: its `cholesky` is computed if it is absent. */
export interface GaussianModelLike {
  readonly means: Float64Array;
  readonly covariance: Float64Array;
  readonly cholesky?: Float64Array | undefined;
}

export interface MahalanobisScores {
  /** Of each sample, the largest −d² · scale over the classes: the lower, the less the sample is like any class. */
  readonly scores: NewFloat64Array;
  /** The class of that score, the lowest of several; 2³² − 1 for a sample that has none. */
  readonly classes: NewUint32Array;
  /** softmax(−d²/2) over the classes, [samples, classes]: the probability of each class, with equal priors. */
  readonly posterior: NewFloat64Array;
}

/** The class of a sample that has none. */
const NO_CLASS = 2 ** 32 - 1;

/**
 * The Mahalanobis confidence of Lee et al. (arXiv 1807.03888, equation 2), for features f and each class c:
 *
 *     d²_c = (f − μ_c)ᵀ · Σ⁻¹ · (f − μ_c)      score = max over c of −scale · d²_c
 *
 * With L·Lᵀ = Σ this is |L⁻¹·(f − μ_c)|²: two triangular solves, and no inverse. Computed in double, relative to the
 * mean of all classes. Largest error of d²: 1e-13 · condition of Σ · (d² + the largest distance of a class).
 *
 * A sample with a feature that is NaN or infinite has the score NaN, a posterior of NaN and no class. So has a sample
 * whose distances overflow. Where d² alone overflows, for every class, the score is −∞; the class is the nearest, and
 * classes that are equally far share the posterior.
 *
 * @param features [samples, dim], row-major.
 * @param model What {@link fitGaussians} returns, or `means` and a positive definite `covariance` of one's own.
 * @param options `scale`.
 * @returns Scores, classes and the posterior.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_INVALID_ARG_VALUE) for lengths that do not fit, and a covariance that is singular or not
 *   positive definite.
 * @example
 * import { fitGaussians, mahalanobis } from 'flash-softmax/ood';
 * const model = fitGaussians(Float64Array.of(0, 0, 2, 0, 10, 10, 10, 12), [0, 0, 1, 1], { classes: 2 });
 * const { scores, classes } = mahalanobis(Float64Array.of(1, 0, 50, 50), model);
 * console.log(classes.join(' '), scores[0] > scores[1]); // → 0 1 true
 */
export function mahalanobis(
  features: FloatArray,
  model: GaussianModelLike,
  options?: MahalanobisOptions,
): MahalanobisScores {
  return runAll(mahalanobisSteps('now', features, model, options));
}

export function mahalanobisSteps(
  form: Form,
  features: FloatArray,
  model: GaussianModel | GaussianModelLike,
  options?: MahalanobisOptions & AsyncOptions,
): Steps<MahalanobisScores> {
  const { scale = 1 } = optionsOf<MahalanobisOptions>(options, ['scale', ...FORM_OPTIONS[form]]);
  if (scale !== 1 && scale !== 0.5) throw wrongValue('1 or 0.5', 'scale', describe(scale));
  if (typeof model !== 'object' || model === null) throw wrongType('what fitGaussians returns', 'model', model);
  const { means, covariance, cholesky: factor } = model;
  const parts = {
    means: doublesOf(means, 'model.means'),
    covariance: doublesOf(covariance, 'model.covariance'),
    factor: factor === undefined ? undefined : doublesOf(factor, 'model.cholesky'),
  };
  const size = lengthOf(parts.covariance);
  const dim = Math.sqrt(size);
  if (size === 0 || !Number.isInteger(dim))
    throw wrongValue('a square', 'the length of model.covariance', String(size));
  const classes = lengthOf(parts.means) / dim;
  if (classes === 0 || !Number.isInteger(classes)) {
    throw wrongValue(`a multiple of ${dim}`, 'the length of model.means', String(lengthOf(parts.means)));
  }
  if (parts.factor !== undefined && lengthOf(parts.factor) !== size) {
    throw wrongValue(`${size} elements, as in model.covariance,`, 'model.cholesky', String(lengthOf(parts.factor)));
  }
  const values = featuresOf(features, form);
  if (lengthOf(values) % dim !== 0) {
    throw wrongValue(`a multiple of ${dim}`, 'the length of features', String(lengthOf(values)));
  }
  return measure(values, parts, { dim, classes, scale });
}

/** A private copy of an array of a model. */
function doublesOf(value: unknown, name: string): Float64Array {
  if (!isFloat64Array(value)) throw wrongType('a Float64Array', name, value);
  trueLength(value, name);
  return copyOf(value);
}

interface Parts {
  readonly means: Float64Array;
  readonly covariance: Float64Array;
  readonly factor: Float64Array | undefined;
}

function* measure(
  features: FloatArray,
  { means, covariance, factor }: Parts,
  { dim, classes, scale }: { dim: number; classes: number; scale: number },
): Steps<MahalanobisScores> {
  // Not `??`: the CommonJS build would wrap a yield in a function.
  let l = factor;
  if (l === undefined || l === null) l = yield* cholesky(covariance, dim);
  if (l === undefined)
    throw wrongValue('a positive definite matrix', 'model.covariance', 'a singular or indefinite one');
  const samples = features.length / dim;
  const scores = new Float64Array(samples);
  const nearest = new Uint32Array(samples);
  const exponents = new Float64Array(samples * classes);
  const center = centerOf(means, dim);
  const block = new Float64Array(dim * BLOCK);

  /** L⁻¹·(x − center) of up to BLOCK rows of x, in `block`. */
  const solve = (x: FloatArray, first: number, rows: number): void => {
    block.fill(0);
    for (let t = 0; t < rows; t++) {
      for (let i = 0; i < dim; i++) block[i * BLOCK + t] = x[(first + t) * dim + i]! - center[i]!;
    }
    solveLower(l, block, dim);
  };
  const whitened = new Float64Array(classes * dim);
  for (let first = 0; first < classes; first += BLOCK) {
    const rows = Math.min(BLOCK, classes - first);
    solve(means, first, rows);
    for (let t = 0; t < rows; t++) {
      for (let i = 0; i < dim; i++) whitened[(first + t) * dim + i] = block[i * BLOCK + t]!;
    }
    yield;
  }
  const distances = new Float64Array(BLOCK);
  for (let first = 0; first < samples; first += BLOCK) {
    const rows = Math.min(BLOCK, samples - first);
    solve(features, first, rows);
    scores.fill(-Infinity, first, first + rows);
    nearest.fill(NO_CLASS, first, first + rows);
    for (let c = 0; c < classes; c++) {
      addSquares(distances, block, whitened, c * dim, dim);
      for (let t = 0; t < rows; t++) {
        const square = distances[t]!;
        exponents[(first + t) * classes + c] = square < Infinity ? -square / 2 : -Infinity;
        if (-scale * square > scores[first + t]!) {
          scores[first + t] = -scale * square;
          nearest[first + t] = c;
        }
      }
    }
    const far = { block, whitened, first, rows, dim, classes };
    settleFar(features, { scores, classes: nearest, posterior: exponents }, far);
    yield;
  }
  const posterior = samples === 0 ? exponents : softmax(exponents, { cols: classes, out: exponents });
  return { scores, classes: nearest, posterior };
}

interface FarBlock {
  readonly block: Float64Array;
  readonly whitened: Float64Array;
  readonly first: number;
  readonly rows: number;
  readonly dim: number;
  readonly classes: number;
}

/** Gives the samples of a block that have no class yet one by a smaller unit, or NaN. `posterior` has exponents. */
function settleFar(features: FloatArray, results: MahalanobisScores, far: FarBlock): void {
  const { block, whitened, first, rows, dim, classes } = far;
  for (let t = 0; t < rows; t++) {
    const at = first + t;
    if (results.classes[at] !== NO_CLASS) continue;
    const own = results.posterior.subarray(at * classes, (at + 1) * classes);
    const isFinite = isFiniteRow(features, at * dim, dim);
    const nearest = isFinite ? farClass(own, block, whitened, { dim, at: t }) : NO_CLASS;
    results.classes[at] = nearest;
    results.scores[at] = nearest === NO_CLASS ? NaN : -Infinity;
    if (nearest === NO_CLASS) own.fill(NaN);
  }
}

function isFiniteRow(features: FloatArray, from: number, dim: number): boolean {
  for (let i = from; i < from + dim; i++) if (!Number.isFinite(features[i]!)) return false;
  return true;
}

/** What distances whose squares overflow are multiplied by. */
const SMALL = 2 ** -600;

/**
 * The nearest class of sample `at` of a block, whose squared distances all overflow; NO_CLASS if its distances do.
 * Writes exponents: 0 for the nearest class and its equals, −∞ for others.
 */
function farClass(
  exponents: Float64Array,
  block: Float64Array,
  whitened: Float64Array,
  { dim, at }: { dim: number; at: number },
): number {
  let [least, nearest] = [Infinity, NO_CLASS];
  for (let c = 0; c < exponents.length; c++) {
    let square = 0;
    for (let i = 0; i < dim; i++) {
      const part = (block[i * BLOCK + at]! - whitened[c * dim + i]!) * SMALL;
      square += part * part;
    }
    if (square < least) {
      exponents.fill(-Infinity, 0, c);
      [least, nearest] = [square, c];
    }
    exponents[c] = square === least && nearest !== NO_CLASS ? 0 : -Infinity;
  }
  return nearest;
}

/** The mean of the means: distances from it lose least. */
function centerOf(means: Float64Array, dim: number): Float64Array {
  const center = new Float64Array(dim);
  const classes = means.length / dim;
  for (let at = 0; at < means.length; at++) center[at % dim]! += means[at]! / classes;
  return center;
}

/** The squared distances of a block of samples from a class. */
function addSquares(
  distances: Float64Array,
  block: Float64Array,
  whitened: Float64Array,
  from: number,
  dim: number,
): void {
  for (let t = 0; t < BLOCK; t += 4) {
    let [a, b, c, d] = [0, 0, 0, 0];
    for (let i = 0, at = t; i < dim; i++, at += BLOCK) {
      const m = whitened[from + i]!;
      const [w, x, y, z] = [block[at]! - m, block[at + 1]! - m, block[at + 2]! - m, block[at + 3]! - m];
      a += w * w;
      b += x * x;
      c += y * y;
      d += z * z;
    }
    distances[t] = a;
    distances[t + 1] = b;
    distances[t + 2] = c;
    distances[t + 3] = d;
  }
}
