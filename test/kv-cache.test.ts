/**
 * KVCache and decodeAttention: what is stored, pages and forks, every type on every backend against the oracle on the stored
 * values, ragged batches, and that a call which throws has changed nothing.
 */
import { describe, expect, it } from 'vitest';
import { attention, attentionPartial, decodeAttention, KVCache, type DecodeOptions, type KVType } from '../lib/attention.js';
import { shapeArray } from '../lib/attention/kv-cache.js';
import type { AppendKernel, BackendName, CachedAttentionKernel } from '../lib/backend/backend.js';
import { backendNamed, choice } from '../lib/backend/select.js';
import { setThreads } from '../lib/index.js';
import { compareRows, numbers } from './attention-cases.js';
import { backends, isNative, nativeBackends } from './backends.js';
import { generator } from './cases.js';

const types: readonly KVType[] = ['float32', 'float16', 'bfloat16', 'int8'];

interface Filled {
  cache: KVCache;
  ids: number[];
}

/** A cache with sequences of these lengths, appended a few tokens at a time and in turns. */
function filled(dtype: KVType, lengths: readonly number[], { kvHeads = 2, headDim = 12, valueDim = 20, pageSize = 32, size = 1 } = {}): Filled {
  const cache = new KVCache({ kvHeads, headDim, valueDim, dtype, pageSize });
  const ids = lengths.map(() => cache.create());
  const random = generator(lengths.length);
  for (let left = true; left; ) {
    left = false;
    lengths.forEach((length, i) => {
      const tokens = Math.min(1 + (random() % 40), length - cache.length(ids[i]!));
      if (tokens === 0) return;
      left = true;
      const seed = 1000 * i + cache.length(ids[i]!);
      cache.append(ids[i]!, numbers(tokens * kvHeads * headDim, seed, size), numbers(tokens * kvHeads * valueDim, seed + 1));
    });
  }
  return { cache, ids };
}

interface DecodeNumbers {
  causal?: boolean;
  window?: number;
  softcap?: number;
  /** [sequences, heads, queries, keys of the longest] */
  mask?: Uint8Array;
  bias?: Float32Array;
}

function decodeOn(name: BackendName, q: Float32Array, { cache, ids }: Filled, heads: number, queries: number, options: DecodeNumbers & { positionsFirst?: boolean } = {}) {
  const { kvHeads, headDim, valueDim, pageSize } = cache;
  const { slabs, scales, table, lengths } = cache.view(ids);
  const { causal = true, window = 0, softcap = 0, positionsFirst = false, mask = null, bias = null } = options;
  const keys = Math.max(...lengths);
  const strides = { maskBatch: heads * queries * keys, maskHead: queries * keys, maskQuery: keys, biasBatch: heads * queries * keys, biasHead: queries * keys, biasQuery: keys };
  const shape = shapeArray({ batch: ids.length, heads, kvHeads, queries, headDim, valueDim, pageSize, positionsFirst: positionsFirst ? 1 : 0, causal: causal ? 1 : 0, window, softcap, scale: 1 / Math.sqrt(headDim), ...strides });
  const out = new Float32Array(ids.length * heads * queries * valueDim);
  const lse = new Float64Array(ids.length * heads * queries);
  const kernel = backendNamed(name)[`attention_cached_${cache.kind}`] as CachedAttentionKernel<unknown>;
  kernel(shape, null, q, slabs, scales, table, lengths, null, null, mask, bias, out, lse, null, null, null);
  return { out, lse };
}

function oracleOf(q: Float32Array, { cache, ids }: Filled, heads: number, queries: number, { mask, bias, ...options }: DecodeNumbers = {}) {
  const { kvHeads, headDim, valueDim } = cache;
  const stored = ids.map((id) => cache.read(id));
  const longest = Math.max(...ids.map((id) => cache.length(id)));
  const entry = (b: number, head: number, m: number, n: number) => ((b * heads + head) * queries + m) * longest + n;
  return {
    heads, kvHeads, queries, keys: ids.map((id) => cache.length(id)), headDim, valueDim, causal: true, ...options,
    q: (b: number, head: number, m: number, d: number) => q[((b * heads + head) * queries + m) * headDim + d]!,
    k: (b: number, head: number, n: number, d: number) => stored[b]!.k[(n * kvHeads + head) * headDim + d]!,
    v: (b: number, head: number, n: number, d: number) => stored[b]!.v[(n * kvHeads + head) * valueDim + d]!,
    ...(mask ? { sees: (b: number, head: number, m: number, n: number) => mask[entry(b, head, m, n)] !== 0 } : {}),
    ...(bias ? { bias: (b: number, head: number, m: number, n: number) => bias[entry(b, head, m, n)]! } : {}),
  };
}

