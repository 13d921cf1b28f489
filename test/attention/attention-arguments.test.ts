/** The arguments of attention(): sizes that it derives, masks and biases of part of the scores, and its errors. */
import { describe, expect, it } from 'vitest';
import { alibiSlopes, attention, type AttentionOptions } from '../../lib/attention.js';
import { shapeArray } from '../../lib/attention/shape.js';
import { BOUND, numbers } from './attention-cases.js';

describe('attention', () => {
  const [q, k, v] = [numbers(2 * 3 * 4, 1), numbers(5 * 4, 2), numbers(5 * 6, 3)];
  const options = { heads: 2, kvHeads: 1, headDim: 4 };

  it('derives sizes, and writes into given arrays', () => {
    const out = attention(q, k, v, options);
    expect(out.length).toBe(2 * 3 * 6);
    const [own, lse] = [new Float32Array(36), new Float64Array(6)];
    const result = attention(q, k, v, { ...options, queries: 3, keys: 5, valueDim: 6, batch: 1, out: own, lse });
    expect(result).toEqual({ out, lse: attention(q, k, v, { ...options, lse: true }).lse });
    expect(result.out).toBe(own);
    expect(result.lse).toBe(lse);
    expect(attention(q, k, v, { ...options, lse: false })).toEqual(out);
  });

  it('masks and biases of a part of the scores', () => {
    const [batch, heads, queries, keys] = [2, 3, 4, 7];
    const [a, b, c] = [
      numbers(batch * heads * queries * 2, 1),
      numbers(batch * heads * keys * 2, 2),
      numbers(batch * heads * keys * 2, 3),
    ];
    const full = (at: (b: number, h: number, m: number, n: number) => number) =>
      Array.from({ length: batch * heads * queries * keys }, (_, i) =>
        at(
          Math.floor(i / (heads * queries * keys)),
          Math.floor(i / (queries * keys)) % heads,
          Math.floor(i / keys) % queries,
          i % keys,
        ),
      );
    const run = (mask: number[]) => [
      attention(a, b, c, { batch, heads, headDim: 2, mask: Uint8Array.from(mask, (x) => x & 1) }),
      attention(a, b, c, { batch, heads, headDim: 2, bias: Float32Array.from(mask, (x) => x / 3) }),
    ];
    const some = (n: number) => Array.from({ length: n }, (_, i) => (i * 7 + 3) % 5);
    for (const [size, at] of [
      [keys, (_b, _h, _m, n) => n],
      [queries * keys, (_b, _h, m, n) => m * keys + n],
      [batch * keys, (b_, _h, _m, n) => b_ * keys + n],
      [heads * queries * keys, (_b, h, m, n) => (h * queries + m) * keys + n],
      [batch * queries * keys, (b_, _h, m, n) => (b_ * queries + m) * keys + n],
    ] as [number, (b: number, h: number, m: number, n: number) => number][]) {
      const entries = some(size);
      expect(run(entries), `${size} entries`).toEqual(run(full((...i) => entries[at(...i)]!)));
    }
    expect(() =>
      attention(a.subarray(0, batch * heads * 2 * 2), b, c, {
        batch,
        heads,
        headDim: 2,
        mask: new Uint8Array(2 * keys),
      }),
    ).toThrow(/have the same length with batch = 2, heads = 3, queries = 2, keys = 7/);
  });

  it('the slopes of ALiBi', () => {
    expect([...alibiSlopes(8)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((n) => 2 ** -n));
    expect([...alibiSlopes(6)]).toEqual([2 ** -2, 2 ** -4, 2 ** -6, 2 ** -8, 2 ** -1, 2 ** -3]);
    const own = attention(q, k, v, { ...options, alibi: alibiSlopes(2) });
    expect(attention(q, k, v, { ...options, alibi: true })).toEqual(own);
  });

  it('refuses arguments that do not fit, and writes nothing', () => {
    const out = new Float32Array(36).fill(7);
    const bad =
      (change: object, ...arrays: unknown[]) =>
      () =>
        attention(...([q, k, v].map((x, i) => arrays[i] ?? x) as [Float32Array, Float32Array, Float32Array]), {
          ...options,
          out,
          ...change,
        } as AttentionOptions);
    const type = (change: object, message: RegExp, ...arrays: unknown[]) => {
      expect(bad(change, ...arrays)).toThrow(TypeError);
      expect(bad(change, ...arrays)).toThrow(message);
      expect(bad(change, ...arrays)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }));
    };
    const range = (change: object, message: RegExp, ...arrays: unknown[]) => {
      expect(bad(change, ...arrays)).toThrow(RangeError);
      expect(bad(change, ...arrays)).toThrow(message);
    };
    type({ hedas: 2 }, /Expected only batch, .* for options but received 'hedas'/);
    type({ heads: undefined }, /a positive integer for heads but received undefined/);
    type({ headDim: '4' }, /for headDim/);
    type({ causal: 1 }, /a boolean, 'bottomRight' or 'topLeft' for causal but received 1/);
    type({ softcap: '1' }, /for softcap/);
    type({ scale: null }, /for scale/);
    type({ layout: 3 }, /for layout/);
    type({ lse: 3 }, /for lse/);
    type({ mask: [1] }, /a Uint8Array for mask/);
    type({ bias: new Float64Array(15) }, /a Float32Array for bias/);
    type({ sinks: [1] }, /for sinks/);
    type({ alibi: 3 }, /for alibi/);
    type({}, /a Float64Array, as q is, for k/, new Float64Array(24));
    type({}, /a Float32Array or Float64Array, a Float16Array, .* for q but/, new Int8Array(24));
    type({}, /a Float32Array, as q is, for v/, q, k, [1]);
    range({ kvHeads: 3 }, /a divisor of heads = 2 for kvHeads/);
    range({ queries: 4 }, /queries · batch · heads · headDim = 4 · 1 · 2 · 4 = 32 elements for q but received 24/);
    range({ keys: 4 }, /for k but received 20/);
    range({ valueDim: 5 }, /valueDim · batch · kvHeads · keys = 5 · 1 · 1 · 5 = 25 elements for v but received 30/);
    range(
      {},
      /a multiple of batch · heads · headDim = 1 · 2 · 4 elements, for queries, for q but received 23/,
      q.subarray(1),
    );
    range({}, /for k but received 19/, q, k.subarray(1));
    range({}, /for v but received 29/, q, k, v.subarray(1));
    range({ layout: 'sbhd' }, /for layout/);
    for (const softcap of [0, -1, NaN, Infinity]) range({ softcap }, /above 0 for softcap/);
    range({ scale: Infinity }, /for scale/);
    range({ mask: new Uint8Array(14) }, /for mask but received 14/);
    range({ sinks: new Float32Array(3) }, /2 elements, one a head, for sinks/);
    range({ alibi: new Float32Array(1) }, /for alibi/);
    range({ out: new Float32Array(35) }, /36 elements, for out but received 35/);
    range({ lse: new Float64Array(5) }, /6 elements, one a query row, for lse/);
    range({ out: new Float32Array(q.buffer, 0, 36 > q.length ? q.length : 36) }, /for out/);
    const all = new Float32Array(100);
    range({ out: all.subarray(20, 56) }, /memory apart from q for out but received an overlap/, all.subarray(0, 24));
    expect([...out]).toEqual(new Array(36).fill(7));
  });

  it('kernels take a shape of 20 numbers', () => expect(shapeArray({ batch: 3, biasQuery: 4 })).toHaveLength(20));
  it('the bound', () => expect(BOUND).toBe(2e-6));
});
