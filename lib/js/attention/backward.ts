/** The gradients of attention: a row's scores are computed again, one by one, from its log-sum-exp. */
import { shapeOf } from '../../attention/shape.js';
import type { AttentionShape, BackendOf } from '../../backend/backend.js';
import { exp2 } from '../../math/exp2.js';
import { LOG2_E } from '../../math/powers.js';
import { tanh } from '../../math/tanh.js';
import { rowFinder } from './attention.js';
import { visibleKeys } from './visible.js';

type Floats = Float32Array | null;

interface BackwardCall {
  readonly s: AttentionShape;
  readonly spans: Float64Array | null;
  readonly keyLengths: Int32Array | null;
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly slopes: Floats;
  readonly sinks: Floats;
  readonly mask: Uint8Array | null;
  readonly bias: Floats;
  readonly out: Float32Array;
  readonly lse: Float64Array;
  readonly dOut: Float32Array;
}

/** The results, in sums of doubles; null: not wanted. dk and dv are those of one key/value head at a time. */
interface Sums {
  readonly dq: Float64Array | null;
  readonly dk: Float64Array | null;
  readonly dv: Float64Array | null;
  readonly dBias: Float64Array | null;
  readonly dSinks: Float64Array | null;
}

/** Where a query row and its keys lie. */
interface Row {
  readonly b: number;
  readonly head: number;
  readonly query: number;
  /** The row of q, out and dOut. */
  readonly at: number;
  /** The row of k and v of the first key, and the distance of the next one. */
  readonly firstKey: number;
  readonly keyStep: number;
}

const doubles = (wanted: unknown, length: number): Float64Array | null => (wanted ? new Float64Array(length) : null);

/** Σ a · b of n numbers. Products of floats are exact. */
function dot(a: Float32Array, from: number, b: Float32Array, other: number, n: number): number {
  let sum = 0;
  for (let d = 0; d < n; d++) sum += a[from + d]! * b[other + d]!;
  return sum;
}

/** sums[at + d] += x · row[from + d] */
function addRow(sums: Float64Array, at: number, x: number, row: Float32Array, from: number, n: number): void {
  for (let d = 0; d < n; d++) sums[at + d]! += x * row[from + d]!;
}

/** exp(x), at most 1, whatever the rounding of a large log-sum-exp. */
const weightOf = (x: number): number => (x > 0 ? 1 : exp2(x * LOG2_E));

/** Adds what one query row gives. A row with a score of NaN or +∞, which lse tells, gives NaN to all that it sees. */
function addGradients(call: BackwardCall, row: Row, sums: Sums): void {
  const { s, q, k, v, slopes, mask, bias, dOut } = call;
  const { b, head, query, at } = row;
  const lse = call.lse[(b * s.heads + head) * s.queries + query]!;
  if (lse === -Infinity) return; // it sees no key
  const keys = call.keyLengths ? call.keyLengths[b]! : s.keys;
  const { position, from, to } = visibleKeys(s, call.spans, keys, b, query);
  const maskAt = b * s.maskBatch + head * s.maskHead + query * s.maskQuery;
  const biasAt = b * s.biasBatch + head * s.biasHead + query * s.biasQuery;
  const slope = slopes ? slopes[head]! : 0;
  const lost = dot(dOut, at * s.valueDim, call.out, at * s.valueDim, s.valueDim);
  const needsScores = sums.dq !== null || sums.dk !== null || sums.dBias !== null;
  if (sums.dSinks) sums.dSinks[head]! -= (lse < Infinity ? weightOf(call.sinks![head]! - lse) : NaN) * lost;
  if (!needsScores && !sums.dv) return;
  for (let n = Math.max(0, from); n < Math.min(keys, to); n++) {
    const added = bias ? bias[biasAt + n]! : 0;
    if ((mask && mask[maskAt + n] === 0) || added === -Infinity) continue;
    const key = row.firstKey + n * row.keyStep;
    let score = dot(q, at * s.headDim, k, key * s.headDim, s.headDim) * s.scale;
    let steepness = 1;
    if (s.softcap > 0) {
      const t = tanh(score / s.softcap);
      score = s.softcap * t;
      steepness = (1 - t) * (1 + t);
    }
    if (slope !== 0) score -= slope * Math.abs(position - n);
    const weight = lse < Infinity ? weightOf(score + added - lse) : NaN;
    if (sums.dv) addRow(sums.dv, n * s.valueDim, weight, dOut, at * s.valueDim, s.valueDim);
    if (!needsScores) continue;
    const ofScore = weight * (dot(dOut, at * s.valueDim, v, key * s.valueDim, s.valueDim) - lost);
    if (sums.dBias) sums.dBias[biasAt + n]! += ofScore;
    const ofProduct = ofScore * steepness;
    if (sums.dq) addRow(sums.dq, 0, ofProduct, k, key * s.headDim, s.headDim);
    if (sums.dk) addRow(sums.dk, n * s.headDim, ofProduct, q, at * s.headDim, s.headDim);
  }
}

