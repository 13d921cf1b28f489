/**
 * Attention in BigInt fixed point, exact to some hundred bits, for finite numbers: it judges the kernels in double.
 */
import { exponential, fixed } from '../support/exact.js';
import { isInSight, type AttentionCase } from './attention-oracle.js';

const BITS = 1400n;
const ONE = 1n << BITS;
const times = (a: bigint, b: bigint): bigint => (a * b) >> BITS;
const over = (a: bigint, b: bigint): bigint => (a << BITS) / b;
const size = (a: bigint): bigint => (a < 0n ? -a : a);

/** The number nearest to a fixed one, from 2^-700 on. */
export const numberOf = (a: bigint): number => Number(a >> 600n) / 2 ** 800;

export interface FixedRow {
  readonly out: bigint[];
  readonly lse: bigint | null;
  /** Of each key. */
  readonly weights: bigint[];
  /** Scores by stage: of each key; null is −∞. */
  readonly stages: readonly [raw: bigint[], capped: bigint[], masked: (bigint | null)[]];
  /** The largest Σ |q · k| · scale, and |bias| + |slope · distance|, and |v|, of the keys. */
  readonly products: number;
  readonly added: number;
  readonly most: number;
}

function tanh(x: bigint): bigint {
  const e = exponential(-2n * size(x));
  const y = over(ONE - e, ONE + e);
  return x < 0n ? -y : y;
}

/** ln of a number from 1 on: two steps of Newton's method from a double. */
function logOf(x: bigint): bigint {
  let y = fixed(Math.log(numberOf(x)));
  for (let i = 0; i < 2; i++) y += times(x, exponential(-y)) - ONE;
  return y;
}

/** Rows in the order [sequence, head, query]. */
export function fixedAttention(c: AttentionCase): FixedRow[] {
  const rows: FixedRow[] = [];
  for (let b = 0; b < c.keys.length; b++) {
    for (let head = 0; head < c.heads; head++) {
      for (let query = 0; query < c.queries; query++) rows.push(fixedRow(c, b, head, query));
    }
  }
  return rows;
}

function fixedRow(c: AttentionCase, b: number, head: number, query: number): FixedRow {
  const { kvHeads = c.heads, scale = 1 / Math.sqrt(c.headDim), softcap, slopes, bias } = c;
  const keys = c.keys[b]!;
  const kv = Math.floor(head / (c.heads / kvHeads));
  const [start, total] = c.spans?.[b] ?? [0, keys];
  const at = (c.causal === 'topLeft' ? 0 : total - c.queries) + query - start;
  const stages: [bigint[], bigint[], (bigint | null)[]] = [[], [], []];
  let [products, added, most] = [0, 0, 0];
  for (let n = 0; n < keys; n++) {
    let [s, all] = [0n, 0n];
    for (let d = 0; d < c.headDim; d++) {
      const product = times(fixed(c.q(b, head, query, d)), fixed(c.k(b, kv, n, d)));
      s += product;
      all += size(product);
    }
    products = Math.max(products, numberOf(times(all, size(fixed(scale)))));
    s = times(s, fixed(scale));
    stages[0].push(s);
    if (softcap !== undefined) s = times(fixed(softcap), tanh(over(s, fixed(softcap))));
    stages[1].push(s);
    const biased = bias ? bias(b, head, query, n) : 0;
    if (!isInSight(c, b, query, n) || (c.sees && !c.sees(b, head, query, n)) || biased === -Infinity) {
      stages[2].push(null);
      continue;
    }
    const slope = slopes ? slopes[head]! : 0;
    added = Math.max(added, Math.abs(biased) + slope * Math.abs(at - n));
    stages[2].push(s - fixed(slope) * BigInt(Math.abs(at - n)) + fixed(biased));
    for (let d = 0; d < c.valueDim; d++) most = Math.max(most, Math.abs(c.v(b, kv, n, d)));
  }
  const sink = c.sinks ? fixed(c.sinks[head]!) : null;
  const largest = [...stages[2], sink].reduce((a, x) => (x !== null && (a === null || x > a) ? x : a), null);
  if (largest === null) {
    const nothing = new Array<bigint>(keys).fill(0n);
    return { out: new Array<bigint>(c.valueDim).fill(0n), lse: null, weights: nothing, stages, products, added, most };
  }
  const terms = stages[2].map((x) => (x === null ? 0n : exponential(x - largest)));
  const sum = terms.reduce((a, x) => a + x, sink === null ? 0n : exponential(sink - largest));
  const weights = terms.map((x) => over(x, sum));
  const out = Array.from({ length: c.valueDim }, (_, d) =>
    weights.reduce((a, w, n) => (stages[2][n] === null ? a : a + times(w, fixed(c.v(b, kv, n, d)))), 0n),
  );
  return { out, lse: largest + logOf(sum), weights, stages, products, added, most };
}

/** |actual − expected| as a number. */
export const difference = (actual: number, expected: bigint): number => numberOf(size(fixed(actual) - expected));
