/** The generator: known answers, the numbers that are made from it, and the frequencies of draws (χ², fixed seeds). */
import { describe, expect, it } from 'vitest';
import { backends } from '../support/backends.js';
import { backendNamed } from '../../lib/backend/named.js';
import { dirichletResample, gumbelMax, gumbelSoftmax, gumbelTopK, sample, sampleMany } from '../../lib/sampling.js';
import { exp } from '../../lib/math/exp.js';
import { ln } from '../../lib/math/log.js';
import { block, philox, uniformOf } from '../../lib/math/philox.js';
import { Stream } from '../../lib/sampling/random.js';
import { generator } from '../support/cases.js';

const hex = (words: Iterable<number>) => Array.from(words, (word) => word.toString(16).padStart(8, '0')).join(' ');

describe('Philox4x32-10', () => {
  // The known answers of Random123 (kat_vectors).
  it.each([
    [[0, 0, 0, 0], [0, 0], '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    [[0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff], '408f276d 41c83b0e a20bc7c6 6d5451fd'],
    [[0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0], 'd16cfe09 94fdcceb 5001e420 24126ea1'],
  ] as const)('%j', ([a, b, c, d], [k0, k1], expected) => {
    block.set([a, b, c, d]);
    philox([k0, k1]);
    expect(hex(block)).toBe(expected);
  });

  it('makes numbers in (0, 1), never 0 or 1', () => {
    expect(uniformOf(0, 0)).toBe(2 ** -53);
    expect(uniformOf(0xffffffff, 0xffffffff)).toBe(1 - 2 ** -53);
    expect(uniformOf(0x80000000, 0)).toBe(0.5 + 2 ** -53);
  });

  it('depends on seed, step, row and draw, and on each of them', () => {
    const of = (key: number, step: number, firstRow: number, row: number, d: number) =>
      new Stream([key, 0], step, firstRow).token(row, d);
    expect(of(1, 2, 3, 4, 5)).toBe(of(1, 2, 0, 7, 5));
    const all = [of(1, 2, 3, 4, 5), of(2, 2, 3, 4, 5), of(1, 3, 3, 4, 5), of(1, 2, 4, 4, 5), of(1, 2, 3, 4, 6)];
    expect(new Set(all).size).toBe(5);
  });

  it('is uniform', () => {
    const counts = new Float64Array(64);
    const stream = new Stream([12, 34], 0, 0);
    for (let i = 0; i < 64_000; i++) counts[Math.floor(stream.token(i, 0) * 64)]!++;
    expect(
      chiSquare(
        counts,
        counts.map(() => 1 / 64),
      ),
    ).toBeLessThan(CRITICAL(63));
  });
});

it('ln and exp agree with this machine’s to a few ULP', () => {
  const random = generator(3);
  for (let i = 0; i < 20_000; i++) {
    const x = (random() / 2 ** 32) * 2 ** ((random() % 200) - 100);
    expect(Math.abs(ln(x) - Math.log(x))).toBeLessThanOrEqual(Math.abs(Math.log(x)) * 4e-16 + 1e-16);
    const y = (random() / 2 ** 32 - 0.5) * 200;
    expect(Math.abs(exp(y) / Math.exp(y) - 1)).toBeLessThan(1e-15);
  }
  expect([ln(1), ln(0), ln(-1), ln(Infinity), ln(NaN), exp(0)]).toEqual([0, -Infinity, NaN, Infinity, NaN, 1]);
  expect(Math.abs(ln(5e-324) - Math.log(5e-324))).toBeLessThan(1e-12);
});

/** Σ (observed − expected)² / expected over the classes that can occur. Other classes must not occur. */
function chiSquare(counts: ArrayLike<number>, p: ArrayLike<number>): number {
  const n = Array.from(counts).reduce((a, b) => a + b, 0);
  let sum = 0;
  for (let i = 0; i < p.length; i++) {
    if (p[i] === 0) expect(counts[i], `what has no probability, ${i}, was drawn`).toBe(0);
    else sum += (counts[i]! - n * p[i]!) ** 2 / (n * p[i]!);
  }
  return sum;
}
/** About the 99.9th percentile of χ² (Wilson & Hilferty). */
const CRITICAL = (degrees: number) => degrees * (1 - 2 / (9 * degrees) + 3.09 * Math.sqrt(2 / (9 * degrees))) ** 3;
const countsOf = (tokens: Iterable<number>, n: number) => {
  const counts = new Float64Array(n);
  for (const token of tokens) counts[token]!++;
  return counts;
};
const softmaxOf = (logits: ArrayLike<number>, temperature = 1) => {
  const w = Array.from(logits, (z) => Math.exp(z / temperature));
  const sum = w.reduce((a, b) => a + b, 0);
  return w.map((each) => each / sum);
};

describe('frequencies', () => {
  const logits = Float32Array.from({ length: 20 }, (_, i) => Math.sin(i * 1.7) * 2);

  for (const name of backends) {
    it(`of 50,000 draws, ${name}`, () => {
      const backend = backendNamed(name);
      const draws = 50_000;
      const stream = new Stream([77, 0], 0, 0);
      const uniforms = Float64Array.from({ length: draws }, (_, d) => stream.token(0, d));
      const tokens = new Uint32Array(draws);
      // 4,000 logits of twenty values, so that kernels use pages.
      const long = Float32Array.from({ length: 4000 }, (_, i) => logits[i % 20]!);
      backend.sample_f32(
        long,
        tokens,
        null,
        null,
        new Int32Array(1),
        uniforms,
        null,
        1,
        4000,
        draws,
        4000,
        0.8,
        1,
        -Infinity,
        1,
        0,
        null,
        0,
        null,
      );
      expect(
        chiSquare(
          countsOf(
            tokens.map((token) => token % 20),
            20,
          ),
          softmaxOf(logits, 0.8),
        ),
      ).toBeLessThan(CRITICAL(19));
      expect(
        chiSquare(
          countsOf(
            tokens.map((token) => Math.floor(token / 100)),
            40,
          ),
          new Float64Array(40).fill(1 / 40),
        ),
      ).toBeLessThan(CRITICAL(39));
    });
  }

  it('of filtered ones', () => {
    for (const [options, kept] of [
      [{ topK: 5 }, 5],
      [{ topP: 0.6 }, 0],
      [{ minP: 0.2 }, 0],
      [{ typicalP: 0.5 }, 0],
    ] as const) {
      const tokens = sampleMany(logits, 20_000, { ...options, seed: 5 });
      const left = [...new Set(tokens)];
      if (kept) expect(left).toHaveLength(kept);
      const p = softmaxOf(logits).map((each, i) => (left.includes(i) ? each : 0));
      const sum = p.reduce((a, b) => a + b, 0);
      expect(
        chiSquare(
          countsOf(tokens, 20),
          p.map((each) => each / sum),
        ),
      ).toBeLessThan(CRITICAL(left.length - 1));
    }
  });

  it('of steps, rows and seeds in place of draws', () => {
    const rows = 10_000;
    const many = new Float32Array(rows * 20);
    for (let r = 0; r < rows; r++) many.set(logits, r * 20);
    expect(chiSquare(countsOf(sample(many, { cols: 20, seed: 3 }), 20), softmaxOf(logits))).toBeLessThan(CRITICAL(19));
    expect(
      chiSquare(
        countsOf(
          Array.from({ length: 5000 }, (_, step) => sample(logits, { seed: 9n, step })[0]!),
          20,
        ),
        softmaxOf(logits),
      ),
    ).toBeLessThan(CRITICAL(19));
    expect(
      chiSquare(
        countsOf(
          Array.from({ length: 5000 }, (_, seed) => sample(logits, { seed })[0]!),
          20,
        ),
        softmaxOf(logits),
      ),
    ).toBeLessThan(CRITICAL(19));
  });

  it('of the Gumbel maximum, and of the hard Gumbel softmax', () => {
    const rows = 10_000;
    const many = new Float32Array(rows * 20);
    for (let r = 0; r < rows; r++) many.set(logits, r * 20);
    const tokens = gumbelMax(many, { cols: 20, seed: 4, temperature: 1.5 });
    expect(chiSquare(countsOf(tokens, 20), softmaxOf(logits, 1.5))).toBeLessThan(CRITICAL(19));
    const hard = gumbelSoftmax(many, { cols: 20, seed: 4, hard: true });
    const soft = gumbelSoftmax(many, { cols: 20, seed: 4, tau: 0.5 });
    const drawn = Array.from({ length: rows }, (_, r) => hard.indexOf(1, r * 20) - r * 20);
    expect(chiSquare(countsOf(drawn, 20), softmaxOf(logits))).toBeLessThan(CRITICAL(19));
    expect(hard.reduce((a, b) => a + b, 0)).toBe(rows);
    for (let r = 0; r < 50; r++) {
      const row = [...soft.subarray(r * 20, r * 20 + 20)];
      expect(row.indexOf(Math.max(...row))).toBe(drawn[r]);
      expect(row.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
    }
  });

  it('of pairs without replacement', () => {
    const few = Float64Array.of(0, 1, 2, -1);
    const p = softmaxOf(few);
    const rows = 20_000;
    const many = new Float64Array(rows * 4);
    for (let r = 0; r < rows; r++) many.set(few, r * 4);
    const { indices } = gumbelTopK(many, 2, { cols: 4, seed: 8 });
    const pairs = new Float64Array(16);
    for (let r = 0; r < rows; r++) pairs[indices[2 * r]! * 4 + indices[2 * r + 1]!]!++;
    const expected = pairs.map((_, i) => (i % 5 === 0 ? 0 : (p[i >> 2]! * p[i & 3]!) / (1 - p[i >> 2]!)));
    expect(chiSquare(pairs, expected)).toBeLessThan(CRITICAL(11));
  });

  it('means and variances of Dirichlet draws, also of shapes that underflow', () => {
    const p = Float64Array.of(0.5, 0.3, 0.2, 0);
    for (const alpha of [0.02, 0.5, 10]) {
      const rows = 20_000;
      const many = new Float64Array(rows * 4);
      for (let r = 0; r < rows; r++) many.set(p, r * 4);
      const drawn = dirichletResample(many, { cols: 4, alpha, seed: 21 });
      for (let i = 0; i < 4; i++) {
        let [sum, squares] = [0, 0];
        for (let r = 0; r < rows; r++) {
          sum += drawn[r * 4 + i]!;
          squares += drawn[r * 4 + i]! ** 2;
        }
        const [mean, variance] = [sum / rows, squares / rows - (sum / rows) ** 2];
        const expected = (p[i]! * (1 - p[i]!)) / (alpha + 1);
        expect(Math.abs(mean - p[i]!), `mean at ${alpha}`).toBeLessThan(4 * Math.sqrt(expected / rows) + 1e-15);
        expect(Math.abs(variance - expected), `variance at ${alpha}`).toBeLessThan(0.05 * expected + 1e-15);
      }
      expect([...drawn].every((each) => each >= 0 && each <= 1)).toBe(true);
    }
  });
});
