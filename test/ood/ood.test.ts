/** fitGaussians and mahalanobis against exact fractions: features are small dyadic numbers, and BigInt has the rest. */
import { describe, expect, it } from 'vitest';
import { fitGaussians, mahalanobis, type GaussianModel } from '../../lib/ood.js';
import * as promises from '../../lib/promises.js';
import { generator, normal } from '../support/cases.js';
import { fractionOf, Fraction, mahalanobisOracle, modelOracle } from './fractions.js';

/** Features in multiples of 2⁻⁶, which fractions hold in few digits. */
function samplesOf(classes: number, dim: number, each: number, seed: number) {
  const random = generator(seed);
  const labels = Array.from({ length: classes * each }, (_, i) => (i * 7) % classes);
  const features = Float32Array.from({ length: labels.length * dim }, (_, i) => {
    const label = labels[Math.floor(i / dim)]!;
    return Math.round(64 * (normal(random) + 2 * label * Number(i % dim < 2))) / 64;
  });
  return { features, labels };
}

const errorOf = (actual: number, exact: Fraction): number =>
  Math.abs(fractionOf(actual).minus(exact).toNumber()) / Math.max(1, Math.abs(exact.toNumber()));

describe('fitGaussians', () => {
  it.each([0, 0.25, 1])('is the fit of exact fractions, shrinkage %d', (shrinkage) => {
    for (const [classes, dim, each] of [
      [1, 1, 3],
      [1, 3, 9],
      [2, 2, 8],
      [3, 5, 20],
      [4, 7, 40],
    ] as const) {
      const { features, labels } = samplesOf(classes, dim, each, 11 * dim + classes);
      const model = fitGaussians(features, Int32Array.from(labels), { shrinkage });
      const exact = modelOracle(features, labels, classes, fractionOf(shrinkage));
      model.means.forEach((m, i) => expect(errorOf(m, exact.means[i]!)).toBeLessThan(1e-14));
      model.covariance.forEach((c, i) => expect(errorOf(c, exact.covariance[i]!)).toBeLessThan(1e-14));
      expect(fitGaussians(Float64Array.from(features), labels, { shrinkage })).toEqual(model);
    }
  });

  it('has a factor of the covariance, in blocks of every size', () => {
    for (const dim of [1, 2, 3, 31, 32, 33, 70]) {
      const { features, labels } = samplesOf(3, dim, 50, dim);
      const { covariance, cholesky } = fitGaussians(features, labels);
      for (let i = 0; i < dim; i++) {
        for (let j = 0; j < dim; j++) {
          let sum = 0;
          for (let k = 0; k < dim; k++) sum += cholesky[i * dim + k]! * cholesky[j * dim + k]!;
          expect(Math.abs(sum - covariance[i * dim + j]!)).toBeLessThan(1e-13 * dim);
          if (j > i) expect(cholesky[i * dim + j]).toBe(0);
        }
      }
    }
  });

  it('finds a covariance of too few samples singular, however it is rounded', () => {
    for (let seed = 0; seed < 50; seed++) {
      const [dim, classes] = [3 + (seed % 5), 1 + (seed % 3)];
      const random = generator(seed);
      const labels = Array.from({ length: classes + dim - 1 }, (_, i) => i % classes);
      const features = Float64Array.from({ length: labels.length * dim }, () => normal(random));
      expect(() => fitGaussians(features, labels), `seed ${seed}`).toThrow(/singular/);
    }
  });

  it('reads the true length of an array that lies about it', () => {
    const { features, labels } = samplesOf(2, 3, 9, 4);
    const wanted = fitGaussians(features, labels);
    const lying = Object.defineProperty(features.slice(), 'length', { value: features.length + 8 });
    expect(fitGaussians(lying, labels)).toEqual(wanted);
    expect(mahalanobis(lying, wanted)).toEqual(mahalanobis(features, wanted));
  });

  it('does not lose digits to a mean far from 0', () => {
    const { features, labels } = samplesOf(2, 3, 30, 5);
    const far = Float64Array.from(features, (x) => x + 2 ** 30);
    const [near, shifted] = [fitGaussians(features, labels), fitGaussians(far, labels)];
    shifted.covariance.forEach((c, i) => expect(c).toBeCloseTo(near.covariance[i]!, 6));
  });
});

