/**
 * Rows of attention whose right output is known to the bit: rows that see one key, and rows whose keys share a value.
 * On every backend, over arrays and caches of every type, at once and as partial states.
 */
import { describe, expect, it } from 'vitest';
import type { AttentionOptions, KVType } from '../../lib/attention.js';
import { numbers, sameBits } from './attention-cases.js';
import { backends } from '../support/backends.js';
import { forceBackend } from '../support/force-backend.js';

type Attention = typeof import('../../lib/attention.js');

const F = (...x: number[]) => Float32Array.of(...x);
const [heads, kvHeads, headDim, valueDim] = [6, 2, 20, 37];
const sizes = { heads, kvHeads, headDim, valueDim };
const shared = heads / kvHeads;

const rowOf = (x: Float32Array, row: number, dim = valueDim) => x.subarray(row * dim, (row + 1) * dim);
const queriesOf = (n: number, size: number) => numbers(heads * n * headDim, 1, size);
const keysOf = (n: number) => numbers(kvHeads * n * headDim, 2);
const valuesOf = (n: number) => numbers(kvHeads * n * valueDim, 3);

/** q · k in double. Products of floats are exact, and added in order. */
function product(q: Float32Array, k: Float32Array): number {
  let sum = 0;
  q.forEach((x, d) => (sum += x * k[d]!));
  return sum;
}

interface OneKey {
  readonly keys: number;
  readonly queries: number;
  readonly options: Omit<AttentionOptions, 'heads' | 'headDim' | 'lse'>;
  /** The key that a query sees. */
  readonly seen: (query: number) => number;
}

/** A mask of [queries, keys] that shows each query one key. */
const maskOf = (queries: number, keys: number, seen: (query: number) => number) =>
  Uint8Array.from({ length: queries * keys }, (_, i) => Number(i % keys === seen(Math.floor(i / keys))));

const oneKey: Record<string, OneKey> = {
  'one key': { keys: 1, queries: 1, options: {}, seen: () => 0 },
  'one key, many queries': { keys: 1, queries: 40, options: {}, seen: () => 0 },
  'a window of 1': { keys: 700, queries: 130, options: { window: 1, causal: true }, seen: (m) => 570 + m },
  'a mask': { keys: 700, queries: 5, options: { mask: maskOf(5, 700, (m) => 100 * m + 9) }, seen: (m) => 100 * m + 9 },
  'a bias': {
    keys: 40,
    queries: 3,
    seen: (m) => m + 7,
    options: {
      bias: Float32Array.from(
        maskOf(3, 40, (m) => m + 7),
        (x) => (x ? 2.7 : -Infinity),
      ),
    },
  },
  'alibi, and a scale': {
    keys: 50,
    queries: 2,
    seen: () => 3,
    options: { alibi: true, scale: 0.37, mask: maskOf(1, 50, () => 3) },
  },
};

