/** penalize, and the Sampler, which applies it step after step. */
import { describe, expect, it } from 'vitest';
import { penalize, sample, Sampler, type SamplerState } from '../../lib/sampling.js';
import { row } from '../support/cases.js';

describe('penalties', () => {
  it('agree with llama.cpp and OpenAI, in their order', () => {
    const x = Float64Array.of(2, -2, 4, 1, 0, 3);
    const y = penalize(x, [0, 1, 1, 4], {
      repetitionPenalty: 2,
      frequencyPenalty: 0.5,
      presencePenalty: 0.25,
      logitBias: new Map([
        [0, 2],
        [5, -1],
      ]),
      banned: [3],
    });
    expect(y).toEqual(Float64Array.of(4 / 2 - 0.75, -4 - 1.25, 4, -Infinity, -0.75, 2));
    expect(x[0]).toBe(2);
    expect(penalize(x, [], { forced: [2, 1] })).toEqual(
      Float64Array.of(-Infinity, -2, 4, -Infinity, -Infinity, -Infinity),
    );
    expect(penalize(x, [0, 5], { presencePenalty: 1, penaltyWindow: 1 })).toEqual(Float64Array.of(2, -2, 4, 1, 0, 2));
    expect(
      penalize(x, [], {
        logitBias: [
          [1, 5],
          [2, -Infinity],
        ],
        forced: 1,
      })[1],
    ).toBe(3);
  });

  it('count each of a hundred tokens, while the table of counts grows, and forget those that left the window', () => {
    const history = Array.from({ length: 300 }, (_, i) => (i * 7) % 100);
    const all = penalize(new Float64Array(100), history, { frequencyPenalty: 1 });
    expect(all).toEqual(new Float64Array(100).fill(-3));
    const late = penalize(new Float64Array(100), history, { frequencyPenalty: 1, penaltyWindow: 40 });
    const wanted = new Float64Array(100);
    for (const token of history.slice(-40)) wanted[token]!--;
    expect(late).toEqual(wanted);
  });

  it('take a history for each row, and results in place', () => {
    const x = Float32Array.of(1, 1, 1, 1);
    expect(penalize(x, [[0], [1]], { cols: 2, presencePenalty: 1, out: x })).toBe(x);
    expect(x).toEqual(Float32Array.of(0, 1, 1, 0));
    expect(() => penalize(x, [0], { cols: 2 })).toThrow('an array of tokens for each of 2 rows');
    expect(() => penalize(x, [9], { presencePenalty: 1 })).toThrow(
      'Expected tokens from 0 to 3 for history but received 9',
    );
    expect(() => penalize(x, [], { banned: [4] })).toThrow(RangeError);
    expect(() => penalize(x, [], { logitBias: [[0, NaN]] })).toThrow(RangeError);
    expect(() => penalize(x, [], { repetitionPenalty: 0 })).toThrow(
      'Expected a number above 0 for repetitionPenalty but received 0',
    );
  });
});

describe('Sampler', () => {
  const options = { temperature: 0.9, topK: 20, repetitionPenalty: 1.3, frequencyPenalty: 0.1, seed: 7 };
  const logits = (step: number) => row('f32', 'N(0,1)', 200, step + 1);

  it('is sample and penalize, step after step', () => {
    const sampler = new Sampler(options);
    const history: number[] = [];
    for (let step = 0; step < 40; step++) {
      const expected = sample(penalize(logits(step), history, { repetitionPenalty: 1.3, frequencyPenalty: 0.1 }), {
        temperature: 0.9,
        topK: 20,
        seed: 7,
        step,
      })[0]!;
      expect(sampler.next(logits(step))).toBe(expected);
      history.push(expected);
    }
    expect(sampler.history).toEqual(history);
  });

  it('continues from a saved state as without saving', () => {
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
