/** attention in double: outputs, log-sum-exps, weights and scores of every stage, on every backend. */
import { describe, expect, it } from 'vitest';
import { shapeArray } from '../../lib/attention/shape.js';
import type { BackendName } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import { backends, nativeBackends } from '../support/backends.js';
import { sample } from '../support/long.js';
import { asCase, dense, padded, sameBits, sightOf, type Dense, type DenseCall } from './attention-cases.js';
import { difference, fixedAttention, type FixedRow } from './fixed-oracle.js';

type Kind = 'f32' | 'f64';

/** The numbers of a call as doubles that are no floats. */
const wide = (x: Float32Array | null): Float64Array | null => x && Float64Array.from(x, (n) => n * (1 + 2 ** -30 / 3));

interface WideCall extends Omit<DenseCall, 'q' | 'k' | 'v' | 'slopes' | 'sinkScores' | 'biases'> {
  readonly q: Float64Array;
  readonly k: Float64Array;
  readonly v: Float64Array;
  readonly slopes: Float64Array | null;
  readonly sinkScores: Float64Array | null;
  readonly biases: Float64Array | null;
}

function wideCall(c: DenseCall): WideCall {
  const [q, k, v] = [wide(c.q)!, wide(c.k)!, wide(c.v)!];
  return { ...c, q, k, v, slopes: wide(c.slopes), sinkScores: wide(c.sinkScores), biases: wide(c.biases) };
}

/** All results of a call on a backend; `scores` has those of each stage. */
export function exactOn(name: BackendName, c: DenseCall | WideCall, kind: Kind) {
  const { batch = 1, heads, kvHeads = heads, queries, keys, headDim, valueDim } = c;
  const { scale = 1 / Math.sqrt(headDim), softcap = 0 } = c;
  const strides = [heads * queries * keys, queries * keys, keys] as const;
  const [maskBatch, maskHead, maskQuery] = c.maskBytes ? strides : [0, 0, 0];
  const [biasBatch, biasHead, biasQuery] = c.biases ? strides : [0, 0, 0];
  const shape = shapeArray({
    ...{ batch, heads, kvHeads, queries, keys, headDim, valueDim, scale, softcap, ...sightOf(c) },
    ...{ maskBatch, maskHead, maskQuery, biasBatch, biasHead, biasQuery },
    positionsFirst: c.positionsFirst ? 1 : 0,
  });
  const rows = batch * heads * queries;
  const array = (n: number) => (kind === 'f32' ? new Float32Array(n).fill(7) : new Float64Array(n).fill(7));
  const [out, weights, lse] = [array(rows * valueDim), array(rows * keys), new Float64Array(rows).fill(7)];
  const backend = backendNamed(name);
  const kernel = (kind === 'f32' ? backend.attention_exact_f32 : backend.attention_exact_f64) as (
    ...args: unknown[]
  ) => void;
  const changes = [c.slopes, c.sinkScores, c.maskBytes, c.biases] as const;
  const [floats, doubles] = [
    [kind === 'f32' ? changes[0] : null, kind === 'f32' ? changes[1] : null, changes[2]],
    kind === 'f32' ? [null, null, null] : [changes[0], changes[1], changes[3]],
  ];
  const scores = [0, 1, 2, 3].map((stage) => {
    const stored = array(rows * keys);
    const spans = c.spans ? Float64Array.from(c.spans.flat()) : null;
    const lengths = c.keyLengths ? Int32Array.from(c.keyLengths) : null;
    const inputs = [shape, spans, lengths, c.q, c.k, c.v, ...floats, kind === 'f32' ? changes[3] : null, ...doubles];
    kernel(...inputs, out, weights, stored, stage, lse, null, null, null);
    return stored;
  });
  return { out, weights, lse, scores };
}

/** The bounds of the docstring of attention: of a score, a weight relative to it, an output and an lse. */
function bounds(c: Dense, { products, added, most }: FixedRow) {
  const u = 2 ** -53;
  const raw = (c.headDim + 1) * products * u;
  const capped = raw + (c.softcap === undefined ? 0 : 8 * c.softcap * u);
  const score = capped + 3 * (products + added) * u;
  const weight = 2 * score + (c.keys / 8 + 12) * u;
  return { raw, capped, score, weight, out: (weight + (c.keys / 16 + 20) * u) * most, lse: weight };
}

