/**
 * Attention in double. Scores are taken in octaves, z = score · log2(e), so that all exponentials are powers of two relative
 * to an integer near the largest, which becomes the exponent of a state. Nothing is rounded but the results.
 */
import {
  ATTENTION_SHAPE,
  type AttentionShape,
  type BackendOf,
  type CachedAttentionKernel,
} from '../../backend/backend.js';
import { isOrdinary, powerOfTwo } from '../../math/extended.js';
import { finish, shareValues, type Results } from './attention-results.js';
import { bfloat16, float16 } from '../rows/half.js';
import { LN2, LOG2_E, rootsOfTwo, STEP_BITS, STEPS } from '../math/powers.js';

/** Keys of a tile of a cache. */
export const TILE = 16;
/** Rows whose scores are held at a time. */
const ROWS = 64;

export function shapeOf(numbers: Float64Array): AttentionShape {
  return Object.fromEntries(ATTENTION_SHAPE.map((name, i) => [name, numbers[i]!])) as unknown as AttentionShape;
}

/** Where keys and values come from: rows of one head, as doubles. */
interface Source {
  length(b: number): number;
  key(b: number, head: number, n: number, into: Float64Array): void;
  value(b: number, head: number, n: number, into: Float64Array): void;
}

/** Row of a position and a head, in the layout of the call. */
const place = (s: AttentionShape, b: number, head: number, heads: number, position: number, positions: number): number =>
  s.positionsFirst ? (b * positions + position) * heads + head : (b * heads + head) * positions + position;

function dense(s: AttentionShape, k: Float32Array, v: Float32Array): Source {
  const copy = (from: Float32Array, size: number) => (b: number, head: number, n: number, into: Float64Array) => {
    const at = place(s, b, head, s.kvHeads, n, s.keys) * size;
    for (let d = 0; d < size; d++) into[d] = from[at + d]!;
  };
  return { length: () => s.keys, key: copy(k, s.headDim), value: copy(v, s.valueDim) };
}

/** Numbers of a value as it is stored, and of a tile. */
export const widthOf = (s: Pick<AttentionShape, 'valueDim'>): number => Math.ceil(s.valueDim / TILE) * TILE;
export const tileSize = (s: Pick<AttentionShape, 'headDim' | 'valueDim'>): number => TILE * (s.headDim + widthOf(s));

/** Where a token's tile is in its slab, in tiles. */
export function tileOf(s: Pick<AttentionShape, 'kvHeads' | 'headDim' | 'valueDim' | 'pageSize'>, slab: ArrayLike<number>, entry: number, head: number, token: number): number {
  const tiles = s.pageSize / TILE;
  const capacity = slab.length / (tiles * tileSize(s) * s.kvHeads);
  return (head * capacity + (entry & 0x3ffffff)) * tiles + Math.floor((token % s.pageSize) / TILE);
}

function cached<A extends Float32Array | Uint16Array | Int8Array>(
  s: AttentionShape, slabs: readonly A[], scales: readonly Float32Array[], table: Uint32Array, lengths: Int32Array, toNumber: (stored: number) => number,
): Source {
  const width = widthOf(s);
  const size = tileSize(s);
  let first = 0;
  const firsts = Array.from(lengths, (n) => (first += Math.ceil(n / s.pageSize)) - Math.ceil(n / s.pageSize));
  const find = (b: number, head: number, n: number) => {
    const entry = table[firsts[b]! + Math.floor(n / s.pageSize)]!;
    const slab = entry >>> 26;
    const tile = tileOf(s, slabs[slab]!, entry, head, n);
    return { from: slabs[slab]!, at: tile * size, scaleOf: (which: number) => (scales.length ? scales[slab]![(2 * tile + which) * TILE + (n % TILE)]! : 1) };
  };
  return {
    length: (b) => lengths[b]!,
    key(b, head, n, into) {
      const { from, at, scaleOf } = find(b, head, n);
      const scale = scaleOf(0);
      for (let d = 0; d < s.headDim; d++) into[d] = toNumber(from[at + d * TILE + (n % TILE)]!) * scale;
    },
    value(b, head, n, into) {
      const { from, at, scaleOf } = find(b, head, n);
      const scale = scaleOf(1);
      const row = at + TILE * s.headDim + (n % TILE) * width;
      for (let d = 0; d < s.valueDim; d++) into[d] = toNumber(from[row + d]!) * scale;
    },
  };
}

