/** KVCache: stored numbers, pages and forks. A call that throws has changed nothing. */
import { describe, expect, it } from 'vitest';
import { decodeAttention, KVCache, type KVType } from '../../lib/attention.js';
import { viewOf } from '../../lib/attention/kv-cache.js';
import { shapeArray } from '../../lib/attention/shape.js';
import type { AppendKernel, BackendName } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import { numbers } from './attention-cases.js';
import { backends } from '../support/backends.js';
import { generator } from '../support/cases.js';
import { kvTypes } from './kv-cases.js';

describe.each(backends)('%s', (name) => {
  it('stores the same bits as all others', () => {
    const [k, v] = [numbers(50 * 2 * 9, 1, 3), numbers(50 * 2 * 5, 2, 1e-3)];
    ((k[3] = 1e6), (k[40] = NaN), (k[100] = Infinity), (v[7] = -1e-42), k.fill(0, 180, 198));
    for (const dtype of kvTypes) {
      const cache = new KVCache({ kvHeads: 2, headDim: 9, valueDim: 5, dtype, pageSize: 16 });
      const id = cache.create();
      cache.append(id, new Float32Array(50 * 18), new Float32Array(50 * 10));
      const { kind, slabs, scales, table } = viewOf(cache, [id]);
      const store = (backend: BackendName) => {
        const kernel = backendNamed(backend)[`kv_append_${kind}`] as AppendKernel<unknown>;
        kernel(
          shapeArray({ kvHeads: 2, keys: 50, headDim: 9, valueDim: 5, pageSize: 16, positionsFirst: 1 }),
          k,
          v,
          slabs,
          scales,
          table,
          0,
        );
        return [...slabs, ...scales].map((each) => Buffer.from(each.buffer as ArrayBuffer).toString('base64'));
      };
      const own = store(name);
      // A JavaScript number may lose the sign bit of a float32 NaN.
      if (dtype !== 'float32')
        expect(
          own.every((each, i) => each === store('js')[i]),
          dtype,
        ).toBe(true);
      expect(cache.read(id).v.slice(10)).toEqual(dtype === 'float32' ? v.slice(10) : expect.anything());
    }
  });
});

describe('KVCache', () => {
  const token = (seed: number, n = 1): [Float32Array, Float32Array] => [
    numbers(n * 2 * 4, seed),
    numbers(n * 2 * 3, seed + 1),
  ];
  const make = (more: object = {}) => new KVCache({ kvHeads: 2, headDim: 4, valueDim: 3, pageSize: 16, ...more });

  it('gives back the appended numbers, in both layouts', () => {
    const cache = make();
    const id = cache.create();
    const [k, v] = token(1, 37);
    expect(cache.append(id, k.subarray(0, 8), v.subarray(0, 6))).toBe(1);
    cache.append(id, k.subarray(8), v.subarray(6));
    expect(cache.length(id)).toBe(37);
    expect(cache.read(id)).toEqual({ k, v });
    expect(cache.read(id, 5, 6)).toEqual({ k: k.slice(40, 48), v: v.slice(30, 36) });
    const turned = (x: Float32Array, dim: number) =>
      Float32Array.from(
        { length: x.length },
        (_, i) => x[(Math.floor(i / dim) % 37) * 2 * dim + Math.floor(i / (37 * dim)) * dim + (i % dim)]!,
      );
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
    cache.append(b, ...token(7, 3)); // into the second page, which all three sequences share
    expect(cache.bytes).toBe(3 * page);
    expect([cache.length(a), cache.length(b), cache.length(c)]).toEqual([20, 23, 20]);
    expect(cache.read(a)).toEqual(before);
    expect(cache.read(c)).toEqual(before);
    expect(cache.read(b, 0, 20)).toEqual(before);
    cache.append(a, ...token(9, 1));
    expect(cache.bytes).toBe(4 * page);
    cache.append(c, ...token(11, 1)); // the last owner writes the page in place
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

  it('behaves like a list of tokens through random steps', () => {
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
        } else if (action === 3) (cache.free(id), model.delete(id));
        else {
          const seeds = Array.from({ length: random() % 30 }, () => (seed += 2));
          const tokens = seeds.map((s) => token(s));
          const [k, v] = [0, 1].map((i) => Float32Array.from(tokens.flatMap((t) => [...t[i]!]))) as [
            Float32Array,
            Float32Array,
          ];
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

  it('throws when it is full, and loses nothing', () => {
    const cache = make({ maxBytes: 3 * make().pageBytes + 1 });
    const [a, b] = [cache.create(), cache.create()];
    cache.append(a, ...token(1, 30));
    const before = cache.read(a);
    expect(() => cache.append(b, ...token(2, 17))).toThrow(
      /at most 1 more pages of \d+ bytes, as maxBytes is \d+, for append but received 2/,
    );
    expect(cache.length(b)).toBe(0);
    cache.append(b, ...token(2, 16));
    const fork = cache.fork(a);
    expect(() => cache.append(fork, ...token(2))).toThrow(RangeError); // needs a copy of its last page
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
    expect(viewOf(cache, ids).slabs.length).toBeGreaterThan(1);
    for (const id of ids) expect(cache.read(id, 2800, 3500).v).toEqual(k);
  });

  it('refuses unknown options and bad values', () => {
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
      (s: number) => cache.length(s),
      (s: number) => cache.append(s, ...token(1)),
      (s: number) => cache.fork(s),
      (s: number) => cache.truncate(s, 0),
      (s: number) => cache.free(s),
      (s: number) => cache.read(s),
      (s: number) => decodeAttention(new Float32Array(8), cache, [s]),
    ]) {
      range(() => call(freed), /a sequence of this cache for sequence but received 1, which was freed/);
      range(() => call(7), /7, which is unknown/);
      type(() => call('0' as never), /for sequence/);
    }
    range(
      () => cache.append(id, new Float32Array(9), new Float32Array(6)),
      /a multiple of kvHeads · headDim = 2 · 4 elements for k but received 9/,
    );
    range(
      () => cache.append(id, new Float32Array(8), new Float32Array(7)),
      /tokens · kvHeads · valueDim = 1 · 2 · 3 elements for v but received 7/,
    );
    type(() => cache.append(id, new Float64Array(8) as never, new Float32Array(6)), /a Float32Array for k/);
    range(() => cache.append(id, ...token(1), { layout: 'bhsd' as never }), /for layout/);
    range(() => cache.truncate(id, 4), /an integer from 0 to 3 for length but received 4/);
    range(() => cache.read(id, 2, 9), /for from and to/);
    expect(cache.length(id)).toBe(3);
  });
});
