/** sample, softToken, the functions with noise, and the errors of all functions for wrong arguments. */
import { describe, expect, it } from 'vitest';
import {
  dirichletResample,
  filterLogits,
  gumbelMax,
  gumbelSoftmax,
  gumbelTopK,
  sample,
  sampleMany,
  softToken,
  topK,
} from '../../lib/sampling.js';
import { softmax } from '../../lib/softmax/softmax.js';
import { row } from '../support/cases.js';

describe('sample', () => {
  const logits = row('f32', 'N(0,1)', 64 * 500);
  const options = { cols: 500, topP: 0.9, temperature: 0.8, seed: 42 };

  it('depends on seed, step and row, not on the batch', () => {
    const all = sample(logits, options);
    expect(sample(logits, options)).toEqual(all);
    const cut = [0, 1, 7, 30, 64].flatMap((end, i, ends) =>
      i ? [...sample(logits.subarray(ends[i - 1]! * 500, end * 500), { ...options, firstRow: ends[i - 1]! })] : [],
    );
    expect(cut).toEqual([...all]);
    expect(sample(logits, { ...options, step: 1 })).not.toEqual(all);
    expect(sample(logits, { ...options, seed: 43 })).not.toEqual(all);
    expect(sample(logits, { ...options, seed: 42n + 2n ** 40n })).not.toEqual(all);
    expect(sample(logits, { ...options, seed: 42n + 2n ** 40n })).toEqual(
      sample(logits, { ...options, seed: 42 + 2 ** 40 }),
    );
  });

  it('of many begins with the single draw, and an empty mask or bias changes nothing', () => {
    const many = sampleMany(logits, 5, options);
    expect(many).toHaveLength(64 * 5);
    expect(many.filter((_, i) => i % 5 === 0)).toEqual(sample(logits, options));
    expect(sample(logits, { ...options, mask: new Uint8Array(500).fill(1) })).toEqual(sample(logits, options));
    expect(sample(logits, { ...options, bias: new Float32Array(500) })).toEqual(sample(logits, options));
  });

  it('takes given noise, which greedy ignores', () => {
    const x = Float32Array.of(0, 0, 0, 0);
    expect(sampleMany(x, 5, { noise: [0, 0.25, 0.3, 0.75, 0.999] })).toEqual(Uint32Array.of(0, 1, 1, 3, 3));
    expect(sample(Float32Array.of(1, 7, 7), { temperature: 0 })).toEqual(Uint32Array.of(1));
    expect(sample(Float32Array.of(1, 7, 7, 2), { temperature: 0, bias: Float32Array.of(0, 0, 0, 9) })).toEqual(
      Uint32Array.of(3),
    );
  });

  it('without a seed draws anew', () => {
    const drawn = new Set(Array.from({ length: 20 }, () => sample(logits, { cols: 500 }).join()));
    expect(drawn.size).toBeGreaterThan(1);
  });
});

