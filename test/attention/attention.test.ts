/**
 * Attention over arrays: every backend against the oracle, over shapes, masks and scores of all sizes; what is not a
 * number; what is refused. test/attention/kv-cache.test.ts has the cache, test/attention/decode-attention.test.ts calls over it, test/attention/attention-partial.test.ts states.
 */
import { describe, expect, it } from 'vitest';
import { alibiSlopes, attention, type AttentionOptions } from '../../lib/attention.js';
import { shapeArray } from '../../lib/attention/kv-cache.js';
import type { BackendName } from '../../lib/backend/backend.js';
import { setThreads } from '../../lib/index.js';
import { BOUND, compare, dense, denseOn, numbers, type Dense } from './attention-cases.js';
import { backends, nativeBackends } from '../support/backends.js';

const shapes: Omit<Dense, 'seed'>[] = [
  { heads: 1, queries: 1, keys: 1, headDim: 1, valueDim: 1 },
  { heads: 4, kvHeads: 1, queries: 1, keys: 16, headDim: 16, valueDim: 16 },
  { heads: 6, kvHeads: 2, queries: 1, keys: 17, headDim: 5, valueDim: 31 },
  { heads: 3, queries: 7, keys: 15, headDim: 33, valueDim: 1 },
  { heads: 8, kvHeads: 1, queries: 2, keys: 511, headDim: 24, valueDim: 40 },
  { heads: 10, kvHeads: 2, queries: 3, keys: 513, headDim: 128, valueDim: 128 },
  { heads: 2, kvHeads: 2, batch: 2, queries: 20, keys: 33, headDim: 64, valueDim: 48 },
  { heads: 14, kvHeads: 2, queries: 11, keys: 40, headDim: 17, valueDim: 16 },
  { heads: 1, queries: 70, keys: 1030, headDim: 3, valueDim: 2 },
  { heads: 2, kvHeads: 1, batch: 3, queries: 1, keys: 1537, headDim: 80, valueDim: 80 },
  { heads: 2, queries: 5, keys: 3, headDim: 256, valueDim: 256 },
];

const dressings: Record<string, Partial<Dense>> = {
  plain: {},
  causal: { causal: true },
  'a window': { window: 5 },
  'a causal window': { causal: true, window: 9 },
  'scores of 150': { size: 150 },
  'scores of 1e5': { size: 1e5 },
  'scores of 1e5, causal': { size: 1e5, causal: true },
  softcap: { softcap: 20, size: 15 },
  'softcap and huge scores': { softcap: 50, size: 1e6 },
  alibi: { causal: true, alibi: true },
  sinks: { sinks: true },
  'a bias': { bias: 3 },
  'a bias of 1e4': { bias: 1e4 },
  'a mask': { mask: 0.5 },
  'a mask of nearly all': { mask: 0.03 },
  'all together': { causal: true, window: 40, softcap: 30, size: 20, alibi: true, sinks: true, mask: 0.7, bias: 2 },
  bshd: { positionsFirst: true, causal: true, mask: 0.7, bias: 1 },
};

