/** Attention in double, a query row at a time, with its scores and weights if asked for (native/attention). */
import { shapeOf } from '../../attention/shape.js';
import { NO_EXPONENT, type AttentionShape, type ExactAttentionKernel } from '../../backend/backend.js';
import { ATTENTION_EXACT } from '../../backend/operators.js';
import { extendedExp } from '../../math/exp.js';
import { exp2 } from '../../math/exp2.js';
import { extended, isOrdinary } from '../../math/extended.js';
import { LOG2_E } from '../../math/powers.js';
import { tanh } from '../../math/tanh.js';
import { twinOf } from '../twin.js';
import { logOfSum } from './results.js';
import { visibleKeys, type VisibleKeys } from './visible.js';

type Floats = Float32Array | Float64Array;

/** The arguments of the kernel by name; `stage` says which scores are wanted. */
interface ExactCall {
  readonly s: AttentionShape;
  readonly spans: Float64Array | null;
  readonly keyLengths: Int32Array | null;
  readonly arrays: Readonly<Record<'q' | 'k' | 'v', Floats>>;
  readonly slopes: Floats | null;
  readonly sinks: Floats | null;
  readonly mask: Uint8Array | null;
  readonly bias: Floats | null;
  readonly results: Readonly<Record<'out' | 'weights' | 'scores', Floats | null>>;
  readonly stage: number;
  readonly lse: Float64Array | null;
  readonly state: readonly [sums: Float64Array, mantissa: Float64Array, exponent: Int32Array] | null;
}

/** The stages of a score, numbered as in ONNX's Attention. */
const [RAW, CAPPED, MASKED, SOFTMAX] = [0, 1, 2, 3] as const;

/** A query row: where it and its results lie, and which keys it sees. */
interface Row extends VisibleKeys {
  readonly b: number;
  readonly head: number;
  readonly query: number;
  /** The keys of its sequence: those behind them are padding. */
  readonly length: number;
  /** Its row of q and of the output. */
  readonly index: number;
  /** Its row of scores, weights and lse. */
  readonly scoreIndex: number;
  readonly weights: Float64Array;
  readonly visible: Uint8Array;
}

/** The row of a sequence, head and position in an array, in the layout of the call. */
const rowOf = (s: AttentionShape, heads: number, positions: number, b: number, head: number, at: number): number =>
  s.positionsFirst ? (b * positions + at) * heads + head : (b * heads + head) * positions + at;

function attendExactly(call: ExactCall): void {
  const { s } = call;
  const [weights, visible] = [new Float64Array(s.keys), new Uint8Array(s.keys)];
  for (let b = 0; b < s.batch; b++) {
    const length = call.keyLengths ? call.keyLengths[b]! : s.keys;
    for (let head = 0; head < s.heads; head++) {
      for (let query = 0; query < s.queries; query++) {
        const index = rowOf(s, s.heads, s.queries, b, head, query);
        const scoreIndex = (b * s.heads + head) * s.queries + query;
        const seen = visibleKeys(s, call.spans, length, b, query);
        attendRow(call, { b, head, query, length, index, scoreIndex, weights, visible, ...seen });
      }
    }
  }
}

function attendRow(call: ExactCall, row: Row): void {
  const { s, results, stage, lse, state } = call;
  scoreKeys(call, row);
  const { largest, sum } = weigh(call, row);
  if (results.weights) results.weights.set(row.weights, row.scoreIndex * s.keys);
  if (results.scores && stage === SOFTMAX) results.scores.set(row.weights, row.scoreIndex * s.keys);
  if (lse) lse[row.scoreIndex] = isOrdinary(sum) ? largest + logOfSum(sum, 0) : logOfSum(sum, 0);
  const values = addValues(call, row, sum);
  results.out?.set(values, row.index * s.valueDim);
  if (!state) return;
  const [sums, mantissas, exponents] = state;
  const [power, octaves] = isOrdinary(sum) ? extendedExp(largest) : [1, 0];
  const [m, e] = extended(sum * power, octaves);
  for (let d = 0; d < s.valueDim; d++) {
    sums[row.index * s.valueDim + d] = isOrdinary(sum) ? values[d]! * m : sum === 0 ? 0 : NaN;
  }
  mantissas[row.index] = m;
  exponents[row.index] = Math.abs(e) < 2 ** 31 - 1 ? e : NO_EXPONENT;
}

