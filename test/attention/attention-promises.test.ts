/** Attention off the event loop: the same results, a cache in use meanwhile, and jobs that are stopped. */
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { numbers } from './attention-cases.js';
import { backends } from '../support/backends.js';
import { forceBackend } from '../support/force-backend.js';

type Attention = typeof import('../../lib/attention.js');
type Promises = typeof import('../../lib/promises.js');

const [heads, kvHeads, headDim] = [4, 2, 16];
const sizes = { heads, kvHeads, headDim };

describe.each(backends)('%s', (name) => {
  let sync: Attention;
  let later: Promises;
  forceBackend(name, async () => {
    expect(existsSync(new URL('../../dist/promises.js', import.meta.url)), 'dist/ is there (npm run compile)').toBe(
      true,
    );
    sync = await import('../../lib/attention.js');
    later = await import('../../lib/promises.js');
  });

  it('gives the results of flash-softmax/attention', async () => {
    for (const keys of [0, 5, 2000]) {
      const [q, k, v] = [
        numbers(heads * 3 * headDim, 1),
        numbers(kvHeads * keys * headDim, 2),
        numbers(kvHeads * keys * headDim, 3),
      ];
      const options = {
        ...sizes,
        valueDim: headDim,
        causal: true,
        sinks: numbers(heads, 4),
        bias: numbers(3 * keys, 5),
        mask: Uint8Array.from(numbers(3 * keys, 6), (x) => Number(x > -1)),
      };
      expect(await later.attention(q, k, v, options)).toEqual(sync.attention(q, k, v, options));
      const [out, lse] = [new Float32Array(heads * 3 * headDim), new Float64Array(heads * 3)];
      const given = await later.attention(q, k, v, { ...options, out, lse });
      expect(given).toEqual(sync.attention(q, k, v, { ...options, lse: true }));
      expect(given.out).toBe(out);
      const part = { ...sizes, valueDim: headDim, keyOffset: 7, totalKeys: keys + 9, alibi: true, unifiedMax: 3 };
      expect(await later.attentionPartial(q, k, v, part)).toEqual(sync.attentionPartial(q, k, v, part));
    }
  });

  it('leaves the cache free for everything', async () => {
    for (const dtype of ['float32', 'bfloat16', 'int8'] as const) {
      const cache = new sync.KVCache({ kvHeads, headDim, dtype });
      const ids = [cache.create(), cache.create()];
      for (const [i, id] of ids.entries()) cache.append(id, numbers((900 + i) * 32, i), numbers((900 + i) * 32, i + 2));
      const q = numbers(2 * heads * headDim, 7);
      const wanted = sync.decodeAttention(q, cache, ids, { lse: true });
      const state = sync.attentionPartial(q, cache, ids);
      const bytes = cache.bytes;
      const jobs = [
        later.decodeAttention(q, cache, ids, { lse: true }),
        later.attentionPartial(q, cache, ids),
      ] as const;
      cache.truncate(ids[0]!, 30);
      cache.append(ids[0]!, new Float32Array(32 * 40).fill(NaN), new Float32Array(32 * 40).fill(NaN));
      cache.free(ids[1]!);
      q.fill(NaN, 0, 0);
      expect(await jobs[0]).toEqual(wanted);
      expect(await jobs[1]).toEqual(state);
      cache.free(ids[0]!);
      expect(cache.bytes).toBe(0);
      expect(bytes).toBeGreaterThan(0);
    }
  });

  it('rejects with what the others throw, and gives the pages back', async () => {
    const cache = new sync.KVCache({ kvHeads, headDim });
    const id = cache.create();
    cache.append(id, numbers(32, 1), numbers(32, 2));
    const q = numbers(heads * headDim, 7);
    await expect(later.decodeAttention(q, cache, 9)).rejects.toThrow(/9, which is unknown/);
    await expect(later.decodeAttention(q, cache, id, { signals: 1 } as never)).rejects.toThrow(
      /only queries, .*signal for options but received 'signals'/,
    );
    await expect(later.attention(q, q, q, { ...sizes, keys: 3 })).rejects.toThrow(RangeError);
    const stop = new AbortController();
    stop.abort(new Error('enough'));
    await expect(later.decodeAttention(q, cache, id, { signal: stop.signal })).rejects.toThrow('enough');
    await expect(
      later.attention(q, q.subarray(0, 32), q.subarray(0, 32), { ...sizes, signal: stop.signal }),
    ).rejects.toThrow('enough');
    cache.free(id);
    expect(cache.bytes).toBe(0);
  });

  it('stops a job that runs', async () => {
    const keys = name === 'js' || name === 'scalar' ? 20_000 : 400_000;
    const cache = new sync.KVCache({ kvHeads, headDim, dtype: 'int8' });
    const id = cache.create();
    cache.append(id, new Float32Array(keys * 32), new Float32Array(keys * 32));
    const stop = new AbortController();
    const job = later.decodeAttention(numbers(heads * 40 * headDim, 7), cache, id, {
      queries: 40,
      signal: stop.signal,
    });
    setTimeout(() => stop.abort(new Error('enough')), 5);
    await expect(job).rejects.toThrow('enough');
    cache.free(id);
    expect(cache.bytes).toBe(0);
  });
});
