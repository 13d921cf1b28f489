/** Penalties on sequences: what transformers and llama.cpp publish, brute force over random histories, the Sampler. */
import { describe, expect, it } from 'vitest';
import { penalize, sample, Sampler, type DryOptions, type PenaltyOptions } from '../../lib/sampling.js';
import { row } from '../support/cases.js';

const bannedIn = (y: Float64Array): number[] => [...y.keys()].filter((i) => y[i] === -Infinity);
const softmaxOf = (z: Float64Array): number[] => {
  const weights = Array.from(z, Math.exp);
  const sum = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / sum);
};
/** A history in which sequences repeat. */
function historyOf(n: number, tokens: number, seed: number): number[] {
  let state = seed + 1;
  const random = (most: number) => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 8) % most;
  const history: number[] = [];
  while (history.length < n) {
    if (history.length > 4 && random(3) === 0) {
      const from = random(history.length);
      history.push(...history.slice(from, from + 1 + random(6)));
    } else history.push(random(tokens));
  }
  return history.slice(0, n);
}

describe('n-grams', () => {
  it('as in the tests of transformers', () => {
    const x = new Float64Array(6).fill(1 / 3);
    const histories = [
      [1, 1, 2, 1],
      [0, 1, 0, 1],
    ];
    expect(bannedIn(penalize(x, histories, { cols: 3, noRepeatNgram: 2 }))).toEqual([1, 2, 3]);
    expect(bannedIn(penalize(x, histories, { cols: 3, noRepeatNgram: 3 }))).toEqual([3]);
    expect(bannedIn(penalize(x, histories, { cols: 3, noRepeatNgram: 1 }))).toEqual([1, 2, 3, 4]);
    expect(bannedIn(penalize(x, [[], [1]], { cols: 3, noRepeatNgram: 2 }))).toEqual([]);
  });

  it('agree with a search of the whole history, and step by step', () => {
    for (const n of [1, 2, 3, 5]) {
      for (let seed = 0; seed < 8; seed++) {
        const history = historyOf(80, 6, seed);
        const sampler = new Sampler({ noRepeatNgram: n, temperature: 0, seed: 1 });
        for (let end = 0; end <= history.length; end += 1 + (end % 3)) {
          const past = history.slice(0, end);
          const expected = new Set<number>();
          for (let i = 0; i + n <= end; i++) {
            const isSame = past.slice(i, i + n - 1).every((token, j) => token === past[end - n + 1 + j]);
            if (isSame) expected.add(past[i + n - 1]!);
          }
          expect(bannedIn(penalize(new Float64Array(7), past, { noRepeatNgram: n }))).toEqual([...expected].sort());
          const restored = new Sampler({ noRepeatNgram: n, temperature: 0, seed: 1 }).accept(past);
          sampler.accept(past.slice(sampler.history.length));
          const logits = Float64Array.of(7, 6, 5, 4, 3, 2, 1);
          const best = [0, 1, 2, 3, 4, 5, 6].find((token) => !expected.has(token))!;
          expect(restored.next(logits)).toBe(best);
        }
      }
    }
  });
});

describe('sequences', () => {
  const histories = [
    [0, 1, 3, 1],
    [0, 1, 0, 1],
  ];
  it('are banned as in the tests of transformers', () => {
    const x = new Float64Array(10);
    const bannedSequences = [[1], [1, 0], [0, 1, 2], [1, 3, 1, 3]];
    expect(bannedIn(penalize(x, histories, { cols: 5, bannedSequences }))).toEqual([0, 1, 3, 5, 6, 7]);
    expect(bannedIn(penalize(x, [[], []], { cols: 5, bannedSequences }))).toEqual([1, 6]);
    // A history of the first tokens alone is enough.
    expect(bannedIn(penalize(new Float64Array(5), [0, 1], { bannedSequences }))).toEqual([0, 1, 2]);
  });

  it('are biased as in the tests of transformers', () => {
    const sequenceBias: [number[], number][] = [
      [[1, 0], -100],
      [[0, 1, 2], -100],
      [[1, 3, 1, 3], -100],
      [[1, 3, 1, 3, 1, 3], -100],
      [[1], 100],
      [[4], 100],
    ];
    const y = penalize(new Float64Array(10).fill(0.2), histories, { cols: 5, sequenceBias });
    const expected = [-100, 100, 0, -100, 100, -100, 100, -100, 0, 100];
    expect(Array.from(y)).toEqual(expected.map((bias) => 0.2 + bias));
    expect(
      penalize(new Float64Array(10).fill(0.2), histories, { cols: 5, sequenceBias: new Map(sequenceBias) }),
    ).toEqual(y);
    const twice = penalize(new Float64Array(2), [1], { sequenceBias: [[[1, 0], 2], [[1, 0], 3]] }); // prettier-ignore
    expect(twice[0]).toBe(5);
  });

  it('have an encoder repetition penalty as in the tests of transformers', () => {
    const x = new Float64Array(20).fill(0.1);
    x[0] = -0.1;
    x[15] = 0.4;
    const options = { cols: 10, encoderRepetitionPenalty: 2 };
    const y = penalize(x, [[0, 1], [5, 0]], { ...options, promptLength: 2 }); // prettier-ignore
    expect([y[0], y[1], y[2], y[10], y[15]]).toEqual([-0.1 / 2, 0.2, 0.1, 0.2, 0.8]);
    expect(penalize(x, [[], []], { ...options, encoderTokens: [0] })[0]).toBe(-0.1 / 2);
    const sampler = new Sampler({ encoderRepetitionPenalty: 4, temperature: 0 });
    sampler.accept([2], { prompt: true }).accept([1]);
    expect(sampler.next(Float64Array.of(3, 3, 1, 0))).toBe(2);
  });
});