describe('softToken', () => {
  it('without noise is the renormalised nucleus', () => {
    const x = row('f32', 'N(0,8)', 4 * 300);
    const { indices, weights, counts, logProbability, k } = softToken(x, {
      cols: 300,
      topK: 30,
      topP: 0.9,
      noise: false,
    });
    const { probabilities } = filterLogits(x, { cols: 300, topK: 30, topP: 0.9 });
    for (let r = 0; r < 4; r++) {
      const kept = [...probabilities.subarray(r * 300, (r + 1) * 300).keys()].filter(
        (i) => probabilities[r * 300 + i]! > 0,
      );
      expect([...indices.subarray(r * k, r * k + counts[r]!)].sort((a, b) => a - b)).toEqual(kept);
      for (let i = 0; i < counts[r]!; i++)
        expect(weights[r * k + i]).toBeCloseTo(probabilities[r * 300 + indices[r * k + i]!]!, 6);
      expect(logProbability[r]).toBe(0);
    }
  });

  it('takes a mask and a bias', () => {
    const [x, bias] = [row('f32', 'N(0,8)', 4 * 300), row('f32', 'N(0,8)', 4 * 300, 7)];
    const mask = Uint8Array.from({ length: 300 }, (_, i) => i % 3);
    x[303] = NaN; // hidden
    const options = { cols: 300, topP: 0.9, topK: 30, mask, bias };
    const { indices, weights, counts, k } = softToken(x, { ...options, noise: false });
    const { probabilities } = filterLogits(x, options);
    for (let r = 0; r < 4; r++) {
      for (let i = 0; i < counts[r]!; i++)
        expect(weights[r * k + i]).toBeCloseTo(probabilities[r * 300 + indices[r * k + i]!]!, 6);
      expect(probabilities.subarray(r * 300, (r + 1) * 300).filter((p) => p > 0)).toHaveLength(counts[r]!);
    }
    expect(softToken(Float32Array.of(1, 5, 3), { mask: Uint8Array.of(1, 0, 0), noise: false })).toMatchObject({
      indices: Uint32Array.of(0, 0, 0),
      counts: Uint32Array.of(1),
    });
    expect(
      softToken(Uint16Array.of(0, 0x3c00), { dtype: 'float16', bias: Uint16Array.of(0x4400, 0), noise: false, topP: 0 })
        .indices[0],
    ).toBe(0);
    expect(() => softToken(x, { cols: 300, mask: new Uint8Array(300) })).toThrow('a finite largest logit for row 0');
  });

  it('with noise: a Gumbel softmax of ln p, and the density of what was drawn', () => {
    const x = Float32Array.of(3, 1, 2, 0, -1, -9);
    const noise = [0.5, 9, -3, 1, 0];
    const token = softToken(x, { topP: 1, tau: 0.5, noise });
    const p = softmax(Float64Array.of(3, 2, 1, 0, -1));
    const g = [0.5, 3, -1.5, 1, 0];
    expect([...token.indices]).toEqual([0, 2, 1, 3, 4]);
    token.noised.forEach((value, i) => expect(value).toBeCloseTo(Math.log(p[i]!) + g[i]!, 12));
    softmax(token.noised, { temperature: 0.5 }).forEach((weight, i) =>
      expect(token.weights[i]).toBeCloseTo(weight, 12),
    );
    expect(token.logProbability[0]).toBeCloseTo(
      g.reduce((sum, each) => sum - each - Math.exp(-each), 0),
      12,
    );
    expect(softToken(x, { seed: 5 })).toEqual(softToken(x, { seed: 5 }));
    const { k, counts, weights } = softToken(x, { seed: 5, topP: 0.5 });
    expect([k, counts[0], weights[0], weights[1]]).toEqual([5, 1, 1, 0]);
  });
});

describe('Gumbel and Dirichlet', () => {
  it('take given noise', () => {
    const x = Float64Array.of(1, 2, 3);
    expect(gumbelSoftmax(x, { noise: [0, 0, 0] })).toEqual(softmax(x));
    expect(gumbelSoftmax(Float32Array.from(x), { noise: [9, 0, 0], hard: true })).toEqual(Float32Array.of(1, 0, 0));
    expect(gumbelMax(x, { noise: [0, 3, 0], temperature: 2 })).toEqual(Uint32Array.of(1));
    expect(gumbelTopK(x, 2, { noise: [3, 0, 0] })).toEqual({
      indices: Uint32Array.of(0, 2),
      values: Float64Array.of(4, 3),
    });
    expect(dirichletResample(Float64Array.of(0.5, 0.5, 0), { noise: [0, 0, 7] })).toEqual(Float64Array.of(0.5, 0.5, 0));
  });

  it('never take a token that is masked or −∞', () => {
    const x = Float32Array.of(1, NaN, 2, -Infinity);
    for (let seed = 0; seed < 50; seed++) {
      expect([0, 2]).toContain(gumbelMax(x, { mask: Uint8Array.of(1, 0, 1, 1), seed })[0]);
      expect(gumbelSoftmax(x, { mask: Uint8Array.of(1, 0, 1, 1), seed })[1]).toBe(0);
    }
    expect(() => gumbelTopK(x, 3, { mask: Uint8Array.of(1, 0, 1, 1) })).toThrow(
      'Expected 3 finite logits for row 0 of logits but received fewer',
    );
    expect(() => gumbelMax(x)).toThrow('no NaN for row 0');
    expect(() => dirichletResample(Float32Array.of(0, 0))).toThrow('row 0 of p');
    expect(() => dirichletResample(Float32Array.of(1, -1))).toThrow('row 0 of p');
  });
});

