/**
 * Which keys a query sees: `causal` from either corner, windows of two sides and key lengths, on every backend against
 * the oracle, against the masks that other libraries document, and against calls on cut arrays.
 */
import { describe, expect, it } from 'vitest';
import { attention, attentionPartial, decodeAttention, KVCache, type AttentionOptions } from '../../lib/attention.js';
import * as promises from '../../lib/promises.js';
import { asCase, compare, compareRows, dense, denseOn, numbers, padded, sameBits } from './attention-cases.js';
import type { Dense } from './attention-cases.js';
import type { AttentionCase } from './attention-oracle.js';
import { backends } from '../support/backends.js';
import { sample } from '../support/long.js';

const shapes: Omit<Dense, 'seed'>[] = [
  { heads: 4, kvHeads: 2, queries: 5, keys: 9, headDim: 8, valueDim: 20 },
  { heads: 3, queries: 9, keys: 5, headDim: 3, valueDim: 16, positionsFirst: true },
  { heads: 2, kvHeads: 1, batch: 3, queries: 17, keys: 40, headDim: 16, valueDim: 16, keyLengths: [0, 17, 40] },
  { heads: 6, kvHeads: 2, batch: 2, queries: 7, keys: 33, headDim: 5, valueDim: 3, keyLengths: [3, 32] },
  {
    heads: 2,
    batch: 2,
    queries: 3,
    keys: 1100,
    headDim: 4,
    valueDim: 8,
    keyLengths: [1090, 511],
    positionsFirst: true,
  },
  { heads: 8, kvHeads: 1, queries: 70, keys: 530, headDim: 4, valueDim: 16 },
  { heads: 2, batch: 2, queries: 4, keys: 20, headDim: 8, valueDim: 8, spans: [0, 3].map((at) => [at, 24]) },
  { heads: 2, batch: 1, queries: 30, keys: 20, headDim: 8, valueDim: 8, keyLengths: [13], spans: [[9, 22]] },
  { heads: 1, queries: 3, keys: 0, headDim: 2, valueDim: 2 },
];
const causals: AttentionCase['causal'][] = [false, true, 'bottomRight', 'topLeft'];
const windows: AttentionCase['window'][] = [
  undefined,
  1,
  6,
  [0, 0],
  [3, 0],
  [0, 4],
  [2, 1],
  [Infinity, 1],
  [2, Infinity],
  [Infinity, Infinity],
  [600, 2],
];
const dressings: Partial<Dense>[] = [
  {},
  { alibi: true },
  { mask: 0.6, bias: 2 },
  { sinks: true, softcap: 20, size: 10 },
  { alibi: true, sinks: true, softcap: 30, mask: 0.7, bias: 1, size: 4 },
  { size: 1e5 },
];