describe.each(backends)('%s', (name) => {
  describe.each(types)('%s', (dtype) => {
    it('a ragged batch, against the oracle on what is stored', () => {
      const lengths = name === 'scalar' ? [0, 1, 17, 520] : [0, 1, 15, 16, 17, 31, 32, 33, 64, 511, 512, 513, 1100];
      for (const [heads, queries, size, options] of [[2, 1, 1, {}], [8, 1, dtype === 'int8' ? 5 : 30, {}], [6, 3, 1, { window: 20 }], [18, 1, 8, { softcap: 10 }]] as const) {
        const all = filled(dtype, lengths, { size });
        const q = numbers(lengths.length * heads * queries * 12, heads);
        compareRows(oracleOf(q, all, heads, queries, options), decodeOn(name, q, all, heads, queries, options), `${heads} heads, ${queries} queries, size ${size}`);
      }
    });

    it('a mask and a bias of a ragged batch', () => {
      const lengths = name === 'scalar' ? [0, 40, 17] : [0, 1, 17, 530, 64];
      const [heads, queries, longest] = [6, 2, Math.max(...lengths)];
      const all = filled(dtype, lengths);
      const q = numbers(lengths.length * heads * queries * 12, 7);
      const n = lengths.length * heads * queries * longest;
      const random = generator(5);
      const mask = Uint8Array.from({ length: n }, () => random() % 3);
      const bias = numbers(n, 6, 4).map((x) => (random() % 9 === 0 ? -Infinity : x));
      for (const options of [{ mask }, { bias }, { mask, bias, causal: false }]) {
        compareRows(oracleOf(q, all, heads, queries, options), decodeOn(name, q, all, heads, queries, options), Object.keys(options).join(', '));
      }
    });

    it('odd dimensions', () => {
      for (const [headDim, valueDim] of [[1, 1], [7, 33], [128, 128], [256, 16]] as const) {
        const all = filled(dtype, [3, 70], { headDim, valueDim, pageSize: 16 });
        const q = numbers(2 * 4 * headDim, 5);
        compareRows(oracleOf(q, all, 4, 1), decodeOn(name, q, all, 4, 1), `${headDim}, ${valueDim}`);
      }
    });
  });

  it('stores the same bits as all others', () => {
    const [k, v] = [numbers(50 * 2 * 9, 1, 3), numbers(50 * 2 * 5, 2, 1e-3)];
    k[3] = 1e6, k[40] = NaN, k[100] = Infinity, v[7] = -1e-42, k.fill(0, 180, 198);
    for (const dtype of types) {
      const cache = new KVCache({ kvHeads: 2, headDim: 9, valueDim: 5, dtype, pageSize: 16 });
      const id = cache.create();
      cache.append(id, new Float32Array(50 * 18), new Float32Array(50 * 10));
      const { slabs, scales, table } = cache.view([id]);
      const store = (backend: BackendName) => {
        const kernel = backendNamed(backend)[`kv_append_${cache.kind}`] as AppendKernel<unknown>;
        kernel(shapeArray({ kvHeads: 2, keys: 50, headDim: 9, valueDim: 5, pageSize: 16, positionsFirst: 1 }), k, v, slabs, scales, table, 0);
        return [...slabs, ...scales].map((each) => Buffer.from(each.buffer as ArrayBuffer).toString('base64'));
      };
      const own = store(name);
      // A NaN of float32 may lose its sign bit on its way through a JavaScript number.
      if (dtype !== 'float32') expect(own.every((each, i) => each === store('js')[i]), dtype).toBe(true);
      expect(cache.read(id).v.slice(10)).toEqual(dtype === 'float32' ? v.slice(10) : expect.anything());
    }
  });

  it('NaN in what is unused does not matter; in what is seen it does', () => {
    for (const dtype of types) {
      const cache = new KVCache({ kvHeads: 1, headDim: 4, dtype, pageSize: 16 });
      const id = cache.create();
      const [good, bad] = [numbers(4 * 5, 3), new Float32Array(4 * 5).fill(NaN)];
      const q = numbers(4, 9);
      cache.append(id, good, good);
      const before = decodeOn(name, q, { cache, ids: [id] }, 1, 1);
      cache.append(id, bad, bad);
      expect([...decodeOn(name, q, { cache, ids: [id] }, 1, 1).out].every(Number.isNaN)).toBe(true);
      cache.truncate(id, 5);
      expect(decodeOn(name, q, { cache, ids: [id] }, 1, 1)).toEqual(before);
    }
  });
});