function judge(c: Dense, call: DenseCall | WideCall, results: ReturnType<typeof exactOn>, kind: Kind, what: string) {
  const { heads, queries, keys, valueDim } = c;
  // What rounding a result to its type adds, relative and near 0.
  const [rounding, least] = kind === 'f32' ? [2 ** -24, 2 ** -149] : [0, 2 ** -1074];
  let worst = 0;
  const near = (actual: number, expected: bigint | null, bound: number, which: string) => {
    if (expected === null) {
      if (actual !== -Infinity) expect.fail(`${what}: ${which} is ${actual}, not −Infinity`);
      return;
    }
    const error = difference(actual, expected);
    const allowed = bound + Math.abs(actual) * rounding + least;
    worst = Math.max(worst, error / allowed);
    if (!(error <= allowed)) expect.fail(`${what}: ${which} is ${actual}, off by ${error} and not ${allowed}`);
  };
  fixedAttention(asCase(call as DenseCall)).forEach((row, i) => {
    const bound = bounds(c, row);
    const [b, head, query] = [Math.floor(i / (heads * queries)), Math.floor(i / queries) % heads, i % queries];
    const at = c.positionsFirst ? (b * queries + query) * heads + head : i;
    for (let d = 0; d < valueDim; d++) near(results.out[at * valueDim + d]!, row.out[d]!, bound.out, `row ${i}, ${d}`);
    const { lse } = row;
    if (lse === null) expect(results.lse[i], what).toBe(-Infinity);
    else near(results.lse[i]!, lse, bound.lse + Math.abs(results.lse[i]!) * 2 ** -52, `lse of row ${i}`);
    const { weights, scores } = results;
    for (let n = row.weights.length; n < keys; n++) {
      const padding = [weights, ...scores.slice(0, 3)].map((x) => x[i * keys + n]);
      expect(padding, what).toEqual([0, -Infinity, -Infinity, -Infinity]);
    }
    for (let n = 0; n < row.weights.length; n++) {
      const j = i * keys + n;
      near(scores[0]![j]!, row.stages[0][n]!, bound.raw, `raw score ${i}, ${n}`);
      near(scores[1]![j]!, row.stages[1][n]!, bound.capped, `capped score ${i}, ${n}`);
      near(scores[2]![j]!, row.stages[2][n]!, bound.score, `masked score ${i}, ${n}`);
      near(weights[j]!, row.weights[n]!, bound.weight * Math.abs(weights[j]!), `weight ${i}, ${n}`);
      if (row.stages[2][n] === null) expect(weights[j], what).toBe(0);
    }
    sameBits(results.scores[3]!, results.weights, what);
  });
  return worst;
}

const shapes: Omit<Dense, 'seed'>[] = [
  { heads: 1, queries: 1, keys: 1, headDim: 1, valueDim: 1 },
  { heads: 4, kvHeads: 2, queries: 3, keys: 17, headDim: 5, valueDim: 9 },
  { heads: 3, queries: 7, keys: 15, headDim: 16, valueDim: 1 },
  { heads: 2, kvHeads: 1, batch: 2, queries: 5, keys: 33, headDim: 3, valueDim: 17 },
  { heads: 1, queries: 2, keys: 130, headDim: 8, valueDim: 16 },
  { heads: 2, queries: 5, keys: 3, headDim: 20, valueDim: 32 },
  { heads: 2, kvHeads: 1, batch: 3, queries: 4, keys: 40, headDim: 4, valueDim: 5, keyLengths: [0, 17, 40] },
  {
    ...{ heads: 1, batch: 2, queries: 3, keys: 20, headDim: 2, valueDim: 3, keyLengths: [13, 16] },
    spans: [9, 0].map((at) => [at, 30]),
  },
];

const dressings: Record<string, Partial<Dense>> = {
  plain: {},
  causal: { causal: true },
  'a window': { window: 5 },
  'a window of a pair': { window: [2, 4] },
  'from the top left': { causal: 'topLeft', window: [6, 0], alibi: true },
  'scores of 150': { size: 150 },
  'scores of 1e5': { size: 1e5 },
  softcap: { softcap: 20, size: 15 },
  alibi: { causal: true, alibi: true },
  sinks: { sinks: true },
  'a bias': { bias: 3 },
  'a mask of nearly all': { mask: 0.1 },
  'all together': { causal: true, window: 9, softcap: 30, size: 20, alibi: true, sinks: true, mask: 0.7, bias: 2 },
  bshd: { positionsFirst: true, causal: true, mask: 0.7, bias: 1 },
};

