/** KVCache.appendPreconditioned: the Ys of lucidAttention, however tokens are divided, in every format and backend. */
import { describe, expect, it, vi } from 'vitest';
import { row } from '../support/cases.js';
import { backends } from '../support/backends.js';
import { forceBackend } from '../support/force-backend.js';
import { kvTypes } from './kv-cases.js';
import { exactValues, toDouble } from './lucid-oracle.js';

const [kvHeads, headDim, valueDim, tokens] = [2, 12, 20, 77];
const k = row('f32', 'N(0,1)', tokens * kvHeads * headDim, 1);
const v = row('f32', 'N(0,1)', tokens * kvHeads * valueDim, 2);
const part = (x: Float32Array, from: number, to: number) => {
  const token = x.length / tokens;
  return x.subarray(from * token, to * token);
};
const firstBackend: Record<string, unknown> = {};

describe.each(backends)('%s', (name) => {
  let api: typeof import('../../lib/attention.js');
  forceBackend(name, async () => {
    api = await import('../../lib/attention.js');
  });
  const cacheOf = (dtype: (typeof kvTypes)[number]) =>
    new api.KVCache({ kvHeads, headDim, valueDim, dtype, pageSize: 32 });

  it.each(kvTypes)('%s: one call, one token at a time, and chunks give the same bits', (dtype) => {
    const cache = cacheOf(dtype);
    const all = cache.create();
    expect(cache.appendPreconditioned(all, k, v)).toBe(tokens);
    const whole = cache.read(all, 0, tokens, { dtype: 'float64' });
    for (const step of [1, 5, 16, 33]) {
      const id = cache.create();
      for (let at = 0; at < tokens; at += step) {
        const to = Math.min(tokens, at + step);
        expect(cache.appendPreconditioned(id, part(k, at, to), part(v, at, to))).toBe(to);
      }
      expect(cache.read(id, 0, tokens, { dtype: 'float64' })).toEqual(whole);
    }
    // The other layout, [kvHeads, tokens, dim].
    const turned = (x: Float32Array, dim: number) =>
      x.map((_, i) => x[((Math.floor(i / dim) % tokens) * kvHeads + Math.floor(i / dim / tokens)) * dim + (i % dim)]!);
    const id = cache.create();
    cache.appendPreconditioned(id, turned(k, headDim), turned(v, valueDim), { layout: 'hsd' });
    expect(cache.read(id, 0, tokens, { dtype: 'float64' })).toEqual(whole);
    expect((firstBackend[dtype] ??= whole)).toEqual(whole);
  });

  it.each(kvTypes)('%s: a Y is that of the stored keys and Ys before it, rounded once', (dtype) => {
    const cache = cacheOf(dtype);
    const id = cache.create();
    cache.appendPreconditioned(id, k, v);
    const stored = cache.read(id, 0, tokens, { dtype: 'float64' });
    const raw = cacheOf(dtype);
    const rows = (x: Float64Array, head: number, n: number, dim: number) =>
      Array.from({ length: n }, (_, i) => x.subarray((i * kvHeads + head) * dim, (i * kvHeads + head + 1) * dim));
    for (const n of [0, 1, 32, 40]) {
      const values = new Float32Array(kvHeads * valueDim);
      for (let head = 0; head < kvHeads; head++) {
        const keys = rows(stored.k, head, n + 1, headDim);
        const own = v.subarray((n * kvHeads + head) * valueDim, (n * kvHeads + head + 1) * valueDim);
        const past = { keys: keys.slice(0, n), y: rows(stored.v, head, n, valueDim) };
        values.set(exactValues([keys[n]!], [own], past)[0]!.map(toDouble), head * valueDim);
      }
      const one = raw.create();
      raw.append(one, part(k, n, n + 1), values);
      const wanted = raw.read(one, 0, 1, { dtype: 'float64' });
      expect(stored.v.subarray(n * kvHeads * valueDim, (n + 1) * kvHeads * valueDim)).toEqual(wanted.v);
    }
  });

  it('decodes to lucidAttention: exactly but for roundings', () => {
    const heads = 4;
    const q = row('f32', 'N(0,1)', tokens * heads * headDim, 3);
    const inHeads = (x: Float32Array, dim: number) =>
      x.map((_, i) => x[((Math.floor(i / dim) % tokens) * kvHeads + Math.floor(i / dim / tokens)) * dim + (i % dim)]!);
    const whole = api.lucidAttention(q, inHeads(k, headDim), inHeads(v, valueDim), { heads, kvHeads, headDim });
    const errors = { float32: 2e-6, float16: 1e-3, bfloat16: 5e-3, int8: 1e-2 };
    for (const dtype of kvTypes) {
      const cache = cacheOf(dtype);
      const id = cache.create();
      cache.appendPreconditioned(id, k, v);
      const most = Math.max(...cache.read(id).v.map(Math.abs));
      const out = api.decodeAttention(q, cache, id, { heads, queries: tokens, causal: true });
      const worst = Math.max(...out.map((x, i) => Math.abs(x - whole[i]!))) / most;
      expect(worst).toBeLessThan(errors[dtype]);
    }
  });

  it('forks go on by themselves, and truncation forgets', () => {
    const cache = cacheOf('float16');
    const [a, b] = [cache.create(), cache.create()];
    cache.appendPreconditioned(a, part(k, 0, 40), part(v, 0, 40));
    const fork = cache.fork(a);
    cache.appendPreconditioned(a, part(k, 50, 60), part(v, 50, 60));
    cache.appendPreconditioned(fork, part(k, 40, 50), part(v, 40, 50));
    cache.appendPreconditioned(b, part(k, 0, 50), part(v, 0, 50));
    expect(cache.read(fork)).toEqual(cache.read(b));
    cache.truncate(a, 40);
    cache.appendPreconditioned(a, part(k, 40, 50), part(v, 40, 50));
    expect(cache.read(a)).toEqual(cache.read(b));
    expect(cache.appendPreconditioned(a, new Float32Array(0), new Float32Array(0))).toBe(50);
  });

  it('edges: zeros, NaN, the first token', () => {
    for (const dtype of kvTypes) {
      const cache = new api.KVCache({ kvHeads: 1, headDim: 2, dtype });
      const id = cache.create();
      cache.appendPreconditioned(id, Float32Array.of(0, 0, 0, 0), Float32Array.of(-127, 127, 127, 0));
      cache.appendPreconditioned(id, Float32Array.of(NaN, 1, 0, 1), Float32Array.of(1, 2, 3, 4));
      const { v: y } = cache.read(id);
      expect([...y.subarray(0, 2)]).toEqual([-127, 127]);
      expect(Math.abs(y[2]! / (127 + 127 * Math.exp(-Math.SQRT2)) - 1)).toBeLessThan(
        dtype === 'bfloat16' ? 4e-3 : 1e-3,
      );
      expect([...y.subarray(4)]).toEqual([NaN, NaN, NaN, NaN]);
    }
  });

  it('a call that fails changes nothing', () => {
    const cache = new api.KVCache({ kvHeads, headDim, valueDim, pageSize: 32, maxBytes: 2 * 32 * kvHeads * 44 * 4 });
    const id = cache.create();
    cache.appendPreconditioned(id, part(k, 0, 20), part(v, 0, 20));
    const fork = cache.fork(id);
    const [before, bytes] = [cache.read(id), cache.bytes];
    const append = (...args: unknown[]) => Reflect.apply(cache.appendPreconditioned, cache, args) as number;
    expect(() => append(id, part(k, 0, 70), part(v, 0, 70))).toThrow(/maxBytes/);
    expect(() => append(id, k.subarray(1), v)).toThrow(RangeError);
    expect(() => append(id, part(k, 0, 2), part(v, 0, 1))).toThrow(RangeError);
    expect(() => append(id, [1], v)).toThrow(TypeError);
    expect(() => append(id, k, v, { layout: 1 })).toThrow(TypeError);
    expect(() => append(id, k, v, { causal: true })).toThrow(TypeError);
    expect(() => append(99, k, v)).toThrow(RangeError);
    // Pages were taken when values are computed: they go back.
    const spy = vi.spyOn(Float64Array.prototype, 'subarray').mockImplementation(() => {
      throw new RangeError('Array buffer allocation failed');
    });
    expect(() => append(fork, part(k, 20, 25), part(v, 20, 25))).toThrow('allocation failed');
    spy.mockRestore();
    expect([cache.read(id), cache.read(fork), cache.bytes]).toEqual([before, before, bytes]);
    expect(append(fork, part(k, 20, 25), part(v, 20, 25))).toBe(25);
    cache.dispose();
    expect(() => append(id, k, v)).toThrow(/disposed/);
  });
});
