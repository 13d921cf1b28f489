/** Attention over arrays: every backend against the oracle, over shapes, masks and scores of all sizes. */
import { describe, expect, it } from 'vitest';
import { attention } from '../../lib/attention.js';
import type { BackendName } from '../../lib/backend/backend.js';
import { setThreads } from '../../lib/index.js';
import { compare, dense, denseOn, type Dense } from './attention-cases.js';
import { backends, sameBitBackends } from '../support/backends.js';
import { sample } from '../support/long.js';

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
    // Backends and dressings begin at different shapes, so that together they have all.
    const turn = backends.indexOf(name) + Object.keys(dressings).indexOf(dressing);
    for (const [i, shape] of sample([...shapes.entries()], 3, turn)) {
      const call = dense({ ...shape, ...dressings[dressing], seed: i + 1 });
      compare(call, denseOn(name, call), `${dressing}, ${JSON.stringify(shape)}`);
    }
  });

  it('depths 1 … 70 and 255, 256', () => {
    for (let d = 1; d <= 256; d += d < 70 ? (name === 'scalar' ? 7 : 1) : 185) {
      const call = dense({
        heads: 2,
        kvHeads: 1,
        queries: 2,
        keys: 19,
        headDim: d,
        valueDim: 71 - Math.min(d, 70),
        seed: d,
      });
      compare(call, denseOn(name, call), `depth ${d}`);
    }
  });

  it('keys 0 … 50, and around the edges of parts', () => {
    for (const keys of [...Array.from({ length: 51 }, (_, n) => n), 510, 511, 512, 513, 1023, 1024, 1025, 1040]) {
      if (name === 'scalar' && keys % 5 !== 0) continue;
      const call = dense({
        heads: 4,
        kvHeads: 2,
        queries: 1,
        keys,
        headDim: 8,
        valueDim: 20,
        seed: keys,
        size: keys % 3 === 0 ? 60 : 1,
      });
      compare(call, denseOn(name, call), `${keys} keys`);
    }
  });

  it('many queries: around the edges of steps and blocks of rows, over several parts of the keys', () => {
    for (const [queries, keys, heads] of [
      [31, 20, 1],
      [33, 40, 1],
      [129, 20, 1],
      [511, 30, 1],
      [513, 30, 1],
      [519, 600, 1],
      [45, 530, 3],
    ] as const) {
      if (name === 'scalar' && queries * keys > 20000) continue;
      for (const more of [
        {},
        { causal: true },
        { causal: true, window: 25, positionsFirst: true },
        { size: 40, alibi: true },
      ]) {
        const call = dense({ heads, kvHeads: 1, queries, keys, headDim: 5, valueDim: 18, seed: queries, ...more });
        compare(call, denseOn(name, call), `${queries} queries, ${keys} keys, ${JSON.stringify(more)}`);
      }
    }
  });

  it('weights over the whole range, in every order', () => {
    for (const order of ['rising', 'falling', 'apart'] as const) {
      for (const step of [0.01, 1, 9, 100, 3000]) {
        const score = (n: number) => step * (order === 'rising' ? n : order === 'falling' ? -n : ((n * 37) % 64) - 32);
        const call = dense({
          heads: 1,
          queries: 1,
          keys: 600,
          headDim: 1,
          valueDim: 16,
          scale: 1,
          seed: 3,
          key: (_b, _h, n) => score(n),
          query: () => 1,
        });
        compare(call, denseOn(name, call), `${order} by ${step}`);
      }
    }
  });

  it('masked keys and keys out of sight do not matter', () => {
    const seen = (n: number) => n % 3 !== 0;
    const of = (bad: number) =>
      dense({
        heads: 2,
        kvHeads: 1,
        queries: 2,
        keys: 50,
        headDim: 8,
        valueDim: 5,
        seed: 5,
        mask: (n) => seen(n),
        key: (_b, _h, n, d, x) => (seen(n) ? x : d === 3 ? bad : x),
        value: (_b, _h, n, d, x) => (seen(n) ? x : d === 3 ? bad : x),
      });
    const good = denseOn(name, of(0));
    for (const bad of [NaN, Infinity, -Infinity]) expect(denseOn(name, of(bad))).toEqual(good);

    const causal = (bad: number) =>
      dense({
        heads: 1,
        queries: 3,
        keys: 20,
        headDim: 8,
        valueDim: 16,
        seed: 6,
        causal: true,
        value: (_b, _h, n, _d, x) => (n === 19 ? bad : x),
      });
    const [a, b] = [denseOn(name, causal(0)), denseOn(name, causal(NaN))];
    expect(b.out.subarray(0, 32)).toEqual(a.out.subarray(0, 32));
    expect([...b.out.subarray(32)].every(Number.isNaN)).toBe(true);
  });

  it('a visible NaN or infinity', () => {
    for (const size of [1, 300]) {
      const key = (bad: number) =>
        denseOn(
          name,
          dense({
            heads: 1,
            queries: 1,
            keys: 530,
            headDim: 2,
            valueDim: 3,
            seed: 5,
            size,
            query: () => 1,
            key: (_b, _h, n, d, x) => (n === 17 && d === 0 ? bad : x),
          }),
        );
      expect([...key(NaN).out, ...key(NaN).lse].every(Number.isNaN)).toBe(true);
      expect([...key(Infinity).out].every(Number.isNaN)).toBe(true);
      expect([...key(Infinity).lse]).toEqual([Infinity]);
      expect([...key(-Infinity).out].every(Number.isFinite)).toBe(true);
      const value = denseOn(
        name,
        dense({
          heads: 1,
          queries: 1,
          keys: 40,
          headDim: 2,
          valueDim: 3,
          seed: 5,
          size,
          value: (_b, _h, n, d, x) => (n === 17 && d === 1 ? NaN : x),
        }),
      );
      expect([...value.out].map(Number.isNaN)).toEqual([false, true, false]);
      expect(Number.isFinite(value.lse[0])).toBe(true);
    }
  });

  it('no visible key gives a zero row, and −∞', () => {
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
    const { out, lse } = denseOn(
      name,
      dense({ heads: 1, queries: 5, keys: 3, headDim: 4, valueDim: 2, seed: 1, causal: true }),
    );
    expect([...out.subarray(0, 4)]).toEqual([0, 0, 0, 0]);
    expect([...lse.subarray(0, 2)]).toEqual([-Infinity, -Infinity]);
    const sink = denseOn(name, dense({ heads: 1, queries: 1, keys: 0, headDim: 4, valueDim: 2, seed: 1, sinks: true }));
    expect([...sink.out]).toEqual([0, 0]);
    expect(Number.isFinite(sink.lse[0])).toBe(true);
  });
});

describe('the same bits', () => {
  it('on all native instruction sets', () => {
    const results = (name: BackendName) =>
      shapes.flatMap((shape, i) =>
        Object.values(dressings)
          .filter((_, j) => (i + j) % 4 === 0)
          .map((dressing) => {
            const { out, lse } = denseOn(name, dense({ ...shape, ...dressing, seed: i }));
            return [Buffer.from(out.buffer).toString('base64'), Buffer.from(lse.buffer).toString('base64')];
          }),
      );
    const first = sameBitBackends[0];
    if (first === undefined) return;
    for (const name of sameBitBackends.slice(1)) expect(results(name)).toEqual(results(first));
  });

  it('with any number of threads', () => {
    const before = setThreads(1);
    for (const [queries, keys, heads] of [
      [700, 700, 1],
      [300, 300, 3],
      [5, 4000, 2],
    ] as const) {
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