describe.each(backends)('%s', (name) => {
  it.each(causals)('causal: %s, with windows, masks and key lengths', (causal) => {
    const all = shapes.flatMap((shape) => windows.flatMap((window) => dressings.map((d) => ({ shape, window, d }))));
    const turn = backends.indexOf(name) + 3 * causals.indexOf(causal);
    for (const [i, { shape, window, d }] of sample([...all.entries()], 11, turn)) {
      const sight = { ...(causal !== undefined && { causal }), ...(window !== undefined && { window }) };
      const call = dense({ ...shape, ...padded(shape), ...d, ...sight, seed: i + 1 });
      compare(call, denseOn(name, call), JSON.stringify({ ...shape, ...d, causal, window: String(window) }));
    }
  });

  it('window: n has the bits of its pair', () => {
    const shape = { heads: 4, kvHeads: 2, queries: 9, keys: 40, headDim: 8, valueDim: 8, seed: 5 };
    for (const n of [1, 2, 7, 40, 100]) {
      for (const [causal, pair] of [
        [true, [n - 1, 0]],
        [true, [n - 1, Infinity]],
        ['topLeft', [n - 1, 3]],
        [false, [n - 1, n - 1]],
      ] as const) {
        const [a, b] = [n, pair].map((window) => denseOn(name, dense({ ...shape, causal, window })));
        sameBits(a!.out, b!.out, `window ${n}, causal ${causal}`);
        sameBits(a!.lse, b!.lse, `lse, window ${n}, causal ${causal}`);
      }
    }
  });

  /** Compares a call with the oracle of a documented mask. */
  const expectMask = (c: Dense, sees: (m: number, n: number, b: number) => boolean, what: string) => {
    const call = dense({ ...c, ...padded(c) });
    const { causal: _, window: __, ...exact } = asCase({ ...call, maskBytes: null });
    compareRows({ ...exact, sees: (b, _head, m, n) => sees(m, n, b) }, denseOn(name, call), what);
  };
  const sizes = { heads: 2, kvHeads: 1, headDim: 8, valueDim: 8, seed: 9 };
  const lengths = [
    [4, 12],
    [7, 7],
    [12, 4],
    [1, 20],
  ] as const;

  it('PyTorch: causal_upper_left is tril(0), causal_lower_right is tril(S − L)', () => {
    for (const [queries, keys] of lengths) {
      const shape = { ...sizes, queries, keys };
      expectMask({ ...shape, causal: 'topLeft' }, (m, n) => n - m <= 0, `upper left, ${queries} × ${keys}`);
      expectMask({ ...shape, causal: true }, (m, n) => n - m <= keys - queries, `lower right, ${queries} × ${keys}`);
    }
  });

  it('ONNX: key j is visible to query i if j ≤ i + offset', () => {
    for (const [queries, keys] of lengths) {
      const shape = { ...sizes, queries, keys };
      expectMask({ ...shape, causal: 'topLeft' }, (i, j) => j <= i, 'no past: offset 0');
      // The past comes first, then as many keys as queries.
      const past = keys;
      const all = { ...shape, keys: past + queries };
      expectMask({ ...all, causal: 'bottomRight' }, (i, j) => j <= i + past, 'a past: its length');
    }
    const nonpad = [5, 12, 2, 0];
    const shape = { ...sizes, batch: 4, queries: 3, keys: 12, keyLengths: nonpad };
    const isThere = (j: number, b: number): boolean => j < nonpad[b]!;
    expectMask({ ...shape, causal: true }, (i, j, b) => isThere(j, b) && j <= i + nonpad[b]! - 3, 'nonpad_kv_seqlen');
    expectMask(
      { ...shape, causal: 'topLeft' },
      (i, j, b) => isThere(j, b) && j <= i,
      'nonpad_kv_seqlen, first release',
    );
    expectMask({ ...shape, causal: false }, (_, j, b) => isThere(j, b), 'nonpad_kv_seqlen, not causal');
  });

  it('FlashAttention: i + S − L − left ≤ j ≤ i + S − L + right', () => {
    for (const [queries, keys] of lengths) {
      for (const [left, right] of [
        [3, 0],
        [0, 2],
        [5, 5],
        [Infinity, 1],
      ] as const) {
        const inside = (i: number, j: number) => {
          const diagonal = i + keys - queries;
          return j >= diagonal - left && j <= diagonal + right;
        };
        expectMask(
          { ...sizes, queries, keys, window: [left, right] },
          inside,
          `${left}, ${right}: ${queries} × ${keys}`,
        );
      }
    }
  });
});

