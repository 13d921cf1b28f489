/** The gradients of attention against an oracle in float64, which finite differences of attention's oracle confirm. */
import { describe, expect, it } from 'vitest';
import { setThreads } from '../../lib/threads.js';
import { backends, isNative, sameBitBackends } from '../support/backends.js';
import { asCase, denseOn, sameBits, type Dense } from './attention-cases.js';
import { attentionOracle, type AttentionCase } from './attention-oracle.js';
import { backwardOn, errorsOf, givenOf, inputOf, type BackwardInput, type Name } from './backward-cases.js';
import { backwardOracle, boundOf, type Sums } from './backward-oracle.js';

const plain = { heads: 2, queries: 20, keys: 20, headDim: 8, valueDim: 8, seed: 1 };
const cases: Record<string, Dense> = {
  plain,
  causal: { ...plain, causal: true, queries: 33 },
  'more queries than keys': { ...plain, causal: true, queries: 30, keys: 7 },
  window: { ...plain, window: 3, keys: 40 },
  'window, causal': { ...plain, window: 5, causal: true, queries: 40, keys: 230 },
  'scale and softcap': { ...plain, scale: -0.7, softcap: 1.5, size: 4 },
  alibi: { ...plain, alibi: true, causal: true },
  sinks: { ...plain, sinks: true },
  mask: { ...plain, mask: 0.3 },
  bias: { ...plain, bias: 2 },
  'grouped heads': { ...plain, heads: 6, kvHeads: 2, batch: 2, queries: 9 },
  'positions first': { ...plain, heads: 6, kvHeads: 3, batch: 2, positionsFirst: true, keys: 35 },
  'several blocks': { ...plain, queries: 200, keys: 210, headDim: 20, valueDim: 36 },
  'several blocks, causal': { ...plain, queries: 200, keys: 200, headDim: 16, valueDim: 48, causal: true },
  'blocks that end at a block': { ...plain, queries: 96, keys: 192, headDim: 32, valueDim: 16 },
  'a wide head': { ...plain, heads: 1, headDim: 130, valueDim: 97, queries: 5, keys: 17 },
  'one number a key': { ...plain, headDim: 1, valueDim: 1, queries: 3, keys: 3 },
  'large scores': { ...plain, size: 40, headDim: 16, keys: 100 },
  'very large scores': { ...plain, size: 1e4, headDim: 16, keys: 50, queries: 50 },
  'all options': {
    ...plain,
    ...{ batch: 2, heads: 4, kvHeads: 2, queries: 110, keys: 120, headDim: 9, valueDim: 19 },
    ...{ causal: true, window: 70, softcap: 3, scale: 0.4, alibi: true, sinks: true, mask: 0.8, bias: 1 },
    positionsFirst: true,
  },
};

const made = new Map<string, BackwardInput>();
/** The input of a case, which all backends share. */
function madeOnce(what: string, options: Dense): BackwardInput {
  if (!made.has(what)) made.set(what, inputOf(options));
  return made.get(what)!;
}

