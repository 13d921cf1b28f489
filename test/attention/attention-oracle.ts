/**
 * Attention in float64, straight from its definition: all scores, their maximum, exponentials, sums. It shares nothing
 * with the kernels or the fallback. Max error with scores of size s: about s · 2^-52.
 */

/** The index of a number in [batch, heads, positions, dim] or, positions first, [batch, positions, heads, dim]. */
export const elementAt = (
  isPositionsFirst: boolean,
  [b, head, n, d]: readonly [b: number, head: number, n: number, d: number],
  [heads, positions, dim]: readonly [heads: number, positions: number, dim: number],
): number => (isPositionsFirst ? (b * positions + n) * heads + head : (b * heads + head) * positions + n) * dim + d;

export interface AttentionCase {
  batch?: number;
  heads: number;
  kvHeads?: number;
  queries: number;
  /** Keys of each sequence: [kvHeads][keys][headDim] and likewise values. */
  keys: readonly number[];
  headDim: number;
  valueDim: number;
  q(b: number, head: number, query: number, d: number): number;
  k(b: number, head: number, n: number, d: number): number;
  v(b: number, head: number, n: number, d: number): number;
  scale?: number;
  causal?: boolean | 'bottomRight' | 'topLeft';
  window?: number | readonly [left: number, right: number];
  softcap?: number;
  slopes?: ArrayLike<number>;
  sinks?: ArrayLike<number>;
  sees?(b: number, head: number, query: number, n: number): boolean;
  bias?(b: number, head: number, query: number, n: number): number;
  /** The position of a sequence's first key, and the number of all keys. */
  spans?: readonly (readonly [number, number])[];
}

export interface ExactRow {
  readonly out: Float64Array;
  readonly lse: number;
  /** The largest |v| that the row sees. */
  readonly most: number;
  /** The largest Σ |q · k| · scale of a key that the row sees. */
  readonly size: number;
  /** The largest |bias| + |slope · distance| of a key that the row sees, or the size of the sink. */
  readonly added: number;
}

/**
 * Whether `causal` and `window` let a query see key n of its sequence, by the positions of both among the keys of all
 * parts. By default the last query is at the last key.
 */
export function isInSight(c: AttentionCase, b: number, query: number, n: number): boolean {
  const [start, total] = c.spans?.[b] ?? [0, c.keys[b]!];
  const ownPosition = c.causal === 'topLeft' ? query : total - 1 - (c.queries - 1 - query);
  const distance = start + n - ownPosition; // > 0: the key is behind the query
  const { window = [Infinity, Infinity] } = c;
  const [left, right] = typeof window === 'number' ? [window - 1, window - 1] : window;
  const isCausal = c.causal !== undefined && c.causal !== false;
  const [isNearBefore, isNearBehind] = [distance >= -left, distance <= right];
  return isNearBefore && isNearBehind && !(isCausal && distance > 0);
}

/** Rows in the order [sequence, head, query]. */
export function attentionOracle(c: AttentionCase): ExactRow[] {
  const rows: ExactRow[] = [];
  for (let b = 0; b < c.keys.length; b++) {
    for (let head = 0; head < c.heads; head++) {
      for (let query = 0; query < c.queries; query++) rows.push(exactRow(c, b, head, query));
    }
  }
  return rows;
}

function exactRow(c: AttentionCase, b: number, head: number, query: number): ExactRow {
  const { kvHeads = c.heads, scale = 1 / Math.sqrt(c.headDim), softcap, slopes, bias } = c;
  const keys = c.keys[b]!;
  const kv = Math.floor(head / (c.heads / kvHeads));
  const [start, total] = c.spans?.[b] ?? [0, keys];
  const at = (c.causal === 'topLeft' ? 0 : total - c.queries) + query - start;
  const seen: number[] = [];
  const scores: number[] = [];
  let [largest, most] = [0, 0];
  let others = Math.abs(c.sinks?.[head] ?? 0);
  if (!(others < Infinity)) others = 0;
  for (let n = 0; n < keys; n++) {
    if (!isInSight(c, b, query, n)) continue;
    if (c.sees && !c.sees(b, head, query, n)) continue;
    const added = bias ? bias(b, head, query, n) : 0;
    if (added === -Infinity) continue;
    let [s, size] = [0, 0];
    for (let d = 0; d < c.headDim; d++) {
      const product = c.q(b, head, query, d) * c.k(b, kv, n, d);
      s += product;
      size += Math.abs(product);
    }
    s *= scale;
    largest = Math.max(largest, size * Math.abs(scale));
    if (softcap !== undefined) s = softcap * Math.tanh(s / softcap);
    const loss = slopes ? slopes[head]! * Math.abs(at - n) : 0;
    if (slopes) s -= loss;
    others = Math.max(others, Math.abs(loss) + Math.abs(added));
    scores.push(s + added);
    seen.push(n);
  }
  const sink = c.sinks?.[head];
  let max = Math.max(sink ?? -Infinity, ...scores.filter((s) => s === s));
  if (!Number.isFinite(max)) max = 0;
  let sum = sink === undefined ? 0 : Math.exp(sink - max);
  const out = new Float64Array(c.valueDim);
  scores.forEach((s, i) => {
    const p = Math.exp(s - max);
    sum += p;
    for (let d = 0; d < c.valueDim; d++) {
      const v = c.v(b, kv, seen[i]!, d);
      most = Math.max(most, Math.abs(v));
      // A finite score has weight, even if the weight is too small for a double: an infinite value makes the output
      // infinite.
      out[d]! += p === 0 && s > -Infinity && Math.abs(v) === Infinity ? v : p * v;
    }
  });
  const factor = sum === 0 ? 0 : sum < Infinity ? 1 / sum : NaN;
  return { out: out.map((x) => x * factor), lse: max + Math.log(sum), most, size: largest, added: others };
}
