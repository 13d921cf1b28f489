/** KVCache: eviction by window and sinks, forks of a prefix, and the wire form, against plain lists of tokens. */
import { describe, expect, it } from 'vitest';
import { KVCache, type KVType } from '../../lib/attention.js';
import { numbers } from './attention-cases.js';
import { backends } from '../support/backends.js';
import { generator } from '../support/cases.js';
import { forceBackend } from '../support/force-backend.js';
import { kvTypes } from './kv-cases.js';

type Attention = typeof import('../../lib/attention.js');

const [kvHeads, headDim, valueDim] = [2, 5, 3];
const [keySize, valueSize] = [kvHeads * headDim, kvHeads * valueDim];

/** The numbers of tokens, each made from a seed of its own. */
function tokensOf(seeds: readonly number[]) {
  const all = seeds.map((seed) => [numbers(keySize, seed), numbers(valueSize, seed + 1)] as const);
  const [k, v] = [new Float32Array(seeds.length * keySize), new Float32Array(seeds.length * valueSize)];
  all.forEach(([key, value], i) => (k.set(key, i * keySize), v.set(value, i * valueSize)));
  return { k, v };
}

describe.each(backends)('%s', (name) => {
  let api: Attention;
  forceBackend(name, async () => {
    api = await import('../../lib/attention.js');
  });
  const make = (dtype: KVType, more: object = {}) =>
    new api.KVCache({ kvHeads, headDim, valueDim, dtype, pageSize: 16, ...more });

  it.each(kvTypes)('behaves like lists of tokens through 400 random steps: %s', (dtype) => {
    const random = generator(17 + dtype.length);
    const pageBytes = make(dtype).pageBytes;
    const cache = make(dtype, { maxBytes: 40 * pageBytes });
    const other = make(dtype, { pageSize: 48 });
    const model = new Map<number, number[]>();
    let seed = 0;
    const fresh = (n: number) => Array.from({ length: n }, () => (seed += 2));
    const pick = () => [...model.keys()][random() % model.size]!;
    /** Runs a step on the cache; on the model if it did not throw for want of pages. */
    const attempt = (step: () => void, then: () => void) => {
      const before = [cache.bytes, ...[...model.keys()].map((id) => cache.length(id))];
      try {
        step();
      } catch (error) {
        expect(error).toMatchObject({
          code: 'ERR_OUT_OF_RANGE',
          message: expect.stringMatching(/more pages/) as string,
        });
        expect([cache.bytes, ...[...model.keys()].map((id) => cache.length(id))]).toEqual(before);
        return;
      }
      then();
    };
    const steps: (() => void)[] = [
      () => model.set(cache.create(), []),
      () => {
        const id = pick();
        const n = random() % (model.get(id)!.length + 1);
        model.set(cache.fork(id, n), model.get(id)!.slice(0, n));
      },
      () => {
        const id = pick();
        const n = random() % (model.get(id)!.length + 1);
        cache.truncate(id, n);
        model.get(id)!.length = n;
      },
      () => {
        if (model.size < 6) return;
        const id = pick();
        cache.free(id);
        model.delete(id);
      },
      () => {
        const ids = [...model.keys()].filter(() => random() % 2 === 0);
        if (ids.length === 0) return;
        const parts = ids.map(() => fresh(random() % 20));
        const { k, v } = tokensOf(parts.flat());
        attempt(
          () => cache.append(ids, k, v, { lengths: parts.map(({ length }) => length) }),
          () => ids.forEach((id, i) => model.get(id)!.push(...parts[i]!)),
        );
      },
      () => {
        const [id, seeds] = [pick(), fresh(random() % 50)];
        const { k, v } = tokensOf(seeds);
        attempt(
          () => cache.append(id, k, v),
          () => model.get(id)!.push(...seeds),
        );
      },
      ...[false, true].map((exact) => () => {
        const id = pick();
        const own = model.get(id)!;
        const [window, sinks] = [random() % 40, random() % 3 === 0 ? 16 * (random() % 3) : random() % 20];
        let dropped = 0;
        attempt(
          () => (dropped = cache.evict(id, { window, sinks, exact })),
          () => {
            const most = Math.max(0, own.length - window - sinks);
            expect(dropped).toBe(exact ? most : most - (most % 16));
            own.splice(sinks, dropped);
          },
        );
      }),
      () => {
        const id = pick();
        const copy = other.fromBytes(cache.toBytes(id));
        expect(other.toBytes(copy)).toEqual(cache.toBytes(id));
        other.free(copy);
        attempt(
          () => model.set(cache.fromBytes(cache.toBytes(id)), model.get(id)!.slice()),
          () => undefined,
        );
      },
    ];
    for (let step = 0; step < 400; step++) {
      if (model.size === 0) steps[0]!();
      steps[random() % steps.length]!();
      expect(cache.bytes).toBeLessThanOrEqual(cache.maxBytes);
      if (step % 25 !== 24) continue;
      const reference = make(dtype);
      for (const [id, seeds] of model) {
        const { k, v } = tokensOf(seeds);
        const whole = reference.create();
        reference.append(whole, k, v);
        expect(cache.toBytes(id)).toEqual(reference.toBytes(whole));
        const q = numbers(4 * headDim, step);
        expect(api.decodeAttention(q, cache, id)).toEqual(api.decodeAttention(q, reference, whole));
      }
    }
    for (const id of model.keys()) cache.free(id);
    expect([cache.bytes, other.bytes]).toEqual([0, 0]);
  });

  it('evicts from a full cache without a new page, and never writes to pages of others', () => {
    const cache = make('float32', { maxBytes: 8 * make('float32').pageBytes });
    const id = cache.create();
    const seeds = Array.from({ length: 128 }, (_, i) => 2 * i);
    const { k, v } = tokensOf(seeds);
    cache.append(id, k, v);
    expect(cache.evict(id, { window: 60, sinks: 4 })).toBe(64);
    expect(cache.read(id)).toEqual(tokensOf([...seeds.slice(0, 4), ...seeds.slice(68)]));
    expect(cache.bytes).toBe(4 * cache.pageBytes);
    expect(cache.evict(id, { window: 60, sinks: 4 })).toBe(0);
    expect(cache.evict(id, { window: 50, sinks: 4, exact: true })).toBe(10);
    const left = [...seeds.slice(0, 4), ...seeds.slice(78)];
    expect(cache.read(id)).toEqual(tokensOf(left));
    const fork = cache.fork(id, 40); // four pages, and three of them are shared
    cache.append(cache.create(), k.subarray(0, 64 * keySize), v.subarray(0, 64 * valueSize));
    expect(cache.bytes).toBe(8 * cache.pageBytes);
    for (const exact of [true, false]) {
      expect(() => cache.evict(id, { window: 4, sinks: 3, exact })).toThrow(/at most 0 more pages .* for evict/);
    }
    expect([cache.read(id), cache.read(fork)]).toEqual([tokensOf(left), tokensOf(left.slice(0, 40))]);
    expect(cache.evict(id, { window: 3, sinks: 16 })).toBe(32); // whole pages need none
    expect(cache.read(fork)).toEqual(tokensOf(left.slice(0, 40)));
    expect(cache.read(id)).toEqual(tokensOf([...left.slice(0, 16), ...left.slice(48)]));
    expect(cache.evict(fork, { window: 0, exact: true })).toBe(40);
    expect(cache.length(fork)).toBe(0);
  });
});

