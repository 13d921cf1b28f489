/**
 * decodeAttention: every type on every backend against the oracle on the stored values, ragged batches, masks and
 * biases, and the same bits on every backend, plan and thread count.
 */
import { describe, expect, it } from 'vitest';
import { attention, attentionPartial, decodeAttention, KVCache, type DecodeOptions } from '../../lib/attention.js';
import { viewOf } from '../../lib/attention/kv-cache.js';
import { shapeArray } from '../../lib/attention/shape.js';
import type { BackendName, CachedAttentionKernel } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import { choice } from '../../lib/backend/choice.js';
import { setThreads } from '../../lib/index.js';
import { compareRows, numbers, sightOf } from './attention-cases.js';
import type { AttentionCase } from './attention-oracle.js';
import { backends, isNative, sameBitBackends } from '../support/backends.js';
import { generator } from '../support/cases.js';
import { filled, kvTypes, type Filled } from './kv-cases.js';

interface DecodeNumbers {
  causal?: AttentionCase['causal'];
  window?: AttentionCase['window'];
  softcap?: number;
  /** [sequences, heads, queries, keys of the longest sequence] */
  mask?: Uint8Array;
  bias?: Float32Array;
}

function decodeOn(
  name: BackendName,
  q: Float32Array,
  { cache, ids }: Filled,
  heads: number,
  queries: number,
  options: DecodeNumbers & { positionsFirst?: boolean } = {},
) {
  const { kvHeads, headDim, valueDim, pageSize } = cache;
  const { kind, slabs, scales, table, lengths } = viewOf(cache, ids);
  const { causal = true, window, softcap = 0, positionsFirst = false, mask = null, bias = null } = options;
  const keys = Math.max(...lengths);
  const strides = {
    maskBatch: heads * queries * keys,
    maskHead: queries * keys,
    maskQuery: keys,
    biasBatch: heads * queries * keys,
    biasHead: queries * keys,
    biasQuery: keys,
  };
  const shape = shapeArray({
    batch: ids.length,
    heads,
    kvHeads,
    queries,
    headDim,
    valueDim,
    pageSize,
    positionsFirst: positionsFirst ? 1 : 0,
    ...sightOf({ causal, ...(window !== undefined && { window }) }),
    softcap,
    scale: 1 / Math.sqrt(headDim),
    ...strides,
  });
  const out = new Float32Array(ids.length * heads * queries * valueDim);
  const lse = new Float64Array(ids.length * heads * queries);
  const kernel = backendNamed(name)[`attention_cached_${kind}`] as CachedAttentionKernel<unknown>;
  kernel(shape, null, q, slabs, scales, table, lengths, null, null, mask, bias, out, lse, null, null, null);
  return { out, lse };
}

function oracleOf(
  q: Float32Array,
  { cache, ids }: Filled,
  heads: number,
  queries: number,
  { mask, bias, ...options }: DecodeNumbers = {},
) {
  const { kvHeads, headDim, valueDim } = cache;
  const stored = ids.map((id) => cache.read(id));
  const longest = Math.max(...ids.map((id) => cache.length(id)));
  const entry = (b: number, head: number, m: number, n: number) => ((b * heads + head) * queries + m) * longest + n;
  return {
    heads,
    kvHeads,
    queries,
    keys: ids.map((id) => cache.length(id)),
    headDim,
    valueDim,
    causal: true,
    ...options,
    q: (b: number, head: number, m: number, d: number) => q[((b * heads + head) * queries + m) * headDim + d]!,
    k: (b: number, head: number, n: number, d: number) => stored[b]!.k[(n * kvHeads + head) * headDim + d]!,
    v: (b: number, head: number, n: number, d: number) => stored[b]!.v[(n * kvHeads + head) * valueDim + d]!,
    ...(mask ? { sees: (b: number, head: number, m: number, n: number) => mask[entry(b, head, m, n)] !== 0 } : {}),
    ...(bias ? { bias: (b: number, head: number, m: number, n: number) => bias[entry(b, head, m, n)]! } : {}),
  };
}