describe.each(backends)('%s', (name) => {
  it.each(Object.keys(dressings))('%s', (dressing) => {
    for (const [i, shape] of shapes.entries()) {
      if (name === 'scalar' && i % 3 !== 0) continue;
      const call = dense({ ...shape, ...dressings[dressing], seed: i + 1 });
      compare(call, denseOn(name, call), `${dressing}, ${JSON.stringify(shape)}`);
    }
  });

  it('depths 1 … 70 and 255, 256', () => {
    for (let d = 1; d <= 256; d += d < 70 ? (name === 'scalar' ? 7 : 1) : 185) {
      const call = dense({ heads: 2, kvHeads: 1, queries: 2, keys: 19, headDim: d, valueDim: 71 - Math.min(d, 70), seed: d });
      compare(call, denseOn(name, call), `depth ${d}`);
    }
  });

  it('keys 0 … 50, and around the edges of parts', () => {
    for (const keys of [...Array.from({ length: 51 }, (_, n) => n), 510, 511, 512, 513, 1023, 1024, 1025, 1040]) {
      if (name === 'scalar' && keys % 5 !== 0) continue;
      const call = dense({ heads: 4, kvHeads: 2, queries: 1, keys, headDim: 8, valueDim: 20, seed: keys, size: keys % 3 === 0 ? 60 : 1 });
      compare(call, denseOn(name, call), `${keys} keys`);
    }
  });

  it('many queries: around the edges of steps and blocks of rows, over several parts of the keys', () => {
    for (const [queries, keys, heads] of [[31, 20, 1], [33, 40, 1], [129, 20, 1], [511, 30, 1], [513, 30, 1], [519, 600, 1], [45, 530, 3]] as const) {
      if (name === 'scalar' && queries * keys > 20000) continue;
      for (const more of [{}, { causal: true }, { causal: true, window: 25, positionsFirst: true }, { size: 40, alibi: true }]) {
        const call = dense({ heads, kvHeads: 1, queries, keys, headDim: 5, valueDim: 18, seed: queries, ...more });
        compare(call, denseOn(name, call), `${queries} queries, ${keys} keys, ${JSON.stringify(more)}`);
      }
    }
  });

  it('weights over the whole range, in every order', () => {
    for (const order of ['rising', 'falling', 'apart'] as const) {
      for (const step of [0.01, 1, 9, 100, 3000]) {
        const score = (n: number) => step * (order === 'rising' ? n : order === 'falling' ? -n : ((n * 37) % 64) - 32);
        const call = dense({ heads: 1, queries: 1, keys: 600, headDim: 1, valueDim: 16, scale: 1, seed: 3, key: (_b, _h, n) => score(n), query: () => 1 });
        compare(call, denseOn(name, call), `${order} by ${step}`);
      }
    }
  });

  it('what is masked, or out of sight, does not matter', () => {
    const seen = (n: number) => n % 3 !== 0;
    const of = (bad: number) => dense({
      heads: 2, kvHeads: 1, queries: 2, keys: 50, headDim: 8, valueDim: 5, seed: 5, mask: (n) => seen(n),
      key: (_b, _h, n, d, x) => (seen(n) ? x : d === 3 ? bad : x), value: (_b, _h, n, d, x) => (seen(n) ? x : d === 3 ? bad : x),
    });
    const good = denseOn(name, of(0));
    for (const bad of [NaN, Infinity, -Infinity]) expect(denseOn(name, of(bad))).toEqual(good);

    const causal = (bad: number) => dense({ heads: 1, queries: 3, keys: 20, headDim: 8, valueDim: 16, seed: 6, causal: true, value: (_b, _h, n, _d, x) => (n === 19 ? bad : x) });
    const [a, b] = [denseOn(name, causal(0)), denseOn(name, causal(NaN))];
    expect(b.out.subarray(0, 32)).toEqual(a.out.subarray(0, 32));
    expect([...b.out.subarray(32)].every(Number.isNaN)).toBe(true);
  });

  it('a NaN or an infinity that is seen', () => {
    for (const size of [1, 300]) {
      const key = (bad: number) => denseOn(name, dense({ heads: 1, queries: 1, keys: 530, headDim: 2, valueDim: 3, seed: 5, size, query: () => 1, key: (_b, _h, n, d, x) => (n === 17 && d === 0 ? bad : x) }));
      expect([...key(NaN).out, ...key(NaN).lse].every(Number.isNaN)).toBe(true);
      expect([...key(Infinity).out].every(Number.isNaN)).toBe(true);
      expect([...key(Infinity).lse]).toEqual([Infinity]);
      expect([...key(-Infinity).out].every(Number.isFinite)).toBe(true);
      const value = denseOn(name, dense({ heads: 1, queries: 1, keys: 40, headDim: 2, valueDim: 3, seed: 5, size, value: (_b, _h, n, d, x) => (n === 17 && d === 1 ? NaN : x) }));
      expect([...value.out].map(Number.isNaN)).toEqual([false, true, false]);
      expect(Number.isFinite(value.lse[0])).toBe(true);
    }
  });

  it('no key to see: a zero row, and −∞', () => {
    for (const call of [
      dense({ heads: 2, queries: 3, keys: 0, headDim: 4, valueDim: 4, seed: 1 }),
      dense({ heads: 2, queries: 3, keys: 9, headDim: 4, valueDim: 4, seed: 1, mask: () => false }),
      dense({ heads: 2, queries: 3, keys: 9, headDim: 4, valueDim: 4, seed: 1, bias: () => -Infinity }),
    ]) {
      const { out, lse } = denseOn(name, call);
      expect([...out]).toEqual(new Array(24).fill(0));
      expect([...lse]).toEqual(new Array(6).fill(-Infinity));
    }
    // The first of five queries over three keys, causal, see none; a sink alone gives a zero row too.
    const { out, lse } = denseOn(name, dense({ heads: 1, queries: 5, keys: 3, headDim: 4, valueDim: 2, seed: 1, causal: true }));
    expect([...out.subarray(0, 4)]).toEqual([0, 0, 0, 0]);
    expect([...lse.subarray(0, 2)]).toEqual([-Infinity, -Infinity]);
    const sink = denseOn(name, dense({ heads: 1, queries: 1, keys: 0, headDim: 4, valueDim: 2, seed: 1, sinks: true }));
    expect([...sink.out]).toEqual([0, 0]);
    expect(Number.isFinite(sink.lse[0])).toBe(true);
  });
});

