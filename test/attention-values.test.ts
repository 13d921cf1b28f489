/**
 * Rows of attention whose right output is known to the bit: those that see one key, and those whose keys share a value. Sinks of any
 * size, and the lse of rows in both layouts. On every backend, over arrays and caches, at once and as partial states.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AttentionOptions, KVType } from '../lib/attention.js';
import { numbers } from './attention-cases.js';
import { attentionOracle } from './attention-oracle.js';
import { backends } from './backends.js';

type Attention = typeof import('../lib/attention.js');

const F = (...x: number[]) => Float32Array.of(...x);
const [heads, kvHeads, headDim, valueDim] = [6, 2, 20, 37];
const sizes = { heads, kvHeads, headDim, valueDim };
const shared = heads / kvHeads;

/** Row by row: [head, query] of one sequence in the layout 'bhsd'. */
const rowsOf = (out: Float32Array, dim = valueDim) => Array.from({ length: out.length / dim }, (_, r) => [...out.subarray(r * dim, (r + 1) * dim)]);

function same(got: ArrayLike<number>, want: ArrayLike<number>, what: string): void {
  expect(got.length, what).toBe(want.length);
  for (let i = 0; i < want.length; i++) if (!Object.is(got[i], want[i])) expect.fail(`${what}: ${i} is ${got[i]}, not ${want[i]}`);
}

/** q · k in double: products of floats are exact, and added in order. */
function product(q: Float32Array, k: Float32Array, row: number, key: number): number {
  let sum = 0;
  for (let d = 0; d < headDim; d++) sum += q[row * headDim + d]! * k[key * headDim + d]!;
  return sum;
}

/** The state of a call, finished: with `lse`, as the call itself gives it. */
const finished = (sync: Attention, q: Float32Array, k: Float32Array, v: Float32Array, options: AttentionOptions) =>
  sync.attentionPartial(q, k, v, options).finish({ lse: true });