/** The penalty of each token, straight from the rule. */
function dryOf(
  history: readonly number[],
  { multiplier, base = 1.75, allowedLength = 2, breakers, lastN }: DryOptions,
) {
  const past = lastN == null ? history : history.slice(Math.max(0, history.length - lastN));
  const sequences = Array.from(breakers ?? [], (each) => (typeof each === 'number' ? [each] : Array.from(each)));
  const n = past.length;
  let limit = n;
  for (let end = n; end > 0 && limit === n; end--) {
    // The end of the longest breaker that begins at end − 1 …
    const at = end - 1;
    const lengths = sequences
      .filter((each) => each.every((token, j) => past[at + j] === token))
      .map(({ length }) => length);
    if (lengths.length > 0) limit = n - at - Math.max(...lengths);
  }
  const longest = new Map<number, number>();
  if (n <= allowedLength!) return new Map<number, number>();
  for (let at = 0; at < n - 1; at++) {
    let length = 0;
    while (length <= at && past[at - length] === past[n - 1 - length]) length++;
    length = Math.min(length, limit);
    if (length >= allowedLength!) longest.set(past[at + 1]!, Math.max(length, longest.get(past[at + 1]!) ?? 0));
  }
  for (const each of sequences) if (each.length === 1) longest.delete(each[0]!);
  return new Map([...longest].map(([token, length]) => [token, multiplier * base! ** (length - allowedLength!)]));
}

describe('DRY', () => {
  const dry = { multiplier: 1, base: 1.1, allowedLength: 2 };
  it.each([
    [[0.25, 0.25, 0.25, 0.25], [0, 1], [0.25, 0.25, 0.25, 0.25], { ...dry, lastN: 4 }],
    [[0.25, 0.25, 0.25, 0.25], [0, 1, 2, 0, 1], [0.296923, 0.296923, 0.109232, 0.296923], { ...dry, lastN: 5 }],
    [[0.2, 0.2, 0.2, 0.2, 0.2], [0, 1, 3, 4, 0, 1], [0.2, 0.2, 0.2, 0.2, 0.2], { ...dry, lastN: 6, breakers: [[3]] }],
    [
      [0.2, 0.2, 0.2, 0.2, 0.2],
      [0, 1, 2, 0, 1],
      [0.241818, 0.241818, 0.032727, 0.241818, 0.241818],
      { ...dry, multiplier: 2, lastN: 5 },
    ],
    [[0.2, 0.2, 0.2, 0.2, 0.2], [0, 1, 2, 3, 4, 0, 1], [0.2, 0.2, 0.2, 0.2, 0.2], { ...dry, allowedLength: 4 }],
  ])('as in the tests of llama.cpp: %j after %j', (p, history, expected, options) => {
    const y = softmaxOf(penalize(Float64Array.from(p, Math.log), history, { dry: options }));
    for (const [i, each] of y.entries()) expect(each).toBeCloseTo(expected[i]!, 5);
  });

  it('agrees with its rule, at once and step by step', () => {
    const cases: DryOptions[] = [
      { multiplier: 0.5 },
      { multiplier: 1, base: 2, allowedLength: 1 },
      { multiplier: 1, base: 1, allowedLength: 3, lastN: 20 },
      { multiplier: 0.8, breakers: [3, [1, 2]] },
      { multiplier: 0.8, breakers: [[2, 0, 1], [0, 1], 5], allowedLength: 1 },
    ];
    for (const options of cases) {
      for (let seed = 0; seed < 12; seed++) {
        const history = historyOf(70, seed % 3 === 0 ? 3 : 6, seed);
        const sampler = new Sampler({ dry: options, seed, repetitionPenalty: 1.1 });
        for (let end = 0; end <= history.length; end += 1 + (seed % 2) * (end % 4)) {
          const past = history.slice(0, end);
          const y = penalize(new Float64Array(7), past, { dry: options });
          const expected = dryOf(past, { base: 1.75, allowedLength: 2, ...options });
          for (const [token, each] of y.entries()) {
            const penalty = expected.get(token) ?? 0;
            expect(Math.abs(-each - penalty)).toBeLessThanOrEqual(1e-15 * penalty * 64);
          }
        }
        for (let step = 0; step < 40; step++) {
          if (step % 11 === 3) sampler.accept(history.slice(step % 7, 9));
          const logits = row('f64', 'N(0,1)', 6, step);
          const past = sampler.history;
          const changed = penalize(logits, past, { dry: options, repetitionPenalty: 1.1 });
          expect(sampler.next(logits)).toBe(sample(changed, { seed, step })[0]);
        }
      }
    }
  });

  it('takes long histories in little time, and keeps exponents in range', () => {
    const history = Array.from({ length: 200_000 }, (_, i) => i % 2);
    const y = penalize(new Float64Array(3), history, { dry: { multiplier: 1, base: 1.1 } });
    expect(y[0]).toBeCloseTo(-(1.1 ** 930), -36);
    expect(y[1]).toBe(0);
    const sampler = new Sampler({ dry: { multiplier: 1 }, noRepeatNgram: 9, temperature: 0 }).accept(history);
    for (let i = 0; i < 20; i++) sampler.next(Float64Array.of(5, 4, 1));
    expect(sampler.history.at(200_000)).toBe(1);
  });
});

