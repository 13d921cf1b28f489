/**
 * Caches and attention with arrays, options and objects that lie: overridden lengths, getters that detach, forged
 * views, caches of another copy of the package. Each call gives an error with a code or the right result, on every
 * backend.
 */
import { describe, expect, it, vi } from 'vitest';
import { numbers } from './attention-cases.js';
import { backends } from '../support/backends.js';
import { kvTypes } from './kv-cases.js';
import { forceBackend } from '../support/force-backend.js';

type Attention = typeof import('../../lib/attention.js');

const VIEW = Symbol.for('flash-softmax.KVCache.view.1');
const detach = (x: ArrayBufferView): void => void structuredClone(x.buffer, { transfer: [x.buffer as ArrayBuffer] });
/** A plain array. Reading its first element runs `body` first. */
function trap(body: () => void, value: number): number[] {
  const get = () => (body(), value);
  return Object.defineProperty([0], 0, { get });
}
class Lying extends Float32Array {
  override get length(): number {
    return 64 << 16;
  }
}

describe.each(backends)('%s', (name) => {
  let api: Attention;
  forceBackend(name, async () => {
    api = await import('../../lib/attention.js');
  });

  const filledCache = (headDim = 64) => {
    const cache = new api.KVCache({ kvHeads: 1, headDim });
    const id = cache.create();
    cache.append(id, numbers(headDim, 1), numbers(headDim, 2));
    return { cache, id };
  };
  const typeError = (body: () => unknown, message: RegExp) => {
    const text = expect.stringMatching(message) as string;
    const error = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE', message: text };
    expect(body).toThrow(expect.objectContaining(error));
  };

  it('sizes of a cache are private: they cannot be set, nor overridden', () => {
    const { cache, id } = filledCache();
    const q = numbers(64, 3);
    const wanted = api.decodeAttention(q, cache, id);
    for (const field of ['kvHeads', 'headDim', 'valueDim', 'dtype', 'pageSize', 'maxBytes', 'pageBytes', 'bytes']) {
      expect(() => ((cache as unknown as Record<string, unknown>)[field] = 1 << 22), field).toThrow(TypeError);
      Object.defineProperty(cache, field, { value: 1 << 22 });
    }
    expect(api.decodeAttention(q, cache, id)).toEqual(wanted);
    expect(cache.append(id, numbers(64, 4), numbers(64, 5))).toBe(2);
    expect('view' in cache || 'kind' in cache).toBe(false);
  });

  it('a subclass and its overrides see nothing of the memory', () => {
    class Sub extends api.KVCache {
      view = () => expect.fail('nobody asks');
      override length(): number {
        return 1 << 20;
      }
      override fork(): number {
        return 99;
      }
    }
    Object.defineProperty(Sub.prototype, VIEW, { value: () => expect.fail('nobody asks') });
    const cache = new Sub({ kvHeads: 1, headDim: 4 });
    const id = cache.create();
    cache.append(id, numbers(4, 1), numbers(4, 2));
    const wanted = numbers(4, 2);
    api.decodeAttention(numbers(4, 3), cache, id).forEach((x, d) => expect(x).toBeCloseTo(wanted[d]!, 6));
    expect(cache.read(id).k.length).toBe(4);
  });

  it('append takes true lengths', () => {
    const { cache, id } = filledCache();
    expect(cache.append(id, new Lying(64), new Lying(64))).toBe(2);
    expect(() => cache.append(id, new Lying(63), new Lying(64))).toThrow(/for k but received 63/);
    const own = Object.defineProperty(new Float32Array(64), 'length', { value: 64e6 });
    expect(cache.append(id, own, own)).toBe(3);
    const shared = new Float32Array(new SharedArrayBuffer(256));
    expect(cache.append(id, shared, shared)).toBe(4);
  });

  it('append reads options first, and refuses detached arrays', () => {
    const { cache, id } = filledCache();
    const [k, v] = [new Float32Array(6400), new Float32Array(6400)];
    const options = Object.defineProperty({}, 'layout', { enumerable: true, get: () => (detach(k), 'shd') });
    typeError(() => cache.append(id, k, v, options), /a Float32Array that is not detached for k/);
    typeError(() => cache.append(id, new Float32Array(64), k), /a Float32Array that is not detached for v/);
    type Resizable = ArrayBuffer & { resize(n: number): void };
    const buffer = Reflect.construct(ArrayBuffer, [512, { maxByteLength: 512 }]) as Resizable;
    const behind = new Float32Array(buffer, 256, 64);
    buffer.resize(256);
    typeError(() => cache.append(id, behind, v), /not detached for k/);
    expect(cache.length(id)).toBe(1);
  });

  it('attention refuses detached arrays, whichever getter detached them', () => {
    const sizes = { heads: 1, headDim: 8 };
    const make = () => [numbers(8, 1), numbers(80, 2), numbers(80, 3)] as const;
    for (const option of ['layout', 'scale', 'mask', 'bias', 'alibi', 'lse', 'out', 'sinks', 'valueDim', 'keys']) {
      for (const which of [0, 1, 2]) {
        const arrays = make();
        const get = () => detach(arrays[which]!);
        const options = Object.defineProperty({ ...sizes }, option, { enumerable: true, get });
        typeError(() => api.attention(...arrays, options), new RegExp(`not detached for ${'qkv'[which]}`));
      }
    }
    const [q, k, v] = make();
    const gone = <A extends ArrayBufferView>(x: A): A => (detach(x), x);
    const bad = (options: object, message: RegExp) => {
      typeError(() => api.attention(q, k, v, { ...sizes, ...options }), message);
    };
    bad({ mask: gone(new Uint8Array(10)) }, /a Uint8Array that is not detached for mask/);
    bad({ bias: gone(new Float32Array(10)) }, /not detached for bias/);
    bad({ alibi: gone(new Float32Array(1)) }, /not detached for alibi/);
    bad({ sinks: gone(new Float32Array(1)) }, /not detached for sinks/);
    bad({ out: gone(new Float32Array(8)) }, /not detached for out/);
    bad({ lse: gone(new Float64Array(1)) }, /a Float64Array that is not detached for lse/);
  });

  it('attention takes true lengths, offsets and buffers', () => {
    const sizes = { heads: 1, headDim: 64 };
    const [q, k, v] = [numbers(64, 1), numbers(128, 2), numbers(128, 3)];
    const wanted = api.attention(q, k, v, sizes);
    expect(api.attention(q, new Lying(k), new Lying(v), sizes)).toEqual(wanted);
    expect(() => api.attention(q, k, v, { ...sizes, out: new Lying(3) })).toThrow(RangeError);
    for (const field of ['byteOffset', 'buffer', 'byteLength']) {
      const value = field === 'buffer' ? new ArrayBuffer(8) : 1e6;
      const out = Object.defineProperty(v.subarray(0, 64), field, { value });
      expect(() => api.attention(q, k, v, { ...sizes, out }), field).toThrow(/memory apart from v for out/);
    }
  });

  it('attentionPartial copies elements of keyOffset, totalKeys, range and sequences first', () => {
    const make = () => [numbers(64, 1), numbers(640, 2), numbers(640, 3)] as const;
    const options = { heads: 1, headDim: 64 };
    for (const of of [(t: number[]) => ({ keyOffset: t }), (t: number[]) => ({ totalKeys: t })]) {
      const arrays = make();
      const part = { ...options, ...of(trap(() => detach(arrays[1]), 20)) };
      typeError(() => api.attentionPartial(...arrays, part), /not detached for k/);
    }
    const arrays = make();
    const range = trap(() => detach(arrays[2]), -1);
    range.push(1);
    const part = { ...options, unifiedMax: 0, range: range as never };
    typeError(() => api.attentionPartial(...arrays, part), /not detached for v/);
    const { cache, id } = filledCache();
    const q = numbers(64, 4);
    typeError(
      () =>
        api.decodeAttention(
          q,
          cache,
          trap(() => detach(q), id),
        ),
      /not detached for q/,
    );
    let reads = 0;
    const ids = trap(() => reads++, id);
    expect(api.decodeAttention(numbers(64, 4), cache, ids)).toEqual(api.decodeAttention(numbers(64, 4), cache, id));
    expect(reads).toBe(1);
  });

  it('decodes 200,000 sequences', () => {
    const cache = new api.KVCache({ kvHeads: 1, headDim: 1, pageSize: 16 });
    const id = cache.create();
    cache.append(id, Float32Array.of(1), Float32Array.of(7));
    const ids = Array.from({ length: 200_000 }, () => cache.fork(id));
    const out = api.decodeAttention(new Float32Array(200_000), cache, ids);
    expect(out.every((x) => x === 7)).toBe(true);
    const keyOffset = new Array<number>(200_000).fill(3);
    const state = api.attentionPartial(new Float32Array(200_000), cache, ids, { keyOffset });
    expect(state.mantissa.length).toBe(200_000);
  });

  it('a cache of another copy of the package is a cache', async () => {
    const { cache, id } = filledCache(8);
    vi.resetModules();
    const otherCopy = await import('../../lib/attention.js');
    expect(otherCopy.KVCache).not.toBe(api.KVCache);
    const q = numbers(16, 3);
    const wanted = api.decodeAttention(q, cache, id, { lse: true });
    expect(otherCopy.decodeAttention(q, cache, id, { lse: true })).toEqual(wanted);
    expect(otherCopy.attentionPartial(q, cache, [id])).toEqual(api.attentionPartial(q, cache, [id]));
    const { decodeAttention } = await import('../../lib/attention/promises.js');
    const job = decodeAttention(q, cache as never, id);
    cache.dispose();
    expect((await job).length).toBe(16);
    expect(() => otherCopy.decodeAttention(q, cache, id)).toThrow(/a cache that is open/);
  });

  it('a forged view is checked like an argument', () => {
    for (const dtype of kvTypes) {
      const cache = new api.KVCache({ kvHeads: 2, headDim: 4, dtype, pageSize: 16 });
      const id = cache.create();
      cache.append(id, numbers(2 * 4 * 20, 1), numbers(2 * 4 * 20, 2));
      const q = numbers(8, 3);
      const real = (cache as unknown as Record<symbol, (ids: number[]) => Record<string, unknown>>)[VIEW]!([id]);
      const use = (change: object) => api.decodeAttention(q, { [VIEW]: () => ({ ...real, ...change }) } as never, id);
      expect(use({})).toEqual(api.decodeAttention(q, cache, id));
      const slab = (real.slabs as Float32Array[])[0]!;
      const changes: Record<string, unknown[]> = {
        kind: [undefined, 'f64', 'toString', dtype === 'float32' ? 'f16' : 'f32'],
        kvHeads: [0, 1e6, '2', 2 ** 52],
        headDim: [5000, -1, NaN],
        valueDim: [2 ** 40, 0.5],
        pageSize: [8, 1 << 20, 0],
        slabs: [null, [], [new Float32Array(1e5)], [slab.slice()], [slab.subarray(0, 16)], new Array(65).fill(slab)],
        scales: [null, [new Float32Array(3)], dtype === 'int8' ? [] : [real.scales]],
        table: [[0, 1], new Uint32Array(1), new Uint32Array(3), Uint32Array.of(0, 2 ** 26 - 1), Uint32Array.of(9)],
        lengths: [[20], Int32Array.of(-1), Int32Array.of(2 ** 30), Int32Array.of(20, 20), new Int32Array(0)],
        hold: [undefined, 3],
      };
      for (const [field, values] of Object.entries(changes)) {
        for (const value of values) {
          const error = expect.objectContaining({ code: expect.stringMatching(/^ERR_/) });
          expect(() => use({ [field]: value }), `${field} ${String(value)}`).toThrow(error);
        }
      }
      for (const [field, list] of Object.entries({ table: new Uint32Array(2), lengths: new Int32Array(1) })) {
        detach(list);
        typeError(() => use({ [field]: list }), new RegExp(`its memory for ${field} of the cache`));
      }
      for (const none of [{ [VIEW]: () => 3 }, { [VIEW]: 3 }, {}, null, 'x']) {
        typeError(() => api.decodeAttention(q, none as never, id), /a KVCache for cache/);
      }
    }
  });
});