const { high: roots, low: rootsLow } = rootsOfTwo();

/** 2^x for x below 1000, to about 2^-52. */
function exp2(x: number): number {
  if (!(x > -1100)) return x === x ? 0 : NaN;
  const step = Math.round(x * STEPS);
  const t = (x - step / STEPS) * LN2;
  const root = step & (STEPS - 1);
  const e = step >> STEP_BITS;
  const exponential = t + t * t * (1 / 2 + t * (1 / 6 + t * (1 / 24)));
  const mantissa = roots[root]! + (rootsLow[root]! + (roots[root]! + rootsLow[root]!) * exponential);
  return e < -1000 ? mantissa * powerOfTwo(e + 200) * powerOfTwo(-200) : mantissa * powerOfTwo(e);
}

/** q · k: products of floats are exact, and added in order. */
function product(q: Float32Array, at: number, key: Float64Array): number {
  let sum = 0;
  for (let d = 0; d < key.length; d++) sum += q[at + d]! * key[d]!;
  return sum;
}

/** To about 1e-16, and to 2^-52 of x below 2^-10, where 1 − e would cancel. */
function tanh(x: number): number {
  if (Math.abs(x) < 2 ** -10) return x + x * (x * x) * (x * x * (2 / 15) - 1 / 3);
  const e = exp2(-2 * Math.abs(x) * LOG2_E);
  return x < 0 ? -(1 - e) / (1 + e) : (1 - e) / (1 + e);
}

interface Extras {
  spans: Float64Array | null;
  q: Float32Array;
  slopes: Float32Array | null;
  sinks: Float32Array | null;
  mask: Uint8Array | null;
  bias: Float32Array | null;
}

/** The query rows of a key/value head share what is read of it. */
function attend(s: AttentionShape, source: Source, extras: Extras, results: Results): void {
  const shared = s.heads / s.kvHeads;
  for (let b = 0; b < s.batch; b++) {
    for (let head = 0; head < s.kvHeads; head++) {
      for (let i = 0; i < shared * s.queries; i += ROWS) {
        const rows = Array.from({ length: Math.min(ROWS, shared * s.queries - i) }, (_, r) => ({
          head: head * shared + ((i + r) % shared),
          query: Math.floor((i + r) / shared),
        }));
        attendRows(s, source, extras, results, b, head, rows);
      }
    }
  }
}