/** The scores of a row's keys; −Infinity for those that it does not see. */
function scoreKeys(call: ExactCall, row: Row): void {
  const { s, arrays, slopes, mask, bias, results, stage } = call;
  const { b, head, query, weights, visible } = row;
  const scores = results.scores;
  const needsAll = scores !== null && stage < MASKED;
  const kv = Math.floor(head / (s.heads / s.kvHeads));
  const maskAt = b * s.maskBatch + head * s.maskHead + query * s.maskQuery;
  const biasAt = b * s.biasBatch + head * s.biasHead + query * s.biasQuery;
  const at = row.scoreIndex * s.keys;
  for (let n = 0; n < s.keys; n++) {
    const added = bias ? bias[biasAt + n]! : 0;
    const isMasked = (mask !== null && mask[maskAt + n] === 0) || added === -Infinity;
    const isHidden = isMasked || n < row.from || n >= row.to || n >= row.length;
    visible[n] = isHidden ? 0 : 1;
    weights[n] = -Infinity;
    if (!isHidden || (needsAll && n < row.length)) {
      const key = rowOf(s, s.kvHeads, s.keys, b, kv, n) * s.headDim;
      let score = dot(arrays.q, row.index * s.headDim, arrays.k, key, s.headDim) * s.scale;
      if (scores && stage === RAW) scores[at + n] = score;
      if (s.softcap > 0) score = s.softcap * tanh(score / s.softcap);
      if (scores && stage === CAPPED) scores[at + n] = score;
      if (!isHidden) {
        if (slopes && slopes[head] !== 0) score -= slopes[head]! * Math.abs(row.position - n);
        weights[n] = score + added;
      }
    }
    if (scores && (stage === MASKED || n >= row.length)) scores[at + n] = weights[n]!;
  }
}

/** q · k in double, products added in order. */
function dot(q: Floats, at: number, k: Floats, key: number, n: number): number {
  let sum = 0;
  for (let d = 0; d < n; d++) sum += q[at + d]! * k[key + d]!;
  return sum;
}

/** Turns scores into weights. Returns Σ exp(score − largest), a sink included, and the largest finite score. */
function weigh({ s, sinks }: ExactCall, { head, weights, visible }: Row): { largest: number; sum: number } {
  const sink = sinks ? sinks[head]! : -Infinity;
  let largest = Math.abs(sink) < Infinity ? sink : -Infinity;
  for (let n = 0; n < s.keys; n++) if (weights[n]! > largest && weights[n]! < Infinity) largest = weights[n]!;
  if (largest === -Infinity) largest = 0;
  let sum = 0;
  for (let n = 0; n < s.keys; n++) {
    if (visible[n] === 0) continue;
    const score = weights[n]!;
    weights[n] = score === Infinity ? Infinity : exp2((score - largest) * LOG2_E);
    sum += weights[n]!;
  }
  if (sink !== -Infinity) sum += Math.abs(sink) < Infinity ? exp2((sink - largest) * LOG2_E) : sink;
  const usual = isOrdinary(sum);
  for (let n = 0; n < s.keys; n++) {
    weights[n] = visible[n] === 0 || sum === 0 ? 0 : usual ? weights[n]! / sum : NaN;
  }
  return { largest, sum };
}

/** Σ weight · value; a column whose visible values are one value has that value, unless a sink has its share. */
function addValues({ s, arrays: { v }, sinks }: ExactCall, row: Row, sum: number): Float64Array {
  const { weights, visible } = row;
  const values = new Float64Array(s.valueDim);
  if (sum === 0) return values;
  const kv = Math.floor(row.head / (s.heads / s.kvHeads));
  let first = -1;
  let shared: Float64Array | undefined;
  for (let n = 0; n < s.keys; n++) {
    if (visible[n] === 0) continue;
    const at = rowOf(s, s.kvHeads, s.keys, row.b, kv, n) * s.valueDim;
    for (let d = 0; d < s.valueDim; d++) values[d]! += weights[n]! * v[at + d]!;
    if (first < 0) {
      first = at;
      shared = new Float64Array(s.valueDim);
      for (let d = 0; d < s.valueDim; d++) shared[d] = v[at + d]!;
    } else if (shared) {
      shared = sharedWith(shared, v, at);
    }
  }
  for (let d = 0; shared && !sinks && isOrdinary(sum) && d < s.valueDim; d++) {
    if (shared[d]! === shared[d]!) values[d] = shared[d]!;
  }
  return values;
}

/** The shared values that another key has too: NaN where it has another value. undefined: there are none. */
function sharedWith(shared: Float64Array, v: Floats, at: number): Float64Array | undefined {
  let isAny = false;
  for (let d = 0; d < shared.length; d++) {
    if (!Object.is(shared[d], v[at + d])) shared[d] = NaN;
    isAny ||= shared[d]! === shared[d]!;
  }
  return isAny ? shared : undefined;
}

/** The kernel of floats and of doubles: each has its slopes, sinks and biases in arrays of its own type. */
function kernel<X extends Floats>(...args: Parameters<ExactAttentionKernel<X>>): void {
  const [shape, spans, keyLengths, q, k, v, slopes, sinks, mask, bias, ...others] = args;
  const [wideSlopes, wideSinks, wideBias, ...results] = others;
  const [out, weights, scores, stage, lse, sums, mantissa, exponent] = results;
  attendExactly({
    s: shapeOf(shape),
    spans,
    keyLengths,
    arrays: { q, k, v },
    slopes: wideSlopes ?? slopes,
    sinks: wideSinks ?? sinks,
    mask,
    bias: wideBias ?? bias,
    results: { out, weights, scores },
    stage,
    lse,
    state: sums && mantissa && exponent ? [sums, mantissa, exponent] : null,
  });
}

export const attentionExactKernels = /* @__PURE__ */ twinOf(
  ATTENTION_EXACT,
  kernel<Float32Array>,
  kernel<Float64Array>,
);