describe.each(backends)('%s', (name) => {
  let sync: Attention;
  forceBackend(name, async () => {
    sync = await import('../../lib/attention.js');
  });

  /** A cache with one sequence, and its stored numbers, [tokens, kvHeads, dim]. */
  function cached(dtype: KVType, k: Float32Array, v: Float32Array) {
    const cache = new sync.KVCache({ kvHeads, headDim, valueDim, dtype, pageSize: 32 });
    const id = cache.create();
    cache.append(id, k, v, { layout: 'hsd' });
    return { cache, id, stored: cache.read(id) };
  }

  /** The score of the key that a row sees, with each operation in double. */
  function scoreOf(c: OneKey, head: number, query: number, q: Float32Array, k: Float32Array): number {
    const { keys, queries, options, seen } = c;
    const { scale = 1 / Math.sqrt(headDim), alibi, bias } = options;
    let score = product(q, k) * scale;
    if (alibi) score -= sync.alibiSlopes(heads)[head]! * Math.abs(keys - queries + query - seen(query));
    return score + (bias ? bias[query * keys + seen(query)]! : 0);
  }

  describe('a row that sees one key has its value and its score', () => {
    it.each(Object.keys(oneKey))('%s', (label) => {
      const c = oneKey[label]!;
      const { keys, queries, options, seen } = c;
      if (name === 'scalar' && keys > 100) return;
      for (const size of [1, 300]) {
        const [q, k, v] = [queriesOf(queries, size), keysOf(keys), valuesOf(keys)];
        v.set([-0, 3.4028234663852886e38, 1e-45, -2.5e-41, 0, Infinity, -Infinity], seen(0) * valueDim);
        const { out, lse } = sync.attention(q, k, v, { ...sizes, ...options, lse: true });
        const state = sync.attentionPartial(q, k, v, { ...sizes, ...options }).finish({ lse: true });
        sameBits(state.out, out, 'the state');
        for (let r = 0; r < heads * queries; r++) {
          const [head, query] = [Math.floor(r / queries), r % queries];
          const at = Math.floor(head / shared) * keys + seen(query);
          sameBits(rowOf(out, r), rowOf(v, at), `row ${r}`);
          const score = scoreOf(c, head, query, rowOf(q, r, headDim), rowOf(k, at, headDim));
          expect(lse[r], `lse ${r}`).toBe(score);
          expect(Math.abs(state.lse[r]! - score)).toBeLessThanOrEqual(2 ** -51 * Math.max(1, Math.abs(score)));
        }
      }
    });

    it.each<KVType>(['float32', 'float16', 'bfloat16', 'int8'])('in a cache of %s', (dtype) => {
      for (const [label, c] of Object.entries(oneKey)) {
        const { keys, queries, seen } = c;
        if (name === 'scalar' && keys > 100) continue;
        const q = queriesOf(queries, 5);
        const { cache, id, stored } = cached(dtype, keysOf(keys), valuesOf(keys));
        const options = { queries, causal: false, ...c.options };
        const { out, lse } = sync.decodeAttention(q, cache, id, { ...options, lse: true });
        sameBits(sync.attentionPartial(q, cache, id, options).finish(), out, `${label}: the state`);
        for (let r = 0; r < heads * queries; r++) {
          const [head, query] = [Math.floor(r / queries), r % queries];
          const at = seen(query) * kvHeads + Math.floor(head / shared);
          sameBits(rowOf(out, r), rowOf(stored.v, at), `${label}: row ${r}`);
          const score = scoreOf(c, head, query, rowOf(q, r, headDim), rowOf(stored.k, at, headDim));
          if (dtype === 'int8')
            expect(Math.abs(lse[r]! - score)).toBeLessThan(1e-5); // read() rounds keys
          else expect(lse[r], `${label}: lse ${r}`).toBe(score);
        }
      }
    });

    it('a score that is capped, huge, infinite or NaN', () => {
      const [single, v] = [{ heads: 1, headDim: 1, valueDim: 2, lse: true as const, scale: 1 }, F(0.3, -7)];
      const capped = sync.attention(F(7), F(3), v, { ...single, softcap: 20 });
      sameBits(capped.out, v, 'out');
      expect(Math.abs(capped.lse[0]! - 20 * Math.tanh(21 / 20))).toBeLessThan(1e-14);
      const huge = sync.attention(F(3e38), F(3e38), v, single);
      sameBits(huge.out, v, 'out');
      expect(huge.lse[0]).toBe(Math.fround(3e38) ** 2);
      const unusual = [
        [Infinity, NaN, Infinity],
        [NaN, NaN, NaN],
        [-Infinity, 0, -Infinity],
      ] as const;
      for (const [score, out, lse] of unusual) {
        const result = sync.attention(F(score), F(1), v, single);
        sameBits(result.out, [out, out], `out of ${score}`);
        sameBits(result.lse, [lse], `lse of ${score}`);
      }
    });
  });

  describe('values that all keys share are the output', () => {
    const constants = F(1, 0.1, -0, 3.4028234663852886e38, 1e-45, -7.3, 2 ** -126, 1 / 3);
    const isShared = (d: number) => d % 4 === 1;
    const valueOf = (head: number, d: number) => constants[(Math.floor(d / 4) + head) % constants.length]!;

    it.each<[string, number, number, OneKey['options'] & { lse?: false }]>([
      ['two keys', 2, 1, {}],
      ['33 keys', 33, 1, {}],
      ['many keys', 1300, 1, {}],
      ['a causal prompt', 70, 70, { causal: true }],
      ['a prompt of a window', 90, 50, { window: 17, causal: true }],
      ['alibi', 60, 3, { alibi: true }],
      ['softcap', 300, 2, { softcap: 5 }],
    ])('%s', (_, keys, queries, options) => {
      if (name === 'scalar' && keys * queries > 3000) return;
      const ofHead = (row: number) => Math.floor(row / keys);
      const v = valuesOf(keys).map((x, i) => {
        const d = i % valueDim;
        return isShared(d) ? valueOf(ofHead(Math.floor(i / valueDim)), d) : x;
      });
      for (const size of [0.1, 1, 60]) {
        const [q, k] = [queriesOf(queries, size), keysOf(keys)];
        const { cache, id } = cached('float32', k, v);
        const results = {
          attention: sync.attention(q, k, v, { ...sizes, ...options }),
          state: sync.attentionPartial(q, k, v, { ...sizes, ...options }).finish(),
          decoding: sync.decodeAttention(q, cache, id, { causal: false, ...options, queries }),
        };
        for (const [what, out] of Object.entries(results)) {
          out.forEach((x, i) => {
            const [r, d] = [Math.floor(i / valueDim), i % valueDim];
            const c = valueOf(Math.floor(r / queries / shared), d);
            if (isShared(d) && !Object.is(x, c)) expect.fail(`${what}: row ${r}, column ${d} is ${x}, not ${c}`);
          });
        }
      }
    });

    it('behind a mask or a bias', () => {
      const [keys, queries] = [300, 3];
      const isSeen = (n: number) => n % 7 === 3 || n === 200;
      const [q, k] = [queriesOf(queries, 1), keysOf(keys)];
      const v = valuesOf(keys).map((x, i) => (isSeen(Math.floor(i / valueDim) % keys) ? 0.7 : x));
      const mask = Uint8Array.from({ length: keys }, (_, n) => Number(isSeen(n)));
      const bias = Float32Array.from(mask, (x, n) => (x ? n % 5 : -Infinity));
      const want = new Float32Array(heads * queries * valueDim).fill(0.7);
      for (const options of [{ mask }, { bias }]) {
        sameBits(sync.attention(q, k, v, { ...sizes, ...options }), want, 'out');
      }
    });

    it.each<KVType>(['float16', 'bfloat16', 'int8'])('in a cache of %s', (dtype) => {
      for (const keys of [2, 31, 530]) {
        const perHead = numbers(kvHeads * valueDim, 5);
        const v = valuesOf(keys).map((_, i) => perHead[Math.floor(i / valueDim / keys) * valueDim + (i % valueDim)]!);
        const { cache, id, stored } = cached(dtype, keysOf(keys), v);
        const q = queriesOf(1, 3);
        for (const out of [sync.decodeAttention(q, cache, id), sync.attentionPartial(q, cache, id).finish()]) {
          for (let head = 0; head < heads; head++) {
            sameBits(rowOf(out, head), rowOf(stored.v, Math.floor(head / shared)), `head ${head}`);
          }
        }
      }
    });

    it('in parts of the keys that are added', () => {
      const [q, k] = [numbers(headDim, 1, 20), numbers(60 * headDim, 2)];
      const v = Float32Array.from({ length: 60 * valueDim }, (_, i) => constants[[1, 0, 7][(i % valueDim) % 3]!]!);
      const states = [
        [0, 1],
        [1, 20],
        [20, 60],
      ].map(([from, to]) => {
        const keys = k.subarray(from! * headDim, to! * headDim);
        const values = v.subarray(from! * valueDim, to! * valueDim);
        return sync.attentionPartial(q, keys, values, { heads: 1, headDim, valueDim });
      });
      sameBits(sync.mergeAttentionPartials(...states).finish(), rowOf(v, 0), 'out');
    });
  });

  it.each([NaN, Infinity])('of %d reach no row that does not see their key, and leave its bits', (x) => {
    const [n, first] = [75, 41];
    const [q, k, v] = [numbers(n * headDim, 1), numbers(n * headDim, 2), numbers(n * valueDim, 3)];
    const attend = (values: Float32Array) =>
      sync.attention(q, k, values, { heads: 1, headDim, valueDim, causal: 'topLeft' });
    const clean = attend(v);
    const out = attend(v.map((y, i) => (i >= first * valueDim && i % valueDim === 3 ? x : y)));
    sameBits(out.subarray(0, first * valueDim), clean.subarray(0, first * valueDim), 'rows before the key');
    for (let row = first; row < n; row++) {
      const [mine, other] = [rowOf(out, row), rowOf(clean, row)];
      expect(Number.isFinite(mine[3])).toBe(false);
      sameBits(mine.subarray(4), other.subarray(4), `columns of row ${row}`);
    }
  });
});
