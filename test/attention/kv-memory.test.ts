/**
 * KVCache: append stores all tokens or none, however many; dispose gives memory back; read() as float64 gives the
 * numbers that decoding uses.
 */
import { existsSync } from 'node:fs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { KVCache, type KVType } from '../../lib/attention.js';
import { viewOf } from '../../lib/attention/kv-cache.js';
import { bfloat16, float16 } from '../../lib/math/half.js';
import { numbers } from './attention-cases.js';
import { backends, nativeBackends } from '../support/backends.js';
import { root } from '../support/emulated.js';
import { run } from '../support/run.js';
import { forceBackend } from '../support/force-backend.js';

type Attention = typeof import('../../lib/attention.js');
type Promises = typeof import('../../lib/promises.js');

/** WebAssembly.Memory, whose type Node's types lack. */
const { Memory } = (globalThis as unknown as { WebAssembly: { Memory: { prototype: { grow(): number } } } })
  .WebAssembly;

describe.each(backends)('%s', (name) => {
  let sync: Attention;
  let later: Promises;
  forceBackend(name, async () => {
    sync = await import('../../lib/attention.js');
    later = await import('../../lib/promises.js');
  });
  afterEach(() => vi.unstubAllGlobals());

  it('appends 2.4 million tokens in pages of 16, and truncates and forks them', () => {
    const cache = new sync.KVCache({ kvHeads: 1, headDim: 1, dtype: 'int8', pageSize: 16 });
    const id = cache.create();
    const k = Float32Array.from({ length: 2_400_000 }, (_, i) => i % 100);
    expect(cache.append(id, k, k)).toBe(2_400_000);
    expect(cache.bytes).toBe(150_000 * cache.pageBytes);
    const fork = cache.fork(id);
    cache.truncate(id, 5);
    cache.free(id);
    expect(cache.read(fork, 2_399_990, 2_400_000).k).toEqual(k.slice(-10));
    cache.free(fork);
    expect(cache.bytes).toBe(0);
  });

  it('an append that fails, wherever, leaves the cache as it was', () => {
    const cache = new sync.KVCache({ kvHeads: 1, headDim: 64, dtype: 'int8', pageSize: 16 });
    const [a, k] = [cache.create(), numbers(64 * 20, 1)];
    cache.append(a, k, k);
    const b = cache.fork(a);
    const [before, bytes, q] = [cache.read(a), cache.bytes, numbers(64, 2)];
    const wanted = sync.decodeAttention(q, cache, a);
    const many = new Float32Array(64 * 200_000);
    const message = expect.stringMatching(/^Expected \d+ bytes of memory for append but received none$/);
    const error = expect.objectContaining({ code: 'ERR_MEMORY_ALLOCATION_FAILED', message });
    for (const calls of [0, 1]) {
      // the slab of numbers, and the slab of scales
      let left = calls;
      const Real = SharedArrayBuffer;
      const growing = vi.spyOn(Memory.prototype, 'grow').mockImplementation(() => {
        throw new RangeError('WebAssembly.Memory.grow(): Unable to grow instance memory');
      });
      vi.stubGlobal('SharedArrayBuffer', function (n: number) {
        if (n > 1.5e6 && left-- <= 0) throw new RangeError('Array buffer allocation failed');
        return new Real(n);
      });
      for (const id of [a, b]) {
        left = calls;
        expect(() => cache.append(id, many, many)).toThrow(error);
      }
      vi.unstubAllGlobals();
      growing.mockRestore();
    }
    expect([cache.bytes, cache.length(a), cache.length(b)]).toEqual([bytes, 20, 20]);
    expect([cache.read(a), cache.read(b), sync.decodeAttention(q, cache, a)]).toEqual([before, before, wanted]);
    cache.append(b, k, k);
    expect(cache.read(a)).toEqual(before);
    for (const id of [a, b]) cache.free(id);
    expect(cache.bytes).toBe(0);
  });

  it('takes less memory than it would like to, where the system has no more', () => {
    const cache = new sync.KVCache({ kvHeads: 1, headDim: 64 });
    const [id, k] = [cache.create(), numbers(64 * 10_000, 1)];
    cache.append(id, k, k);
    vi.stubGlobal(
      'SharedArrayBuffer',
      class extends SharedArrayBuffer {
        constructor(n: number) {
          if (n > 2e6) throw new RangeError('Array buffer allocation failed');
          super(n);
        }
      },
    );
    expect(cache.append(id, k.subarray(0, 6400), k.subarray(0, 6400))).toBe(10_100);
    expect(cache.read(id, 10_000).k).toEqual(k.slice(0, 6400));
  });

  it('a job on a cache that is disposed of ends as usual, and then the memory goes', async () => {
    const cache = new sync.KVCache({ kvHeads: 2, headDim: 16 });
    const ids = [cache.create(), cache.create()];
    for (const [i, id] of ids.entries()) cache.append(id, numbers(3000 * 32, i), numbers(3000 * 32, i + 2));
    const q = numbers(2 * 4 * 16, 7);
    const wanted = [sync.decodeAttention(q, cache, ids, { lse: true }), sync.attentionPartial(q, cache, ids)];
    const jobs = [later.decodeAttention(q, cache, ids, { lse: true }), later.attentionPartial(q, cache, ids)];
    cache.dispose();
    cache.dispose();
    expect(cache.bytes).toBe(0);
    expect(await Promise.all(jobs)).toEqual(wanted);
  });
});

