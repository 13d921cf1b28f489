/** Sound calls of attention on doubles and halves, and of attention that gives its weights and scores. */
import { attentionArrays, attentionOptions, cacheOf, DIM, HEADS, KEYS, QUERIES } from './attention-operators.js';
import { doubles } from './operator.js';
import type { Operator } from './operator.js';

export const attentionTypeOperators: Operator[] = [
  {
    name: 'attention in double',
    hasPromise: true,
    arrays: () => ({
      ...attentionArrays(),
      q: doubles(HEADS * QUERIES * DIM, 11),
      k: doubles(HEADS * KEYS * DIM, 12),
      v: doubles(HEADS * KEYS * DIM, 13),
      bias: doubles(HEADS * QUERIES * KEYS, 14),
      out: new Float64Array(HEADS * QUERIES * DIM),
      weights: new Float64Array(HEADS * QUERIES * KEYS),
    }),
    written: ['out', 'lse', 'weights'],
    options: (arrays) => ({
      ...attentionOptions(arrays),
      ...{ weights: arrays.weights, scores: 'masked', accumulate: 'float64', heads: HEADS, headDim: DIM },
    }),
    call: (api, { q, k, v }, options) => api.attention!(q, k, v, options),
  },
  {
    name: 'attention of halves',
    hasPromise: true,
    arrays: () => ({
      ...attentionArrays(),
      q: new Uint16Array(HEADS * QUERIES * DIM).fill(0x3c00),
      k: new Uint16Array(HEADS * KEYS * DIM).fill(0x3800),
      v: new Uint16Array(HEADS * KEYS * DIM).fill(0x3c01),
      out: new Uint16Array(HEADS * QUERIES * DIM),
    }),
    written: ['out', 'lse'],
    options: (arrays) => ({ ...attentionOptions(arrays), dtype: 'float16', heads: HEADS, headDim: DIM }),
    call: (api, { q, k, v }, options) => api.attention!(q, k, v, options),
  },
  {
    name: 'decodeAttention of halves',
    hasPromise: true,
    arrays: () => ({
      q: new Uint16Array(HEADS * QUERIES * DIM).fill(0x3c00),
      out: new Uint16Array(HEADS * QUERIES * DIM),
      lse: new Float64Array(HEADS * QUERIES),
    }),
    written: ['out', 'lse'],
    options: ({ out, lse }) => ({ out, lse, dtype: 'bfloat16', heads: HEADS, queries: QUERIES }),
    call(api, { q }, options) {
      const [cache, ids] = cacheOf(api);
      return api.decodeAttention!(q, cache, ids, options);
    },
  },
];
