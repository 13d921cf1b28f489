/** elasticMargins: its distribution, its order, and the stability of its draws. */
import { describe, expect, it } from 'vitest';
import { elasticMargins } from '../../lib/losses.js';
import * as promises from '../../lib/promises.js';
import { row } from '../support/cases.js';

describe('elasticMargins', () => {
  it('has the mean and the deviation that it is asked for', () => {
    for (const [options, mean, std] of [
      [{}, 0.5, 0.05],
      [{ kind: 'cos' }, 0.35, 0.05],
      [{ mean: 2, std: 0.5 }, 2, 0.5],
      [{ std: 0 }, 0.5, 0],
    ] as const) {
      const n = 20_000;
      const margins = elasticMargins(n, { ...options, seed: 3 });
      const average = margins.reduce((sum, m) => sum + m, 0) / n;
      const deviation = Math.sqrt(margins.reduce((sum, m) => sum + (m - average) ** 2, 0) / n);
      expect(Math.abs(average - mean)).toBeLessThanOrEqual((4 * std) / Math.sqrt(n) + 1e-7);
      expect(Math.abs(deviation - std)).toBeLessThanOrEqual(0.03 * std + 1e-7);
      // Four deviations are left by 1 of 15,787.
      expect(margins.filter((m) => Math.abs(m - mean) > 4.5 * std + 1e-7).length).toBeLessThan(3);
    }
  });

  it('draws the same for a seed, a step and a row, on every machine', () => {
    const all = elasticMargins(8, { seed: 7, step: 2 });
    expect(elasticMargins(3, { seed: 7n, step: 2, firstRow: 5 })).toEqual(all.slice(5));
    expect(elasticMargins(8, { seed: 7, step: 3 })).not.toEqual(all);
    expect(elasticMargins(8)).not.toEqual(elasticMargins(8));
    expect([...elasticMargins(3, { seed: 1, mean: 0, std: 1 })]).toMatchInlineSnapshot(`
      [
        -1.4098466634750366,
        0.06248306855559349,
        -0.005268565844744444,
      ]
    `);
  });

  it('gives the smallest margin to the largest cosine', () => {
    const cosines = row('f32', 'N(0,1)', 500);
    const plain = elasticMargins(500, { seed: 4, std: 0.0175 });
    const plus = elasticMargins(500, { seed: 4, plus: true, cosines });
    expect(plus.slice().sort()).toEqual(plain.slice().sort());
    const order = [...cosines.keys()].sort((a, b) => cosines[b]! - cosines[a]!);
    order.slice(1).forEach((at, i) => expect(plus[at]!).toBeGreaterThanOrEqual(plus[order[i]!]!));
    const equal = elasticMargins(5, { seed: 4, plus: true, cosines: [1, 1, 1, 1, 1] });
    expect(equal).toEqual(equal.slice().sort());
  });

  it('is a promise too, and refuses what makes no sense', async () => {
    expect(await promises.elasticMargins(9000, { seed: 4 })).toEqual(elasticMargins(9000, { seed: 4 }));
    expect(elasticMargins(0)).toEqual(new Float32Array(0));
    for (const options of [
      { std: -1 },
      { mean: NaN },
      { seed: -1 },
      { step: 0.5 },
      { plus: true, cosines: [1] },
      { cosines: [1, 2] },
      { plus: true, cosines: [1, NaN] },
    ]) {
      expect(() => elasticMargins(2, options)).toThrow(RangeError);
    }
    expect(() => elasticMargins(2, { plus: true })).toThrow(TypeError);
    expect(() => elasticMargins(2, { plus: 1 as unknown as boolean })).toThrow(TypeError);
    expect(() => elasticMargins(-1)).toThrow(RangeError);
    await expect(promises.elasticMargins(2, { std: -1 })).rejects.toThrow(RangeError);
  });
});
