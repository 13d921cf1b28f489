/** Cases of lucidAttention, judged in fixed point: few keys, as each pair costs an exponential of 1,400 bits. */
import { exactLucid, exactValues, toDouble } from '../attention/lucid-oracle.js';
import type { Case, Maker } from './case.js';
import { numbersOf } from './data.js';
import type { Outcome } from './judge.js';

/** The bound of lib/attention/lucid.ts, relative to the largest |Y| that a row sees. */
const BOUND = 2e-6;
const KINDS = ['N(0,1)', 'N(0,1)', 'integers', 'constant', 'zeros', 'copies among others', 'two values'];
/** Scores of larger queries and keys lose more bits as floats. */
const MOST = 8;

interface Sizes {
  readonly heads: number;
  readonly kvHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly headDim: number;
  readonly valueDim: number;
}

type Arrays = Readonly<Record<'q' | 'k' | 'v', Float32Array>>;

const rowsOf = (x: Float32Array, at: number, n: number, dim: number): Float32Array[] =>
  Array.from({ length: n }, (_, i) => x.subarray((at + i) * dim, (at + i + 1) * dim));

/** Whether all keys score −∞, as a bad one may: then attention gives 0. */
const isHidden = (row: Float32Array, keys: readonly Float32Array[], scale = 1): boolean =>
  keys.every((key) => key.reduce((sum, x, d) => sum + x * row[d]!, 0) * scale === -Infinity);

function check(s: Sizes, { q, k, v }: Arrays, scale: number | undefined, bad: number, { arrays: { out } }: Outcome) {
  const { heads, kvHeads, queries, keys, headDim, valueDim } = s;
  for (let h = 0; h < heads; h++) {
    const kv = Math.floor(h / (heads / kvHeads));
    const [ks, vs] = [rowsOf(k, kv * keys, keys, headDim), rowsOf(v, kv * keys, keys, valueDim)];
    // The head of a bad key is exact before it, and NaN from it on.
    const first = bad < 0 || Math.floor(bad / keys) !== kv ? keys : bad % keys;
    const y = exactValues(ks.slice(0, first), vs.slice(0, first)).map((row) => row.map(toDouble));
    for (let m = 0; m < queries; m++) {
      const seen = Math.max(0, keys - queries + m + 1);
      const got = out!.subarray((h * queries + m) * valueDim, (h * queries + m + 1) * valueDim);
      const row = q.subarray((h * queries + m) * headDim, (h * queries + m + 1) * headDim);
      if (seen > first && !isHidden(row, ks.slice(0, seen), scale)) {
        if (got.some((x) => x === x)) return `query ${m} of head ${h} is ${got.join()}, not NaN`;
        continue;
      }
      const wanted =
        seen === 0 || seen > first ? [] : exactLucid([row], ks.slice(0, seen), vs.slice(0, seen), scale)[0]!;
      const most = Math.max(0, ...y.slice(0, seen).flat().map(Math.abs));
      for (let d = 0; d < valueDim; d++) {
        const exact = wanted[d] ?? 0;
        if (!(Math.abs(got[d]! - exact) <= BOUND * most + 1e-39))
          return `query ${m} of head ${h}: ${got[d]}, exactly ${exact}, of ${most}`;
      }
    }
  }
  return undefined;
}

const lucidAttention: Maker = (draw, limit): Case => {
  const kvHeads = draw.pick([1, 1, 2]);
  const keys = Math.min(limit, draw.pick([1, 2, 3, 7, 8, 9, 15, 17]));
  const s: Sizes = {
    kvHeads,
    heads: kvHeads * draw.pick([1, 1, 2]),
    queries: draw.chance(0.5) ? keys : Math.min(limit, draw.pick([1, 2, 5])),
    keys,
    headDim: Math.min(limit, draw.pick([1, 2, 3, 5, 8, 16, 17])),
    valueDim: Math.min(limit, draw.pick([1, 2, 3, 8, 9])),
  };
  const numbers = (n: number) =>
    Float32Array.from(numbersOf(draw, 'f32', n, draw.pick(KINDS)), (x) => Math.max(-MOST, Math.min(MOST, x)));
  const q = numbers(s.heads * s.queries * s.headDim);
  const k = numbers(s.kvHeads * s.keys * s.headDim);
  const v = numbers(s.kvHeads * s.keys * s.valueDim);
  const bad = draw.chance(0.1) ? draw.int(s.kvHeads * s.keys) : -1;
  if (bad >= 0) k[bad * s.headDim + draw.int(s.headDim)] = draw.pick([NaN, Infinity]);
  const scale = draw.chance(0.3) ? draw.pick([0, 0.1, -0.2]) : undefined;
  const hasOut = draw.chance(0.4);
  const { heads, headDim } = s;
  return {
    text: `lucidAttention(${JSON.stringify(s)}) scale ${scale}${bad >= 0 ? ' with a bad key' : ''}`,
    elements: heads * (s.queries + s.keys) * s.keys * headDim,
    hasPromise: true,
    isSameEverywhere: false,
    expects: 'value',
    invoke(api, arena) {
      const out = hasOut ? arena.output('out', new Float32Array(0), heads * s.queries * s.valueDim) : undefined;
      const options = { heads, kvHeads, headDim, scale, out };
      return api.lucidAttention!(arena.input('q', q), arena.input('k', k), arena.input('v', v), arena.options(options));
    },
    outputs: (out: Float32Array) => ({ out }),
    check: (outcome) => check(s, { q, k, v }, scale, bad, outcome),
  };
};

export const lucidMakers: Record<string, Maker> = { lucidAttention };