describe('dispose', () => {
  it('ends every method, and leaves the sizes readable', () => {
    const cache = new KVCache({ kvHeads: 2, headDim: 4 });
    const id = cache.create();
    cache.append(id, numbers(8, 1), numbers(8, 2));
    (cache as unknown as Record<symbol, () => void>)[Symbol.dispose ?? Symbol.for('Symbol.dispose')]!();
    expect([cache.kvHeads, cache.headDim, cache.bytes]).toEqual([2, 4, 0]);
    const calls = [
      () => cache.create(),
      () => cache.length(id),
      () => cache.fork(id),
      () => cache.append(id, numbers(8, 1), numbers(8, 2)),
      () => cache.truncate(id, 0),
      () => cache.free(id),
      () => cache.read(id),
      () => viewOf(cache, [id]),
    ];
    const message = expect.stringMatching(/a cache that is open/);
    const error = expect.objectContaining({ name: 'RangeError', code: 'ERR_INVALID_ARG_VALUE', message });
    for (const call of calls) expect(call).toThrow(error);
    expect(cache.dispose()).toBeUndefined();
  });

  it('calls an overridden dispose from [Symbol.dispose]', () => {
    const disposed = vi.fn();
    class Sub extends KVCache {
      override dispose(): void {
        disposed();
      }
    }
    new Sub({ kvHeads: 1, headDim: 1 })[Symbol.dispose]();
    expect(disposed).toHaveBeenCalledOnce();
  });

  // Memory is counted for a whole process, so the test has its own. No garbage is collected: the references stay.
  const script = `
    import { KVCache, decodeAttention } from ${JSON.stringify(new URL('../../dist/attention.js', import.meta.url))};
    import * as later from ${JSON.stringify(new URL('../../dist/promises.js', import.meta.url))};
    const rss = () => Math.round(process.memoryUsage().rss / 2 ** 20);
    const k = new Float32Array(64 * 4096).fill(1), q = new Float32Array(64), kept = [], figures = [];
    decodeAttention(q, kept[0] = new KVCache({ kvHeads: 1, headDim: 64 }), kept[0].create());
    const start = rss();
    for (let i = 0; i < 4; i++) {
      const cache = new KVCache({ kvHeads: 1, headDim: 64 }), id = cache.create();
      for (let j = 0; j < 100; j++) cache.append(id, k, k);
      kept.push(cache);
      const full = rss() - start, job = later.decodeAttention(q, cache, id);
      cache.dispose();
      await job;
      globalThis.gc?.();
      figures.push([full, rss() - start]);
    }
    console.log(JSON.stringify(figures));`;

  it.each([
    ['at once', []],
    ['with --expose-gc', ['--expose-gc']],
  ])('gives 200 MB back, %s', async (_, flags) => {
    expect(existsSync(new URL('../../dist/promises.js', import.meta.url)), 'dist/ is there (npm run compile)').toBe(
      true,
    );
    for (const backend of [backends[0]!, 'js']) {
      const options = { cwd: root, env: { FLASH_SOFTMAX_BACKEND: backend } };
      const text = await run(process.execPath, [...flags, '--input-type=module', '--eval', script], options);
      if (backends.length === 1) return; // without the addon, the garbage collector frees the memory
      for (const [full, left] of JSON.parse(text) as [number, number][]) {
        expect(full).toBeGreaterThan(190);
        expect(left, text).toBeLessThan(80);
      }
    }
  });
});

