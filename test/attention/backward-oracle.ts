/**
 * The gradients of attention in float64, straight from their definition, from given outputs and log-sum-exps. It shares
 * nothing with the kernels or the fallback. Beside each gradient stands its scale: the sum of the sizes of its terms.
 */
import { isInSight, type AttentionCase } from './attention-oracle.js';

/** Sums of terms, and of their sizes. */
export interface Sums {
  readonly sum: Float64Array;
  readonly scale: Float64Array;
}

export interface ExactGradients {
  /** [sequence, head, query, headDim] */
  readonly dq: Sums;
  /** [sequence, kvHead, key, headDim] */
  readonly dk: Sums;
  /** [sequence, kvHead, key, valueDim] */
  readonly dv: Sums;
  /** [sequence, head, query, key] */
  readonly dScores: Sums;
  /** [head] */
  readonly dSinks: Sums;
  /** The largest Σ |q · k| · scale of a visible key, and the largest of |lse|, |bias| and |slope · distance|. */
  readonly size: number;
  readonly added: number;
}

/** What a call of the gradients is given: numbers of a row [sequence, head, query]. */
export interface Given {
  dOut(b: number, head: number, query: number, d: number): number;
  out(b: number, head: number, query: number, d: number): number;
  lse(b: number, head: number, query: number): number;
}

/** Native weights below 2^-125 are 0: a bound of at least 2^-18 of this weight is more. */
const LEAST = 2 ** -101;

const sums = (n: number): Sums => ({ sum: new Float64Array(n), scale: new Float64Array(n) });

function add({ sum, scale }: Sums, at: number, x: number, size: number): void {
  sum[at]! += x;
  scale[at]! += size;
}

export function backwardOracle(c: AttentionCase, given: Given): ExactGradients {
  const { heads, kvHeads = heads, queries, headDim, valueDim, scale = 1 / Math.sqrt(headDim), softcap } = c;
  const batch = c.keys.length;
  const keys = Math.max(0, ...c.keys);
  const result = {
    dq: sums(batch * heads * queries * headDim),
    dk: sums(batch * kvHeads * keys * headDim),
    dv: sums(batch * kvHeads * keys * valueDim),
    dScores: sums(batch * heads * queries * keys),
    dSinks: sums(heads),
    size: 0,
    added: 0,
  };
  for (let row = 0; row < batch * heads * queries; row++) {
    const [b, head, m] = [Math.floor(row / (heads * queries)), Math.floor(row / queries) % heads, row % queries];
    const kv = Math.floor(head / (heads / kvHeads));
    const lse = given.lse(b, head, m);
    if (lse === -Infinity) continue;
    let [lost, lostSize] = [0, 0];
    for (let d = 0; d < valueDim; d++) {
      lost += given.dOut(b, head, m, d) * given.out(b, head, m, d);
      lostSize += Math.abs(given.dOut(b, head, m, d) * given.out(b, head, m, d));
    }
    const sink = c.sinks?.[head];
    if (sink !== undefined) {
      const weight = Math.exp(sink - lse);
      add(result.dSinks, head, -weight * lost, weight * lostSize);
    }
    const position = c.causal === 'topLeft' ? m : keys - queries + m;
    for (let n = 0; n < keys; n++) {
      if (!isInSight(c, b, m, n)) continue;
      if (c.sees && !c.sees(b, head, m, n)) continue;
      const bias = c.bias ? c.bias(b, head, m, n) : 0;
      if (bias === -Infinity) continue;
      let [s, size] = [0, 0];
      for (let d = 0; d < headDim; d++) {
        const product = c.q(b, head, m, d) * c.k(b, kv, n, d);
        s += product;
        size += Math.abs(product);
      }
      s *= scale;
      result.size = Math.max(result.size, size * Math.abs(scale));
      let steepness = 1;
      if (softcap !== undefined) {
        const t = Math.tanh(s / softcap);
        s = softcap * t;
        steepness = 1 / Math.cosh(Math.atanh(t)) ** 2;
        if (Math.abs(t) === 1) steepness = 0;
      }
      const loss = c.slopes ? c.slopes[head]! * Math.abs(position - n) : 0;
      result.added = Math.max(result.added, Math.abs(lse), Math.abs(loss) + Math.abs(bias));
      const weight = lse === Infinity ? NaN : Math.min(1, Math.exp(s - loss + bias - lse));
      let [dp, dpSize] = [0, 0];
      for (let d = 0; d < valueDim; d++) {
        const dOut = given.dOut(b, head, m, d);
        const product = dOut * c.v(b, kv, n, d);
        dp += product;
        dpSize += Math.abs(product);
        add(
          result.dv,
          ((b * kvHeads + kv) * keys + n) * valueDim + d,
          weight * dOut,
          Math.max(weight, LEAST) * Math.abs(dOut),
        );
      }
      const dScore = weight * (dp - lost);
      const dSize = Math.max(weight, LEAST) * (dpSize + lostSize);
      add(result.dScores, row * keys + n, dScore, dSize);
      for (let d = 0; d < headDim; d++) {
        const [x, y] = [scale * c.k(b, kv, n, d), scale * c.q(b, head, m, d)];
        add(result.dq, row * headDim + d, dScore * steepness * x, dSize * Math.abs(x));
        add(result.dk, ((b * kvHeads + kv) * keys + n) * headDim + d, dScore * steepness * y, dSize * Math.abs(y));
      }
    }
  }
  return result;
}

/** The bound of lib/attention/backward.ts, relative to a gradient's scale, for native kernels. */
export function boundOf(c: AttentionCase, { size, added }: ExactGradients, isNative: boolean): number {
  const ofScores = size === 0 ? 0 : size * (1 + 1 / (c.softcap ?? Infinity));
  const float = isNative ? 2 ** -24 * (100 + c.headDim + c.valueDim + (8 + 2 * c.headDim) * ofScores) : 2 ** -24;
  return float + 2 ** -50 * (added + (8 + c.headDim) * ofScores + c.queries * c.heads + 10 * c.valueDim);
}