describe('attentionBackward', () => {
  for (const name of backends) {
    for (const [what, options] of Object.entries(cases)) {
      it(`is within its bound of the oracle: ${what}, ${name}`, () => {
        const input = madeOnce(what, options);
        const errors = errorsOf(input, backwardOn(name, input), name);
        for (const [which, error] of Object.entries(errors)) expect(error, which).toBeLessThanOrEqual(1);
      });
    }
  }

  it('has an oracle that finite differences confirm', () => {
    for (const [what, options] of Object.entries(cases)) {
      if ((options.size ?? 1) > 10) continue; // a step of 10⁻⁵ is too coarse there
      const small = { ...options, queries: Math.min(options.queries, 6), keys: Math.min(options.keys, 7) };
      const input = inputOf(small);
      const c = asCase(input.c);
      const given = givenOf(input);
      const rows = attentionOracle(c);
      const at = (b: number, head: number, m: number) => rows[(b * c.heads + head) * c.queries + m]!;
      const exact = backwardOracle(c, { ...given, out: (b, head, m, d) => at(b, head, m).out[d]! });
      const loss = (changed: AttentionCase) =>
        attentionOracle(changed).reduce((sum, { out }, i) => {
          const [b, head] = [Math.floor(i / (c.heads * c.queries)), Math.floor(i / c.queries) % c.heads];
          return out.reduce((all, x, d) => all + x * given.dOut(b, head, i % c.queries, d), sum);
        }, 0);
      const step = 1e-5;
      const slope = (by: (x: number) => AttentionCase) => (loss(by(step)) - loss(by(-step))) / (2 * step);
      const head = c.heads - 1;
      const kv = (c.kvHeads ?? c.heads) - 1;
      const near = (value: number, [sums, i]: [Sums, number], name: string) =>
        expect(Math.abs(value - sums.sum[i]!), `${what}: ${name}`).toBeLessThan(1e-7 * (1 + sums.scale[i]!));
      for (const d of new Set([0, c.headDim - 1])) {
        const [m, n] = [c.queries - 1, Math.floor(input.c.keys / 2)];
        const q = (x: number) => ({
          ...c,
          q: (...i: [number, number, number, number]) => c.q(...i) + (String(i) === String([0, head, m, d]) ? x : 0),
        });
        near(slope(q), [exact.dq, (head * c.queries + m) * c.headDim + d], 'dq');
        const k = (x: number) => ({
          ...c,
          k: (...i: [number, number, number, number]) => c.k(...i) + (String(i) === String([0, kv, n, d]) ? x : 0),
        });
        near(slope(k), [exact.dk, (kv * input.c.keys + n) * c.headDim + d], 'dk');
        const v = (x: number) => ({
          ...c,
          v: (...i: [number, number, number, number]) => c.v(...i) + (String(i) === String([0, kv, n, 0]) ? x : 0),
        });
        near(slope(v), [exact.dv, (kv * input.c.keys + n) * c.valueDim], 'dv');
        const bias = (x: number) => ({
          ...c,
          bias: (...i: [number, number, number, number]) =>
            (c.bias ? c.bias(...i) : 0) + (String(i) === String([0, head, m, n]) ? x : 0),
        });
        near(slope(bias), [exact.dScores, (head * c.queries + m) * input.c.keys + n], 'dBias');
        if (!c.sinks) continue;
        const sinks = (x: number) => ({
          ...c,
          sinks: Array.from(c.sinks!, (s, i) => s + (i === head ? x : 0)),
        });
        near(slope(sinks), [exact.dSinks, head], 'dSinks');
      }
    }
  });

  for (const name of backends) {
    it(`has the results of attention itself as inputs: ${name}`, () => {
      for (const options of [cases.causal!, cases['all options']!, cases['very large scores']!]) {
        const input = inputOf(options);
        const own = { ...input, ...denseOn(name, input.c) };
        const exact = backwardOracle(asCase(input.c), givenOf(input));
        const more = isNative(name) ? 4e-6 + boundOf(asCase(input.c), exact, true) : 2e-7;
        for (const [which, error] of Object.entries(errorsOf(input, backwardOn(name, own), name, more)))
          expect(error, which).toBeLessThanOrEqual(1);
      }
    });

    it(`gives each gradient alone the same bits: ${name}`, () => {
      for (const what of ['several blocks, causal', 'all options']) {
        const input = madeOnce(what, cases[what]!);
        const all = backwardOn(name, input);
        for (const [which, expected] of Object.entries(all))
          if (expected) sameBits(backwardOn(name, input, [which as Name])[which as Name]!, expected, which);
      }
    });

    it(`sums the gradient of a shared bias: ${name}`, () => {
      const input = inputOf({ ...plain, batch: 2, heads: 4, kvHeads: 2, queries: 100, keys: 110, bias: (n) => n / 50 });
      const whole = backwardOn(name, input, ['dBias']).dBias!;
      for (let i = 0; i < 8; i++) {
        const has = [(i & 4) > 0, (i & 2) > 0, (i & 1) > 0] as const;
        const got = backwardOn(name, input, ['dBias'], has).dBias!;
        const [sums, sizes] = [new Float64Array(got.length), new Float64Array(got.length)];
        whole.forEach((x, at) => {
          const [b, head, m, n] = [
            Math.floor(at / 44_000),
            Math.floor(at / 11_000) % 4,
            Math.floor(at / 110) % 100,
            at % 110,
          ];
          const row = has[2] ? m : 0;
          const place =
            (((has[0] ? b : 0) * (has[1] ? 4 : 1) + (has[1] ? head : 0)) * (has[2] ? 100 : 1) + row) * 110 + n;
          sums[place]! += x;
          sizes[place]! += Math.abs(x);
        });
        got.forEach((x, at) => expect(Math.abs(x - sums[at]!)).toBeLessThanOrEqual(2 ** -22 * sizes[at]! + 1e-30));
      }
    });

    it(`has zeros where nothing is seen, and no NaN from what is hidden: ${name}`, () => {
      const hidden = (n: number) => n > 4 && n < 9;
      const options: Dense = { ...plain, queries: 12, mask: (n) => !hidden(n), causal: true };
      const nan = (_b: number, _h: number, n: number, _d: number, x: number) =>
        hidden(n) ? (n % 2 ? NaN : Infinity) : x;
      const [clean, dirty] = [inputOf(options), inputOf({ ...options, key: nan, value: nan })];
      const [expected, got] = [backwardOn(name, clean), backwardOn(name, dirty)];
      for (const which of ['dq', 'dk', 'dv'] as const) sameBits(got[which]!, expected[which]!, which);
      for (let n = 5; n < 9; n++) expect(got.dv!.slice(n * 8, n * 8 + 8)).toEqual(new Float32Array(8));
      // The first queries of 12 see none of 5 keys; NaN in a query that sees nothing does not matter either.
      const none = (_b: number, _h: number, n: number, _d: number, x: number) => (n < 7 ? NaN : x);
      const few = { ...plain, queries: 12, keys: 5, causal: true };
      const [rows, same] = [inputOf({ ...few, query: none }), inputOf(few)];
      rows.dOut.set(new Float32Array(7 * 8).fill(NaN));
      same.dOut.set(new Float32Array(7 * 8));
      const [a, b] = [backwardOn(name, rows), backwardOn(name, same)];
      expect(a.dq!.slice(0, 56)).toEqual(new Float32Array(56));
      for (const which of ['dq', 'dk', 'dv'] as const) sameBits(a[which]!, b[which]!, which);
    });

    it(`is NaN for a query with a score of NaN or +∞: ${name}`, () => {
      for (const bad of [NaN, Infinity]) {
        const input = inputOf({ ...plain, heads: 1, queries: 6, keys: 6, causal: true, bias: 1, seed: 5 });
        input.c.biases!.fill(0);
        input.c.biases![3 * 6 + 1] = bad;
        const exact = { ...input, ...denseOn('js', input.c) };
        expect(exact.lse[3]).toBe(bad);
        const { dq, dk, dv, dBias } = backwardOn(name, exact);
        expect(Array.from({ length: 6 }, (_, m) => dq!.slice(m * 8, m * 8 + 8).every((x) => x !== x))).toEqual([
          false,
          false,
          false,
          true,
          false,
          false,
        ]);
        for (const each of [dk!, dv!])
          each.forEach((x: number, i: number) => expect(x !== x, `${i}`).toBe(Math.floor(i / 8) < 4));
        dBias!.forEach((x, i) => expect(x !== x).toBe(Math.floor(i / 6) === 3 && i % 6 < 4));
      }
    });

    it(`has a weight of at most 1, and works without keys or queries: ${name}`, () => {
      const input = inputOf({ ...plain, heads: 1, queries: 3, keys: 4 });
      input.lse.fill(-1e6);
      const { dv } = backwardOn(name, input);
      const sums = Array.from({ length: 8 }, (_, d) => [0, 1, 2].reduce((sum, m) => sum + input.dOut[m * 8 + d]!, 0));
      dv!.forEach((x, i) => expect(x).toBeCloseTo(sums[i % 8]!, 5));
      for (const [queries, keys] of [
        [0, 3],
        [3, 0],
      ] as const) {
        const empty = inputOf({ ...plain, queries, keys });
        for (const each of Object.values(backwardOn(name, empty, ['dq', 'dk', 'dv'])))
          expect(each ?? new Float32Array(0)).toEqual(new Float32Array(each?.length ?? 0));
      }
    });
  }

  it.runIf(sameBitBackends.length > 1)('has the same bits on all native instruction sets, and for any threads', () => {
    for (const [what, options] of Object.entries(cases)) {
      const input = madeOnce(what, options);
      const [first, ...others] = sameBitBackends.map((name) => backwardOn(name, input));
      for (const other of others)
        for (const [which, expected] of Object.entries(first!))
          if (expected) sameBits(other[which as Name]!, expected as Float32Array, which);
    }
    const input = inputOf({ ...plain, kvHeads: 1, queries: 500, keys: 500, headDim: 32, causal: true, bias: 1 });
    const before = setThreads(1);
    const expected = backwardOn(sameBitBackends[0]!, input);
    for (const threads of [2, 3, 7]) {
      setThreads(threads);
      for (const [which, x] of Object.entries(backwardOn(sameBitBackends[0]!, input)))
        if (x) sameBits(x as Float32Array, expected[which as Name]!, which);
    }
    setThreads(before);
  });
});
