/** The sampler over long histories, and states that version 0.1 saved, which every later version reads. */
import { describe, expect, it } from 'vitest';
import { readFileSync } from 'node:fs';
import { penalize, sample, Sampler, type SamplerOptions, type SamplerState } from '../../lib/sampling.js';
import { row } from '../support/cases.js';

interface Saved {
  about: string;
  options: SamplerOptions;
  type: 'f32' | 'f64';
  n: number;
  /** The text of a state. */
  saved: string;
  step: number;
  /** The draws of version 0.1 from then on, and the text of its state after them. */
  next: number[];
  after: string;
}

const fixtures = JSON.parse(
  readFileSync(new URL('../fixtures/sampler-states-0.1.json', import.meta.url), 'utf8'),
) as Saved[];

/** The logits of a step, exact in float32. */
function logitsOf(type: 'f32' | 'f64', n: number, step: number): Float32Array | Float64Array {
  const numbers = Array.from({ length: n }, (_, i) => ((i * 7919 + step * 104729 + 13) % 1009) / 64 - 8);
  return type === 'f32' ? Float32Array.from(numbers) : Float64Array.from(numbers);
}

describe('states of version 0.1', () => {
  it.each(fixtures)('$about', ({ options, type, n, saved, step, next, after }) => {
    const state = JSON.parse(saved) as SamplerState;
    const sampler = new Sampler(options).restore(state);
    expect(sampler.save()).toEqual(state);
    expect(JSON.stringify(sampler.save())).toBe(saved);
    expect(next.map((_, i) => sampler.next(logitsOf(type, n, step + i)))).toEqual(next);
    expect(JSON.stringify(sampler.save())).toBe(after);
  });

  it('hold seeds beyond 2^53 and histories', () => {
    expect(fixtures.some(({ saved }) => BigInt((JSON.parse(saved) as SamplerState).seed) > 2n ** 53n)).toBe(true);
    expect(fixtures.some(({ saved, step }) => (JSON.parse(saved) as SamplerState).history.length > step)).toBe(true);
  });
});

describe('long histories', () => {
  it.each([1000, 131_072, 1_000_000])('accepts a prompt of %i', (n) => {
    const sampler = new Sampler({ seed: 1, repetitionPenalty: 1.1 });
    expect(sampler.accept(Int32Array.from({ length: n }, (_, i) => i % 100))).toBe(sampler);
    expect(sampler.history).toHaveLength(n);
    sampler.accept(Array.from({ length: n }, () => 5));
    expect(sampler.history).toHaveLength(2 * n);
    const token = sampler.next(new Float32Array(200));
    expect(sampler.save().history.at(-1)).toBe(token);
  });

  it('restores 300,000 tokens', () => {
    const history = Array.from({ length: 300_000 }, (_, i) => i % 7);
    const sampler = new Sampler({ seed: 1, frequencyPenalty: 1e-6 }).restore({
      version: 1,
      seed: '1',
      step: 3,
      history,
    });
    expect(sampler.history).toEqual(history);
    expect(sampler.next(new Float32Array(9))).toBeLessThan(9);
  });

  it('penalizes with a million tokens, banned and forced ones as many', () => {
    const x = new Float32Array(1000);
    const tokens = Uint32Array.from({ length: 1_000_000 }, (_, i) => i % 500);
    const y = penalize(x, tokens, { frequencyPenalty: 1 / 2000 });
    expect([y[0], y[499], y[500]]).toEqual([-1, -1, 0]);
    expect(penalize(x, [], { banned: tokens })[499]).toBe(-Infinity);
    expect(penalize(x, [], { forced: tokens })[500]).toBe(-Infinity);
    const bias = Array.from({ length: 300_000 }, (_, i) => [i % 10, 1] as const);
    expect(penalize(x, [], { logitBias: bias })[9]).toBe(30_000);
  });
});

describe('penalties of a sampler', () => {
  it.each([0, 1, 5, Infinity])('agree with penalize, with a window of %d', (penaltyWindow) => {
    const penalties = { repetitionPenalty: 1.3, frequencyPenalty: 0.3, presencePenalty: 0.2, penaltyWindow };
    const sampler = new Sampler({ ...penalties, seed: 3 });
    const history: number[] = [];
    for (let step = 0; step < 60; step++) {
      if (step % 9 === 0) {
        sampler.accept([step % 4, 2, 2, 1]);
        history.push(step % 4, 2, 2, 1);
      }
      const logits = row('f32', 'N(0,1)', 12, step);
      const expected = sample(penalize(logits, history, penalties), { seed: 3, step })[0]!;
      expect(sampler.next(logits)).toBe(expected);
      history.push(expected);
      if (step === 30) sampler.restore(sampler.save());
    }
    expect(sampler.history).toEqual(history);
  });

  it('cannot be changed from outside', () => {
    const sampler = new Sampler({ seed: 3, repetitionPenalty: 2 }).accept([1, 2]);
    (sampler.history as number[]).push(1e9);
    (sampler.save().history as number[])[0] = -1;
    Object.assign(sampler, {
      tokens: [1e9],
      scratch: new Float32Array(1),
      seed: 1n,
      step: -1,
      penalties: {},
      filters: {},
    });
    expect(sampler.history).toEqual([1, 2]);
    expect(sampler.next(new Float32Array(4))).toBe(
      new Sampler({ seed: 3, repetitionPenalty: 2 }).accept([1, 2]).next(new Float32Array(4)),
    );
  });

  it('leave the sampler as before when something is wrong with a list', () => {
    const sampler = new Sampler({ seed: 3 }).accept([1]);
    const before = sampler.save();
    expect(() => sampler.accept([2, 3, -1])).toThrow(RangeError);
    expect(() => sampler.accept([2, undefined, 3] as number[])).toThrow(TypeError);
    expect(() => sampler.accept({ length: 2 ** 40 } as never)).toThrow(TypeError);
    expect(() => sampler.restore({ ...before, history: [1, 0.5] })).toThrow(RangeError);
    expect(() => sampler.restore({ ...before, history: null as never })).toThrow(TypeError);
    expect(() => sampler.accept(7).next(new Float32Array(7))).toThrow(
      'Expected tokens from 0 to 6 for history but received 7',
    );
    expect(sampler.save()).toEqual({ ...before, history: [1, 7] });
  });
});
