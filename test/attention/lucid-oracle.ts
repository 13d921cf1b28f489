/** LUCID attention in BigInt fixed point (exact.ts): all products, roots and exponentials to 1,400 bits. */
import { exponential, fixed } from '../support/exact.js';

const BITS = 1400n;
const ONE = 1n << BITS;
const times = (a: bigint, b: bigint): bigint => (a * b) >> BITS;

/** The nearest double, but for its last place. */
export const toDouble = (x: bigint): number => Number(x >> 1200n) / 2 ** 200;

function root(x: bigint): bigint {
  if (x === 0n) return 0n;
  let r = 1n << BigInt((x.toString(2).length + 1) >> 1);
  for (;;) {
    const next = (r + x / r) >> 1n;
    if (next >= r) return r;
    r = next;
  }
}

type Rows = readonly ArrayLike<number>[];
const dot = (a: ArrayLike<number>, b: ArrayLike<number>): bigint =>
  Array.from(a).reduce((sum, x, d) => sum + times(fixed(x), fixed(b[d]!)), 0n);

/** exp(√d · (cos − 1)); the cosine of a row of zeros is 0. */
function weight(a: ArrayLike<number>, b: ArrayLike<number>): bigint {
  const lengths = root(times(dot(a, a), dot(b, b)) << BITS);
  const cosine = lengths === 0n ? 0n : (dot(a, b) << BITS) / lengths;
  return exponential(times(root(BigInt(a.length) << (2n * BITS)), cosine - ONE));
}

/** Y of one head, as fixed-point numbers. `past` are earlier keys and Ys that are given, as a cache has them. */
export function exactValues(keys: Rows, values: Rows, past: { keys: Rows; y: Rows } = { keys: [], y: [] }): bigint[][] {
  const y: bigint[][] = past.y.map((row) => Array.from(row, fixed));
  const all = [...past.keys, ...keys];
  values.forEach((value, i) => {
    const n = past.keys.length + i;
    const own = Array.from(value, fixed);
    for (let j = 0; j < n; j++) {
      const w = weight(all[n]!, all[j]!);
      y[j]!.forEach((each, d) => (own[d]! -= times(w, each)));
    }
    y.push(own);
  });
  return y.slice(past.keys.length);
}

/** Causal softmax attention over Y; the last query is at the last key. */
export function exactLucid(queries: Rows, keys: Rows, values: Rows, scale?: number): number[][] {
  const y = exactValues(keys, values);
  const dim = values[0]!.length;
  return queries.map((q, m) => {
    const n = Math.max(0, keys.length - queries.length + m + 1);
    if (n === 0) return new Array<number>(dim).fill(0);
    const factor = scale === undefined ? (ONE * ONE) / root(BigInt(q.length) << (2n * BITS)) : fixed(scale);
    const scores = keys.slice(0, n).map((k) => times(factor, dot(q, k)));
    const top = scores.reduce((a, b) => (a > b ? a : b));
    const weights = scores.map((s) => exponential(s - top));
    const sum = weights.reduce((a, b) => a + b);
    return Array.from({ length: dim }, (_, d) =>
      toDouble((weights.reduce((total, w, j) => total + times(w, y[j]![d]!), 0n) << BITS) / sum),
    );
  });
}