describe('the same bits', () => {
  it('on all native instruction sets', () => {
    for (const dtype of types) {
      const all = filled(dtype, [5, 700, 33]);
      const q = numbers(3 * 8 * 2 * 12, 4, 20);
      const [first, ...others] = nativeBackends.map((name) => decodeOn(name, q, all, 8, 2));
      for (const other of others) expect(other).toEqual(first);
    }
  });

  it('with any number of threads', () => {
    const before = setThreads(1);
    for (const lengths of [[3000], [2500, 2600], [700, 0, 5, 900, 1100, 300, 200, 2000]]) {
      const all = filled('float32', lengths);
      const q = numbers(lengths.length * 6 * 12, 4, 5);
      const [first, ...others] = [1, 2, 3, 7].map((threads) => {
        setThreads(threads);
        return decodeAttention(q, all.cache, all.ids, { lse: true });
      });
      for (const other of others) expect(other).toEqual(first);
    }
    setThreads(before);
  });

  it('over a cache and over arrays, whatever the pages', () => {
    if (!isNative(choice().name)) return;
    const q = numbers(8 * 12, 4);
    const [k, v] = [numbers(600 * 2 * 12, 5), numbers(600 * 2 * 20, 6)];
    const whole = attention(q, k, v, { heads: 8, kvHeads: 2, headDim: 12, layout: 'bshd', lse: true });
    for (const pageSize of [16, 48, 64, 1024]) {
      const cache = new KVCache({ kvHeads: 2, headDim: 12, valueDim: 20, pageSize });
      const id = cache.create();
      cache.append(id, k, v);
      expect(decodeAttention(q, cache, id, { lse: true })).toEqual(whole);
    }
  });
});

describe('a mask and a bias', () => {
  const [heads, lengths] = [4, [40, 7, 600]];
  const all = filled('float32', lengths);
  const q = numbers(3 * heads * 12, 8);
  const [mask, bias] = [Uint8Array.from({ length: 3 * 600 }, (_, i) => (i * 7) % 3), numbers(3 * 600, 9)];
  const of = (x: Uint8Array | Float32Array, b: number) => x.slice(600 * b, 600 * b + lengths[b]!);

  it('of a batch have a row of the longest length for each sequence', () => {
    const together = decodeAttention(q, all.cache, all.ids, { mask, bias, lse: true });
    all.ids.forEach((id, b) => {
      const alone = decodeAttention(q.slice(b * heads * 12, (b + 1) * heads * 12), all.cache, id, { mask: of(mask, b) as Uint8Array, bias: of(bias, b) as Float32Array, lse: true });
      expect(alone).toEqual({ out: together.out.slice(b * heads * 20, (b + 1) * heads * 20), lse: together.lse.slice(b * heads, (b + 1) * heads) });
    });
  });

  it('are those of attention, and of a partial result', () => {
    const { k, v } = all.cache.read(all.ids[2]!);
    const [one, options] = [q.slice(0, heads * 12), { mask: of(mask, 2) as Uint8Array, bias: of(bias, 2) as Float32Array }];
    const out = decodeAttention(one, all.cache, all.ids[2]!, options);
    if (isNative(choice().name)) expect(out).toEqual(attention(one, k, v, { heads, kvHeads: 2, headDim: 12, layout: 'bshd', ...options }));
    const partial = attentionPartial(one, all.cache, all.ids[2]!, options).finish();
    partial.forEach((x, i) => expect(Math.abs(x - out[i]!)).toBeLessThan(1e-6));
  });

  it('of a length that fits nothing, or two things, are errors', () => {
    expect(() => decodeAttention(q, all.cache, all.ids, { mask: new Uint8Array(599) })).toThrow(/^Expected elements for .* with batch = 3, heads = 4, queries = 1, keys = 600 for mask but received 599$/);
    const two = numbers(2 * 2 * 12, 1);
    expect(() => decodeAttention(two, all.cache, all.ids.slice(0, 2), { bias: new Float32Array(2 * 40) })).toThrow(/have the same length/);
    expect(() => decodeAttention(q, all.cache, all.ids, { mask: [1] as never })).toThrow(/^Expected a Uint8Array for mask/);
  });
});