describe('penalties on sequences', () => {
  it.each<[PenaltyOptions, string]>([
    [{ noRepeatNgram: -1 }, 'an integer from 0 for noRepeatNgram'],
    [{ bannedSequences: [[1], []] }, 'at least one token for bannedSequences[1] but received none'],
    [{ bannedSequences: [[1, 0.5]] }, 'an integer from 0 for bannedSequences[0]'],
    [{ bannedSequences: 3 as never }, 'an array of sequences for bannedSequences'],
    [{ sequenceBias: [[[1], NaN]] }, 'a finite number for sequenceBias[0]'],
    [{ sequenceBias: [[1, 2, 3]] as never }, 'pairs [tokens, bias] for sequenceBias[0]'],
    [{ dry: { multiplier: -1 } }, 'a finite number from 0 for dry.multiplier'],
    [{ dry: { multiplier: 1, base: 0.5 } }, 'a finite number from 1 for dry.base'],
    [{ dry: { multiplier: 1, allowedLength: 0 } }, 'a positive integer for dry.allowedLength'],
    [{ dry: { multiplier: 1, breakers: [1, -1] } }, 'an integer from 0 for dry.breakers[1]'],
    [{ dry: { multiplier: 1, breakers: ['a'] as never } }, 'an array of tokens for dry.breakers[0]'],
    [{ dry: { multiplier: 1, other: 1 } as never }, 'only multiplier, base, allowedLength, breakers, lastN'],
    [{ dry: 1 as never }, 'an object for options'],
    [{ encoderRepetitionPenalty: 0 }, 'a number above 0 for encoderRepetitionPenalty'],
    [{ countedTokens: 'some' as never }, "'output' or 'all' for countedTokens"],
    [{ logitBias: { a: 1 } as never }, 'an integer from 0 for logitBias'],
    [{ bannedSequences: [[1, 9]] }, 'tokens from 0 to 3 for bannedSequences but received 9'],
    [{ sequenceBias: [[[9, 1], 1]] }, 'tokens from 0 to 3 for sequenceBias but received 9'],
  ])('refuse %j', (options, message) => {
    expect(() => penalize(new Float32Array(4), [1, 2], options)).toThrow(message);
    expect(() => new Sampler(options).next(new Float32Array(4))).toThrow(message);
  });

  it('take biases of an object, and lengths of prompts', () => {
    expect(penalize(new Float32Array(4), [], { logitBias: { 1: 2, 3: -Infinity } })).toEqual(
      Float32Array.of(0, 2, 0, -Infinity),
    );
    const x = new Float32Array(8);
    const histories = [
      [0, 1, 1],
      [0, 1, 1],
    ];
    const options = { cols: 4, frequencyPenalty: 1, presencePenalty: 0.5 };
    expect(penalize(x, histories, { ...options, promptLength: [2, 0] })).toEqual(
      Float32Array.of(0, -1.5, 0, 0, -1.5, -2.5, 0, 0),
    );
    expect(penalize(x, histories, { ...options, promptLength: 3, countedTokens: 'all' })).toEqual(
      Float32Array.of(-1.5, -2.5, 0, 0, -1.5, -2.5, 0, 0),
    );
    expect(() => penalize(x, histories, { ...options, promptLength: [1] })).toThrow('2 numbers, one a row,');
    expect(() => penalize(x, histories, { ...options, promptLength: [1, 4] })).toThrow(
      'at most the 3 tokens of the history for promptLength[1] but received 4',
    );
  });
});