describe.each(backends)('%s', (name) => {
  describe.each(kvTypes)('%s', (dtype) => {
    it('a ragged batch, against the oracle on the stored numbers', () => {
      const lengths = name === 'scalar' ? [0, 1, 17, 520] : [0, 1, 15, 16, 17, 31, 32, 33, 64, 511, 512, 513, 1100];
      for (const [heads, queries, size, options] of [
        [2, 1, 1, {}],
        [8, 1, dtype === 'int8' ? 5 : 30, {}],
        [6, 3, 1, { window: 20 }],
        [6, 3, 1, { window: [20, 1], causal: false }],
        [6, 3, 1, { causal: 'topLeft' }],
        [18, 1, 8, { softcap: 10 }],
      ] as const) {
        const all = filled(dtype, lengths, { size });
        const q = numbers(lengths.length * heads * queries * 12, heads);
        compareRows(
          oracleOf(q, all, heads, queries, options),
          decodeOn(name, q, all, heads, queries, options),
          `${heads} heads, ${queries} queries, size ${size}`,
        );
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
        compareRows(
          oracleOf(q, all, heads, queries, options),
          decodeOn(name, q, all, heads, queries, options),
          Object.keys(options).join(', '),
        );
      }
    });

    it('dimensions that fill no vector', () => {
      for (const [headDim, valueDim] of [
        [1, 1],
        [7, 33],
        [128, 128],
        [256, 16],
      ] as const) {
        const all = filled(dtype, [3, 70], { headDim, valueDim, pageSize: 16 });
        const q = numbers(2 * 4 * headDim, 5);
        compareRows(oracleOf(q, all, 4, 1), decodeOn(name, q, all, 4, 1), `${headDim}, ${valueDim}`);
      }
    });
  });

  it('a NaN matters in keys that are seen, and nowhere else', () => {
    for (const dtype of kvTypes) {
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
    for (const dtype of kvTypes) {
      const all = filled(dtype, [5, 700, 33]);
      const q = numbers(3 * 8 * 2 * 12, 4, 20);
      const [first, ...others] = sameBitBackends.map((name) => decodeOn(name, q, all, 8, 2));
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

  it('over a cache and over arrays, with pages of any size', () => {
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
      const alone = decodeAttention(q.slice(b * heads * 12, (b + 1) * heads * 12), all.cache, id, {
        mask: of(mask, b) as Uint8Array,
        bias: of(bias, b) as Float32Array,
        lse: true,
      });
      expect(alone).toEqual({
        out: together.out.slice(b * heads * 20, (b + 1) * heads * 20),
        lse: together.lse.slice(b * heads, (b + 1) * heads),
      });
    });
  });

  it('are the masks of attention and of a partial result', () => {
    const { k, v } = all.cache.read(all.ids[2]!);
    const [query, options] = [
      q.slice(0, heads * 12),
      { mask: of(mask, 2) as Uint8Array, bias: of(bias, 2) as Float32Array },
    ];
    const out = decodeAttention(query, all.cache, all.ids[2]!, options);
    if (isNative(choice().name))
      expect(out).toEqual(attention(query, k, v, { heads, kvHeads: 2, headDim: 12, layout: 'bshd', ...options }));
    const partial = attentionPartial(query, all.cache, all.ids[2]!, options).finish();
    partial.forEach((x, i) => expect(Math.abs(x - out[i]!)).toBeLessThan(1e-6));
  });

  it('of a length that fits no layout, or two, are errors', () => {
    expect(() => decodeAttention(q, all.cache, all.ids, { mask: new Uint8Array(599) })).toThrow(
      /^Expected elements for .* with batch = 3, heads = 4, queries = 1, keys = 600 for mask but received 599$/,
    );
    const two = numbers(2 * 2 * 12, 1);
    expect(() => decodeAttention(two, all.cache, all.ids.slice(0, 2), { bias: new Float32Array(2 * 40) })).toThrow(
      /have the same length/,
    );
    expect(() => decodeAttention(q, all.cache, all.ids, { mask: [1] as never })).toThrow(
      /^Expected a Uint8Array for mask/,
    );
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
    const bad =
      (options: object, sequences: unknown = all.ids, x: unknown = q, cache: unknown = all.cache) =>
      () =>
        decodeAttention(x as Float32Array, cache as KVCache, sequences as number[], options as DecodeOptions);
    expect(bad({ masks: 1 })).toThrow(/only queries, heads, .* for options but received 'masks'/);
    expect(bad({}, all.ids, q, {})).toThrow(/a KVCache for cache/);
    expect(bad({}, [])).toThrow(/one sequence at least for sequences/);
    expect(bad({}, 'all')).toThrow(TypeError);
    expect(bad({ heads: 3 })).toThrow(
      /heads · sequences · queries · headDim = 3 · 2 · 1 · 12 = 72 elements for q but received 96/,
    );
    expect(bad({}, [all.ids[0]], q.subarray(0, 36))).toThrow(
      /a multiple of the cache's kvHeads = 2 for heads but received 3/,
    );
    expect(bad({}, all.ids, q.subarray(1))).toThrow(/for q but received 95/);
    expect(bad({ out: q })).toThrow(/for out/);
    expect(bad({ window: 0 })).toThrow(RangeError);
  });
});