describe.each(backends)('%s', (name) => {
  let sync: Attention;
  beforeEach(async () => {
    vi.resetModules();
    vi.stubEnv('FLASH_SOFTMAX_BACKEND', name);
    sync = await import('../lib/attention.js');
  });
  afterEach(() => vi.unstubAllEnvs());

  /** A cache with one sequence, and what it has stored. */
  function cached(dtype: KVType, k: Float32Array, v: Float32Array) {
    const cache = new sync.KVCache({ kvHeads, headDim, valueDim, dtype, pageSize: 32 });
    const id = cache.create();
    cache.append(id, k, v, { layout: 'hsd' });
    return { cache, id, stored: cache.read(id) };
  }

  describe('a row that sees one key has its value and its score', () => {
    // `sees`: the one key that a query sees.
    const cases: Record<string, [keys: number, queries: number, options: object, sees: (query: number) => number]> = {
      'of one': [1, 1, {}, () => 0],
      'of one, many queries': [1, 40, {}, () => 0],
      'a window of 1': [700, 130, { window: 1, causal: true }, (m) => 570 + m],
      'a mask': [700, 5, { mask: Uint8Array.from({ length: 5 * 700 }, (_, i) => Number(i % 700 === 100 * Math.floor(i / 700) + 9)) }, (m) => 100 * m + 9],
      'a bias': [40, 3, { bias: Float32Array.from({ length: 3 * 40 }, (_, i) => (i % 41 === 7 ? 2.7 : -Infinity)) }, (m) => m + 7],
      'alibi, and a scale': [50, 2, { alibi: true, scale: 0.37, mask: Uint8Array.from({ length: 50 }, (_, n) => Number(n === 3)) }, () => 3],
    };
    const scoreOf = (q: Float32Array, k: Float32Array, head: number, query: number, c: keyof typeof cases, size = 1) => {
      const [keys, queries, options, sees] = cases[c]!;
      const { scale = 1 / Math.sqrt(headDim), alibi, bias } = options as AttentionOptions;
      const n = sees(query);
      let score = product(q, k, head * queries + query, Math.floor(head / shared) * keys + n) * scale * size;
      if (alibi) score -= sync.alibiSlopes(heads)[head]! * Math.abs(keys - queries + query - n);
      return score + (bias ? bias[query * keys + n]! : 0);
    };

    it.each(Object.keys(cases))('%s', (c) => {
      const [keys, queries, options, sees] = cases[c]!;
      if (name === 'scalar' && keys > 100) return;
      for (const size of [1, 300]) {
        const [q, k, v] = [numbers(heads * queries * headDim, 1, size), numbers(kvHeads * keys * headDim, 2), numbers(kvHeads * keys * valueDim, 3)];
        v.set([-0, 3.4028234663852886e38, 1e-45, -2.5e-41, 0, Infinity, -Infinity], sees(0) * valueDim);
        const whole = sync.attention(q, k, v, { ...sizes, ...options, lse: true });
        const state = finished(sync, q, k, v, { ...sizes, ...options });
        rowsOf(whole.out).forEach((row, r) => {
          const [head, query] = [Math.floor(r / queries), r % queries];
          const at = Math.floor(head / shared) * keys + sees(query);
          same(row, v.subarray(at * valueDim, (at + 1) * valueDim), `row ${r}`);
          same(state.out.subarray(r * valueDim, (r + 1) * valueDim), row, `row ${r} of the state`);
          const score = scoreOf(q, k, head, query, c);
          expect(whole.lse[r], `lse ${r}`).toBe(score);
          expect(Math.abs(state.lse[r]! - score)).toBeLessThanOrEqual(2 ** -51 * Math.max(1, Math.abs(score)));
        });
      }
    });

    it.each(['float32', 'float16', 'bfloat16', 'int8'] as const)('in a cache of %s', (dtype) => {
      for (const [c, [keys, queries, options, sees]] of Object.entries(cases)) {
        if (name === 'scalar' && keys > 100) continue;
        const q = numbers(heads * queries * headDim, 1, 5);
        const { cache, id, stored } = cached(dtype, numbers(kvHeads * keys * headDim, 2), numbers(kvHeads * keys * valueDim, 3));
        const whole = sync.decodeAttention(q, cache, id, { queries, causal: false, ...options, lse: true });
        const state = sync.attentionPartial(q, cache, id, { queries, causal: false, ...options }).finish({ lse: true });
        // Stored as [tokens, kvHeads, dim].
        const k = Float32Array.from({ length: kvHeads * keys * headDim }, (_, i) => stored.k[((Math.floor(i / headDim) % keys) * kvHeads + Math.floor(i / headDim / keys)) * headDim + (i % headDim)]!);
        rowsOf(whole.out).forEach((row, r) => {
          const [head, query] = [Math.floor(r / queries), r % queries];
          const at = sees(query) * kvHeads + Math.floor(head / shared);
          same(row, stored.v.subarray(at * valueDim, (at + 1) * valueDim), `${c}: row ${r}`);
          same(state.out.subarray(r * valueDim, (r + 1) * valueDim), row, `${c}: row ${r} of the state`);
          const score = scoreOf(q, k, head, query, c);
          if (dtype === 'int8') expect(Math.abs(whole.lse[r]! - score)).toBeLessThan(1e-5); // read() rounds keys
          else expect(whole.lse[r], `${c}: lse ${r}`).toBe(score);
        });
      }
    });

    it('a capped score, an infinite one, a NaN', () => {
      const [one, v] = [{ heads: 1, headDim: 1, valueDim: 2, lse: true as const, scale: 1 }, F(0.3, -7)];
      const capped = sync.attention(F(7), F(3), v, { ...one, softcap: 20 });
      same(capped.out, v, 'out');
      expect(Math.abs(capped.lse[0]! - 20 * Math.tanh(21 / 20))).toBeLessThan(1e-14);
      const huge = sync.attention(F(3e38), F(3e38), v, one);
      same(huge.out, v, 'out');
      expect(huge.lse[0]).toBe(Math.fround(3e38) ** 2);
      for (const [score, out, lse] of [[Infinity, NaN, Infinity], [NaN, NaN, NaN], [-Infinity, 0, -Infinity]] as const) {
        const result = sync.attention(F(score), F(1), v, one);
        same(result.out, [out, out], `out of ${score}`);
        same(result.lse, [lse], `lse of ${score}`);
      }
    });
  });

  describe('values that all keys share are the output', () => {
    const constants = F(1, 0.1, -0, 3.4028234663852886e38, 1e-45, -7.3, 2 ** -126, 1 / 3);
    const isShared = (d: number) => d % 4 === 1;
    const valueOf = (head: number, d: number) => constants[(Math.floor(d / 4) + head) % constants.length]!;

    it.each<[string, number, number, object]>([
      ['two keys', 2, 1, {}], ['33 keys', 33, 1, {}], ['many keys', 1300, 1, {}], ['a causal prompt', 70, 70, { causal: true }],
      ['a prompt of a window', 90, 50, { window: 17, causal: true }], ['alibi', 60, 3, { alibi: true }], ['softcap', 300, 2, { softcap: 5 }],
    ])('%s', (_, keys, queries, options) => {
      if (name === 'scalar' && keys * queries > 3000) return;
      for (const size of [0.1, 1, 60]) {
        const [q, k] = [numbers(heads * queries * headDim, 1, size), numbers(kvHeads * keys * headDim, 2)];
        const v = numbers(kvHeads * keys * valueDim, 3).map((x, i) => (isShared(i % valueDim) ? valueOf(Math.floor(i / valueDim / keys), i % valueDim) : x));
        const whole = sync.attention(q, k, v, { ...sizes, ...options });
        const state = finished(sync, q, k, v, { ...sizes, ...options }).out;
        const { cache, id } = cached('float32', k, v);
        const decoded = sync.decodeAttention(q, cache, id, { causal: false, ...options, queries });
        for (const [what, out] of Object.entries({ whole, state, decoded })) {
          rowsOf(out).forEach((row, r) => row.forEach((x, d) => {
            const c = valueOf(Math.floor(r / queries / shared), d);
            if (isShared(d) && !Object.is(x, c)) expect.fail(`${what}: row ${r}, column ${d} is ${x}, not ${c}`);
          }));
        }
      }
    });

    it('behind a mask or a bias alone', () => {
      const [keys, queries] = [300, 3];
      const seen = (n: number) => n % 7 === 3 || n === 200;
      const [q, k] = [numbers(heads * queries * headDim, 1), numbers(kvHeads * keys * headDim, 2)];
      const v = numbers(kvHeads * keys * valueDim, 3).map((x, i) => (seen(Math.floor(i / valueDim) % keys) ? 0.7 : x));
      const mask = Uint8Array.from({ length: keys }, (_, n) => Number(seen(n)));
      const bias = Float32Array.from(mask, (x, n) => (x ? n % 5 : -Infinity));
      for (const options of [{ mask }, { bias }]) same(sync.attention(q, k, v, { ...sizes, ...options }), new Array<number>(heads * queries * valueDim).fill(Math.fround(0.7)), 'out');
    });

    it.each(['float16', 'bfloat16', 'int8'] as const)('in a cache of %s', (dtype) => {
      for (const keys of [2, 31, 530]) {
        const one = numbers(kvHeads * valueDim, 5);
        const v = Float32Array.from({ length: kvHeads * keys * valueDim }, (_, i) => one[Math.floor(i / valueDim / keys) * valueDim + (i % valueDim)]!);
        const { cache, id, stored } = cached(dtype, numbers(kvHeads * keys * headDim, 2), v);
        const q = numbers(heads * headDim, 1, 3);
        for (const out of [sync.decodeAttention(q, cache, id), sync.attentionPartial(q, cache, id).finish()]) {
          rowsOf(out).forEach((row, r) => same(row, stored.v.subarray(Math.floor(r / shared) * valueDim, (Math.floor(r / shared) + 1) * valueDim), `row ${r}`));
        }
      }
    });

    it('in parts of the keys that are added', () => {
      const keys = 60;
      const [q, k] = [numbers(headDim, 1, 20), numbers(keys * headDim, 2)];
      const v = Float32Array.from({ length: keys * valueDim }, (_, i) => [0.1, 1, 1 / 3][(i % valueDim) % 3]!);
      const one = { heads: 1, headDim, valueDim };
      const parts = [0, 1, 20, 60].slice(1).map((to, i) => [[0, 1, 20][i]!, to] as const);
      const states = parts.map(([from, to]) => sync.attentionPartial(q, k.subarray(from * headDim, to * headDim), v.subarray(from * valueDim, to * valueDim), one));
      same(sync.mergeAttentionPartials(...states).finish(), v.subarray(0, valueDim), 'out');
    });
  });

  describe('a sink of any size', () => {
    const most = 3.4028234663852886e38;
    const sinks = [most, -most, 1e13, -1e13, 5e15, 1e20, 700, 0, -0.5, -Infinity, Infinity, NaN];

    /** log(exp(lse) + exp(sink)), and what outputs are multiplied by. */
    function withSink(lse: number, sink: number): [lse: number, factor: number] {
      if (sink === -Infinity) return [lse, 1];
      if (!(sink < Infinity)) return [sink, NaN];
      const [top, bottom] = [Math.max(lse, sink), Math.min(lse, sink)];
      const total = top + Math.log1p(Math.exp(bottom - top));
      return [total, Math.exp(lse - total)];
    }

    it.each([0, 1, 3, 600])('beside %i keys', (keys) => {
      if (name === 'scalar' && keys > 100) return;
      const one = { heads: 1, headDim: 3, valueDim: 2 };
      const [q, k, v] = [numbers(3, 1), numbers(keys * 3, 2), numbers(keys * 2, 3)];
      const { out: plain, lse: [alone] } = sync.attention(q, k, v, { ...one, lse: true });
      for (const sink of F(...sinks)) {
        const [lse, factor] = withSink(alone!, sink);
        const whole = sync.attention(q, k, v, { ...one, sinks: F(sink), lse: true });
        const state = sync.attentionPartial(q, k, v, one).finish({ sinks: F(sink), heads: 1, lse: true });
        for (const got of [whole, state]) {
          // Where one of the two has no weight, the lse is that of the other.
          if (sink === lse || sink - sink !== 0) same(got.lse, [lse], `lse with a sink of ${sink}`);
          else expect(Math.abs(got.lse[0]! - lse), `lse with a sink of ${sink}`).toBeLessThan(1e-6);
          if (factor !== factor) same(got.out, [NaN, NaN], `out with a sink of ${sink}`);
          else plain.forEach((x, d) => expect(Math.abs(got.out[d]! - x * factor), `out with a sink of ${sink}`).toBeLessThan(1e-6));
        }
      }
      const none = sync.attention(q, k, v, { ...one, sinks: F(-most), lse: true });
      if (keys > 0) expect(none).toEqual({ out: plain, lse: Float64Array.of(alone!) });
    });

    it('as large as the scores takes its share', () => {
      for (const size of [1, 1000, 1e13, 1e16, 1e20, most]) {
        const one = { heads: 1, headDim: 1, valueDim: 1, scale: 1, sinks: F(size), lse: true as const };
        const { out, lse } = sync.attention(F(size), F(1), F(8), one);
        expect(out[0], `${size}`).toBeCloseTo(4, 6);
        expect(Math.abs(lse[0]! - (Math.fround(size) + Math.LN2)) / lse[0]!, `${size}`).toBeLessThan(1e-15);
        const two = sync.attention(F(size), F(1, 1), F(9, 9), one);
        expect(two.out[0], `${size}`).toBeCloseTo(6, 5);
      }
    });
  });

  it('an lse is [batch, heads, queries] in both layouts', () => {
    const [batch, queries, keys] = [2, 5, 40];
    const turned = (x: Float32Array, h: number, positions: number, dim: number) => {
      const at = (i: number) => {
        const [b, position, head, d] = [Math.floor(i / dim / h / positions), Math.floor(i / dim / h) % positions, Math.floor(i / dim) % h, i % dim];
        return ((b * h + head) * positions + position) * dim + d;
      };
      return Float32Array.from(x, (_, i) => x[at(i)]!);
    };
    const [q, k, v] = [numbers(batch * heads * queries * headDim, 1), numbers(batch * kvHeads * keys * headDim, 2), numbers(batch * kvHeads * keys * valueDim, 3)];
    const sinks = numbers(heads, 4);
    const options = { ...sizes, batch, queries, sinks, causal: true, lse: true as const };
    const first = sync.attention(q, k, v, options);
    const [tq, tk, tv] = [turned(q, heads, queries, headDim), turned(k, kvHeads, keys, headDim), turned(v, kvHeads, keys, valueDim)];
    const second = sync.attention(tq, tk, tv, { ...options, layout: 'bshd' });
    same(second.lse, first.lse, 'lse of attention');
    same(second.out, turned(first.out, heads, queries, valueDim), 'out of attention');

    const cache = new sync.KVCache({ kvHeads, headDim, valueDim });
    const ids = [cache.create(), cache.create()];
    ids.forEach((id, b) => cache.append(id, tk.subarray(b * keys * kvHeads * headDim, (b + 1) * keys * kvHeads * headDim), tv.subarray(b * keys * kvHeads * valueDim, (b + 1) * keys * kvHeads * valueDim)));
    for (const layout of ['bhsd', 'bshd'] as const) {
      const x = layout === 'bhsd' ? q : tq;
      const { out, lse } = sync.decodeAttention(x, cache, ids, { queries, layout, sinks, lse: true });
      const wanted = layout === 'bhsd' ? first : second;
      out.forEach((y, i) => expect(Math.abs(y - wanted.out[i]!)).toBeLessThan(1e-6));
      lse.forEach((y, i) => expect(Math.abs(y - first.lse[i]!)).toBeLessThan(1e-6));
      const state = sync.attentionPartial(x, cache, ids, { queries, layout });
      state.finish({ sinks, heads, queries, layout, lse: true }).lse.forEach((y, i) => expect(Math.abs(y - first.lse[i]!)).toBeLessThan(1e-6));
      const plain = sync.decodeAttention(x, cache, ids, { queries, layout, lse: true });
      const { lse: moved } = state.finish({ heads, queries, layout, lse: true });
      moved.forEach((y, i) => expect(Math.abs(y - plain.lse[i]!)).toBeLessThan(1e-6));
      // Without heads and queries an lse has the place of its row.
      const { lse: byRow } = state.finish({ lse: true });
      byRow.forEach((y, r) => {
        const [b, a, c] = [Math.floor(r / heads / queries), Math.floor(r / (layout === 'bhsd' ? queries : heads)) % (layout === 'bhsd' ? heads : queries), r % (layout === 'bhsd' ? queries : heads)];
        expect(y).toBe(moved[layout === 'bhsd' ? r : (b * heads + c) * queries + a]);
      });
    }
    const state = sync.attentionPartial(tq, tk, tv, { ...sizes, batch, queries, layout: 'bshd' });
    expect(() => state.finish({ queries, layout: 'bshd', lse: true })).toThrow(/^Expected a positive integer for heads, beside lse and layout 'bshd',/);
    expect(() => state.finish({ heads: 7, queries, layout: 'bshd', lse: true })).toThrow(RangeError);
    expect(() => state.finish({ queries, layout: 'bshd' })).not.toThrow();
  });

  it('states over no keys, all masked, or far below change nothing', () => {
    const one = { heads: 1, headDim: 2, scale: 1 };
    const q = F(1, 1);
    const a = sync.attentionPartial(q, F(1, 0), F(1, 2), one);
    const masked = sync.attentionPartial(q, F(1, 0), F(9, 9), { ...one, bias: F(-Infinity) });
    const empty = sync.AttentionPartial.empty(1, 2);
    const far = sync.attentionPartial(q, F(-1e5, 0), F(7, 7), one);
    for (const states of [[empty, a], [masked, a, masked], [far, a], [a, far, empty, masked]]) {
      const { out, lse } = sync.mergeAttentionPartials(...states).finish({ lse: true });
      same(out, [1, 2], 'out');
      expect(Math.abs(lse[0]! - 1)).toBeLessThan(2 ** -51);
    }
    expect(sync.mergeAttentionPartials(empty, masked).finish({ lse: true })).toEqual({ out: F(0, 0), lse: Float64Array.of(-Infinity) });
    same(sync.attention(q, F(1, 0, 0, 1), F(NaN, Infinity, 3, 4), { ...one, bias: F(-Infinity, 0) }), [3, 4], 'NaN values behind −∞');
  });

  it('decoding int8 is attention over scale · int8, not rounded', () => {
    const keys = 200;
    const { cache, id, stored } = cached('int8', numbers(kvHeads * keys * headDim, 2, 4), numbers(kvHeads * keys * valueDim, 3));
    const q = numbers(heads * headDim, 1, 40);
    const { slabs, scales, table } = cache.view([id]);
    const [width, tiles] = [48, 32 / 16];
    const capacity = slabs[0]!.length / (tiles * 16 * (headDim + width) * kvHeads);
    const exact = (isValue: boolean) => (_b: number, head: number, n: number, d: number) => {
      const entry = table[Math.floor(n / 32)]!;
      const tile = (head * capacity + (entry & 0x3ffffff)) * tiles + Math.floor((n % 32) / 16);
      const number = slabs[entry >>> 26]![tile * 16 * (headDim + width) + (isValue ? 16 * headDim + (n % 16) * width + d : d * 16 + (n % 16))]!;
      return number * scales[entry >>> 26]![(2 * tile + Number(isValue)) * 16 + (n % 16)]!;
    };
    const [k, v] = [exact(false), exact(true)];
    for (let n = 0; n < keys; n++) for (let d = 0; d < headDim; d++) expect(Math.fround(k(0, 1, n, d))).toBe(stored.k[(n * kvHeads + 1) * headDim + d]);
    const { out, lse } = sync.decodeAttention(q, cache, id, { lse: true });
    attentionOracle({ heads, kvHeads, queries: 1, keys: [keys], headDim, valueDim, q: (_b, h, _m, d) => q[h * headDim + d]!, k, v }).forEach((row, r) => {
      for (let d = 0; d < valueDim; d++) expect(Math.abs(out[r * valueDim + d]! - row.out[d]!)).toBeLessThan(2e-6 * row.most);
      expect(Math.abs(row.lse)).toBeGreaterThan(100);
      expect(Math.abs(lse[r]! - row.lse)).toBeLessThan(1e-6);
    });
  });
});
