/** logSoftmaxBackward: its formula in doubles, finite differences of logSoftmax, masks, axes, halves, promises. */
import { describe, expect, it } from 'vitest';
import { add, divide, expDD, multiply, type DD } from '../../lib/cli/oracle.js';
import { logSoftmax } from '../../lib/index.js';
import type * as Losses from '../../lib/losses.js';
import { logSoftmaxBackward } from '../../lib/losses.js';
import * as promises from '../../lib/promises.js';
import { backends } from '../support/backends.js';
import { row } from '../support/cases.js';
import { forceBackend } from '../support/force-backend.js';
import { dd, subtract } from './oracle.js';

const sum = (v: DD[]) => v.reduce(add, dd(0));

describe.each(backends)('logSoftmaxBackward on %s', (backend) => {
  let losses: typeof Losses;
  forceBackend(backend, async () => {
    losses = await import('../../lib/losses.js');
  });

  it('is within 0.51 ULP (float32) or 5 · 2⁻⁵³ (float64) of the larger of its terms', () => {
    for (const type of ['f32', 'f64'] as const) {
      for (const n of [1, 2, 10, 17, 300]) {
        for (const temperature of [1, 0.7]) {
          const y = logSoftmax(row(type, 'N(0,8)', n, n) as Float64Array);
          const dy = row(type, 'N(0,1)', n, n + 1) as Float64Array;
          const got = losses.logSoftmaxBackward(y, dy, { temperature });
          const whole = sum(Array.from(dy, (v) => dd(v)));
          for (let k = 0; k < n; k++) {
            const term = multiply(expDD(dd(y[k]!)), whole);
            const exact = divide(subtract(dd(dy[k]!), term), dd(temperature));
            const size = Math.max(Math.abs(dy[k]!), Math.abs(term.hi)) / temperature;
            const error = Math.abs(got[k]! - exact.hi - exact.lo);
            const bound = type === 'f32' ? 0.51 * 2 ** -23 : 5 * 2 ** -53;
            expect(error / size, `${type} ${n} ${k}`).toBeLessThanOrEqual(bound);
          }
        }
      }
    }
  });

  it('has the edge values', () => {
    for (const A of [Float32Array, Float64Array]) {
      const run = (y: number[], dy: number[], options = {}) => [
        ...losses.logSoftmaxBackward(A.from(y) as Float64Array, A.from(dy) as Float64Array, options),
      ];
      expect(run([0, -Infinity], [1, 2])).toEqual([-2, 2]);
      expect(run([NaN, NaN], [1, 2])).toEqual([NaN, NaN]);
      expect(run([-1, -2], [NaN, 2])).toEqual([NaN, NaN]);
      expect(run([-1, -2], [0, 0])).toEqual([0, 0]);
      expect(run([0, NaN], [1, NaN], { mask: Uint8Array.of(1, 0) })).toEqual([0, 0]);
    }
    const large = losses.logSoftmaxBackward(Float64Array.of(-1000, -1000), Float64Array.of(1.5e308, 1.5e308));
    expect([...large]).toEqual([1.5e308, 1.5e308]);
    const far = losses.logSoftmaxBackward(Float64Array.of(-1000, 0), Float64Array.of(3e-310, 0), {
      temperature: 1e-308,
    });
    expect(far[0]).toBeCloseTo(0.03, 15);
  });
});

describe('logSoftmaxBackward', () => {
  const x = Float64Array.from({ length: 12 }, (_, i) => 3 * Math.sin(i));
  const dy = x.map((_, i) => Math.cos(3 * i));

  it('is the derivative of logSoftmax, at any temperature', () => {
    for (const temperature of [1, 0.7]) {
      const got = logSoftmaxBackward(logSoftmax(x, { cols: 4, temperature }), dy, { cols: 4, temperature });
      const total = (v: Float64Array) =>
        logSoftmax(v, { cols: 4, temperature }).reduce((sum, each, i) => sum + each * dy[i]!, 0);
      for (let k = 0; k < 12; k++) {
        const moved = (d: number) => total(x.map((v, i) => v + (i === k ? d : 0)));
        expect(Math.abs(got[k]! - (moved(1e-5) - moved(-1e-5)) / 2e-5)).toBeLessThan(1e-8);
      }
    }
  });

  it('takes masks, any axis, every type, in place and as a promise', async () => {
    const mask = Uint8Array.of(1, 0, 1, 1);
    const y = logSoftmax(x, { cols: 4, mask });
    const noisy = dy.map((v, i) => (i % 4 === 1 ? NaN : v));
    const got = logSoftmaxBackward(y, noisy, { cols: 4, mask });
    for (let r = 0; r < 3; r++) {
      const sum = [0, 2, 3].reduce((s, c) => s + dy[4 * r + c]!, 0);
      for (const c of [0, 1, 2, 3]) {
        const exact = c === 1 ? 0 : dy[4 * r + c]! - Math.exp(y[4 * r + c]!) * sum;
        expect(Math.abs(got[4 * r + c]! - exact)).toBeLessThan(1e-14);
      }
    }
    expect(await promises.logSoftmaxBackward(y, noisy, { cols: 4, mask })).toEqual(got);
    const single = logSoftmax(Float32Array.from(x), { shape: [4, 3], axis: 0 });
    const across = logSoftmaxBackward(single, Float32Array.from(dy), { shape: [4, 3], axis: 0, out: single.slice() });
    const wide = logSoftmaxBackward(Float64Array.from(single), dy, { shape: [4, 3], axis: 0 });
    across.forEach((v, i) => expect(Math.abs(v - wide[i]!)).toBeLessThan(2 ** -22));
    const halves = Uint16Array.of(0xb98c, 0xb98c);
    expect([...logSoftmaxBackward(halves, Uint16Array.of(0x3c00, 0), { dtype: 'float16' })]).toEqual([0x3800, 0xb800]);
    expect(() => logSoftmaxBackward(y, dy.subarray(1))).toThrow(RangeError);
    expect(logSoftmaxBackward(new Float64Array(0), new Float64Array(0))).toHaveLength(0);
  });

  it('looks at out before it writes to it', async () => {
    const y = logSoftmax(x, { cols: 4 });
    const out = new Float64Array(12);
    const lost = promises.logSoftmaxBackward(y, dy, { cols: 4, out });
    structuredClone(out, { transfer: [out.buffer] });
    await expect(lost).rejects.toThrow(RangeError);
  });
});
