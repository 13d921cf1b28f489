/** stableMaxCrossEntropy on every backend: published values, sums of fractions, finite differences, edges, promises. */
import { describe, expect, it } from 'vitest';
import type * as Losses from '../../lib/losses.js';
import type * as Promises from '../../lib/promises.js';
import { backends } from '../support/backends.js';
import { forceBackend } from '../support/force-backend.js';

let losses: typeof Losses;
let promises: typeof Promises;
const load = async () => {
  losses = await import('../../lib/losses.js');
  promises = await import('../../lib/promises.js');
};

/** s(z) of an integer or a half, as numerator and denominator of whole numbers. */
const fraction = (z: number): readonly [bigint, bigint] => (z >= 0 ? [BigInt(2 * z + 2), 2n] : [2n, BigInt(2 - 2 * z)]);

/** p of each z, from exact fractions. */
function probabilities(z: readonly number[]): number[] {
  const terms = z.map(fraction);
  const whole = terms.reduce((product, [, below]) => product * below, 1n);
  const counts = terms.map(([above, below]) => (above * whole) / below);
  const sum = counts.reduce((a, b) => a + b, 0n);
  return counts.map((count) => Number((count * 2n ** 80n) / sum) / 2 ** 80);
}

describe.each(backends)('%s', (backend) => {
  forceBackend(backend, load);

  it('has the published values', () => {
    const gradient = new Float64Array(4);
    const x = Float64Array.of(-3, -0.5, 0, 2);
    expect(losses.stableMaxCrossEntropy(x, [1], { gradient })[0]).toBeCloseTo(1.9980959022258835, 15);
    [3 / 236, -34 / 59, 12 / 59, 12 / 59].forEach((wanted, i) => expect(gradient[i]).toBeCloseTo(wanted, 15));
    expect(losses.stableMaxCrossEntropy(Float64Array.of(1e4, -1e4, 0), [1])[0]).toBeCloseTo(18.420980728952365, 13);
  });

  it('is exact for rows of halves, in every type, along any axis', () => {
    for (let turn = 0; turn < 40; turn++) {
      const z = Array.from({ length: 7 }, (_, i) => (((turn * 31 + i * 17) % 41) - 20) / 2);
      const target = turn % 7;
      const p = probabilities(z);
      for (const Type of [Float32Array, Float64Array]) {
        const gradient = new Type(7);
        const [loss] = losses.stableMaxCrossEntropy(Type.from(z), [target], { gradient: gradient as never });
        expect(Math.abs(loss! / -Math.log(p[target]!) - 1)).toBeLessThan(1e-14);
        for (const [k, slope] of gradient.entries()) {
          const wanted = (p[k]! - +(k === target)) / (1 + Math.abs(z[k]!));
          expect(Math.abs(slope - wanted)).toBeLessThan((Type === Float32Array ? 2 ** -24 : 1e-14) * Math.abs(wanted));
        }
      }
      const pair = Float64Array.from([...z, ...z].map((_, i) => z[i >> 1]!)); // [7, 2]: both columns are z
      const across = losses.stableMaxCrossEntropy(pair, [target, -100], { shape: [7, 2], axis: 0 });
      expect(across[0]).toBeCloseTo(-Math.log(p[target]!), 13);
      expect(across[1]).toBe(0);
    }
  });

  it('keeps the digits of a confident row', () => {
    const gradient = new Float64Array(2);
    const [loss] = losses.stableMaxCrossEntropy(Float64Array.of(1e12, -1e12), [0], { gradient });
    expect(loss! / 1e-24).toBeCloseTo(1, 10);
    expect(gradient[0]! / -1e-36).toBeCloseTo(1, 10);
    expect(gradient[1]! / 1e-36).toBeCloseTo(1, 10);
  });

  it('treats masks, −∞, NaN, +∞ and biases as it says', () => {
    const gradient = new Float64Array(3);
    const loss = (x: number[], target: number, options = {}) =>
      losses.stableMaxCrossEntropy(Float64Array.from(x), [target], { gradient, ...options })[0];
    const mask = Uint8Array.of(1, 0, 1);
    expect(loss([0, NaN, 1], 0, { mask })).toBeCloseTo(Math.log(3), 15);
    expect(gradient[1]).toBe(0);
    expect(loss([0, 5, 1], 1, { mask })).toBe(Infinity);
    [1 / 3, 0, 1 / 3].forEach((wanted, i) => expect(gradient[i]).toBeCloseTo(wanted, 15));
    expect(loss([0, -Infinity, 1], 1)).toBe(Infinity);
    [1 / 3, 0, 1 / 3].forEach((wanted, i) => expect(gradient[i]).toBeCloseTo(wanted, 15));
    for (const special of [NaN, Infinity]) {
      expect(loss([0, special, 1], 0)).toBeNaN();
      expect([...gradient]).toEqual([NaN, NaN, NaN]);
    }
    const bias = Float64Array.of(1, -2, 3);
    expect(loss([0, 1, 2], 2, { bias })).toBe(loss([1, -1, 5], 2));
    expect(losses.stableMaxCrossEntropy(new Float64Array(0), [], { cols: 3 })).toHaveLength(0);
    expect(() => loss([0, 1, 2], 3)).toThrow(RangeError);
    expect(() => loss([0, 1, 2], 0, { temperature: 1 })).toThrow(TypeError);
  });

  it('gives the same as a promise, and for halves', async () => {
    const x = Float32Array.from({ length: 60 }, (_, i) => 4 * Math.sin(i * i));
    const targets = [0, 3, 9, -100, 5, 2];
    const [now, then] = [new Float32Array(60), new Float32Array(60)];
    const loss = losses.stableMaxCrossEntropy(x, targets, { cols: 10, gradient: now });
    expect(await promises.stableMaxCrossEntropy(x, targets, { cols: 10, gradient: then })).toEqual(loss);
    expect(then).toEqual(now);
    const slopes = new Uint16Array(2);
    const halves = Uint16Array.of(0x3c00, 0xbc00); // 1, −1: s is 2 and ½
    const [half] = losses.stableMaxCrossEntropy(halves, [0], { dtype: 'float16', gradient: slopes });
    expect(half).toBeCloseTo(Math.log(1.25), 15);
    expect([...slopes]).toEqual([0xae66, 0x2e66]); // ∓0.1
  });
});
