/** argmax, topK, penalties, the sampler, log-probabilities, soft tokens; and what all of them say of wrong arguments. */
import { describe, expect, it } from 'vitest';
import { backends } from '../support/backends.js';
import { MASK_NONE, MASK_ROW_BYTES, type TopKKernel } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import {
  argmax,
  dirichletResample,
  filterLogits,
  gumbelMax,
  gumbelSoftmax,
  gumbelTopK,
  logProbs,
  penalize,
  sample,
  sampleMany,
  Sampler,
  softToken,
  topK,
  type SamplerState,
} from '../../lib/sampling.js';
import { softmax } from '../../lib/softmax/softmax.js';
import { row, typeNames, type Floats } from '../support/cases.js';
import { lengths, makers } from './cases.js';

const inOrder = (x: ArrayLike<number>) => (a: number, b: number) => (x[a] === x[b] ? a - b : x[b]! - x[a]!);

for (const name of backends) {
  const backend = backendNamed(name);
  const topOn = (x: Floats, k: number) => {
    const [indices, values] = [new Uint32Array(k), x.slice(0, k)];
    const top = backend[x instanceof Float32Array ? 'top_k_f32' : 'top_k_f64'] as TopKKernel<Floats>;
    top(x, indices, values as Floats, 1, x.length, k, null, MASK_NONE, null);
    return { indices, values };
  };

  it(`argmax and topK are those of a sort, ${name}`, () => {
    for (const [kind, make] of Object.entries(makers)) {
      for (const type of typeNames) {
        for (const n of name === 'scalar' ? [1, 17, 300] : [...lengths, 10_000]) {
          const x = make(type, n, n + 3);
          const order = [...x.keys()].sort(inOrder(x));
          const index = new Uint32Array(1);
          if (x instanceof Float32Array) backend.argmax_f32(x, index, 1, n);
          else backend.argmax_f64(x, index, 1, n);
          expect(index[0], `${kind}, ${n}`).toBe(order[0]);
          for (const k of [1, 2, 5, 50, n >> 1, n]) {
            if (k < 1 || k > n) continue;
            const { indices, values } = topOn(x, k);
            expect([...indices], `${kind}, ${k} of ${n}`).toEqual(order.slice(0, k));
            expect([...values]).toEqual(order.slice(0, k).map((i) => x[i]));
          }
        }
      }
    }
  });
}

for (const name of backends) {
  const top = (x: Floats, k: number, mask: Uint8Array | null, bias: Floats | null) => {
    const indices = new Uint32Array(k);
    const kernel = backendNamed(name)[x instanceof Float32Array ? 'top_k_f32' : 'top_k_f64'] as TopKKernel<Floats>;
    kernel(x, indices, x.slice(0, k) as Floats, 1, x.length, k, mask, mask === null ? MASK_NONE : MASK_ROW_BYTES, bias);
    return [...indices];
  };

  it(`topK of rows that are mostly −∞ or +∞, or all alike but for a few, ${name}`, () => {
    const n = name === 'scalar' ? 1000 : 20_000;
    for (const type of typeNames) {
      for (const [rest, few] of [[-Infinity, 1], [0, 1], [1, -Infinity], [2, Infinity], [-3e38, 3e38], [-Infinity, Infinity]] as const) {
        for (const every of [3, 37, 900]) {
          const x = row(type, 'N(0,1)', n, every).map((z, i) => (i % every === 0 ? (Math.abs(few) === Infinity ? few : few * z) : rest)) as Floats;
          const order = [...x.keys()].sort(inOrder(x));
          for (const k of [1, 7, 50, 64, 65, 300]) expect(top(x, k, null, null), `${rest}, ${few}, ${every}, ${k}`).toEqual(order.slice(0, k));
        }
      }
    }
  });

  it(`topK with a mask and a bias, ${name}`, () => {
    for (const [i, n] of (name === 'scalar' ? [40, 300] : [40, 300, 1025, 9000]).entries()) {
      for (const type of typeNames) {
        const [x, bias] = [row(type, 'N(0,8)', n, i), row(type, 'N(0,1)', n, i + 9)];
        const mask = Uint8Array.from({ length: n }, (_, j) => (j * 7) % 3);
        x[3] = NaN; // hidden
        const z = Float64Array.from(x, (logit, j) => (mask[j] ? logit + bias[j]! : -Infinity));
        for (const k of [1, 20, n]) expect(top(x, k, mask, bias)).toEqual([...z.keys()].sort(inOrder(z)).slice(0, k));
      }
    }
  });
}

