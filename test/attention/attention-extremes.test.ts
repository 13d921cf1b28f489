/** Attention with scores, caps and values at the ends of the number range, on every backend. */
import { describe, expect, it } from 'vitest';
import { sameBits } from './attention-cases.js';
import { backends } from '../support/backends.js';
import { forceBackend } from '../support/force-backend.js';

type Attention = typeof import('../../lib/attention.js');

const F = (...x: number[]) => Float32Array.of(...x);
const LOWEST = -3.4028234663852886e38;
const single = { heads: 1, headDim: 1, valueDim: 1, scale: 1, lse: true as const };

/** Outputs are within the bound of values up to 65. */
function near(out: Float32Array, exact: ArrayLike<number>): void {
  out.forEach((x, i) => expect(Math.abs(x - exact[i]!), `out ${i}`).toBeLessThan(2e-6 * 65));
}

describe.each(backends)('%s', (name) => {
  let sync: Attention;
  forceBackend(name, async () => {
    sync = await import('../../lib/attention.js');
  });

  describe('keys that are all masked by the lowest float', () => {
    // Two queries see keys of two tiles. Each query sees one key of each tile: 62 and 63, or 63 and 64.
    const [keys, options] = [65, { ...single, causal: true, window: 2, bias: new Float32Array(2 * 65).fill(LOWEST) }];
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
      const all = { ...single, heads, kvHeads: 1, mask, bias: new Float32Array(keys).fill(LOWEST) };
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
        const { out, lse } = sync.attention(F(1), k, v, { ...single, softcap });
        expect(Math.abs(out[0]! - weights.reduce((a, w, i) => a + w * v[i]!, 0) / sum), `${softcap}`).toBeLessThan(
          2e-6,
        );
        const bound = keys === 1 || name === 'js' ? 1e-12 : 3e-6;
        expect(Math.abs(lse[0]! - scores[0]! - Math.log(sum)), `lse, ${softcap}`).toBeLessThan(bound);
      }
    });

    it('leaves small scores as they are', () => {
      for (const softcap of [1e6, 1e16, 1e300]) {
        const { lse } = sync.attention(F(1e-3), F(1), F(1), { ...single, softcap });
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
    expect(Math.abs(sync.attention(F(1), k, v, single).out[0]! - exact)).toBeLessThan(1e-39);
  });

  describe('infinite values', () => {
    const mask = [1, 1, 1, 0];
    const options = { ...single, valueDim: 3, mask: Uint8Array.from(mask) };
    /** Keys 0 to 2 are seen, key 3 is not. Columns: +∞ behind a score, −∞ at key 3, finite. */
    const values = (x: number) => F(1, 2, 3, x, 5, 6, 7, 8, 9, NaN, -Infinity, 12);

    /** Rows of attention, of a cache, and of merged parts; with a sink if there is one. */
    function outputs(k: Float32Array, v: Float32Array, sinks?: Float32Array): Float32Array[] {
      const sink = sinks && { sinks };
      const cache = new sync.KVCache({ kvHeads: 1, headDim: 1, valueDim: 3 });
      const id = cache.create();
      cache.append(id, k, v);
      const part = (from: number, to: number) =>
        sync.attentionPartial(F(1), k.slice(from, to), v.slice(3 * from, 3 * to), {
          ...{ heads: 1, headDim: 1, valueDim: 3, scale: 1, mask: Uint8Array.from(mask.slice(from, to)) },
          ...{ keyOffset: from, totalKeys: 4 },
        });
      const parts = sync.mergeAttentionPartials(part(0, 1), part(1, 3), part(3, 4));
      const { lse: _, ...plain } = options;
      return [
        sync.attention(F(1), k, v, { ...plain, ...sink }),
        sync.decodeAttention(F(1), cache, id, { scale: 1, mask: options.mask, ...sink }),
        parts.finish({ ...sink, heads: 1 }),
      ];
    }

    it.each([Infinity, -Infinity])('%d has all that its weight is part of', (x) => {
      for (const sinks of [undefined, F(3)])
        for (const out of outputs(F(0, -5, 1, 50), values(x), sinks)) {
          expect(out[0]).toBe(x);
          expect(Number.isFinite(out[1]) && Number.isFinite(out[2])).toBe(true);
        }
    });

    it.each([-90, -300, -800, -1e6, -1e30])('of a score of %d are never lost', (score) => {
      for (const sinks of [undefined, F(40), F(500), F(3.4028234663852886e38)])
        for (const x of [Infinity, -Infinity, NaN])
          for (const out of outputs(F(0, score, 1, 50), values(x), sinks)) {
            // A weight below the range of floats or doubles makes NaN of infinity: 0 · ∞.
            if (!Object.is(out[0], x)) expect(out[0]).toBeNaN();
            expect(Number.isFinite(out[1]) && Number.isFinite(out[2])).toBe(true);
          }
    });

    it('of both signs are NaN', () => {
      const v = values(Infinity);
      v[6] = -Infinity;
      for (const out of outputs(F(0, -5, 1, 50), v)) expect(out[0]).toBeNaN();
    });
  });

  describe('a state whose exponent', () => {
    // 2³¹ octaves are a score of 1.48850e9.
    const states = (score: number) => {
      const [q, k, v] = [F(1, score), F(1), F(1)];
      const cache = new sync.KVCache({ kvHeads: 1, headDim: 1 });
      const id = cache.create();
      cache.append(id, k, v);
      const sizes = { heads: 2, kvHeads: 1, headDim: 1, valueDim: 1, scale: 1 };
      return [() => sync.attentionPartial(q, k, v, sizes), () => sync.attentionPartial(q, cache, id, { scale: 1 })];
    };
    it.each([1.488e9, -1.488e9])('fits 32 bits, of a score of %d', (score) => {
      const exact = Math.fround(score);
      for (const state of states(score)) {
        const { out, lse } = state().finish({ lse: true });
        expect([...out]).toEqual([1, 1]);
        expect(Math.abs(lse[1]! - exact)).toBeLessThan(1e-15 * Math.abs(exact));
      }
    });
    it.each([1.489e9, -1.489e9, 3e38, LOWEST])('does not fit them, of a score of %d', (score) => {
      for (const state of states(score)) {
        expect(state).toThrow(
          'Expected scores within 1.48e9, for an exponent of 32 bits, for row 1 but received larger ones',
        );
      }
    });
  });
});
