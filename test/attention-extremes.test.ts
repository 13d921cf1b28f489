/** Attention where scores, caps and values are at the ends of what numbers hold, on every backend. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { sameBits } from './attention-cases.js';
import { backends } from './backends.js';

type Attention = typeof import('../lib/attention.js');

const F = (...x: number[]) => Float32Array.of(...x);
const LOWEST = -3.4028234663852886e38;
const one = { heads: 1, headDim: 1, valueDim: 1, scale: 1, lse: true as const };

/** Outputs, within the bound of values up to 65. */
function near(out: Float32Array, exact: ArrayLike<number>): void {
  out.forEach((x, i) => expect(Math.abs(x - exact[i]!), `out ${i}`).toBeLessThan(2e-6 * 65));
}

describe.each(backends)('%s', (name) => {
  let sync: Attention;
  beforeEach(async () => {
    vi.resetModules();
    vi.stubEnv('FLASH_SOFTMAX_BACKEND', name);
    sync = await import('../lib/attention.js');
  });
  afterEach(() => vi.unstubAllEnvs());

  describe('keys that are all masked by the lowest float', () => {
    // Two queries see keys of two tiles together, each of them only some of one: 62 and 63, 63 and 64.
    const [keys, options] = [65, { ...one, causal: true, window: 2, bias: new Float32Array(2 * 65).fill(LOWEST) }];
    const [k, v] = [new Float32Array(keys), Float32Array.from({ length: keys }, (_, i) => i)];

    it('count alike where there is nothing else', () => {
      const { out, lse } = sync.attention(F(0, 0), k, v, options);
      near(out, [62.5, 63.5]);
      sameBits(lse, [LOWEST, LOWEST], 'lse');
    });

    it('have no weight beside a sink', () => {
      const { out, lse } = sync.attention(F(0, 0), k, v, { ...options, sinks: F(0.5) });
      sameBits(out, [0, 0], 'out');
      sameBits(lse, [0.5, 0.5], 'lse');
    });

    it.each([1, 2, 3, 8, 17])('behind a mask, of %i heads', (heads) => {
      const mask = Uint8Array.from({ length: keys }, (_, n) => Number(n === 20 || n === 50));
      const all = { ...one, heads, kvHeads: 1, mask, bias: new Float32Array(keys).fill(LOWEST) };
      const { out, lse } = sync.attention(new Float32Array(heads), k, v, all);
      near(out, new Float32Array(heads).fill(35));
      sameBits(lse, new Float64Array(heads).fill(LOWEST), 'lse');
    });

    it('in a cache', () => {
      const cache = new sync.KVCache({ kvHeads: 1, headDim: 1 });
      const id = cache.create();
      cache.append(id, k, v);
      const { window, bias } = options;
      const { out, lse } = sync.decodeAttention(F(0, 0), cache, id, { window, bias, queries: 2, lse: true });
      near(out, [62.5, 63.5]);
      sameBits(lse, [LOWEST, LOWEST], 'lse');
    });
  });

  describe('a softcap of any size', () => {
    const caps = [Number.MIN_VALUE, 1e-310, 1e-30, 0.01, 1, 50, 1e4, 1e6, 1e10, 1e16, 1e20, 1e300, Number.MAX_VALUE];

    it.each([1, 2, 40])('over %i keys', (keys) => {
      const k = Float32Array.from({ length: keys }, (_, i) => 5 - i / 8);
      const v = Float32Array.from({ length: keys }, (_, i) => (i % 2 ? 1 : -1));
      for (const softcap of caps) {
        const scores = Array.from(k, (x) => softcap * Math.tanh(x / softcap));
        const weights = scores.map((x) => Math.exp(x - scores[0]!));
        const sum = weights.reduce((a, b) => a + b, 0);
        const { out, lse } = sync.attention(F(1), k, v, { ...one, softcap });
        expect(Math.abs(out[0]! - weights.reduce((a, w, i) => a + w * v[i]!, 0) / sum), `${softcap}`).toBeLessThan(2e-6);
        const bound = keys === 1 || name === 'js' ? 1e-12 : 3e-6;
        expect(Math.abs(lse[0]! - scores[0]! - Math.log(sum)), `lse, ${softcap}`).toBeLessThan(bound);
      }
    });

    it('leaves small scores as they are', () => {
      for (const softcap of [1e6, 1e16, 1e300]) {
        const { lse } = sync.attention(F(1e-3), F(1), F(1), { ...one, softcap });
        expect(Math.abs(lse[0]! / Math.fround(1e-3) - 1), `${softcap}`).toBeLessThan(1e-12);
      }
    });
  });

  it('values of the smallest floats are off by less than 10^-39', () => {
    const keys = 700;
    const k = Float32Array.from({ length: keys }, (_, i) => -(i % 9));
    const v = Float32Array.from({ length: keys }, (_, i) => ((i * 37) % 100) * 1e-44);
    const weights = Array.from(k, Math.exp);
    const sum = weights.reduce((a, b) => a + b, 0);
    const exact = weights.reduce((a, w, i) => a + w * v[i]!, 0) / sum;
    expect(Math.abs(sync.attention(F(1), k, v, one).out[0]! - exact)).toBeLessThan(1e-39);
  });
});
