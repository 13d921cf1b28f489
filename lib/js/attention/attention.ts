/**
 * Attention in double. Scores are in octaves, z = score · log2(e): all exponentials are powers of two relative to an
 * integer near the largest score, which becomes the exponent of a state. Only results are rounded.
 */
import { shapeOf } from '../../attention/shape.js';
import { slabOf, tokenPlace, TILE, type TokenPlace } from '../../attention/tiles.js';
import type { AttentionShape, BackendOf, CachedAttentionKernel } from '../../backend/backend.js';
import { ATTENTION, type KernelOf } from '../../backend/operators.js';
import { exp2 } from '../../math/exp2.js';
import { isOrdinary } from '../../math/extended.js';
import { bfloat16, float16 } from '../../math/half.js';
import { LOG2_E } from '../../math/powers.js';
import { tanh } from '../../math/tanh.js';
import { addFour, addOne, dots, TOGETHER } from './products.js';
import { finish, shareValues, type Results, type RowSums } from './results.js';
import { twinOf } from '../twin.js';
import { visibleKeys } from './visible.js';

/** Query rows whose scores are held at a time. */
const BLOCK = 64;

/** The keys and values of a call. Copies a key or value of one head as doubles. */
interface KeyValueSource {
  /** Keys of a sequence. */
  length(b: number): number;
  key(b: number, head: number, n: number, into: Float64Array): void;
  value(b: number, head: number, n: number, into: Float64Array): void;
}

/** The row of a sequence, head and position in an array, in the layout of the call. */
export function rowFinder(s: AttentionShape, heads: number, positions: number) {
  return (b: number, head: number, position: number): number =>
    s.positionsFirst ? (b * positions + position) * heads + head : (b * heads + head) * positions + position;
}

function denseSource(s: AttentionShape, k: Float32Array, v: Float32Array, lengths: Int32Array | null): KeyValueSource {
  const rowOf = rowFinder(s, s.kvHeads, s.keys);
  const copy = (from: Float32Array, size: number) => (b: number, head: number, n: number, into: Float64Array) => {
    const at = rowOf(b, head, n) * size;
    for (let d = 0; d < size; d++) into[d] = from[at + d]!;
  };
  return { length: (b) => (lengths ? lengths[b]! : s.keys), key: copy(k, s.headDim), value: copy(v, s.valueDim) };
}

type Stored = Float32Array | Uint16Array | Int8Array;

/** The arrays of a cache, as kernels take them. */
interface Pages {
  readonly slabs: readonly Stored[];
  readonly scales: readonly Float32Array[];
  readonly table: Uint32Array;
  readonly lengths: Int32Array;
}

function cachedSource(s: AttentionShape, pages: Pages, toNumber: (stored: number) => number): KeyValueSource {
  const { slabs, scales, table, lengths } = pages;
  let pageCount = 0;
  const firstPages = Array.from(lengths, (length) => {
    const first = pageCount;
    pageCount += Math.ceil(length / s.pageSize);
    return first;
  });
  const find = (b: number, head: number, n: number): { numbers: Stored; place: TokenPlace; slab: number } => {
    const page = table[firstPages[b]! + Math.floor(n / s.pageSize)]!;
    const slab = slabOf(page);
    return { slab, numbers: slabs[slab]!, place: tokenPlace(s, slabs[slab]!.length, page, head, n) };
  };
  const scaleAt = (slab: number, at: number): number => (scales.length ? scales[slab]![at]! : 1);
  return {
    length: (b) => lengths[b]!,
    key(b, head, n, into) {
      const { numbers, place, slab } = find(b, head, n);
      const scale = scaleAt(slab, place.keyScale);
      for (let d = 0; d < s.headDim; d++) into[d] = toNumber(numbers[place.key + d * TILE]!) * scale;
    },
    value(b, head, n, into) {
      const { numbers, place, slab } = find(b, head, n);
      const scale = scaleAt(slab, place.valueScale);
      for (let d = 0; d < s.valueDim; d++) into[d] = toNumber(numbers[place.value + d]!) * scale;
    },
  };
}

/** q · k: each product of two floats is exact, and the products are added in order. */
function dot(q: Float32Array, at: number, key: Float64Array): number {
  let sum = 0;
  for (let d = 0; d < key.length; d++) sum += q[at + d]! * key[d]!;
  return sum;
}