describe.each(backends)('%s', (name) => {
  for (const kind of ['f32', 'f64'] as const) {
    it.each(Object.keys(dressings))(`%s, ${kind}`, (dressing) => {
      const turn = backends.indexOf(name) + Object.keys(dressings).indexOf(dressing) + (kind === 'f32' ? 0 : 2);
      for (const [i, shape] of sample([...shapes.entries()], 4, turn)) {
        const c = { ...shape, ...padded(shape), ...dressings[dressing], seed: i + 1 };
        const call = kind === 'f32' ? dense(c) : wideCall(dense(c));
        judge(c, call, exactOn(name, call, kind), kind, `${dressing}, ${JSON.stringify(shape)}`);
      }
    });
  }

  it('gives NaN where NaN or +∞ is seen, and hides all that is masked', () => {
    const base = { heads: 1, queries: 4, keys: 40, headDim: 2, valueDim: 3, seed: 5 };
    const poisoned = (n: number, x: number): Partial<Dense> => ({
      key: (_b, _h, key, d, y) => (key === n && d === 0 ? x : y),
    });
    for (const x of [NaN, Infinity]) {
      const hidden = dense({ ...base, ...poisoned(20, x), mask: (n) => n !== 20 });
      const clean = dense({ ...base, mask: (n) => n !== 20 });
      const [got, want] = [exactOn(name, hidden, 'f32'), exactOn(name, clean, 'f32')];
      for (const part of ['out', 'lse', 'weights'] as const) sameBits(got[part], want[part], `${x} hidden: ${part}`);
      sameBits(got.scores[2]!, want.scores[2]!, 'masked scores');
      const seen = exactOn(name, dense({ ...base, ...poisoned(20, x), query: () => 1 }), 'f32');
      expect(seen.out.every(Number.isNaN), `${x} seen`).toBe(true);
      expect(seen.weights.every(Number.isNaN), `${x} seen`).toBe(true);
      expect(seen.lse[0]).toBe(x);
    }
    const least = exactOn(name, dense({ ...base, ...poisoned(20, -Infinity), query: () => 1 }), 'f32');
    expect(least.weights[20]).toBe(0);
    expect(least.out.every(Number.isFinite)).toBe(true);
    const values = dense({ ...base, value: (_b, _h, n, d, y) => (n === 7 && d === 1 ? NaN : y), mask: (n) => n !== 7 });
    expect(exactOn(name, values, 'f32').out.every(Number.isFinite)).toBe(true);
    const nothing = exactOn(name, dense({ ...base, mask: () => false }), 'f32');
    expect([...nothing.out, ...nothing.weights].every((y) => Object.is(y, 0))).toBe(true);
    expect(nothing.lse.every((y) => y === -Infinity)).toBe(true);
    const empty = exactOn(name, dense({ ...base, keys: 0 }), 'f32');
    expect([...empty.out].every((y) => y === 0)).toBe(true);
  });

  it('gives the value that all visible keys share, to the bit, and values near the largest double', () => {
    const base = { heads: 2, queries: 3, keys: 50, headDim: 4, valueDim: 5, seed: 9, size: 3 };
    const call = wideCall(dense(base));
    for (let i = 0; i < call.v.length; i++) call.v[i] = i % 5 === 2 ? -0.1 : i % 5 === 3 ? 1.7e308 : call.v[i]!;
    const { out } = exactOn(name, call, 'f64');
    for (let row = 0; row < 6; row++) expect([out[row * 5 + 2], out[row * 5 + 3]]).toEqual([-0.1, 1.7e308]);
    const one = wideCall(dense({ ...base, keys: 1, value: () => -0 }));
    expect(exactOn(name, one, 'f64').out.every((y) => Object.is(y, -0))).toBe(true);
  });
});

describe('bits', () => {
  const [first, ...others] = nativeBackends;
  it.skipIf(first === undefined)('are the same on all native instruction sets', () => {
    for (const [i, dressing] of Object.keys(dressings).entries()) {
      const sizes = { heads: 6, kvHeads: 2, batch: 2, queries: 9, keys: 77 + i, headDim: 19, valueDim: 35 };
      const c = { ...sizes, keyLengths: [60, 77] };
      for (const kind of ['f32', 'f64'] as const) {
        const call = dense({ ...c, ...dressings[dressing], seed: i });
        const numbers = kind === 'f32' ? call : wideCall(call);
        const want = exactOn(first!, numbers, kind);
        for (const other of others) {
          const got = exactOn(other, numbers, kind);
          for (const part of ['out', 'lse', 'weights'] as const)
            sameBits(got[part], want[part], `${other}: ${dressing}`);
          got.scores.forEach((x, stage) => sameBits(x, want.scores[stage]!, `${other}: stage ${stage}`));
        }
      }
    }
  });
});
