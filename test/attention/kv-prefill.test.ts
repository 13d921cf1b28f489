/** prefillAttention, and append of many sequences: all tokens or none. */
import { describe, expect, it, vi } from 'vitest';
import type { KVType } from '../../lib/attention.js';
import { backends } from '../support/backends.js';
import { forceBackend } from '../support/force-backend.js';
import { numbers } from './attention-cases.js';
import { kvTypes } from './kv-cases.js';

type Attention = typeof import('../../lib/attention.js');
type Promises = typeof import('../../lib/promises.js');

const [heads, kvHeads, headDim, valueDim] = [4, 2, 12, 20];

/** The rows of one sequence as [heads, tokens, dim]. */
const turned = <A extends Float32Array | Float64Array>(x: A, tokens: number, n: number): A =>
  x.map((_, i) => {
    const dim = x.length / (tokens * n);
    const [head, token, d] = [Math.floor(i / (tokens * dim)), Math.floor(i / dim) % tokens, i % dim];
    return x[(token * n + head) * dim + d]!;
  }) as A;

/** The largest difference, in units of the largest number. */
function apart(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  const size = Array.from(b).reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  return Array.from(a).reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0) / (size || 1);
}

describe.each(backends)('%s', (name) => {
  let api: Attention;
  let later: Promises;
  forceBackend(name, async () => {
    api = await import('../../lib/attention.js');
    later = await import('../../lib/promises.js');
  });
  const make = (dtype: KVType, more: object = {}) =>
    new api.KVCache({ kvHeads, headDim, valueDim, dtype, pageSize: 16, ...more });
  const tokensOf = (n: number, seed: number) => ({
    q: numbers(n * heads * headDim, seed),
    k: numbers(n * kvHeads * headDim, seed + 1),
    v: numbers(n * kvHeads * valueDim, seed + 2),
  });
  const full = (dtype: KVType) => {
    const cache = make(dtype);
    const ids = [cache.create(), cache.create(), cache.create(), cache.create()];
    [5, 32, 0, 19].forEach((n, i) => {
      const { k, v } = tokensOf(n, 90 + i);
      cache.append(ids[i]!, k, v);
    });
    return { cache, ids };
  };

  it.each(kvTypes)('gives the rows of one call over what a cache of %s stores', (dtype) => {
    const lengths = [40, 1, 1, 33];
    const { q, k, v } = tokensOf(75, 3);
    const sinks = numbers(heads, 8);
    for (const more of [{}, { window: 9, softcap: 3 }, { alibi: true, sinks }, { causal: false, scale: 0.3 }]) {
      const wanted = full(dtype);
      wanted.cache.append(wanted.ids, k, v, { lengths });
      let at = 0;
      const parts = lengths.map((n, i) => {
        const part = q.slice(at * heads * headDim, (at += n) * heads * headDim);
        const options = { ...more, heads, queries: n, layout: 'bshd', lse: true } as const;
        return api.decodeAttention(part, wanted.cache, wanted.ids[i]!, options);
      });
      const out = parts.flatMap((each) => [...each.out]);
      const lse = parts.flatMap((each) => [...each.lse]);
      for (const chunk of [1, 7, 16, undefined]) {
        const { cache, ids } = full(dtype);
        const result = api.prefillAttention(q, k, v, cache, ids, { ...more, lengths, chunk, lse: true });
        expect(apart(result.out, out)).toBeLessThan(2e-6);
        expect(apart(result.lse, lse)).toBeLessThan(1e-6);
        ids.forEach((id, i) => expect(cache.read(id)).toEqual(wanted.cache.read(wanted.ids[i]!)));
      }
    }
  });

  it('takes heads first, masks, biases and results that are given', () => {
    const n = 37;
    const { q, k, v } = tokensOf(n, 5);
    const longest = n + 32;
    const mask = Uint8Array.from({ length: n * longest }, (_, i) => (i * 7) % 5 && 1);
    const bias = numbers(2 * heads * n * longest, 6);
    const run = (chunk: number | undefined, layout: 'shd' | 'hsd', more: object) => {
      const { cache, ids } = full('float32');
      const turn = (x: Float32Array, h: number) => (layout === 'hsd' ? turned(x, n, h) : x);
      const [out, lse] = [new Float32Array(n * heads * valueDim), new Float64Array(n * heads)];
      const options = { chunk, layout, out, lse, ...more };
      const result = api.prefillAttention(turn(q, heads), turn(k, kvHeads), turn(v, kvHeads), cache, ids[1]!, options);
      expect(result).toEqual({ out, lse });
      expect(result.out).toBe(out);
      return [...(layout === 'hsd' ? out : turned(out, n, heads)), ...lse];
    };
    const all = [{}, { mask }, { bias: bias.slice(0, heads * n * longest), mask }, { mask: mask.slice(0, longest) }];
    for (const more of all) {
      const wanted = run(undefined, 'shd', more);
      for (const chunk of [5, 16]) {
        for (const layout of ['shd', 'hsd'] as const)
          expect(apart(run(chunk, layout, more), wanted)).toBeLessThan(2e-6);
      }
    }
    // Two sequences with a mask of each, against one sequence at a time
    const { cache, ids } = full('float32');
    const two = tokensOf(2 * n, 12);
    const both = api.prefillAttention(two.q, two.k, two.v, cache, [ids[0]!, ids[1]!], { bias, mask, chunk: 10 });
    const single = full('float32');
    const half = <A extends Float32Array>(x: A) => x.subarray(0, x.length / 2);
    const first = Float32Array.from({ length: heads * n * (n + 5) }, (_, i) => {
      const row = Math.floor(i / (n + 5));
      return bias[row * longest + (i % (n + 5))]!;
    });
    const own = Uint8Array.from(
      { length: n * (n + 5) },
      (_, i) => mask[Math.floor(i / (n + 5)) * longest + (i % (n + 5))]!,
    );
    const alone = api.prefillAttention(half(two.q), half(two.k), half(two.v), single.cache, single.ids[0]!, {
      bias: first,
      mask: own,
    });
    expect(apart(half(both), alone)).toBeLessThan(2e-6);
  });

  it('changes nothing when it throws', () => {
    const { cache, ids } = full('bfloat16');
    const fork = cache.fork(ids[0]!);
    const small = make('bfloat16', { maxBytes: 4 * cache.pageBytes });
    const other = [small.create(), small.create()];
    const { q, k, v } = tokensOf(40, 3);
    small.append(other[0]!, k.subarray(0, 5 * kvHeads * headDim), v.subarray(0, 5 * kvHeads * valueDim));
    small.fork(other[0]!);
    const snapshot = (c: typeof cache, all: number[]) => [c.bytes, ...all.map((id) => c.read(id))];
    const before = [snapshot(cache, [...ids, fork]), snapshot(small, other)];
    const out = new Float32Array(40 * heads * valueDim).fill(7);
    const fails = (body: () => unknown, message: RegExp) => {
      expect(body).toThrow(message);
      expect([snapshot(cache, [...ids, fork]), snapshot(small, other)]).toEqual(before);
      expect(out.every((x) => x === 7)).toBe(true);
    };
    const call = (options: object, to = cache, at: number[] = [ids[0]!, ids[1]!]) =>
      api.prefillAttention(q, k, v, to, at, { out, ...options });
    fails(() => call({}, small, other), /at most 3 more pages .* for append but received 4|at most \d+ more pages/);
    fails(() => call({ chunk: 0 }), /a positive integer for chunk/);
    fails(() => call({ lengths: [1, 2] }), /lengths of 40 tokens together, as k has, for lengths but received 3/);
    fails(() => call({ lengths: [40] }), /2 elements, one a sequence, for lengths but received 1/);
    fails(() => call({ lengths: [41, -1] }), /an integer from 0 for lengths\[1\]/);
    fails(() => call({}, cache, [ids[0]!, ids[0]!]), /sequences that differ for sequences but received 0 twice/);
    fails(() => call({}, cache, [ids[0]!, 99]), /99, which is unknown/);
    fails(() => call({ heads: 3 }), /for q|kvHeads/);
    fails(() => call({ queries: 3 }), /only .* for options but received 'queries'/);
    fails(() => call({ softcap: -1 }), /for softcap/);
    fails(() => call({ layout: 'bhsd' }), /for layout/);
    fails(() => call({ out: out.subarray(1) }), /for out/);
    fails(() => call({ out: q.subarray(0, 0) }), /for out/);
    fails(() => call({ mask: new Uint8Array(3) }), /for mask/);
    fails(() => call({ sinks: new Float32Array(3) }), /4 elements, one a head, for sinks/);
    fails(() => api.prefillAttention(q, k, v.subarray(1), cache, ids), /for v/);
    fails(() => api.prefillAttention(q, k, v, {} as never, ids), /a KVCache for cache/);
    fails(() => cache.append(ids, k, v, { lengths: [10, 10, 10, 9] }), /lengths of 40 tokens together/);
    fails(() => cache.append([ids[0]!, 77], k, v), /77, which is unknown/);
    fails(() => cache.append([ids[0]!, ids[0]!], k, v), /0 twice/);
    fails(() => cache.append(ids[0]!, k, v, { lengths: [40] } as never), /only layout for options/);
    fails(() => small.append(other, k, v), /at most \d more pages/);
    expect(() => cache.append([], k, v)).toThrow(/one sequence at least/);
    const none = new Float32Array(0);
    expect(api.prefillAttention(none, none, none, cache, ids, { lse: true })).toEqual({
      out: none,
      lse: new Float64Array(0),
    });
  });

  it('appends to forks of one page in one call, with no page more than one after the other takes', () => {
    const run = (isOne: boolean) => {
      const cache = make('int8');
      const a = cache.create();
      const first = tokensOf(5, 1);
      cache.append(a, first.k, first.v);
      const all = [a, cache.fork(a), cache.fork(a, 3)];
      const { k, v } = tokensOf(30, 4);
      if (isOne) expect(cache.append(all, k, v)).toEqual([15, 15, 13]);
      else {
        all.forEach((id, i) => {
          cache.append(id, k.subarray(i * 240, (i + 1) * 240), v.subarray(i * 400, (i + 1) * 400));
        });
      }
      return [cache.bytes, ...all.map((id) => cache.read(id))];
    };
    expect(run(true)).toEqual(run(false));
  });

  it('a promise gives the same rows, and changes the sequences when it settles', async () => {
    const lengths = [40, 1, 1, 33];
    const { q, k, v } = tokensOf(75, 3);
    const wanted = full('float16');
    const rows = api.prefillAttention(q, k, v, wanted.cache, wanted.ids, { lengths, chunk: 9, lse: true });
    const { cache, ids } = full('float16');
    const bytes = cache.bytes;
    const given = { q: q.slice(), k: k.slice(), v: v.slice() };
    const job = later.prefillAttention(given.q, given.k, given.v, cache, ids, { lengths, chunk: 9, lse: true });
    for (const each of Object.values(given)) each.fill(NaN);
    expect(cache.length(ids[0]!)).toBe(5);
    expect(await job).toEqual(rows);
    ids.forEach((id, i) => expect(cache.read(id)).toEqual(wanted.cache.read(wanted.ids[i]!)));
    expect(cache.bytes).toBe(wanted.cache.bytes);
    ids.forEach((id, i) => cache.truncate(id, [5, 32, 0, 19][i]!));
    expect(cache.bytes).toBe(bytes);

    const abort = new AbortController();
    const before = ids.map((id) => cache.read(id));
    const options = { lengths, chunk: 2, signal: abort.signal };
    const stopped = later.prefillAttention(q, k, v, cache, ids, options);
    setTimeout(() => abort.abort(new Error('enough')), 1);
    await expect(stopped).rejects.toThrow('enough');
    expect([cache.bytes, ...ids.map((id) => cache.read(id))]).toEqual([bytes, ...before]);

    const raced = later.prefillAttention(q, k, v, cache, ids, { lengths, chunk: 2 });
    cache.truncate(ids[3]!, 18);
    const fork = cache.fork(ids[0]!);
    await expect(raced).rejects.toThrow(/nobody changes until the promise settles for sequence but received 3/);
    expect([cache.length(ids[3]!), cache.length(ids[0]!)]).toEqual([18, 5]);
    expect(cache.read(fork)).toEqual(before[0]);
    const freed = later.prefillAttention(q, k, v, cache, ids, { lengths });
    cache.free(ids[2]!);
    await expect(freed).rejects.toThrow(/2, which was freed/);
    const ended = later.prefillAttention(q.slice(0, 48), k.slice(0, 24), v.slice(0, 40), cache, fork);
    cache.dispose();
    await expect(ended).rejects.toThrow(/a cache that is open/);
    expect(cache.bytes).toBe(0);
  });

  it('grows a cache of another copy of the package, and checks what such a cache says', async () => {
    const { cache, ids } = full('int8');
    const { q, k, v } = tokensOf(21, 3);
    const call = (to: typeof cache, by: Attention) => by.prefillAttention(q, k, v, to, ids.slice(0, 3), { chunk: 3 });
    const wanted = full('int8');
    const rows = call(wanted.cache, api);
    vi.resetModules();
    const other = await import('../../lib/attention.js');
    expect(other.KVCache).not.toBe(api.KVCache);
    expect(call(cache, other)).toEqual(rows);
    expect(cache.read(ids[0]!)).toEqual(wanted.cache.read(wanted.ids[0]!));
    const symbol = Symbol.for('flash-softmax.KVCache.growth.1');
    const view = Symbol.for('flash-softmax.KVCache.view.1');
    type Growth = Record<string, unknown> & { undo(): void; view(...rest: number[]): object };
    const real = (cache as unknown as Record<symbol, (ids: number[], isPrivate: boolean) => Growth>)[symbol]!;
    const changes: Record<string, unknown[]> = {
      lengths: [null, [1], [1, -1, 2], [1, 2, NaN]],
      kvHeads: [0, '2', 2 ** 20],
      headDim: [undefined, 13],
      valueDim: [1e9],
      view: [
        3,
        () => 3,
        () => ({}),
        (a: number, b: number) => ({ ...real.call(cache, ids, false).view(a, b), table: 3 }),
      ],
      commit: [undefined],
      append: [null],
      reserve: [null],
      undo: [3],
    };
    for (const [field, values] of Object.entries(changes)) {
      for (const value of values) {
        const growth = { ...real.call(cache, ids.slice(0, 3), true), [field]: value };
        const forged = { [symbol]: () => growth, [view]: () => expect.fail('nobody asks') };
        const error = expect.objectContaining({ code: expect.stringMatching(/^ERR_/) as string }) as Error;
        expect(() => call(forged as never, other), `${field} ${String(value)}`).toThrow(error);
      }
    }
    for (const none of [null, 3, { [symbol]: () => 3 }, { [symbol]: 3 }]) {
      expect(() => call(none as never, api)).toThrow(/a KVCache for cache/);
    }
  });

  it('takes no memory for good: calls that fail, and sequences that are freed, give their pages back', () => {
    const { cache, ids } = full('float32');
    const { q, k, v } = tokensOf(40, 3);
    const bytes = cache.bytes;
    for (let i = 0; i < 50; i++) {
      const more = [cache.fork(ids[0]!, 3), cache.create()];
      cache.append(more, k, v, { lengths: [1 + (i % 30), 39 - (i % 30)] });
      expect(() => api.prefillAttention(q, k, v, cache, more, { softcap: -1 })).toThrow(RangeError);
      api.prefillAttention(q, k, v, cache, more, { chunk: 1 + i });
      cache.evict(more[0]!, { window: 5, sinks: 2, exact: i % 2 === 0 });
      for (const id of [...more, cache.fromBytes(cache.toBytes(more[1]!))]) cache.free(id);
      expect(cache.bytes).toBe(bytes);
    }
  });
});