describe('KVCache', () => {
  const token = (seed: number, n = 1): [Float32Array, Float32Array] => [numbers(n * 2 * 4, seed), numbers(n * 2 * 3, seed + 1)];
  const make = (more: object = {}) => new KVCache({ kvHeads: 2, headDim: 4, valueDim: 3, pageSize: 16, ...more });

  it('gives back what it was given, in both layouts', () => {
    const cache = make();
    const id = cache.create();
    const [k, v] = token(1, 37);
    expect(cache.append(id, k.subarray(0, 8), v.subarray(0, 6))).toBe(1);
    cache.append(id, k.subarray(8), v.subarray(6));
    expect(cache.length(id)).toBe(37);
    expect(cache.read(id)).toEqual({ k, v });
    expect(cache.read(id, 5, 6)).toEqual({ k: k.slice(40, 48), v: v.slice(30, 36) });
    const turned = (x: Float32Array, dim: number) => Float32Array.from({ length: x.length }, (_, i) => x[(Math.floor(i / dim) % 37) * 2 * dim + Math.floor(i / (37 * dim)) * dim + (i % dim)]!);
    const other = cache.create();
    cache.append(other, turned(k, 4), turned(v, 3), { layout: 'hsd' });
    expect(cache.read(other)).toEqual({ k, v });
    expect(cache.append(other, new Float32Array(0), new Float32Array(0))).toBe(37);
  });

  it('rounds half types to nearest, and int8 to a scale a token and head', () => {
    const of = (dtype: KVType, ...values: number[]) => {
      const cache = new KVCache({ kvHeads: 1, headDim: values.length, dtype });
      const id = cache.create();
      cache.append(id, Float32Array.from(values), Float32Array.from(values));
      const { k, v } = cache.read(id);
      expect(v).toEqual(k);
      return [...k];
    };
    expect(of('float16', 1 + 2 ** -11, 1 + 3 * 2 ** -11, 70000, 2 ** -25)).toEqual([1, 1 + 2 ** -9, Infinity, 0]);
    expect(of('bfloat16', 1 + 2 ** -8, 1 + 3 * 2 ** -8, 3e38)).toEqual([1, 1 + 2 ** -6, expect.closeTo(3e38, -36)]);
    expect(of('int8', 127, -63.4, 0.5, 1.5, -127)).toEqual([127, -63, 0, 2, -127]);
    expect(of('int8', 0, 0)).toEqual([0, 0]);
    expect(of('int8', 1, NaN, 2).every(Number.isNaN)).toBe(true);
    expect(of('int8', 1, Infinity).every(Number.isNaN)).toBe(true);
  });

  it('forks share pages until one of them writes', () => {
    const cache = make({ dtype: 'int8' });
    const page = cache.pageBytes;
    const a = cache.create();
    cache.append(a, ...token(1, 20));
    expect(cache.bytes).toBe(2 * page);
    const before = cache.read(a);
    const b = cache.fork(a);
    const c = cache.fork(b);
    expect(cache.bytes).toBe(2 * page);
    cache.append(b, ...token(7, 3)); // into the second page of all three
    expect(cache.bytes).toBe(3 * page);
    expect([cache.length(a), cache.length(b), cache.length(c)]).toEqual([20, 23, 20]);
    expect(cache.read(a)).toEqual(before);
    expect(cache.read(c)).toEqual(before);
    expect(cache.read(b, 0, 20)).toEqual(before);
    cache.append(a, ...token(9, 1));
    expect(cache.bytes).toBe(4 * page);
    cache.append(c, ...token(11, 1)); // the last owner writes where it is
    expect(cache.bytes).toBe(4 * page);
    expect(cache.read(c, 0, 20)).toEqual(before);
    cache.truncate(c, 16);
    expect(cache.bytes).toBe(3 * page);
    cache.append(c, ...token(13, 1));
    expect(cache.bytes).toBe(4 * page);
    for (const id of [a, b, c]) cache.free(id);
    expect(cache.bytes).toBe(0);
    const d = cache.create();
    cache.append(d, ...token(1, 40));
    expect(cache.bytes).toBe(3 * page);
    expect(d).toBe(3);
  });

  it('behaves like a list of tokens, whatever happens', () => {
    const random = generator(11);
    for (const dtype of ['float32', 'bfloat16'] as const) {
      const cache = make({ dtype, maxBytes: 40 * make({ dtype }).pageBytes });
      const model = new Map<number, number[]>(); // the seed of each token
      for (let step = 0, seed = 0; step < 600; step++) {
        const ids = [...model.keys()];
        const id = ids[random() % Math.max(1, ids.length)];
        const action = random() % 10;
        if (id === undefined || action === 0) model.set(cache.create(), []);
        else if (action === 1) model.set(cache.fork(id), [...model.get(id)!]);
        else if (action === 2) {
          const n = random() % (model.get(id)!.length + 1);
          cache.truncate(id, n);
          model.get(id)!.length = n;
        } else if (action === 3) cache.free(id), model.delete(id);
        else {
          const seeds = Array.from({ length: random() % 30 }, () => (seed += 2));
          const tokens = seeds.map((s) => token(s));
          const [k, v] = [0, 1].map((i) => Float32Array.from(tokens.flatMap((t) => [...t[i]!]))) as [Float32Array, Float32Array];
          const bytes = cache.bytes;
          try {
            cache.append(id, k, v);
            model.get(id)!.push(...seeds);
          } catch (error) {
            expect(error).toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
            expect(cache.bytes).toBe(bytes);
          }
        }
        expect(cache.bytes).toBeLessThanOrEqual(cache.maxBytes);
        if (step % 20 !== 0) continue;
        for (const [each, seeds] of model) {
          expect(cache.length(each)).toBe(seeds.length);
          if (dtype === 'float32') expect([...cache.read(each).k]).toEqual(seeds.flatMap((s) => [...token(s)[0]]));
        }
      }
      for (const id of model.keys()) cache.free(id);
      expect(cache.bytes).toBe(0);
    }
  });

  it('says when it is full, and loses nothing', () => {
    const cache = make({ maxBytes: 3 * make().pageBytes + 1 });
    const [a, b] = [cache.create(), cache.create()];
    cache.append(a, ...token(1, 30));
    const before = cache.read(a);
    expect(() => cache.append(b, ...token(2, 17))).toThrow(/at most 1 more pages of \d+ bytes, as maxBytes is \d+, for append but received 2/);
    expect(cache.length(b)).toBe(0);
    cache.append(b, ...token(2, 16));
    const fork = cache.fork(a);
    expect(() => cache.append(fork, ...token(2))).toThrow(RangeError); // a copy of its last page
    expect([cache.read(a), cache.read(fork)]).toEqual([before, before]);
    cache.append(fork, new Float32Array(0), new Float32Array(0));
    cache.free(b);
    cache.append(fork, ...token(2));
    expect(cache.length(fork)).toBe(31);
    expect(() => make({ maxBytes: 5 }).append(0, ...token(1))).toThrow(/unknown/);
  });

  it('grows by slabs', () => {
    const cache = new KVCache({ kvHeads: 1, headDim: 256, pageSize: 64 });
    const ids = [cache.create(), cache.create()];
    const k = numbers(700 * 256, 1);
    for (let i = 0; i < 5; i++) for (const id of ids) cache.append(id, k, k);
    expect(cache.view(ids).slabs.length).toBeGreaterThan(1);
    for (const id of ids) expect(cache.read(id, 2800, 3500).v).toEqual(k);
  });

  it('refuses what it does not know', () => {
    const type = (body: () => unknown, message: RegExp) => {
      expect(body).toThrow(TypeError);
      expect(body).toThrow(message);
    };
    const range = (body: () => unknown, message: RegExp) => {
      expect(body).toThrow(RangeError);
      expect(body).toThrow(message);
    };
    type(() => new KVCache(undefined as never), /an object for options/);
    type(() => make({ dytpe: 'int8' }), /only kvHeads, .* for options but received 'dytpe'/);
    type(() => make({ dtype: 8 }), /for dtype/);
    range(() => make({ dtype: 'int4' }), /for dtype but received 'int4'/);
    range(() => make({ pageSize: 20 }), /a multiple of 16 for pageSize but received 20/);
    range(() => make({ kvHeads: 0 }), /a positive integer for kvHeads/);
    type(() => make({ headDim: '4' }), /for headDim/);
    range(() => make({ maxBytes: -1 }), /for maxBytes/);
    range(() => make({ kvHeads: 2 ** 20, headDim: 2 ** 20 }), /a page of at most/);
    const cache = make();
    const id = cache.create();
    cache.append(id, ...token(1, 3));
    const freed = cache.create();
    cache.free(freed);
    for (const call of [
      (s: number) => cache.length(s), (s: number) => cache.append(s, ...token(1)), (s: number) => cache.fork(s), (s: number) => cache.truncate(s, 0), (s: number) => cache.free(s), (s: number) => cache.read(s),
      (s: number) => decodeAttention(new Float32Array(8), cache, [s]),
    ]) {
      range(() => call(freed), /a sequence of this cache for sequence but received 1, which was freed/);
      range(() => call(7), /7, which is unknown/);
      type(() => call('0' as never), /for sequence/);
    }
    range(() => cache.append(id, new Float32Array(9), new Float32Array(6)), /a multiple of kvHeads · headDim = 2 · 4 elements for k but received 9/);
    range(() => cache.append(id, new Float32Array(8), new Float32Array(7)), /tokens · kvHeads · valueDim = 1 · 2 · 3 elements for v but received 7/);
    type(() => cache.append(id, new Float64Array(8) as never, new Float32Array(6)), /a Float32Array for k/);
    range(() => cache.append(id, ...token(1), { layout: 'bhsd' as never }), /for layout/);
    range(() => cache.truncate(id, 4), /an integer from 0 to 3 for length but received 4/);
    range(() => cache.read(id, 2, 9), /for from and to/);
    expect(cache.length(id)).toBe(3);
  });
});