describe('argmax and topK', () => {
  it('take rows, infinities and a k beyond the row', () => {
    const x = Float32Array.of(1, 5, 5, -Infinity, -Infinity, -Infinity, 2, Infinity, 0);
    expect(argmax(x, { cols: 3 })).toEqual(Uint32Array.of(1, 0, 1));
    expect(topK(x, 2, { cols: 3 })).toEqual({ indices: Uint32Array.of(1, 2, 0, 1, 1, 0), values: Float32Array.of(5, 5, -Infinity, -Infinity, Infinity, 2), k: 2 });
    expect(topK(x, 9, { cols: 3 }).k).toBe(3);
    expect(topK(new Float64Array(0), 3)).toEqual({ indices: new Uint32Array(0), values: new Float64Array(0), k: 0 });
  });

  it('name a row with a NaN', () => {
    const x = new Float64Array(300);
    x[250] = NaN;
    expect(() => argmax(x, { cols: 100 })).toThrow('Expected no NaN for row 2 of x but received one');
    expect(() => topK(x, 3, { cols: 100 })).toThrow('Expected no NaN for row 2 of x but received one');
    expect(() => argmax(new Float32Array(0))).toThrow('Expected at least one element for x');
  });
});

describe('sample', () => {
  const logits = row('f32', 'N(0,1)', 64 * 500);
  const options = { cols: 500, topP: 0.9, temperature: 0.8, seed: 42 };

  it('depends on seed, step and row, not on the batch', () => {
    const all = sample(logits, options);
    expect(sample(logits, options)).toEqual(all);
    const cut = [0, 1, 7, 30, 64].flatMap((end, i, ends) => (i ? [...sample(logits.subarray(ends[i - 1]! * 500, end * 500), { ...options, firstRow: ends[i - 1]! })] : []));
    expect(cut).toEqual([...all]);
    expect(sample(logits, { ...options, step: 1 })).not.toEqual(all);
    expect(sample(logits, { ...options, seed: 43 })).not.toEqual(all);
    expect(sample(logits, { ...options, seed: 42n + 2n ** 40n })).not.toEqual(all);
    expect(sample(logits, { ...options, seed: 42n + 2n ** 40n })).toEqual(sample(logits, { ...options, seed: 42 + 2 ** 40 }));
  });

  it('of many begins with the one, and a mask or a bias of nothing changes nothing', () => {
    const many = sampleMany(logits, 5, options);
    expect(many).toHaveLength(64 * 5);
    expect(many.filter((_, i) => i % 5 === 0)).toEqual(sample(logits, options));
    expect(sample(logits, { ...options, mask: new Uint8Array(500).fill(1) })).toEqual(sample(logits, options));
    expect(sample(logits, { ...options, bias: new Float32Array(500) })).toEqual(sample(logits, options));
  });

  it('takes noise of one\'s own, and greedy takes no notice of it', () => {
    const x = Float32Array.of(0, 0, 0, 0);
    expect(sampleMany(x, 5, { noise: [0, 0.25, 0.3, 0.75, 0.999] })).toEqual(Uint32Array.of(0, 1, 1, 3, 3));
    expect(sample(Float32Array.of(1, 7, 7), { temperature: 0 })).toEqual(Uint32Array.of(1));
    expect(sample(Float32Array.of(1, 7, 7, 2), { temperature: 0, bias: Float32Array.of(0, 0, 0, 9) })).toEqual(Uint32Array.of(3));
  });

  it('without a seed draws anew', () => {
    const drawn = new Set(Array.from({ length: 20 }, () => sample(logits, { cols: 500 }).join()));
    expect(drawn.size).toBeGreaterThan(1);
  });
});