describe('keyLengths', () => {
  const [heads, kvHeads, headDim, batch, queries, keys] = [4, 2, 8, 3, 5, 530];
  const lengths = [520, 0, 17];
  const q = numbers(batch * heads * queries * headDim, 1, 3);
  const [k, v] = [numbers(batch * kvHeads * keys * headDim, 2), numbers(batch * kvHeads * keys * headDim, 3)];
  const sizes = { heads, kvHeads, headDim };
  const cut = (x: Float32Array, b: number) =>
    Float32Array.from(
      Array.from({ length: kvHeads }, (_, head) => {
        const from = (b * kvHeads + head) * keys;
        return [...x.subarray(from * headDim, (from + lengths[b]!) * headDim)];
      }).flat(),
    );
  const rows = heads * queries;
  const variants: Partial<AttentionOptions>[] = [
    {},
    { causal: true, alibi: true },
    { causal: 'topLeft', window: [4, 0] },
    { window: [30, 2], softcap: 5 },
  ];

  it('give the bits of the arrays that end there', () => {
    for (const options of variants) {
      const { out, lse } = attention(q, k, v, { ...sizes, batch, ...options, keyLengths: lengths, lse: true });
      lengths.forEach((_, b) => {
        const own = q.subarray(b * rows * headDim, (b + 1) * rows * headDim);
        const one = attention(own, cut(k, b), cut(v, b), { ...sizes, valueDim: headDim, ...options, lse: true });
        sameBits(out.subarray(b * rows * headDim, (b + 1) * rows * headDim), one.out, `sequence ${b}`);
        sameBits(lse.subarray(b * rows, (b + 1) * rows), one.lse, `lse of sequence ${b}`);
      });
    }
  });

  it('give the state of the keys that are there, which end all parts', () => {
    for (const options of variants) {
      const part = { ...sizes, batch, ...options, keyLengths: Uint32Array.from(lengths), keyOffset: [1, 2, 3] };
      const state = attentionPartial(q, k, v, part);
      lengths.forEach((length, b) => {
        const own = q.subarray(b * rows * headDim, (b + 1) * rows * headDim);
        const where = { keyOffset: b + 1, totalKeys: b + 1 + length };
        const one = attentionPartial(own, cut(k, b), cut(v, b), { ...sizes, valueDim: headDim, ...options, ...where });
        sameBits(state.out.subarray(b * rows * headDim, (b + 1) * rows * headDim), one.out, `sequence ${b}`);
      });
    }
    expect(() => attentionPartial(q, k, v, { ...sizes, batch, keyLengths: lengths, totalKeys: 500 })).toThrow(
      /an integer from 520 for totalKeys but received 500/,
    );
  });

  it('are copied by a promise, of any kind', async () => {
    const wanted = attention(q, k, v, { ...sizes, batch, keyLengths: lengths });
    for (const given of [Int32Array.from(lengths), Uint32Array.from(lengths), [...lengths]]) {
      const promise = promises.attention(q, k, v, { ...sizes, batch, keyLengths: given });
      given.fill(keys);
      sameBits(await promise, wanted, 'a promise');
    }
  });

  it('a cache has none', () => {
    const cache = new KVCache({ kvHeads, headDim });
    const id = cache.create();
    cache.append(id, numbers(kvHeads * headDim, 1), numbers(kvHeads * headDim, 2));
    const one = q.subarray(0, heads * headDim);
    for (const call of [decodeAttention, attentionPartial] as ((...args: unknown[]) => unknown)[]) {
      expect(() => call(one, cache, id, { keyLengths: [1] })).toThrow(
        expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }),
      );
    }
  });
});

describe('causal and window over a cache', () => {
  it('are those over arrays', () => {
    const [heads, headDim, keys, queries] = [2, 8, 40, 6];
    const cache = new KVCache({ kvHeads: heads, headDim });
    const id = cache.create();
    const [k, v] = [numbers(heads * keys * headDim, 2), numbers(heads * keys * headDim, 3)];
    cache.append(id, k, v, { layout: 'hsd' });
    const q = numbers(heads * queries * headDim, 1);
    for (const options of [{ causal: 'topLeft' }, { causal: false, window: [3, 2] }, { window: [9, 9] }] as const) {
      const decoded = decodeAttention(q, cache, id, { queries, alibi: true, ...options });
      sameBits(decoded, attention(q, k, v, { heads, headDim, causal: true, alibi: true, ...options }), 'a cache');
    }
  });
});

