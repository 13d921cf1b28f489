/** logSumExp with weights and a sign, on every backend, against sums of exact powers of two. */
import { describe, expect, it } from 'vitest';
import type * as Root from '../../lib/index.js';
import type * as Promises from '../../lib/promises.js';
import { backends } from '../support/backends.js';
import { forceBackend } from '../support/force-backend.js';

let root: typeof Root;
let promises: typeof Promises;
const load = async () => {
  root = await import('../../lib/index.js');
  promises = await import('../../lib/promises.js');
};

describe.each(backends)('%s', (backend) => {
  forceBackend(backend, load);

  it('has the sums of powers of two, exactly signed', () => {
    // exp(n ln 2 / T) with T = 1 / ln 2 is 2^n: sums of such terms are whole numbers.
    for (let turn = 0; turn < 50; turn++) {
      const n = Array.from({ length: 9 }, (_, i) => (turn * 7 + i * 5) % 23);
      const weights = Array.from({ length: 9 }, (_, i) => ((turn * 11 + i * 3) % 15) - 7);
      const sum = n.reduce((all, power, i) => all + weights[i]! * 2 ** power, 0);
      for (const Type of [Float32Array, Float64Array]) {
        const options = { weights, temperature: Math.LOG2E, sign: true } as const;
        const { lse, sign } = root.logSumExp(Type.from(n), options);
        const parts = n.reduce((all, power, i) => all + Math.abs(weights[i]!) * 2 ** power, 0);
        const lost = (2 ** -46 * parts) / Math.abs(sum);
        if (sum === 0) expect(lse[0]! < Math.log(parts) - 30).toBe(true);
        else expect(Math.abs(lse[0]! - Math.log(Math.abs(sum)))).toBeLessThan(lost + 1e-14);
        if (sum !== 0) expect(sign[0]).toBe(Math.sign(sum));
      }
    }
  });

  it('gives opposite terms the sign 0, and drops what has no weight', () => {
    const x = Float64Array.of(3, 3, NaN, 5, 5, 5);
    const options = { cols: 3, weights: [1, -1, 0, 2, 0.5, -1], sign: true } as const;
    const { lse, sign } = root.logSumExp(x, options);
    expect([...lse]).toEqual([-Infinity, expect.closeTo(5 + Math.log(1.5), 14)]);
    expect([...sign]).toEqual([0, 1]);
    expect(root.logSumExp(x, { cols: 3, weights: [0, 0, 0] })).toEqual(Float64Array.of(-Infinity, -Infinity));
    expect(root.logSumExp(Float64Array.of(NaN, 1), { weights: [1, 1], sign: true }).sign[0]).toBeNaN();
    const far = root.logSumExp(Float64Array.of(-4e5, -4e5 + 1), { weights: [-1, -1], sign: true });
    expect([far.lse[0], far.sign[0]]).toEqual([expect.closeTo(-4e5 + Math.log(1 + Math.E), 9), -1]);
  });

  it('takes masks, biases, halves, any axis, out, no weights, and promises', async () => {
    const x = Float64Array.from({ length: 12 }, (_, i) => Math.sin(i));
    const bias = x.map((v) => v / 3);
    const mask = Uint8Array.from(x, (_, i) => +(i % 5 > 0));
    const weights = x.map((_, i) => Math.cos(2 * i));
    const options = { shape: [4, 3], axis: 0, bias, mask, weights, sign: true } as const;
    const { lse, sign } = root.logSumExp(x, options);
    for (let r = 0; r < 3; r++) {
      let sum = 0;
      for (let i = r; i < 12; i += 3) sum += mask[i]! * weights[i]! * Math.exp(x[i]! + bias[i]!);
      expect(lse[r]).toBeCloseTo(Math.log(Math.abs(sum)), 12);
      expect(sign[r]).toBe(Math.sign(sum));
    }
    expect(await promises.logSumExp(x, options)).toEqual({ lse, sign });
    const out = new Float64Array(3);
    expect(root.logSumExp(x, { ...options, out }).lse).toBe(out);
    expect(root.logSumExp(x, { sign: true }).lse[0]).toBeCloseTo(root.logSumExp(x)[0]!, 13);
    const halves = root.logSumExp(Uint16Array.of(0x3c00, 0x4000), { dtype: 'float16', weights: [1, -1], sign: true });
    expect([halves.lse[0], halves.sign[0]]).toEqual([expect.closeTo(Math.log(Math.E ** 2 - Math.E), 14), -1]);
  });

  it('refuses what makes no sense', () => {
    const x = Float64Array.of(1, 2);
    expect(() => root.logSumExp(x, { weights: [1, 2, 3] })).toThrow(RangeError);
    expect(() => root.logSumExp(x, { weights: [1, Infinity] })).toThrow(RangeError);
    expect(() => root.logSumExp(x, { weights: '12' as never })).toThrow(TypeError);
    expect(() => root.logSumExp(x, { weights: [1, '2' as never] })).toThrow(TypeError);
    expect(() => root.logSumExp(x, { sign: 1 as never })).toThrow(TypeError);
    expect(() => root.logSumExp(x, { weights: [1, 1], signs: true } as never)).toThrow(TypeError);
  });
});