/** An attention call: its numbers, its keys and values, and its other inputs. */
interface AttentionCall {
  readonly s: AttentionShape;
  readonly source: KeyValueSource;
  readonly spans: Float64Array | null;
  readonly q: Float32Array;
  readonly slopes: Float32Array | null;
  readonly sinks: Float32Array | null;
  readonly mask: Uint8Array | null;
  readonly bias: Float32Array | null;
  readonly results: Results;
}

/** One query row. */
interface Query {
  readonly head: number;
  /** Its first number in q. */
  readonly at: number;
  /** Its row of the output, and of lse. */
  readonly row: number;
  readonly lseRow: number;
  /** Its position, counted from the first key. */
  readonly position: number;
  /** `causal` and `window` let it see the keys [from, to). */
  readonly from: number;
  readonly to: number;
  /** Its first entries of mask and bias. */
  readonly mask: number;
  readonly bias: number;
  readonly slope: number;
  /** Its scores in octaves, and later its weights, by key. */
  readonly scores: Float64Array;
  /** 1 for each key that it sees. */
  readonly visible: Uint8Array;
  /** The largest finite score; −Infinity if there is none. */
  largest: number;
}

/** The query rows that share a key/value head also share the keys and values that are read for it. */
function attend(call: AttentionCall): void {
  const { s } = call;
  const shared = s.heads / s.kvHeads;
  for (let b = 0; b < s.batch; b++) {
    for (let kvHead = 0; kvHead < s.kvHeads; kvHead++) {
      for (let first = 0; first < shared * s.queries; first += BLOCK) {
        const length = Math.min(BLOCK, shared * s.queries - first);
        const queries = Array.from({ length }, (_, r) =>
          queryOf(call, b, kvHead * shared + ((first + r) % shared), Math.floor((first + r) / shared)),
        );
        attendBlock(call, b, kvHead, queries);
      }
    }
  }
}

function queryOf({ s, source, spans, slopes }: AttentionCall, b: number, head: number, query: number): Query {
  const keys = source.length(b);
  const row = rowFinder(s, s.heads, s.queries)(b, head, query);
  return {
    head,
    at: row * s.headDim,
    row,
    lseRow: (b * s.heads + head) * s.queries + query,
    ...visibleKeys(s, spans, keys, b, query),
    mask: b * s.maskBatch + head * s.maskHead + query * s.maskQuery,
    bias: b * s.biasBatch + head * s.biasHead + query * s.biasQuery,
    slope: slopes ? slopes[head]! : 0,
    scores: new Float64Array(keys),
    visible: new Uint8Array(keys),
    largest: -Infinity,
  };
}

function attendBlock(call: AttentionCall, b: number, kvHead: number, queries: readonly Query[]): void {
  const { s, source, q, sinks, bias, results } = call;
  const key = new Float64Array(s.headDim);
  const value = new Float64Array(s.valueDim);
  scoreKeys(call, b, kvHead, queries);
  const sums = queries.map((query) => weigh(query, s.valueDim));
  addValues(call, b, kvHead, queries, sums);
  const valueOf = (n: number): Float64Array => {
    source.value(b, kvHead, n, value);
    return value;
  };
  queries.forEach((query, r) => {
    const scoreOf = (n: number): number => {
      source.key(b, kvHead, n, key);
      let score = dot(q, query.at, key) * s.scale;
      if (s.softcap > 0) score = s.softcap * tanh(score / s.softcap);
      if (query.slope !== 0) score -= query.slope * Math.abs(query.position - n);
      return score + (bias ? bias[query.bias + n]! : 0);
    };
    const lse = isOrdinary(sums[r]!.mantissa) ? shareValues(sums[r]!, query.visible, valueOf, scoreOf) : undefined;
    const sink = sinks ? sinks[query.head]! : undefined;
    finish(s, results, { row: query.row, lseRow: query.lseRow, sink, lse }, sums[r]!);
  });
}

/** Notes the scores of all keys. */
function scoreKeys(call: AttentionCall, b: number, kvHead: number, queries: readonly Query[]): void {
  const { s, source, q } = call;
  const key = new Float64Array(s.headDim);
  const padded = Math.ceil(queries.length / TOGETHER) * TOGETHER; // the last query stands in place of those not there
  const starts = Int32Array.from({ length: padded }, (_, r) => queries[Math.min(r, queries.length - 1)]!.at);
  const products = new Float64Array(padded);
  for (let n = 0; n < source.length(b); n++) {
    source.key(b, kvHead, n, key);
    for (let r = 0; r < queries.length; r += TOGETHER) {
      const end = Math.min(r + TOGETHER, queries.length);
      let isSeen = false;
      for (let i = r; i < end; i++) isSeen ||= n >= queries[i]!.from && n < queries[i]!.to;
      if (!isSeen) continue;
      dots(q, starts, r, key, products);
      for (let i = r; i < end; i++) scoreKey(call, queries[i]!, n, products[i]!);
    }
  }
}