describe('the same bits', () => {
  it('on all native instruction sets', () => {
    const results = (name: BackendName) => shapes.flatMap((shape, i) => Object.values(dressings).filter((_, j) => (i + j) % 4 === 0).map((dressing) => {
      const { out, lse } = denseOn(name, dense({ ...shape, ...dressing, seed: i }));
      return [Buffer.from(out.buffer).toString('base64'), Buffer.from(lse.buffer).toString('base64')];
    }));
    const first = nativeBackends[0];
    if (first === undefined) return;
    for (const name of nativeBackends.slice(1)) expect(results(name)).toEqual(results(first));
  });

  it('with any number of threads', () => {
    const before = setThreads(1);
    for (const [queries, keys, heads] of [[700, 700, 1], [300, 300, 3], [5, 4000, 2]] as const) {
      const { q, k, v } = dense({ heads, queries, keys, headDim: 24, valueDim: 16, seed: 4, size: 3 });
      const [first, ...others] = [1, 2, 3, 7].map((threads) => {
        setThreads(threads);
        return attention(q, k, v, { heads, headDim: 24, causal: true, lse: true });
      });
      for (const other of others) expect(other).toEqual(first);
    }
    setThreads(before);
  });
});

describe('attention', () => {
  const [q, k, v] = [numbers(2 * 3 * 4, 1), numbers(5 * 4, 2), numbers(5 * 6, 3)];
  const options = { heads: 2, kvHeads: 1, headDim: 4 };

  it('finds out sizes, and takes arrays for results', () => {
    const out = attention(q, k, v, options);
    expect(out.length).toBe(2 * 3 * 6);
    const [own, lse] = [new Float32Array(36), new Float64Array(6)];
    const result = attention(q, k, v, { ...options, queries: 3, keys: 5, valueDim: 6, batch: 1, out: own, lse });
    expect(result).toEqual({ out, lse: attention(q, k, v, { ...options, lse: true }).lse });
    expect(result.out).toBe(own);
    expect(result.lse).toBe(lse);
    expect(attention(q, k, v, { ...options, lse: false })).toEqual(out);
  });

  it('masks and biases of less than all', () => {
    const [batch, heads, queries, keys] = [2, 3, 4, 7];
    const [a, b, c] = [numbers(batch * heads * queries * 2, 1), numbers(batch * heads * keys * 2, 2), numbers(batch * heads * keys * 2, 3)];
    const full = (at: (b: number, h: number, m: number, n: number) => number) =>
      Array.from({ length: batch * heads * queries * keys }, (_, i) => at(Math.floor(i / (heads * queries * keys)), Math.floor(i / (queries * keys)) % heads, Math.floor(i / keys) % queries, i % keys));
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
    expect(() => attention(a.subarray(0, batch * heads * 2 * 2), b, c, { batch, heads, headDim: 2, mask: new Uint8Array(2 * keys) })).toThrow(/have the same length with batch = 2, heads = 3, queries = 2, keys = 7/);
  });

  it('the slopes of ALiBi', () => {
    expect([...alibiSlopes(8)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((n) => 2 ** -n));
    expect([...alibiSlopes(6)]).toEqual([2 ** -2, 2 ** -4, 2 ** -6, 2 ** -8, 2 ** -1, 2 ** -3]);
    const own = attention(q, k, v, { ...options, alibi: alibiSlopes(2) });
    expect(attention(q, k, v, { ...options, alibi: true })).toEqual(own);
  });

  it('refuses what does not fit, and has written nothing', () => {
    const out = new Float32Array(36).fill(7);
    const bad = (change: object, ...arrays: unknown[]) => () => attention(...([q, k, v].map((x, i) => arrays[i] ?? x) as [Float32Array, Float32Array, Float32Array]), { ...options, out, ...change } as AttentionOptions);
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
    type({ causal: 1 }, /a boolean for causal/);
    type({ softcap: '1' }, /for softcap/);
    type({ scale: null }, /for scale/);
    type({ layout: 3 }, /for layout/);
    type({ lse: 3 }, /for lse/);
    type({ mask: [1] }, /a Uint8Array for mask/);
    type({ bias: new Float64Array(15) }, /a Float32Array for bias/);
    type({ sinks: [1] }, /for sinks/);
    type({ alibi: 3 }, /for alibi/);
    type({}, /a Float32Array for q/, new Float64Array(24));
    type({}, /a Float32Array for v/, q, k, [1]);
    range({ kvHeads: 3 }, /a divisor of heads = 2 for kvHeads/);
    range({ queries: 4 }, /queries · batch · heads · headDim = 4 · 1 · 2 · 4 = 32 elements for q but received 24/);
    range({ keys: 4 }, /for k but received 20/);
    range({ valueDim: 5 }, /valueDim · batch · kvHeads · keys = 5 · 1 · 1 · 5 = 25 elements for v but received 30/);
    range({}, /a multiple of batch · heads · headDim = 1 · 2 · 4 elements, for queries, for q but received 23/, q.subarray(1));
    range({}, /for k but received 19/, q, k.subarray(1));
    range({}, /for v but received 29/, q, k, v.subarray(1));
    range({ layout: 'sbhd' }, /for layout/);
    for (const window of [0, -1, 1.5]) range({ window }, /a positive integer for window/);
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

  it('kernels know no other shapes than these', () => expect(shapeArray({ batch: 3, biasQuery: 4 })).toHaveLength(19));
  it('the bound', () => expect(BOUND).toBe(2e-6));
});
