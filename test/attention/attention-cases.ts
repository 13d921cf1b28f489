/** Calls of attention for tests: their numbers, a run on a backend, and the oracle's results. */
import { expect } from 'vitest';
import { alibiSlopes } from '../../lib/attention.js';
import { shapeArray } from '../../lib/attention/shape.js';
import type { BackendName } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import { attentionOracle, elementAt, type AttentionCase } from './attention-oracle.js';
import { generator, normal } from '../support/cases.js';

/** The bound, relative to the largest |v| that a row sees. */
export const BOUND = 2e-6;

export function numbers(n: number, seed: number, size = 1): Float32Array {
  const random = generator(seed);
  return Float32Array.from({ length: n }, () => size * normal(random));
}

type At = (b: number, head: number, n: number, d: number, x: number) => number;

export interface Dense {
  batch?: number;
  heads: number;
  kvHeads?: number;
  queries: number;
  keys: number;
  headDim: number;
  valueDim: number;
  seed: number;
  /** The approximate size of the scores. */
  size?: number;
  scale?: number;
  causal?: AttentionCase['causal'];
  window?: AttentionCase['window'];
  softcap?: number;
  alibi?: boolean;
  sinks?: boolean;
  /** The number of keys that each row sees, or the keys. */
  mask?: number | ((n: number) => boolean);
  bias?: number | ((n: number) => number);
  positionsFirst?: boolean;
  /** Keys of each sequence that are there. */
  keyLengths?: readonly number[];
  /** The position of each sequence's first key, and the number of all keys. */
  spans?: AttentionCase['spans'];
  query?: At;
  key?: At;
  value?: At;
}

export interface DenseCall extends Dense {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly slopes: Float32Array | null;
  readonly sinkScores: Float32Array | null;
  readonly maskBytes: Uint8Array | null;
  readonly biases: Float32Array | null;
}

export function dense(c: Dense): DenseCall {
  const { batch = 1, heads, kvHeads = heads, queries, keys, headDim, valueDim, seed, size = 1 } = c;
  const { positionsFirst = false } = c;
  const fill = (h: number, positions: number, dim: number, x: Float32Array, at: At | undefined) => {
    if (!at) return x;
    for (let b = 0; b < batch; b++)
      for (let i = 0; i < h; i++)
        for (let n = 0; n < positions; n++)
          for (let d = 0; d < dim; d++) {
            const place = elementAt(positionsFirst, [b, i, n, d], [h, positions, dim]);
            x[place] = at(b, i, n, d, x[place]!);
          }
    return x;
  };
  const all = batch * heads * queries * keys;
  const random = generator(seed + 77);
  const { mask, bias } = c;
  return {
    ...c,
    q: fill(heads, queries, headDim, numbers(batch * heads * queries * headDim, seed, size), c.query),
    k: fill(kvHeads, keys, headDim, numbers(batch * kvHeads * keys * headDim, seed + 1), c.key),
    v: fill(kvHeads, keys, valueDim, numbers(batch * kvHeads * keys * valueDim, seed + 2), c.value),
    slopes: c.alibi ? alibiSlopes(heads) : null,
    sinkScores: c.sinks ? numbers(heads, seed + 3, 3 * Math.min(size, 100)) : null,
    maskBytes:
      mask === undefined
        ? null
        : Uint8Array.from({ length: all }, (_, i) =>
            (typeof mask === 'number' ? random() / 2 ** 32 < mask : mask(i % keys)) ? 1 : 0,
          ),
    biases:
      bias === undefined
        ? null
        : Float32Array.from({ length: all }, (_, i) =>
            typeof bias === 'number' ? (random() % 11 === 0 ? -Infinity : bias * normal(random)) : bias(i % keys),
          ),
  };
}

/** What lies behind a sequence's keys is NaN. */
export const padded = (shape: Pick<Dense, 'keyLengths'>): Partial<Dense> => {
  const behind = (b: number, _head: number, n: number, _d: number, x: number) =>
    n < (shape.keyLengths?.[b] ?? Infinity) ? x : NaN;
  return { key: behind, value: behind };
};

/** `causal` and `window` as kernels take them: keys on each side with the query's own, 0 for no bound. */
export function sightOf({ causal = false, window = [Infinity, Infinity] }: Pick<AttentionCase, 'causal' | 'window'>) {
  const [left, right] = typeof window === 'number' ? [window - 1, window - 1] : window;
  return {
    causal: causal === 'topLeft' ? 2 : causal ? 1 : 0,
    windowLeft: left < Infinity ? left + 1 : 0,
    windowRight: right < Infinity ? right + 1 : 0,
  };
}