describe('mahalanobis', () => {
  const model = {
    means: Float64Array.of(0, 0, 2, 1),
    covariance: Float64Array.of(1, 0.3, 0.3, 0.5),
  };

  it('has the values of the definition', () => {
    const features = Float64Array.of(1, 1, 4, -3);
    const { scores, classes, posterior } = mahalanobis(features, model);
    const near = (actual: number | undefined, wanted: number) => expect(actual! / wanted - 1).toBeCloseTo(0, 13);
    near(scores[0], -1.2195121951219512);
    near(scores[1], -55.609756097560975);
    expect(classes).toEqual(Uint32Array.of(1, 1));
    [0.3804108184566539, 0.6195891815433461, 0.15351202760257815, 0.8464879723974218].forEach((p, i) =>
      near(posterior[i], p),
    );
    const half = mahalanobis(features, model, { scale: 0.5 });
    near(half.scores[0], -1.2195121951219512 / 2);
    expect(half.posterior).toEqual(posterior);
    const first = { ...model, means: Float64Array.of(0, 0) };
    near(mahalanobis(features, first).scores[0], -2.1951219512195124);
    near(mahalanobis(features, first).scores[1], -59.02439024390244);
    expect(mahalanobis(features, first).posterior).toEqual(Float64Array.of(1, 1));
  });

  it('is the distance of exact fractions', () => {
    for (const [classes, dim, each] of [
      [1, 1, 4],
      [2, 2, 8],
      [3, 5, 20],
      [34, 3, 4],
    ] as const) {
      const { features, labels } = samplesOf(classes, dim, each, 3 * dim + classes);
      const fitted = fitGaussians(features, labels);
      const { scores, classes: nearest } = mahalanobis(features, fitted);
      for (let s = 0; s < Math.min(labels.length, 5); s++) {
        const exact = mahalanobisOracle(features.subarray(s * dim, (s + 1) * dim), fitted);
        const best = exact.reduce((a, b) => (b.compare(a) < 0 ? b : a));
        expect(errorOf(-scores[s]!, best)).toBeLessThan(2e-13);
        expect(errorOf(-scores[s]!, exact[nearest[s]!]!)).toBeLessThan(2e-13);
      }
    }
  });

  it('has equal probabilities and the lowest class of equals', () => {
    const twice = { ...model, means: Float64Array.of(1, 2, 1, 2) };
    const { classes, posterior } = mahalanobis(Float32Array.of(0, 5), twice);
    expect(classes).toEqual(Uint32Array.of(0));
    expect(posterior).toEqual(Float64Array.of(0.5, 0.5));
    const far = mahalanobis(Float32Array.of(1e4, 0), model);
    expect(far.posterior[0]! + far.posterior[1]!).toBe(1);
    expect(mahalanobis(new Float32Array(0), model).scores).toEqual(new Float64Array(0));
  });

  it('has NaN for features that are not finite, and for no other sample', () => {
    const wanted = mahalanobis(Float32Array.of(1, 1), model);
    for (const bad of [NaN, Infinity, -Infinity]) {
      const { scores, classes, posterior } = mahalanobis(Float32Array.of(bad, 0, 1, 1, 0, bad), model);
      expect(scores).toEqual(Float64Array.of(NaN, wanted.scores[0]!, NaN));
      expect(classes).toEqual(Uint32Array.of(2 ** 32 - 1, wanted.classes[0]!, 2 ** 32 - 1));
      expect(posterior).toEqual(Float64Array.of(NaN, NaN, ...wanted.posterior, NaN, NaN));
    }
  });
});

describe('mahalanobis of finite features far away', () => {
  const unit = { means: Float64Array.of(0, 0, 3, 0), covariance: Float64Array.of(1, 0, 0, 1) };
  const far = (x: number, y: number, means = unit.means) => mahalanobis(Float64Array.of(x, y), { ...unit, means });

  it('has the nearest class, and the score −∞ where d² overflows', () => {
    expect(far(-1e200, 0, Float64Array.of(0, 0, 1e200, 0))).toEqual({
      scores: Float64Array.of(-Infinity),
      classes: Uint32Array.of(0),
      posterior: Float64Array.of(1, 0),
    });
    expect(far(1e200, 0, Float64Array.of(-1e200, 0, 0, 0)).classes).toEqual(Uint32Array.of(1));
    const same = far(1e200, 1e200);
    expect([same.classes[0], ...same.posterior]).toEqual([0, 0.5, 0.5]);
  });

  it('counts a class whose d² overflows as one of probability 0 beside others', () => {
    const { classes, posterior } = far(1, 0, Float64Array.of(1e200, 0, 3, 0));
    expect([classes[0], ...posterior]).toEqual([1, 0, 1]);
  });

  it('has no class where the distance itself overflows', () => {
    const lost = far(1.7e308, 0, Float64Array.of(-1.7e308, 0, -1.7e308, 1));
    expect(lost.scores).toEqual(Float64Array.of(NaN));
    expect(lost.classes).toEqual(Uint32Array.of(2 ** 32 - 1));
    expect(lost.posterior).toEqual(Float64Array.of(NaN, NaN));
  });
});