/** Entries that the strides of the bias reach. The caller's array is not asked: its `length` can lie. */
function biasEntries(s: AttentionShape): number {
  if (s.batch * s.heads * s.queries * s.keys === 0) return 0;
  return (s.batch - 1) * s.biasBatch + (s.heads - 1) * s.biasHead + (s.queries - 1) * s.biasQuery + s.keys;
}

/** Writes rows of sums, times a factor, rounded once. */
function write(sums: Float64Array, width: number, factor: number, out: Float32Array, rowOf: (n: number) => number) {
  for (let n = 0; n * width < sums.length; n++) {
    const at = rowOf(n) * width;
    for (let d = 0; d < width; d++) out[at + d] = sums[n * width + d]! * factor;
  }
}

export const attentionBackwardKernels: BackendOf<'attention_backward'> = {
  name: 'js',
  attention_backward_f32(shape, spans, keyLengths, q, k, v, slopes, sinks, mask, bias, out, lse, dOut, ...results) {
    const s = shapeOf(shape);
    const [dq, dk, dv, dBias, dSinks] = results;
    const call = { s, spans, keyLengths, q, k, v, slopes, sinks, mask, bias, out, lse, dOut };
    const keyRow = rowFinder(s, s.kvHeads, s.keys);
    const queryRow = rowFinder(s, s.heads, s.queries);
    const shared = s.heads / s.kvHeads;
    const sums = {
      dq: doubles(dq, s.headDim),
      dk: doubles(dk, s.keys * s.headDim),
      dv: doubles(dv, s.keys * s.valueDim),
      dBias: doubles(dBias, biasEntries(s)),
      dSinks: doubles(dSinks, s.heads),
    };
    for (let b = 0; b < s.batch; b++) {
      for (let kvHead = 0; kvHead < s.kvHeads; kvHead++) {
        const firstKey = keyRow(b, kvHead, 0);
        const keyStep = keyRow(b, kvHead, 1) - firstKey;
        sums.dk?.fill(0);
        sums.dv?.fill(0);
        for (let head = kvHead * shared; head < (kvHead + 1) * shared; head++) {
          for (let query = 0; query < s.queries; query++) {
            const at = queryRow(b, head, query);
            sums.dq?.fill(0);
            addGradients(call, { b, head, query, at, firstKey, keyStep }, sums);
            if (sums.dq) write(sums.dq, s.headDim, s.scale, dq!, () => at);
          }
        }
        if (sums.dk) write(sums.dk, s.headDim, s.scale, dk!, (n) => keyRow(b, kvHead, n));
        if (sums.dv) write(sums.dv, s.valueDim, 1, dv!, (n) => keyRow(b, kvHead, n));
      }
    }
    if (sums.dBias) write(sums.dBias, 1, 1, dBias!, (n) => n);
    if (sums.dSinks) write(sums.dSinks, 1, 1, dSinks!, (n) => n);
  },
};
