/** Cases of fitGaussians and mahalanobis, judged by fractions: small dimensions, dyadic features. */
import { fractionOf, mahalanobisOracle, modelOracle, type Fraction } from '../ood/fractions.js';
import type { Maker } from './case.js';
import { numbersOf } from './data.js';
import type { Draw } from './draw.js';
import type { AnyArray } from './memory.js';

type Floats = Float32Array | Float64Array;

interface Samples {
  readonly features: Floats;
  readonly labels: number[];
  readonly classes: number;
  readonly dim: number;
  readonly text: string;
}

/** Labelled samples in multiples of a power of two, so that fractions stay short. */
function samplesOf(draw: Draw, limit: number): Samples {
  const [classes, dim] = [draw.between(1, 4), Math.min(limit, draw.pick([1, 1, 2, 3, 4, 5]))];
  const samples = classes * draw.between(1, 6);
  const labels = Array.from({ length: samples }, (_, i) => (draw.chance(0.2) ? draw.int(classes) : i % classes));
  const unit = 2 ** draw.pick([0, -6, -20, 20]);
  const [shift, spread] = [draw.pick([0, 0, 1000]), draw.pick([1, 8, 300])];
  const values = Float64Array.from({ length: samples * dim }, () => Math.round(spread * draw.normal() + shift) * unit);
  const features = draw.chance(0.5) ? Float32Array.from(values) : values;
  return { features, labels, classes, dim, text: `[${samples}, ${dim}] of ${classes} classes, unit ${unit}` };
}

const number = (x: Fraction): number => (x.top === 0n ? 0 : x.toNumber());

/** Whether a matrix is singular; and the least pivot before that, relative to its diagonal element. */
function pivotsOf(matrix: readonly Fraction[], dim: number): { isSingular: boolean; least: number } {
  const rows = Array.from({ length: dim }, (_, i) => matrix.slice(i * dim, (i + 1) * dim));
  let least = 1;
  for (let p = 0; p < dim; p++) {
    const pivot = rows[p]![p]!;
    if (pivot.top <= 0n) return { isSingular: true, least };
    least = Math.min(least, number(pivot.over(matrix[p * dim + p]!)));
    for (let r = p + 1; r < dim; r++) {
      const factor = rows[r]![p]!.over(pivot);
      for (let j = p; j < dim; j++) rows[r]![j] = rows[r]![j]!.minus(factor.times(rows[p]![j]!));
    }
  }
  return { isSingular: false, least };
}

const fitGaussians: Maker = (draw, limit) => {
  const { features, labels, classes, dim, text } = samplesOf(draw, limit);
  const shrinkage = draw.pick([0, 0, 0.25, 0.5, 1]);
  const isNamed = draw.chance(0.5);
  const wrong = draw.chance(0.05) ? draw.int(features.length) : -1;
  if (wrong >= 0) features[wrong] = draw.pick([NaN, Infinity, -Infinity]);
  const isList = draw.chance(0.5);
  return {
    text: `fitGaussians(${text}) shrinkage ${shrinkage}`,
    elements: features.length * dim,
    hasPromise: true,
    isSameEverywhere: true,
    expects: 'judged',
    invoke(api, arena) {
      const options = { ...(shrinkage > 0 && { shrinkage }), ...(isNamed && { classes }) };
      const given = isList ? labels : arena.input('labels', Int32Array.from(labels));
      return api.fitGaussians!(arena.input('features', features), given, arena.options(options));
    },
    outputs: (model: Record<string, AnyArray>) => model,
    check({ arrays: { means, covariance, cholesky }, error }) {
      const most = isNamed ? classes : Math.max(...labels) + 1;
      const isAbsent = Array.from({ length: most }, (_, c) => labels.includes(c)).includes(false);
      if (wrong >= 0 || isAbsent) return error ? undefined : 'no error';
      const exact = modelOracle(features, labels, most, fractionOf(shrinkage));
      const { isSingular, least } = pivotsOf(exact.covariance, dim);
      const isNear = isSingular || least < 1e-9;
      if (error) return isNear && /singular/.test(error.message) ? undefined : error.message;
      if (isSingular && least > 0.01) return 'no error for a singular covariance';
      const variance = Math.max(...exact.covariance.map(number));
      const largest = Math.max(...Array.from(features, Math.abs));
      for (const [i, mean] of exact.means.entries()) {
        const off = number(fractionOf(means![i]!).minus(mean));
        if (!(Math.abs(off) <= 2 ** -52 * largest)) return `mean ${i} is ${means![i]}, ${off} off`;
      }
      for (const [i, each] of exact.covariance.entries()) {
        const off = number(fractionOf(covariance![i]!).minus(each));
        if (!(Math.abs(off) <= 1e-13 * variance)) return `covariance ${i} is ${covariance![i]}, ${off} off`;
      }
      for (let at = 0; at < dim * dim; at++) {
        const [i, j] = [Math.floor(at / dim), at % dim];
        if (j > i && cholesky![at] !== 0) return `cholesky ${at} is ${cholesky![at]}`;
        let sum = 0;
        for (let k = 0; k < dim; k++) sum += cholesky![i * dim + k]! * cholesky![j * dim + k]!;
        if (!(Math.abs(sum - covariance![at]!) <= 1e-13 * dim * variance)) return `L·Lᵀ ${at} is ${sum}`;
      }
      return undefined;
    },
  };
};

