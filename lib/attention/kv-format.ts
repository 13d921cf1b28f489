/** Checks the options of a cache; works out what it stores and how large its pages are. */
import { count, oneOf } from '../call/checks.js';
import { outOfRange, wrongType, wrongValue } from '../call/errors.js';
import { lengthOf } from '../call/arrays.js';
import type { CacheKind } from './cache-view.js';
import type { KVCacheOptions, KVType } from './kv-types.js';
import { copyOptions } from './options.js';
import { MOST_PAGE_BYTES, type PageFormat } from './pages.js';
import { floats } from './sizes.js';
import { TILE, widthOf, type CacheSizes } from './tiles.js';

/** The name that kernels have for each type. */
export const KINDS: Readonly<Record<KVType, CacheKind>> = {
  float32: 'f32',
  float16: 'f16',
  bfloat16: 'bf16',
  int8: 'i8',
};

const SLABS = { float32: 'Float32Array', float16: 'Uint16Array', bfloat16: 'Uint16Array', int8: 'Int8Array' } as const;
export const BYTES = { float32: 4, float16: 2, bfloat16: 2, int8: 1 } as const;
export const TYPES = ['float32', 'float16', 'bfloat16', 'int8'] as const;

export interface CacheFormat {
  readonly sizes: CacheSizes;
  readonly dtype: KVType;
  readonly maxBytes: number;
  readonly page: PageFormat;
}

export function formatOf(options: KVCacheOptions): CacheFormat {
  const own = copyOptions(options, ['kvHeads', 'headDim', 'valueDim', 'dtype', 'pageSize', 'maxBytes'], true);
  const { dtype: givenType = 'float32', maxBytes = Infinity } = own;
  const kvHeads = count(own.kvHeads, 'kvHeads');
  const headDim = count(own.headDim, 'headDim');
  const valueDim = own.valueDim === undefined ? headDim : count(own.valueDim, 'valueDim');
  const dtype = oneOf(givenType, TYPES, 'dtype');
  const pageSize = count(own.pageSize === undefined ? 64 : own.pageSize, 'pageSize');
  if (pageSize % TILE !== 0) throw outOfRange('a multiple of 16', 'pageSize', pageSize);
  if (typeof maxBytes !== 'number') throw wrongType('a number', 'maxBytes', maxBytes);
  if (!(maxBytes >= 0)) throw outOfRange('a number from 0', 'maxBytes', maxBytes);
  const elements = kvHeads * pageSize * (headDim + widthOf({ valueDim }));
  const scales = dtype === 'int8' ? kvHeads * pageSize * 2 : 0;
  const bytes = elements * BYTES[dtype] + scales * 4;
  if (bytes > MOST_PAGE_BYTES) throw outOfRange(`a page of at most ${MOST_PAGE_BYTES} bytes`, 'pageSize', pageSize);
  const page = { kind: SLABS[dtype], kvHeads, elements, scales, bytes };
  return { sizes: { kvHeads, headDim, valueDim, pageSize }, dtype, maxBytes, page };
}

/** The number of tokens that `k` and `v` hold. */
export function tokensIn(k: Float32Array, v: Float32Array, sizes: Omit<CacheSizes, 'pageSize'>): number {
  const { kvHeads, headDim, valueDim } = sizes;
  const [keys, values] = [lengthOf(floats(k, 'k')), lengthOf(floats(v, 'v'))];
  const tokens = keys / (kvHeads * headDim);
  if (!Number.isInteger(tokens)) {
    throw wrongValue(`a multiple of kvHeads · headDim = ${kvHeads} · ${headDim} elements`, 'k', String(keys));
  }
  if (values !== tokens * kvHeads * valueDim) {
    const expected = `tokens · kvHeads · valueDim = ${tokens} · ${kvHeads} · ${valueDim} elements`;
    throw wrongValue(expected, 'v', String(values));
  }
  return tokens;
}