describe('read as float64', () => {
  const values = Float32Array.from([...numbers(62, 5), 1e-40, 3e38]);
  const stored: Record<KVType, (x: number, most: number) => number> = {
    float32: (x) => x,
    float16: (x) => float16.toFloat(float16.toBits(x)),
    bfloat16: (x) => bfloat16.toFloat(bfloat16.toBits(x)),
    int8: (x, most) => {
      const scale = Math.fround(most / 127);
      const bits = Math.fround(Math.fround(Math.fround(x * Math.fround(1 / scale)) + 1.5 * 2 ** 23) - 1.5 * 2 ** 23);
      return bits * scale; // exact: 8 bits times 24 bits
    },
  };
  it.each(Object.keys(stored) as KVType[])('%s: exact, and float32 is that rounded once', (dtype) => {
    const cache = new KVCache({ kvHeads: 1, headDim: 64, dtype, pageSize: 16 });
    const id = cache.create();
    const tokens = [values, values.map((x) => (Math.abs(x) > 1e30 ? 0 : x)), numbers(64, 9, 300)];
    for (const token of tokens) cache.append(id, token, token);
    const largest = (token: Float32Array) => token.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    const wanted = tokens.flatMap((token) => Array.from(token, (x) => stored[dtype](x, largest(token))));
    const exact = cache.read(id, undefined, undefined, { dtype: 'float64' });
    expect([...exact.k]).toEqual(wanted.map((x) => x + 0));
    expect(exact.v).toEqual(exact.k);
    expect(cache.read(id).k).toEqual(Float32Array.from(exact.k));
    if (dtype === 'int8') expect(cache.read(id, 2, 3).k).not.toEqual(exact.k.slice(128));
    expect(cache.read(id, 1, 2, { dtype: 'float64' }).k).toEqual(exact.k.slice(64, 128));
    expect(() => cache.read(id, 0, 1, { dtype: 'float16' as never })).toThrow(RangeError);
    expect(() => cache.read(id, 0, 1, { dtypes: 1 } as never)).toThrow(TypeError);
  });

  // V8 does not count shared memory by itself: 9 GB were taken before it collected.
  it.skipIf(nativeBackends.length === 0)('is collected where thousands are made and dropped', async () => {
    const program = `
      import { KVCache } from ${JSON.stringify(new URL('../../dist/attention.js', import.meta.url))};
      const token = new Float32Array(2);
      for (let i = 0; i < 5000; i++) {
        const cache = new KVCache({ kvHeads: 1, headDim: 2 });
        cache.append(cache.create(), token, token);
      }
      console.log(process.resourceUsage().maxRSS / 1024);`;
    const megabytes = Number(await run(process.execPath, ['--input-type=module', '--eval', program], { cwd: root }));
    expect(megabytes).toBeLessThan(500);
  });
});
