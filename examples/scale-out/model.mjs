// What the programs of this folder compute with: an output layer and a cache of any numbers, the same on each machine.
import { OutputHead } from 'flash-softmax/head';
import { cacheLayout, cacheShard } from './cache.mjs';
import { layoutOf, vocabularyShard } from './vocabulary.mjs';

export const VOCABULARY = 150_000;
export const HIDDEN = 16;
export const TOTAL_KEYS = 5000;
export const [HEADS, KV_HEADS, HEAD_DIM] = [8, 2, 64];
export const ATTENTION = { alibi: true };

/** Numbers `from` … `to` − 1 of a sequence in −1 … 1. */
export function numbers(from, to, seed) {
  const x = new Float32Array(to - from);
  for (let i = 0; i < x.length; i++) x[i] = ((Math.imul(from + i + seed, 2654435761) >>> 8) % 2001) / 1000 - 1;
  return x;
}

/** The logits of some classes, by a head that has their weights alone: the bits that they have in the whole. */
export function logitsOfClasses(from, to) {
  const weights = numbers(from * HIDDEN, to * HIDDEN, 1);
  const head = new OutputHead(weights, { rows: to - from, cols: HIDDEN });
  return ({ floats: hidden }) => head.logits(hidden);
}

/** The keys and values [from, to), [keys, kvHeads, headDim] each. */
export function keysAndValues(from, to) {
  const token = KV_HEADS * HEAD_DIM;
  return { k: numbers(from * token, to * token, 5), v: numbers(from * token, to * token, 6) };
}

/** The functions of a shard from a request to its reply, by the name of what is sharded. */
export const SHARDS = {
  vocabulary(shard, count) {
    const { from, to } = layoutOf(VOCABULARY, count).shards[shard];
    return vocabularyShard({ logitsOf: logitsOfClasses(from, to), from, to, vocabulary: VOCABULARY });
  },
  cache(shard, count) {
    const { from, to } = cacheLayout(TOTAL_KEYS, count).shards[shard];
    const sizes = { kvHeads: KV_HEADS, headDim: HEAD_DIM, total: TOTAL_KEYS };
    return cacheShard({ ...keysAndValues(from, to), ...sizes, shard, from, to });
  },
  /** Logits of 128,256 classes that are there already; a request says which of 16 rows (load.mjs). */
  logits(shard, count) {
    const { from, to } = layoutOf(LOAD_VOCABULARY, count).shards[shard];
    const rows = Array.from({ length: LOAD_ROWS }, (_, row) => loadLogits(row, from, to));
    return vocabularyShard({ logitsOf: ({ step }) => rows[step % LOAD_ROWS], from, to, vocabulary: LOAD_VOCABULARY });
  },
};

export const LOAD_VOCABULARY = 128_256;
export const LOAD_ROWS = 16;
export const loadLogits = (row, from, to) => numbers(from, to, 1 + row * LOAD_VOCABULARY).map((x) => x * 12);