const mahalanobis: Maker = (draw, limit) => {
  const [classes, dim] = [draw.pick([1, 2, 3, 33]), Math.min(limit, draw.pick([1, 2, 3, 4]))];
  const samples = draw.pick([0, 1, 2, 5, 31, 32, 33]);
  const means = Float64Array.from({ length: classes * dim }, () => draw.between(-64, 64) / 16);
  if (draw.chance(0.3)) means.copyWithin(0, dim * (classes - 1)); // two classes with the same mean
  // A diagonal that outweighs its row: positive definite, of a small condition.
  const covariance = new Float64Array(dim * dim);
  for (let i = 0; i < dim; i++)
    for (let j = 0; j <= i; j++)
      covariance[i * dim + j] = covariance[j * dim + i] = i === j ? 1 + draw.int(64) / 8 : draw.between(-8, 8) / 64;
  const kind = draw.pick(['normal', 'N(0,1)', 'integers', 'zeros', 'a NaN', 'a +∞', 'of any size']);
  const values = numbersOf(draw, 'f32', samples * dim, kind).map((v) => (Math.abs(v) < 1e-30 ? 0 : v));
  const features = draw.chance(0.5) ? Float32Array.from(values) : values;
  const scale = draw.pick([undefined, 1, 0.5]);
  const isSingular = draw.chance(0.04);
  if (isSingular) covariance.fill(0);
  return {
    text: `mahalanobis([${samples}, ${dim}] ${kind}, ${classes} classes)`,
    elements: features.length * dim,
    hasPromise: true,
    isSameEverywhere: false,
    expects: isSingular ? 'error' : 'value',
    invoke(api, arena) {
      const model = { means: arena.input('means', means), covariance: arena.input('covariance', covariance) };
      const options = arena.options(scale === undefined ? {} : { scale });
      return api.mahalanobis!(arena.input('features', features), model, options);
    },
    outputs: (result: Record<string, AnyArray>) => result,
    check({ arrays: { scores, classes: nearest, posterior } }) {
      for (let s = 0; s < samples; s++) {
        const own = values.subarray(s * dim, (s + 1) * dim);
        if (!own.every(Number.isFinite)) {
          const isNone = Number.isNaN(scores![s]) && nearest![s] === 2 ** 32 - 1;
          if (!isNone) return `sample ${s} is not finite, and has score ${scores![s]}`;
          continue;
        }
        const exact = mahalanobisOracle(own, { means, covariance }).map(number);
        const [least, most] = [Math.min(...exact), Math.max(...exact)];
        const at = nearest![s]!;
        const [score, slack] = [-least * (scale ?? 1), 1e-12 * (least + spreadOf(means, dim) + 1)];
        if (!(Math.abs(scores![s]! - score) <= slack)) return `score ${s} is ${scores![s]}, exactly ${score}`;
        if (!(exact[at]! - least <= 2 * slack)) return `sample ${s} has class ${at}, of distance ${exact[at]}`;
        const first = means.subarray(at * dim, (at + 1) * dim).join();
        for (let c = 0; c < at; c++)
          if (means.subarray(c * dim, (c + 1) * dim).join() === first) return `class ${c} comes before ${at}`;
        const terms = exact.map((d) => Math.exp((least - d) / 2));
        const sum = terms.reduce((a, b) => a + b, 0);
        for (const [c, term] of terms.entries()) {
          const off = Math.abs(posterior![s * classes + c]! - term / sum);
          if (!(off <= 1e-14 + 1e-12 * (most + 1 + spreadOf(means, dim)))) return `posterior ${s}, ${c} is ${off} off`;
        }
      }
      return undefined;
    },
  };
};

/** The largest squared distance of two means, roughly. */
const spreadOf = (means: Float64Array, dim: number): number => 4 * dim * Math.max(...means.map((m) => m * m));

export const oodMakers: Record<string, Maker> = { fitGaussians, mahalanobis };