describe('penalties', () => {
  it('are those of llama.cpp and of OpenAI, in their order', () => {
    const x = Float64Array.of(2, -2, 4, 1, 0, 3);
    const y = penalize(x, [0, 1, 1, 4], { repetitionPenalty: 2, frequencyPenalty: 0.5, presencePenalty: 0.25, logitBias: new Map([[0, 2], [5, -1]]), banned: [3] });
    expect(y).toEqual(Float64Array.of(4 / 2 - 0.75, -4 - 1.25, 4, -Infinity, -0.75, 2));
    expect(x[0]).toBe(2);
    expect(penalize(x, [], { forced: [2, 1] })).toEqual(Float64Array.of(-Infinity, -2, 4, -Infinity, -Infinity, -Infinity));
    expect(penalize(x, [0, 5], { presencePenalty: 1, penaltyWindow: 1 })).toEqual(Float64Array.of(2, -2, 4, 1, 0, 2));
    expect(penalize(x, [], { logitBias: [[1, 5], [2, -Infinity]], forced: 1 })[1]).toBe(3);
  });

  it('take a history for each row, and results in place', () => {
    const x = Float32Array.of(1, 1, 1, 1);
    expect(penalize(x, [[0], [1]], { cols: 2, presencePenalty: 1, out: x })).toBe(x);
    expect(x).toEqual(Float32Array.of(0, 1, 1, 0));
    expect(() => penalize(x, [0], { cols: 2 })).toThrow('an array of tokens for each of 2 rows');
    expect(() => penalize(x, [9], { presencePenalty: 1 })).toThrow('Expected tokens from 0 to 3 for history but received 9');
    expect(() => penalize(x, [], { banned: [4] })).toThrow(RangeError);
    expect(() => penalize(x, [], { logitBias: [[0, NaN]] })).toThrow(RangeError);
    expect(() => penalize(x, [], { repetitionPenalty: 0 })).toThrow('Expected a number above 0 for repetitionPenalty but received 0');
  });
});

describe('Sampler', () => {
  const options = { temperature: 0.9, topK: 20, repetitionPenalty: 1.3, frequencyPenalty: 0.1, seed: 7 };
  const logits = (step: number) => row('f32', 'N(0,1)', 200, step + 1);

  it('is sample and penalize, step after step', () => {
    const sampler = new Sampler(options);
    const history: number[] = [];
    for (let step = 0; step < 40; step++) {
      const expected = sample(penalize(logits(step), history, { repetitionPenalty: 1.3, frequencyPenalty: 0.1 }), { temperature: 0.9, topK: 20, seed: 7, step })[0]!;
      expect(sampler.next(logits(step))).toBe(expected);
      history.push(expected);
    }
    expect(sampler.history).toEqual(history);
  });

  it('goes on from a saved state as it would have', () => {
    const [one, two] = [new Sampler(options).accept([3, 4]), new Sampler({ ...options, seed: 99 })];
    for (let step = 0; step < 10; step++) one.next(logits(step));
    two.restore(JSON.parse(JSON.stringify(one.save())) as SamplerState);
    for (let step = 10; step < 30; step++) expect(two.next(logits(step))).toBe(one.next(logits(step)));
    expect(two.save()).toEqual(one.save());
  });

  it('is as before after an error', () => {
    const sampler = new Sampler({ banned: [0, 1], seed: 1 });
    expect(() => sampler.next(Float32Array.of(1, 2))).toThrow('a finite largest logit');
    expect(() => sampler.next(Float32Array.of(1, 2, NaN))).toThrow('no NaN');
    expect(() => sampler.restore({ version: 1, seed: '-1', step: 0, history: [] })).toThrow(RangeError);
    expect(sampler.save()).toEqual({ version: 1, seed: '1', step: 0, history: [] });
    expect(sampler.next(Float32Array.of(1, 2, 3))).toBe(2);
    expect(() => sampler.next(Float32Array.of(1, 2))).toThrow('tokens from 0 to 1 for history');
    expect(() => new Sampler({ topP: 2 })).toThrow(RangeError);
    expect(() => new Sampler({ cols: 3 } as never)).toThrow(TypeError);
  });
});