describe('decodeAttention', () => {
  const all = filled('float32', [40, 3]);
  const q = numbers(2 * 4 * 12, 8);

  it('takes one sequence or many, and arrays for results', () => {
    const out = decodeAttention(q, all.cache, all.ids);
    expect(out.length).toBe(2 * 4 * 20);
    expect(decodeAttention(q.subarray(48), all.cache, all.ids[1]!)).toEqual(out.subarray(80));
    const [own, lse] = [new Float32Array(160), new Float64Array(8)];
    expect(decodeAttention(q, all.cache, all.ids, { heads: 4, queries: 1, out: own, lse }).out).toBe(own);
    expect(own).toEqual(out);
    expect(decodeAttention(q, all.cache, all.ids, { lse: true }).lse).toEqual(lse);
    const two = decodeAttention(q, all.cache, all.ids, { queries: 2, layout: 'bshd' });
    expect(two.length).toBe(160);
  });

  it('refuses what does not fit', () => {
    const bad = (options: object, sequences: unknown = all.ids, x: unknown = q, cache: unknown = all.cache) => () => decodeAttention(x as Float32Array, cache as KVCache, sequences as number[], options as DecodeOptions);
    expect(bad({ masks: 1 })).toThrow(/only queries, heads, .* for options but received 'masks'/);
    expect(bad({}, all.ids, q, {})).toThrow(/a KVCache for cache/);
    expect(bad({}, [])).toThrow(/one sequence at least for sequences/);
    expect(bad({}, 'all')).toThrow(TypeError);
    expect(bad({ heads: 3 })).toThrow(/heads · sequences · queries · headDim = 3 · 2 · 1 · 12 = 72 elements for q but received 96/);
    expect(bad({}, [all.ids[0]], q.subarray(0, 36))).toThrow(/a multiple of the cache's kvHeads = 2 for heads but received 3/);
    expect(bad({}, all.ids, q.subarray(1))).toThrow(/for q but received 95/);
    expect(bad({ out: q })).toThrow(/for out/);
    expect(bad({ window: 0 })).toThrow(RangeError);
  });
});
