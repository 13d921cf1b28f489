/** Filled caches for tests. */
import { KVCache, type KVType } from '../../lib/attention.js';
import { numbers } from './attention-cases.js';
import { generator } from '../support/cases.js';

export const kvTypes: readonly KVType[] = ['float32', 'float16', 'bfloat16', 'int8'];

export interface Filled {
  cache: KVCache;
  ids: number[];
}

/** A cache with sequences of these lengths, appended a few tokens at a time, in turns. */
export function filled(
  dtype: KVType,
  lengths: readonly number[],
  { kvHeads = 2, headDim = 12, valueDim = 20, pageSize = 32, size = 1 } = {},
): Filled {
  const cache = new KVCache({ kvHeads, headDim, valueDim, dtype, pageSize });
  const ids = lengths.map(() => cache.create());
  const random = generator(lengths.length);
  for (let left = true; left;) {
    left = false;
    lengths.forEach((length, i) => {
      const tokens = Math.min(1 + (random() % 40), length - cache.length(ids[i]!));
      if (tokens === 0) return;
      left = true;
      const seed = 1000 * i + cache.length(ids[i]!);
      cache.append(
        ids[i]!,
        numbers(tokens * kvHeads * headDim, seed, size),
        numbers(tokens * kvHeads * valueDim, seed + 1),
      );
    });
  }
  return { cache, ids };
}