describe('logProbs', () => {
  it('are the logarithms of softmax, and the top ones in order', () => {
    // As exact as logSumExp of float32 rows.
    const near = (value: number, wanted: number) => expect(Math.abs(value - wanted)).toBeLessThan(1e-7);
    for (const type of typeNames) {
      const x = row(type, 'N(0,8)', 3 * 700);
      const p = softmax(Float64Array.from(x), { cols: 700, temperature: 0.8 });
      const { logProbs: chosen, top } = logProbs(x, [5, 699, 0], { cols: 700, temperature: 0.8, top: 4 });
      [5, 699, 0].forEach((token, r) => near(chosen[r]!, Math.log(p[r * 700 + token]!)));
      expect(top.indices).toEqual(topK(x, 4, { cols: 700 }).indices);
      top.logProbs.forEach((log, i) => near(log, Math.log(p[Math.floor(i / 4) * 700 + top.indices[i]!]!)));
    }
    expect(logProbs(Float32Array.of(0, 0), 1).logProbs[0]).toBeCloseTo(-Math.LN2, 7);
    expect(logProbs(Float32Array.of(0, -Infinity), 1, { top: 9 })).toEqual({ logProbs: Float64Array.of(-Infinity), top: { indices: Uint32Array.of(0, 1), logProbs: Float64Array.of(0, -Infinity), n: 2 } });
    expect(logProbs(Uint16Array.of(0x3c00, 0x3c00), 0, { dtype: 'float16' }).logProbs[0]).toBeCloseTo(-Math.LN2, 7);
  });

  it('take a mask and a bias, as filterLogits does', () => {
    for (const type of typeNames) {
      const [x, bias] = [row(type, 'N(0,8)', 2 * 900), row(type, 'N(0,1)', 900, 5)];
      const mask = Uint8Array.from({ length: 900 }, (_, i) => i % 4);
      x[904] = NaN; // hidden
      const { probabilities } = filterLogits(x as Float64Array, { cols: 900, temperature: 0.8, mask, bias: bias as Float64Array });
      const { logProbs: chosen, top } = logProbs(x as Float64Array, [7, 8], { cols: 900, temperature: 0.8, top: 700, mask, bias: bias as Float64Array });
      expect(chosen[0]).toBeCloseTo(Math.log(probabilities[7]!), 5);
      expect(chosen[1]).toBe(-Infinity);
      top.indices.forEach((token, i) => {
        const p = probabilities[Math.floor(i / 700) * 900 + token]!;
        if (p > 1e-30 || token % 4 === 0) expect(Math.abs(top.logProbs[i]! - Math.log(p)) < 1e-5 || top.logProbs[i] === Math.log(p)).toBe(true);
      });
      const bits = new Uint8Array(Math.ceil(900 / 8));
      mask.forEach((m, i) => (bits[i >> 3]! |= +(m !== 0) << (i & 7)));
      expect(logProbs(x as Float64Array, [7, 8], { cols: 900, temperature: 0.8, top: 700, mask: bits, maskFormat: 'bits', bias: bias as Float64Array })).toEqual({ logProbs: chosen, top });
    }
    expect(() => logProbs(new Float32Array(3), 0, { mask: new Uint8Array(3) })).toThrow('row 0');
    expect(() => logProbs(new Float32Array(3), 0, { mask: new Uint8Array(2) })).toThrow('for mask but received 2');
  });

  it('want a token of each row', () => {
    const x = new Float32Array(6);
    expect(() => logProbs(x, [0], { cols: 3 })).toThrow('2 tokens, one a row,');
    expect(() => logProbs(x, [0, 3], { cols: 3 })).toThrow('integers from 0 to 2');
    expect(() => logProbs(Float32Array.of(0, NaN), 0)).toThrow('row 0');
    expect(() => logProbs(x.fill(-Infinity), 0)).toThrow('row 0');
  });
});

describe('softToken', () => {
  it('without noise is the renormalised nucleus', () => {
    const x = row('f32', 'N(0,8)', 4 * 300);
    const { indices, weights, counts, logProbability, k } = softToken(x, { cols: 300, topK: 30, topP: 0.9, noise: false });
    const { probabilities } = filterLogits(x, { cols: 300, topK: 30, topP: 0.9 });
    for (let r = 0; r < 4; r++) {
      const kept = [...probabilities.subarray(r * 300, (r + 1) * 300).keys()].filter((i) => probabilities[r * 300 + i]! > 0);
      expect([...indices.subarray(r * k, r * k + counts[r]!)].sort((a, b) => a - b)).toEqual(kept);
      for (let i = 0; i < counts[r]!; i++) expect(weights[r * k + i]).toBeCloseTo(probabilities[r * 300 + indices[r * k + i]!]!, 6);
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
      for (let i = 0; i < counts[r]!; i++) expect(weights[r * k + i]).toBeCloseTo(probabilities[r * 300 + indices[r * k + i]!]!, 6);
      expect(probabilities.subarray(r * 300, (r + 1) * 300).filter((p) => p > 0)).toHaveLength(counts[r]!);
    }
    expect(softToken(Float32Array.of(1, 5, 3), { mask: Uint8Array.of(1, 0, 0), noise: false })).toMatchObject({ indices: Uint32Array.of(0, 0, 0), counts: Uint32Array.of(1) });
    expect(softToken(Uint16Array.of(0, 0x3c00), { dtype: 'float16', bias: Uint16Array.of(0x4400, 0), noise: false, topP: 0 }).indices[0]).toBe(0);
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
    softmax(token.noised, { temperature: 0.5 }).forEach((weight, i) => expect(token.weights[i]).toBeCloseTo(weight, 12));
    expect(token.logProbability[0]).toBeCloseTo(g.reduce((sum, each) => sum - each - Math.exp(-each), 0), 12);
    expect(softToken(x, { seed: 5 })).toEqual(softToken(x, { seed: 5 }));
    const { k, counts, weights } = softToken(x, { seed: 5, topP: 0.5 });
    expect([k, counts[0], weights[0], weights[1]]).toEqual([5, 1, 1, 0]);
  });
});