function attendRows(s: AttentionShape, source: Source, extras: Extras, results: Results, b: number, kvHead: number, rows: readonly { head: number; query: number }[]): void {
  const { spans, q, slopes, mask, bias } = extras;
  const keys = source.length(b);
  const z = rows.map(() => new Float64Array(keys));
  const seen = rows.map(() => new Uint8Array(keys));
  const key = new Float64Array(s.headDim);
  const value = new Float64Array(s.valueDim);
  const scale = s.scale * LOG2_E;
  const total = spans ? spans[2 * b + 1]! : keys;
  const start = spans ? spans[2 * b]! : 0;
  const all = rows.map(({ head, query }) => {
    const at = total - s.queries + query - start;
    return {
      q: place(s, b, head, s.heads, query, s.queries) * s.headDim,
      at,
      from: s.window > 0 ? at - s.window + 1 : 0,
      to: s.causal ? at + 1 : s.window > 0 ? at + s.window : keys,
      mask: b * s.maskBatch + head * s.maskHead + query * s.maskQuery,
      bias: b * s.biasBatch + head * s.biasHead + query * s.biasQuery,
      slope: slopes ? slopes[head]! * LOG2_E : 0,
      most: -Infinity,
    };
  });
  for (let n = 0; n < keys; n++) {
    source.key(b, kvHead, n, key);
    all.forEach((row, r) => {
      const added = bias ? bias[row.bias + n]! : 0;
      if (n < row.from || n >= row.to || (mask && mask[row.mask + n] === 0) || added === -Infinity) return;
      let score = product(q, row.q, key) * scale;
      if (s.softcap > 0) score = s.softcap * LOG2_E * tanh(score / (s.softcap * LOG2_E));
      if (row.slope !== 0) score -= row.slope * Math.abs(row.at - n);
      score += added * LOG2_E;
      z[r]![n] = score;
      seen[r]![n] = 1;
      if (score > row.most && score < Infinity) row.most = score;
    });
  }
  const sums = all.map((row, r) => {
    const e = row.most === -Infinity ? 0 : Math.round(row.most);
    let mantissa = 0;
    for (let n = 0; n < keys; n++) {
      if (seen[r]![n] === 0) continue;
      const score = z[r]![n]!;
      mantissa += z[r]![n] = score === Infinity ? Infinity : exp2(score - e);
    }
    return { mantissa, exponent: e, out: new Float64Array(s.valueDim) };
  });
  for (let n = 0; n < keys; n++) {
    source.value(b, kvHead, n, value);
    sums.forEach(({ out }, r) => {
      if (seen[r]![n] === 0) return;
      const weight = z[r]![n]!;
      for (let d = 0; d < s.valueDim; d++) out[d]! += weight * value[d]!;
    });
  }
  const valueOf = (n: number) => (source.value(b, kvHead, n, value), value);
  rows.forEach(({ head, query }, r) => {
    const row = all[r]!;
    const scoreOf = (n: number) => {
      source.key(b, kvHead, n, key);
      let score = product(q, row.q, key) * s.scale;
      if (s.softcap > 0) score = s.softcap * tanh(score / s.softcap);
      if (row.slope !== 0) score -= slopes![head]! * Math.abs(row.at - n);
      return score + (bias ? bias[row.bias + n]! : 0);
    };
    const knownLse = isOrdinary(sums[r]!.mantissa) ? shareValues(sums[r]!, seen[r]!, valueOf, scoreOf) : undefined;
    const sink = extras.sinks ? extras.sinks[head]! : undefined;
    const at = place(s, b, head, s.heads, query, s.queries);
    finish(s, results, { out: at, lse: (b * s.heads + head) * s.queries + query, sink, knownLse }, sums[r]!);
  });
}

function cachedKernel<A extends Float32Array | Uint16Array | Int8Array>(toNumber: (stored: number) => number): CachedAttentionKernel<A> {
  return (shape, spans, q, slabs, scales, table, lengths, slopes, sinks, mask, bias, ...results) => {
    const s = shapeOf(shape);
    attend(s, cached(s, slabs, scales, table, lengths, toNumber), { spans, q, slopes, sinks, mask, bias }, results);
  };
}

const same = (x: number): number => x;

export const attentionKernels: BackendOf<'attention' | 'attention_cached'> = /* @__PURE__ */ (() => ({
  name: 'js',
  attention_f32(shape, spans, q, k, v, slopes, sinks, mask, bias, ...results) {
    const s = shapeOf(shape);
    attend(s, dense(s, k, v), { spans, q, slopes, sinks, mask, bias }, results);
  },
  attention_cached_f32: cachedKernel<Float32Array>(same),
  attention_cached_f16: cachedKernel<Uint16Array>(float16.toFloat),
  attention_cached_bf16: cachedKernel<Uint16Array>(bfloat16.toFloat),
  attention_cached_i8: cachedKernel<Int8Array>(same),
}))();