describe('both', () => {
  const { features, labels } = samplesOf(3, 40, 60, 9);

  it('are the same as promises, which end with their signal', async () => {
    const model = fitGaussians(features, labels);
    expect(await promises.fitGaussians(features, labels)).toEqual(model);
    const given = features.slice();
    const later = promises.mahalanobis(given, model);
    given.fill(0); // it has a copy
    expect(await later).toEqual(mahalanobis(features, model));
    const stop = new AbortController();
    const stopped = promises.fitGaussians(features, labels, { signal: stop.signal });
    stop.abort(new Error('enough'));
    await expect(stopped).rejects.toThrow('enough');
    expect(JSON.parse(JSON.stringify([...model.means]))).toEqual([...model.means]);
  });

  it('name what is wrong', async () => {
    const model = fitGaussians(features, labels);
    const with_ = (at: number, value: number) => features.map((x, i) => (i === at ? value : x));
    const calls: [() => unknown, string, RegExp][] = [
      [() => fitGaussians(with_(85, NaN), labels), 'ERR_INVALID_ARG_VALUE', /feature 5 of sample 2 .*NaN/],
      [() => fitGaussians(with_(85, Infinity), labels), 'ERR_INVALID_ARG_VALUE', /feature 5 of sample 2/],
      [() => fitGaussians(features, labels, { classes: 4 }), 'ERR_INVALID_ARG_VALUE', /none of class 3/],
      [() => fitGaussians(features, labels, { classes: 2 }), 'ERR_OUT_OF_RANGE', /from 0 to 1 .*2 at 2/],
      [() => fitGaussians(features, labels.with(3, -1)), 'ERR_OUT_OF_RANGE', /-1 at 3/],
      [() => fitGaussians(features, labels.with(3, 0.5)), 'ERR_OUT_OF_RANGE', /0.5 at 3/],
      [() => fitGaussians(features, 'abc' as never), 'ERR_INVALID_ARG_TYPE', /labels/],
      [() => fitGaussians(features, [...labels, 0]), 'ERR_INVALID_ARG_VALUE', /multiple of 181/],
      [() => fitGaussians(features, []), 'ERR_INVALID_ARG_VALUE', /at least one sample/],
      [() => fitGaussians(features, labels, { shrinkage: 1.5 }), 'ERR_OUT_OF_RANGE', /shrinkage/],
      [() => fitGaussians(features, labels, { shrink: 1 } as never), 'ERR_INVALID_ARG_TYPE', /shrink/],
      [() => fitGaussians([1] as never, [0]), 'ERR_INVALID_ARG_TYPE', /features/],
      // Singular: fewer samples than dimensions, equal samples, a feature that is the sum of two others.
      [() => fitGaussians(features.subarray(0, 400), new Uint8Array(10)), 'ERR_INVALID_ARG_VALUE', /singular/],
      [() => fitGaussians(new Float32Array(4).fill(3), [0, 0]), 'ERR_INVALID_ARG_VALUE', /singular/],
      [() => fitGaussians(dependent(), new Uint8Array(20)), 'ERR_INVALID_ARG_VALUE', /singular/],
      [() => mahalanobis(features, null as never), 'ERR_INVALID_ARG_TYPE', /model/],
      [() => mahalanobis(features.subarray(1), model), 'ERR_INVALID_ARG_VALUE', /multiple of 40/],
      [() => mahalanobis(features, model, { scale: 2 as never }), 'ERR_INVALID_ARG_VALUE', /scale/],
      [() => mahalanobis(features, { ...model, means: model.means.slice(1) }), 'ERR_INVALID_ARG_VALUE', /model.means/],
      [() => mahalanobis(features, { ...model, covariance: new Float64Array(3) }), 'ERR_INVALID_ARG_VALUE', /a square/],
      [() => mahalanobis(features, { ...model, cholesky: new Float64Array(3) }), 'ERR_INVALID_ARG_VALUE', /cholesky/],
      [
        () =>
          mahalanobis(Float32Array.of(1, 1), { means: new Float64Array(2), covariance: Float64Array.of(1, 2, 2, 1) }),
        'ERR_INVALID_ARG_VALUE',
        /positive definite/,
      ],
    ];
    for (const [call, code, message] of calls) {
      expect(call, String(message)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
    }
    await expect(promises.fitGaussians(features, [0])).rejects.toThrow(/covariance/);
    const shrunk = fitGaussians(features.subarray(0, 400), new Uint8Array(10), { shrinkage: 0.1 });
    expect(shrunk.cholesky.every((v) => Number.isFinite(v))).toBe(true);
  });
});

/** Three features, the third the sum of the others. */
function dependent(): Float32Array {
  const random = generator(6);
  const features: number[] = [];
  for (let s = 0; s < 20; s++) {
    const [a, b] = [Math.round(64 * normal(random)) / 64, Math.round(64 * normal(random)) / 64];
    features.push(a, b, a + b);
  }
  return Float32Array.from(features);
}

export type { GaussianModel };