describe('arguments', () => {
  const [q, k, v] = [numbers(2 * 3 * 4, 1), numbers(2 * 5 * 4, 2), numbers(2 * 5 * 4, 3)];
  const call = (options: object) => () => attention(q, k, v, { heads: 1, headDim: 4, batch: 2, ...options });
  const type = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
  const range = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };
  const value = { name: 'RangeError', code: 'ERR_INVALID_ARG_VALUE' };

  it.each<[object, object, string]>([
    [{ causal: 1 }, type, "a boolean, 'bottomRight' or 'topLeft' for causal but received 1"],
    [{ causal: null }, type, 'for causal but received null'],
    [{ causal: 'left' }, value, "a boolean, 'bottomRight' or 'topLeft' for causal but received 'left'"],
    [{ window: '3' }, type, "a positive integer, Infinity or [left, right] for window but received '3'"],
    [{ window: Int32Array.of(1, 2) }, type, 'for window but received an Int32Array of 2'],
    [{ window: 0 }, range, 'a positive integer, or Infinity for no bound, for window but received 0'],
    [{ window: -1 }, range, 'a positive integer, or Infinity for no bound, for window but received -1'],
    [{ window: 1.5 }, range, 'for window but received 1.5'],
    [{ window: NaN }, range, 'for window but received NaN'],
    [{ window: [] }, value, 'two numbers, [left, right], for window but received 0'],
    [{ window: [1] }, value, 'two numbers, [left, right], for window but received 1'],
    [{ window: [1, 2, 3] }, value, 'two numbers, [left, right], for window but received 3'],
    [{ window: [-1, 0] }, range, 'an integer from 0, or Infinity for no bound, for window[0] but received -1'],
    [{ window: [0, -1] }, range, 'an integer from 0, or Infinity for no bound, for window[1] but received -1'],
    [{ window: [0, 0.5] }, range, 'for window[1] but received 0.5'],
    [{ window: [0, '1'] }, type, "for window[1] but received '1'"],
    [{ window: new Array(2) }, type, 'for window[0] but received undefined'],
    [{ keyLengths: 5 }, type, 'an Int32Array, a Uint32Array or an array of integers for keyLengths but received 5'],
    [{ keyLengths: Float32Array.of(5, 5) }, type, 'for keyLengths but received a Float32Array of 2'],
    [{ keyLengths: [5] }, value, '2 lengths, one a sequence, for keyLengths but received 1'],
    [{ keyLengths: new Int32Array(3) }, value, '2 lengths, one a sequence, for keyLengths but received 3'],
    [{ keyLengths: [5, 6] }, range, 'an integer from 0 to keys = 5 for keyLengths[1] but received 6'],
    [{ keyLengths: Int32Array.of(-1, 5) }, range, 'for keyLengths[0] but received -1'],
    [{ keyLengths: Uint32Array.of(5, 2 ** 32 - 1) }, range, 'for keyLengths[1] but received 4294967295'],
    [{ keyLengths: [1, 2.5] }, range, 'for keyLengths[1] but received 2.5'],
    [{ keyLengths: [1, '2'] }, type, "for keyLengths[1] but received '2'"],
  ])('%o', (options, error, message) => {
    const out = new Float32Array(24).fill(7);
    expect(call({ ...options, out })).toThrow(expect.objectContaining(error));
    expect(call({ ...options, out })).toThrow(message);
    expect([...out]).toEqual(new Array(24).fill(7));
  });

  it('a detached array of lengths', () => {
    const keyLengths = Int32Array.of(5, 5);
    structuredClone(keyLengths.buffer, { transfer: [keyLengths.buffer] });
    expect(call({ keyLengths })).toThrow(expect.objectContaining(type));
  });

  it('no bound, and bounds beyond all keys', () => {
    const wanted = call({})();
    for (const window of [Infinity, [Infinity, Infinity], [2 ** 53 - 1, 2 ** 53 - 1], 2 ** 53 - 1, [5, 5]]) {
      sameBits(call({ window })(), wanted, String(window));
    }
    expect(call({ causal: 'bottomRight' })()).toEqual(call({ causal: true })());
    expect(call({ keyLengths: [5, 5] })()).toEqual(wanted);
  });
});