describe('Gumbel and Dirichlet', () => {
  it('take noise of one\'s own', () => {
    const x = Float64Array.of(1, 2, 3);
    expect(gumbelSoftmax(x, { noise: [0, 0, 0] })).toEqual(softmax(x));
    expect(gumbelSoftmax(Float32Array.from(x), { noise: [9, 0, 0], hard: true })).toEqual(Float32Array.of(1, 0, 0));
    expect(gumbelMax(x, { noise: [0, 3, 0], temperature: 2 })).toEqual(Uint32Array.of(1));
    expect(gumbelTopK(x, 2, { noise: [3, 0, 0] })).toEqual({ indices: Uint32Array.of(0, 2), values: Float64Array.of(4, 3) });
    expect(dirichletResample(Float64Array.of(0.5, 0.5, 0), { noise: [0, 0, 7] })).toEqual(Float64Array.of(0.5, 0.5, 0));
  });

  it('never take what is masked or −∞', () => {
    const x = Float32Array.of(1, NaN, 2, -Infinity);
    for (let seed = 0; seed < 50; seed++) {
      expect([0, 2]).toContain(gumbelMax(x, { mask: Uint8Array.of(1, 0, 1, 1), seed })[0]);
      expect(gumbelSoftmax(x, { mask: Uint8Array.of(1, 0, 1, 1), seed })[1]).toBe(0);
    }
    expect(() => gumbelTopK(x, 3, { mask: Uint8Array.of(1, 0, 1, 1) })).toThrow('Expected 3 finite logits for row 0 of logits but received fewer');
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
    [() => sample(x, { temperature: -1 }), 'ERR_OUT_OF_RANGE', 'Expected a finite number from 0 for temperature but received -1'],
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
    [() => sample(x, { seed: 1, noise: [0.5] }), 'ERR_INVALID_ARG_VALUE', 'Expected no value for seed beside noise but received 1'],
    [() => sample(x, { noise: [0.5, 0.5] }), 'ERR_INVALID_ARG_VALUE', 'Expected 1 numbers for noise but received 2'],
    [() => sample(x, { noise: [1] }), 'ERR_OUT_OF_RANGE', 'noise but received'],
    [() => sampleMany(x, 0), 'ERR_OUT_OF_RANGE', 'Expected a positive integer for n but received 0'],
    [() => topK(x, 0), 'ERR_OUT_OF_RANGE', 'for k'],
    [() => filterLogits(x, { seed: 1 } as never), 'ERR_INVALID_ARG_TYPE', "'seed'"],
    [() => gumbelSoftmax(x, { tau: 0 }), 'ERR_OUT_OF_RANGE', 'Expected a finite number above 0 for tau but received 0'],
    [() => gumbelTopK(x, 13), 'ERR_INVALID_ARG_VALUE', 'at most 12'],
    [() => dirichletResample(x.slice().fill(1), { alpha: 0 }), 'ERR_OUT_OF_RANGE', 'alpha'],
    [() => softToken(x, { noiseRange: [3, 1] }), 'ERR_INVALID_ARG_TYPE', 'noiseRange'],
    [() => sample(new Uint16Array(3)), 'ERR_INVALID_ARG_TYPE', 'dtype'],
  ] as const)('%s', (call, code, message) => {
    expect(call).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
  });
});
