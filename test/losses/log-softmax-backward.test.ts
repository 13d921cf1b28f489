/** logSoftmaxBackward: its formula in doubles, finite differences of logSoftmax, masks, axes, halves, promises. */
import { describe, expect, it } from 'vitest';
import { logSoftmax } from '../../lib/index.js';
import { logSoftmaxBackward } from '../../lib/losses.js';
import * as promises from '../../lib/promises.js';

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

  it('copies what a promise reads before it returns, and looks at out before it writes', async () => {
    const mask = new Uint8Array(12).map((_, i) => Number(i % 5 > 0));
    const y = logSoftmax(x, { cols: 4, mask });
    const wanted = logSoftmaxBackward(y, dy, { cols: 4, mask });
    const promise = promises.logSoftmaxBackward(y, dy, { cols: 4, mask });
    mask.fill(0);
    expect(await promise).toEqual(wanted);
    const out = new Float64Array(12);
    const lost = promises.logSoftmaxBackward(y, dy, { cols: 4, out });
    structuredClone(out, { transfer: [out.buffer] });
    await expect(lost).rejects.toThrow(RangeError);
  });
});