describe('evict and fork', () => {
  it('refuse bad numbers', () => {
    const cache = new KVCache({ kvHeads, headDim, valueDim });
    const id = cache.create();
    const call = (options: unknown) => () => cache.evict(id, options as never);
    expect(call(undefined)).toThrow(TypeError);
    expect(call({})).toThrow(/an integer from 0 for window but received undefined/);
    expect(call({ window: -1 })).toThrow(RangeError);
    expect(call({ window: 1, sinks: 0.5 })).toThrow(/for sinks but received 0.5/);
    expect(call({ window: 1, exact: 1 })).toThrow(/a boolean for exact/);
    expect(call({ window: 1, sink: 1 })).toThrow(/only window, sinks and exact|only window, sinks, exact/);
    expect(() => cache.evict(9, { window: 1 })).toThrow(/9, which is unknown/);
    expect(() => cache.fork(id, 1)).toThrow(/an integer from 0 to 0 for length but received 1/);
    expect(() => cache.fork(id, '0' as never)).toThrow(TypeError);
  });
});

describe('bytes', () => {
  const filled = (dtype: KVType) => {
    const cache = new KVCache({ kvHeads, headDim, valueDim, dtype, pageSize: 16 });
    const id = cache.create();
    const { k, v } = tokensOf(Array.from({ length: 21 }, (_, i) => i));
    new Uint32Array(k.buffer).set([0x7f800001, 0xffc12345, 0x80000000, 1]); // NaNs with bits, −0, subnormal
    cache.append(id, k, v);
    return { cache, id, bytes: cache.toBytes(id), k, v };
  };

  it('have the documented form, whatever the pages and the place in memory', () => {
    const { cache, id, bytes, k, v } = filled('float32');
    const header = [70, 83, 75, 86, 1, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 3, 0, 0, 0, 21, 0, 0, 0];
    expect([...bytes.subarray(0, 24)]).toEqual(header);
    expect(bytes.subarray(24 + 8, 24 + 4 * k.length)).toEqual(new Uint8Array(k.buffer).subarray(8));
    expect(bytes.subarray(24 + 4 * k.length)).toEqual(new Uint8Array(v.buffer));
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    const { cache: copy, sequence } = KVCache.fromBytes(shifted.subarray(1), { pageSize: 32 });
    expect([copy.pageSize, copy.dtype, copy.length(sequence)]).toEqual([32, 'float32', 21]);
    expect(copy.toBytes(sequence)).toEqual(bytes);
    expect(cache.toBytes(cache.create()).length).toBe(24);
    expect(cache.length(cache.fromBytes(cache.toBytes(cache.fork(id, 0))))).toBe(0);
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
    shared.set(bytes);
    expect(cache.toBytes(cache.fromBytes(shared))).toEqual(bytes);
  });

  it.each(kvTypes)('of %s, untrusted: an error with a code and no page taken, or a sequence', (dtype) => {
    const { cache, bytes } = filled(dtype);
    const random = generator(5);
    const used = cache.bytes;
    const error = expect.objectContaining({ code: expect.stringMatching(/^ERR_/) as string }) as Error;
    let accepted = 0;
    for (let i = 0; i < 1500; i++) {
      const bad = bytes.slice(0, i % 3 === 0 ? random() % (bytes.length + 1) : bytes.length);
      for (let n = random() % 3; n >= 0 && bad.length > 0; n--) {
        bad[random() % (i % 2 ? Math.min(24, bad.length) : bad.length)] = random();
      }
      const call = () => cache.fromBytes(bad);
      let id: number | undefined;
      try {
        id = call();
      } catch (thrown) {
        expect(thrown).toEqual(error);
        expect(thrown).toBeInstanceOf(RangeError);
        expect(() => KVCache.fromBytes(bad, { maxBytes: 2 ** 20 }).cache.dispose()).not.toThrow(/Array buffer/);
      }
      if (id !== undefined) {
        accepted++;
        expect(cache.toBytes(id)).toEqual(bad);
        cache.free(id);
      }
      expect(cache.bytes).toBe(used);
    }
    expect(accepted).toBeGreaterThan(10);
  });

  it('name the field that is wrong', () => {
    const { cache, bytes } = filled('int8');
    const call =
      (at: number, value: number, length = bytes.length) =>
      () => {
        const bad = bytes.slice(0, length);
        bad[at] = value;
        return cache.fromBytes(bad);
      };
    expect(call(0, 71)).toThrow(/'FSKV' at the beginning for bytes but received 'GSKV'/);
    expect(call(4, 2)).toThrow(/version 1 for bytes but received version 2/);
    expect(call(5, 4)).toThrow(/a type from 0 to 3 for dtype of bytes but received 4/);
    expect(call(6, 1)).toThrow(/0 for reserved bytes/);
    expect(call(8, 0)).toThrow(/a size from 1 on for kvHeads of bytes but received 0/);
    expect(call(20, 22)).toThrow(/bytes for 22 tokens, kvHeads 2, headDim 5, valueDim 3 of int8 for bytes/);
    expect(call(23, 255)).toThrow(/fewer than 2\^31 tokens for tokens of bytes/);
    expect(call(0, 70, 23)).toThrow(/24 bytes at least for bytes but received 23/);
    expect(call(35, 255)).toThrow(/a scale from 2\^-120 on for keyScales of bytes/);
    expect(call(24 + 21 * 16, 128)).toThrow(/numbers from −127 to 127 for keys of bytes but received -128/);
    expect(() => filled('float16').cache.fromBytes(bytes)).toThrow(/float16, as the cache has, for dtype of bytes/);
    const wide = new KVCache({ kvHeads, headDim, valueDim: 4, dtype: 'int8' });
    expect(() => wide.fromBytes(bytes)).toThrow(/4, as the cache has, for valueDim of bytes but received 3/);
    const full = new KVCache({ kvHeads, headDim, valueDim, dtype: 'int8', maxBytes: 10 });
    expect(() => full.fromBytes(bytes)).toThrow(/at most 0 more pages .* for fromBytes but received 1/);
    for (const none of [undefined, 'x', new Uint16Array(30), bytes.buffer]) {
      expect(() => cache.fromBytes(none as never)).toThrow(/a Uint8Array for bytes/);
    }
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    expect(() => cache.fromBytes(bytes)).toThrow(/not detached for bytes/);
    expect(() => KVCache.fromBytes(new Uint8Array(24), { kvHeads: 3 } as never)).toThrow(TypeError);
  });
});