describe('arguments', () => {
  const x = new Float32Array(12);
  it.each([
    [() => sample([1] as never), 'ERR_INVALID_ARG_TYPE', 'for logits but received an Array'],
    [() => sample(x, { temprature: 1 } as never), 'ERR_INVALID_ARG_TYPE', "for options but received 'temprature'"],
    [() => sample(x, 3 as never), 'ERR_INVALID_ARG_TYPE', 'Expected an object for options but received 3'],
    [
      () => sample(x, { temperature: -1 }),
      'ERR_OUT_OF_RANGE',
      'Expected a finite number from 0 for temperature but received -1',
    ],
    [() => sample(x, { temperature: Infinity }), 'ERR_OUT_OF_RANGE', 'temperature'],
    [() => sample(x, { topP: 1.1 }), 'ERR_OUT_OF_RANGE', 'Expected a number from 0 to 1 for topP but received 1.1'],
    [() => sample(x, { topP: NaN }), 'ERR_OUT_OF_RANGE', 'topP'],
    [() => sample(x, { topP: '1' as never }), 'ERR_INVALID_ARG_TYPE', "topP but received '1'"],
    [() => sample(x, { topK: 1.5 }), 'ERR_OUT_OF_RANGE', 'Expected an integer from 0 for topK but received 1.5'],
    [() => sample(x, { minP: -0.1 }), 'ERR_OUT_OF_RANGE', 'minP'],
    [() => sample(x, { typicalP: 2 }), 'ERR_OUT_OF_RANGE', 'typicalP'],
    [() => sample(x, { epsilonCutoff: 2 }), 'ERR_OUT_OF_RANGE', 'epsilonCutoff'],
    [() => sample(x, { cols: 5 }), 'ERR_INVALID_ARG_VALUE', 'for cols but received 5'],
    [() => sample(x, { mask: new Uint8Array(5) }), 'ERR_INVALID_ARG_VALUE', 'mask'],
    [() => sample(x, { bias: new Float64Array(12) as never }), 'ERR_INVALID_ARG_TYPE', 'bias'],
    [() => sample(x, { seed: -1 }), 'ERR_OUT_OF_RANGE', 'seed'],
    [() => sample(x, { seed: 2n ** 64n }), 'ERR_OUT_OF_RANGE', 'seed'],
    [() => sample(x, { seed: 'a' as never }), 'ERR_INVALID_ARG_TYPE', 'seed'],
    [() => sample(x, { step: 2 ** 32 }), 'ERR_OUT_OF_RANGE', 'step'],
    [() => sample(x, { firstRow: 2 ** 32 }), 'ERR_OUT_OF_RANGE', 'firstRow'],
    [
      () => sample(x, { seed: 1, noise: [0.5] }),
      'ERR_INVALID_ARG_VALUE',
      'Expected no value for seed beside noise but received 1',
    ],
    [() => sample(x, { noise: [0.5, 0.5] }), 'ERR_INVALID_ARG_VALUE', 'Expected 1 numbers for noise but received 2'],
    [() => sample(x, { noise: [1] }), 'ERR_OUT_OF_RANGE', 'noise but received'],
    [() => sampleMany(x, 0), 'ERR_OUT_OF_RANGE', 'Expected a positive integer for n but received 0'],
    [() => topK(x, -1), 'ERR_OUT_OF_RANGE', 'for k'],
    [() => filterLogits(x, { noise: [0] } as never), 'ERR_INVALID_ARG_TYPE', "'noise'"],
    [() => gumbelSoftmax(x, { tau: 0 }), 'ERR_OUT_OF_RANGE', 'Expected a finite number above 0 for tau but received 0'],
    [() => gumbelTopK(x, 13), 'ERR_INVALID_ARG_VALUE', 'at most 12'],
    [() => dirichletResample(x.slice().fill(1), { alpha: 0 }), 'ERR_OUT_OF_RANGE', 'alpha'],
    [() => softToken(x, { noiseRange: [3, 1] }), 'ERR_INVALID_ARG_TYPE', 'noiseRange'],
    [() => sample(new Uint16Array(3)), 'ERR_INVALID_ARG_TYPE', 'dtype'],
  ] as const)('%s', (call, code, message) => {
    expect(call).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  });
});