export function denseOn(name: BackendName, c: DenseCall): { out: Float32Array; lse: Float64Array } {
  const {
    batch = 1,
    heads,
    kvHeads = heads,
    queries,
    keys,
    headDim,
    valueDim,
    softcap = 0,
    scale = 1 / Math.sqrt(headDim),
  } = c;
  const ofMask = c.maskBytes ? { maskBatch: heads * queries * keys, maskHead: queries * keys, maskQuery: keys } : {};
  const ofBias = c.biases ? { biasBatch: heads * queries * keys, biasHead: queries * keys, biasQuery: keys } : {};
  const shape = shapeArray({
    batch,
    heads,
    kvHeads,
    queries,
    keys,
    headDim,
    valueDim,
    positionsFirst: c.positionsFirst ? 1 : 0,
    ...sightOf(c),
    scale,
    softcap,
    ...ofMask,
    ...ofBias,
  });
  const out = new Float32Array(batch * heads * queries * valueDim);
  const lse = new Float64Array(batch * heads * queries);
  backendNamed(name).attention_f32(
    shape,
    c.spans ? Float64Array.from(c.spans.flat()) : null,
    c.keyLengths ? Int32Array.from(c.keyLengths) : null,
    c.q,
    c.k,
    c.v,
    c.slopes,
    c.sinkScores,
    c.maskBytes,
    c.biases,
    out,
    lse,
    null,
    null,
    null,
  );
  return { out, lse };
}

/** The same call for the oracle. */
export function asCase(c: DenseCall): AttentionCase {
  const { batch = 1, heads, kvHeads = heads, queries, keys, headDim, valueDim, positionsFirst = false } = c;
  const entry = (b: number, head: number, query: number, n: number) =>
    ((b * heads + head) * queries + query) * keys + n;
  return {
    heads,
    kvHeads,
    queries,
    keys: c.keyLengths ?? new Array<number>(batch).fill(keys),
    headDim,
    valueDim,
    q: (b, head, m, d) => c.q[elementAt(positionsFirst, [b, head, m, d], [heads, queries, headDim])]!,
    k: (b, head, n, d) => c.k[elementAt(positionsFirst, [b, head, n, d], [kvHeads, keys, headDim])]!,
    v: (b, head, n, d) => c.v[elementAt(positionsFirst, [b, head, n, d], [kvHeads, keys, valueDim])]!,
    ...(c.scale === undefined ? {} : { scale: c.scale }),
    ...(c.causal === undefined ? {} : { causal: c.causal }),
    ...(c.spans === undefined ? {} : { spans: c.spans }),
    ...(c.window === undefined ? {} : { window: c.window }),
    ...(c.softcap === undefined ? {} : { softcap: c.softcap }),
    ...(c.slopes ? { slopes: c.slopes } : {}),
    ...(c.sinkScores ? { sinks: c.sinkScores } : {}),
    ...(c.maskBytes
      ? { sees: (b: number, head: number, m: number, n: number) => c.maskBytes![entry(b, head, m, n)] !== 0 }
      : {}),
    ...(c.biases ? { bias: (b: number, head: number, m: number, n: number) => c.biases![entry(b, head, m, n)]! } : {}),
  };
}

export function compareRows(
  exact: AttentionCase,
  { out, lse }: { out: Float32Array; lse: Float64Array },
  what: string,
  place = (row: number) => row,
): void {
  attentionOracle(exact).forEach((row, i) => {
    const at = place(i);
    for (let d = 0; d < exact.valueDim; d++) {
      const actual = out[at * exact.valueDim + d]!;
      const error = Math.abs(actual - row.out[d]!);
      if (error <= BOUND * row.most) continue;
      const share = error / row.most;
      expect.fail(`${what}: row ${i}, ${d} is ${actual}, not ${row.out[d]}; off by ${share} of the largest value`);
    }
    const off = Math.abs(lse[i]! - row.lse); // lse is in the oracle's order in both layouts
    if (!(lse[i] === row.lse || off <= 1e-6 + 1e-12 * Math.abs(row.lse)))
      expect.fail(`${what}: the lse of row ${i} is ${lse[i]}, not ${row.lse}`);
  });
}

/** Both have the same bits; any NaN equals any NaN. */
export function sameBits(got: ArrayLike<number>, want: ArrayLike<number>, what: string): void {
  expect(got.length, what).toBe(want.length);
  for (let i = 0; i < want.length; i++)
    if (!Object.is(got[i], want[i])) expect.fail(`${what}: ${i} is ${got[i]}, not ${want[i]}`);
}

export function compare(c: DenseCall, result: { out: Float32Array; lse: Float64Array }, what: string): void {
  const { heads, queries } = c;
  compareRows(asCase(c), result, what, (row) => {
    if (!c.positionsFirst) return row;
    const [b, head, query] = [Math.floor(row / (heads * queries)), Math.floor(row / queries) % heads, row % queries];
    return (b * queries + query) * heads + head;
  });
}
