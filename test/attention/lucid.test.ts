/** lucidAttention: the values of its definition, an oracle in fixed point, and edges, on every backend. */
import { describe, expect, it } from 'vitest';
import { row } from '../support/cases.js';
import { backends } from '../support/backends.js';
import { forceBackend } from '../support/force-backend.js';
import { exactLucid, exactValues, toDouble } from './lucid-oracle.js';

const q = Float32Array.of(1, 0, 0, 1, 1, 1);
const k = Float32Array.of(1, 0, 1, 1, 0, 2);
const v = Float32Array.of(1, 2, 3, 4, 5, 6);
const one = { heads: 1, headDim: 2 };
const rowsOf = (x: Float32Array, at: number, n: number, dim: number) =>
  Array.from({ length: n }, (_, i) => x.subarray((at + i) * dim, (at + i + 1) * dim));

/** Results in fixed point, for all backends. */
const exact: Record<string, { most: number; wanted: number[] }> = {};

describe.each(backends)('%s', (name) => {
  let api: typeof import('../../lib/attention.js');
  let later: typeof import('../../lib/promises.js');
  forceBackend(name, async () => {
    api = await import('../../lib/attention.js');
    later = await import('../../lib/promises.js');
  });

  it('gives the values of the definition', () => {
    const wanted = [1, 2, 1.8969046141753703, 2.4542861296974263, 2.4240200237190805, 2.9715252071799263];
    api.lucidAttention(q, k, v, one).forEach((x, i) => expect(Math.abs(x - wanted[i]!)).toBeLessThan(4.5e-7));
  });

  it.each([
    ['random', 1, undefined],
    ['keys that are alike', 0.01, undefined],
    ['keys of any size', 1e12, 1e-24],
  ])('%s: heads, batches, groups and fewer queries agree with fixed point', (kind, size, scale) => {
    const [batch, heads, kvHeads, queries, keys, headDim, valueDim] = [2, 4, 2, 5, 13, 5, 6];
    const Q = row('f32', 'N(0,1)', batch * heads * queries * headDim, 1);
    const near = size < 1 ? 1 : 0;
    const K = row('f32', 'N(0,1)', batch * kvHeads * keys * headDim, 2).map((x) => near + size * x);
    const V = row('f32', 'N(0,1)', batch * kvHeads * keys * valueDim, 3);
    const out = api.lucidAttention(Q, K, V, { batch, heads, kvHeads, headDim, scale });
    let worst = 0;
    for (let h = 0; h < batch * heads; h++) {
      const kv = Math.floor(h / heads) * kvHeads + Math.floor((h % heads) / (heads / kvHeads));
      const [ks, vs] = [rowsOf(K, kv * keys, keys, headDim), rowsOf(V, kv * keys, keys, valueDim)];
      const { most, wanted } = (exact[`${kind} ${h}`] ??= {
        most: Math.max(
          ...exactValues(ks, vs)
            .flat()
            .map((x) => Math.abs(toDouble(x))),
        ),
        wanted: exactLucid(rowsOf(Q, h * queries, queries, headDim), ks, vs, scale).flat(),
      });
      const at = h * queries * valueDim;
      wanted.forEach((x, i) => (worst = Math.max(worst, Math.abs(out[at + i]! - x) / most)));
    }
    expect(worst).toBeLessThan(2e-6);
  });

  it('is the same as a promise, and in an array of the caller', async () => {
    const [heads, keys, headDim] = [2, 300, 16];
    const options = { heads, headDim };
    const [Q, K, V] = [1, 2, 3].map((seed) => row('f32', 'N(0,1)', heads * keys * headDim, seed)) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const out = new Float32Array(Q.length);
    const wanted = api.lucidAttention(Q, K, V, options);
    expect(api.lucidAttention(Q, K, V, { ...options, out })).toBe(out);
    expect(out).toEqual(wanted);
    const again = new Float32Array(Q.length);
    const promise = later.lucidAttention(Q.slice(), K.slice(), V, { ...options, out: again });
    expect(await promise).toBe(again);
    expect(again).toEqual(wanted);
    const stopped = new AbortController();
    const aborted = later.lucidAttention(Q, K, V, { ...options, signal: stopped.signal });
    stopped.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
  });

  it('has edges', () => {
    const lucid = api.lucidAttention;
    // One position: its value. No keys: 0. No queries: nothing. More queries than keys: the first see none.
    expect([...lucid(q.subarray(0, 2), k.subarray(0, 2), Float32Array.of(3, 4), one)]).toEqual([3, 4]);
    expect(lucid(q, new Float32Array(0), new Float32Array(0), one)).toEqual(new Float32Array(6));
    expect(lucid(new Float32Array(0), k, v, one)).toEqual(new Float32Array(0));
    expect([...lucid(q, k.subarray(0, 2), Float32Array.of(7), one)]).toEqual([0, 0, 7]);
    // Keys of zeros: products of 0, weights exp(−√2).
    const zeros = lucid(new Float32Array(4), new Float32Array(4), Float32Array.of(1, 3), one);
    expect(zeros[0]).toBe(1);
    expect(zeros[1]).toBeCloseTo((1 + 3 - Math.exp(-Math.SQRT2)) / 2, 6);
    // Equal keys: Y is the difference of neighbouring values.
    const equal = lucid(new Float32Array(6), new Float32Array(6).fill(3), Float32Array.of(1, 5, 2), one);
    [1, (1 + 4) / 2, (1 + 4 - 3) / 3].forEach((x, i) => expect(equal[i]).toBeCloseTo(x, 6));
    // A NaN reaches later positions only.
    for (const bad of [NaN, Infinity]) {
      const keys = lucid(q, Float32Array.of(1, 0, bad, 1, 0, 2), v, { ...one, scale: 1 });
      expect([...keys]).toEqual([1, 2, NaN, NaN, NaN, NaN]);
      const values = lucid(q, k, Float32Array.of(1, 2, bad, 4, 5, 6), one);
      expect([values[0], values[1], values[2]]).toEqual([1, 2, bad]);
      expect(values[4]).toBeNaN();
      expect(values[5]).toBeGreaterThan(0);
    }
    // The smallest and largest keys have a direction too.
    const tiny = lucid(
      q,
      k.map((x) => x * 2 ** -149),
      v,
      { ...one, scale: 0 },
    );
    const huge = lucid(
      q,
      k.map((x) => x * 2 ** 126),
      v,
      { ...one, scale: 0 },
    );
    expect(huge).toEqual(tiny);
    expect(huge).toEqual(lucid(q, k, v, { ...one, scale: 0 }));
  });

  it('refuses wrong arguments, and has written nothing then', () => {
    const out = new Float32Array(6).fill(9);
    const lucid = (o: object, ...[a = q, b = k, c = v]: Float32Array[]) =>
      api.lucidAttention(a, b, c, { ...one, ...o, out });
    for (const options of [{ heads: 4 }, { kvHeads: 2 }, { headDim: 0 }, { batch: 2 }, { scale: NaN }]) {
      expect(() => lucid(options)).toThrow(RangeError);
    }
    for (const options of [{ causal: true }, { mask: 1 }, { scale: '1' }, { heads: undefined }]) {
      expect(() => lucid(options)).toThrow(TypeError);
    }
    expect(() => lucid({}, q, k, new Float32Array(0))).toThrow(RangeError);
    expect(() => lucid({}, q, k.subarray(0, 5), v)).toThrow(RangeError);
    expect(() => lucid({}, [] as never)).toThrow(TypeError);
    expect(() => api.lucidAttention(q, k, v, { ...one, out: v })).toThrow(RangeError);
    expect([...out]).toEqual([9, 9, 9, 9, 9, 9]);
  });
});