/** Adds the values to the sums, times their weights. */
function addValues(
  { s, source }: AttentionCall,
  b: number,
  kvHead: number,
  queries: readonly Query[],
  sums: readonly RowSums[],
): void {
  const values = new Float64Array(TOGETHER * s.valueDim);
  const places = Array.from({ length: TOGETHER }, (_, i) => values.subarray(i * s.valueDim, (i + 1) * s.valueDim));
  const length = source.length(b);
  for (let n = 0; n < length; n += TOGETHER) {
    const count = Math.min(TOGETHER, length - n);
    for (let i = 0; i < count; i++) source.value(b, kvHead, n + i, places[i]!);
    for (let r = 0; r < queries.length; r++) {
      const { visible, scores } = queries[r]!;
      const { out } = sums[r]!;
      let seen = 0;
      for (let i = 0; i < count; i++) seen += visible[n + i]!;
      if (seen === TOGETHER) addFour(out, scores, n, values);
      else if (seen > 0) {
        for (let i = 0; i < count; i++) {
          if (visible[n + i] !== 0) addOne(out, scores[n + i]!, values, i * s.valueDim);
        }
      }
    }
  }
}

/** Notes the score of a key, in octaves, from q · k, if the query sees the key. */
function scoreKey({ s, mask, bias }: AttentionCall, query: Query, n: number, product: number): void {
  const added = bias ? bias[query.bias + n]! : 0;
  if (n < query.from || n >= query.to || (mask && mask[query.mask + n] === 0) || added === -Infinity) return;
  let score = product * (s.scale * LOG2_E);
  if (s.softcap > 0) score = s.softcap * LOG2_E * tanh(score / (s.softcap * LOG2_E));
  if (query.slope !== 0) score -= query.slope * LOG2_E * Math.abs(query.position - n);
  score += added * LOG2_E;
  query.scores[n] = score;
  query.visible[n] = 1;
  if (score > query.largest && score < Infinity) query.largest = score;
}

/** Turns a query's scores into weights and sums them; the sums of its values are 0 yet. */
function weigh({ scores, visible, largest }: Query, valueDim: number): RowSums {
  const exponent = largest === -Infinity ? 0 : Math.round(largest);
  let mantissa = 0;
  for (let n = 0; n < scores.length; n++) {
    if (visible[n] === 0) continue;
    const score = scores[n]!;
    scores[n] = score === Infinity ? Infinity : exp2(score - exponent);
    mantissa += scores[n]!;
  }
  return { mantissa, exponent, out: new Float64Array(valueDim) };
}

function cachedKernel<A extends Stored>(toNumber: (stored: number) => number): CachedAttentionKernel<A> {
  return (shape, spans, q, slabs, scales, table, lengths, slopes, sinks, mask, bias, ...results) => {
    const s = shapeOf(shape);
    const source = cachedSource(s, { slabs, scales, table, lengths }, toNumber);
    attend({ s, source, spans, q, slopes, sinks, mask, bias, results });
  };
}

const identity = (x: number): number => x;

const denseKernel: KernelOf<'attention', 'f32'> = (shape, spans, keyLengths, q, k, v, ...rest) => {
  const [slopes, sinks, mask, bias, ...results] = rest;
  const s = shapeOf(shape);
  attend({ s, source: denseSource(s, k, v, keyLengths), spans, q, slopes, sinks, mask, bias, results });
};

export const attentionKernels: BackendOf<'attention' | 'attention_cached'> = /* @__PURE__ */ (() => ({
  ...twinOf(ATTENTION, denseKernel, undefined as never),
  attention_cached_f32: cachedKernel<Float32Array>(identity),
  attention_cached_f16: cachedKernel<Uint16Array>(float16.toFloat),
  attention_cached_bf16: cachedKernel<Uint16Array>(bfloat16.toFloat),
  attention_cached_i8: cachedKernel<Int8Array>(identity),
}))();
