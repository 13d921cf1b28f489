/** Calls of the gradients of attention for tests: their inputs, a run on a backend, and their errors. */
import { shapeArray } from '../../lib/attention/shape.js';
import { causalOf, windowOf } from '../../lib/attention/visible-options.js';
import type { BackendName } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import { isNative } from '../support/backends.js';
import { asCase, dense, numbers, type Dense, type DenseCall } from './attention-cases.js';
import { attentionOracle, elementAt } from './attention-oracle.js';
import { backwardOracle, boundOf, type ExactGradients, type Given, type Sums } from './backward-oracle.js';

export interface Gradients {
  dq: Float32Array | null;
  dk: Float32Array | null;
  dv: Float32Array | null;
  dBias: Float32Array | null;
  dSinks: Float32Array | null;
}
export type Name = keyof Gradients;

export interface BackwardInput {
  c: DenseCall;
  out: Float32Array;
  lse: Float64Array;
  dOut: Float32Array;
}

/** Which dimensions the bias and its gradient have entries of their own for. */
export type BiasDimensions = readonly [batch: boolean, heads: boolean, queries: boolean];
export const WHOLE: BiasDimensions = [true, true, true];

const lengthsOf = ({ batch = 1, heads, kvHeads = heads, queries, keys, headDim, valueDim }: Dense) => ({
  dq: batch * heads * queries * headDim,
  dk: batch * kvHeads * keys * headDim,
  dv: batch * kvHeads * keys * valueDim,
  dBias: batch * heads * queries * keys,
  dSinks: heads,
});

/** Runs a kernel of one backend. */
export function backwardOn(
  name: BackendName,
  { c, out, lse, dOut }: BackwardInput,
  wanted: readonly Name[] = [
    'dq',
    'dk',
    'dv',
    ...(c.biases ? ['dBias' as const] : []),
    ...(c.sinks ? ['dSinks' as const] : []),
  ],
  [hasBatch, hasHeads, hasQueries] = WHOLE,
): Gradients {
  const { batch = 1, heads, kvHeads = heads, queries, keys, headDim, valueDim } = c;
  const perHead = hasQueries ? queries * keys : keys;
  const perSequence = hasHeads ? heads * perHead : perHead;
  const ofMask = c.maskBytes ? { maskBatch: heads * queries * keys, maskHead: queries * keys, maskQuery: keys } : {};
  const ofBias = {
    biasBatch: hasBatch ? perSequence : 0,
    biasHead: hasHeads ? perHead : 0,
    biasQuery: hasQueries ? keys : 0,
  };
  const shape = shapeArray({
    ...{ batch, heads, kvHeads, queries, keys, headDim, valueDim },
    positionsFirst: c.positionsFirst ? 1 : 0,
    causal: causalOf(c.causal ?? false),
    ...windowOf(c.window),
    scale: c.scale ?? 1 / Math.sqrt(headDim),
    softcap: c.softcap ?? 0,
    ...ofMask,
    ...(c.biases ? ofBias : {}),
  });
  const lengths = { ...lengthsOf(c), dBias: hasBatch ? batch * perSequence : perSequence };
  const result = Object.fromEntries(
    (['dq', 'dk', 'dv', 'dBias', 'dSinks'] as const).map((each) => [
      each,
      wanted.includes(each) ? new Float32Array(lengths[each]).fill(7) : null,
    ]),
  ) as unknown as Gradients;
  const { dq, dk, dv, dBias, dSinks } = result;
  const scores = [c.slopes, c.sinkScores, c.maskBytes, c.biases] as const;
  backendNamed(name).attention_backward_f32(
    ...([shape, null, null, c.q, c.k, c.v] as const),
    ...scores,
    ...([out, lse, dOut] as const),
    ...([dq, dk, dv, dBias, dSinks] as const),
  );
  return result;
}

/** A call with the exact results of attention, `out` rounded to floats. */
export function inputOf(options: Dense): BackwardInput {
  const c = dense(options);
  const { batch = 1, heads, queries, valueDim, positionsFirst = false, seed } = c;
  const out = new Float32Array(batch * heads * queries * valueDim);
  const lse = new Float64Array(batch * heads * queries);
  attentionOracle(asCase(c)).forEach((row, i) => {
    lse[i] = row.lse;
    const place = [Math.floor(i / (heads * queries)), Math.floor(i / queries) % heads, i % queries, 0] as const;
    out.set(row.out, elementAt(positionsFirst, place, [heads, queries, valueDim]));
  });
  return { c, out, lse, dOut: numbers(out.length, seed + 9) };
}

export function givenOf({ c, out, lse, dOut }: BackwardInput): Given {
  const { heads, queries, valueDim, positionsFirst = false } = c;
  const at = (b: number, head: number, m: number, d: number) =>
    elementAt(positionsFirst, [b, head, m, d], [heads, queries, valueDim]);
  return {
    out: (b, head, m, d) => out[at(b, head, m, d)]!,
    dOut: (b, head, m, d) => dOut[at(b, head, m, d)]!,
    lse: (b, head, m) => lse[(b * heads + head) * queries + m]!,
  };
}

/** The largest error of a gradient, relative to its bound. `places` maps an index of the oracle to one of the array. */
function worst(got: Float32Array, { sum, scale }: Sums, bound: number, placeOf: (i: number) => number): number {
  let most = 0;
  for (let i = 0; i < sum.length; i++) {
    const [x, exact] = [got[placeOf(i)]!, sum[i]!];
    if (x === exact || (x !== x && exact !== exact)) continue;
    const error = Math.abs(x - exact) / (bound * scale[i]! + 2 ** -24 * Math.abs(exact) + 1e-35);
    most = Math.max(most, error === error ? error : Infinity);
  }
  return most;
}

const known = new WeakMap<BackwardInput, ExactGradients>();
/** The oracle's gradients, which all backends share. */
export function exactOf(input: BackwardInput): ExactGradients {
  if (!known.has(input)) known.set(input, backwardOracle(asCase(input.c), givenOf(input)));
  return known.get(input)!;
}

/** The largest errors of all gradients, relative to their bounds. */
export function errorsOf(input: BackwardInput, got: Gradients, name: BackendName, more = 0): Record<string, number> {
  const { c } = input;
  const { heads, kvHeads = heads, queries, keys, headDim, valueDim, positionsFirst = false } = c;
  const exact = exactOf(input);
  const bound = boundOf(asCase(c), exact, isNative(name)) + more;
  const places = (h: number, positions: number, dim: number) => (i: number) => {
    const [row, d] = [Math.floor(i / dim), i % dim];
    const place = [Math.floor(row / (h * positions)), Math.floor(row / positions) % h, row % positions, d] as const;
    return elementAt(positionsFirst, place, [h, positions, dim]);
  };
  const all: [Name, Sums, (i: number) => number][] = [
    ['dq', exact.dq, places(heads, queries, headDim)],
    ['dk', exact.dk, places(kvHeads, keys, headDim)],
    ['dv', exact.dv, places(kvHeads, keys, valueDim)],
    ['dBias', exact.dScores, (i) => i],
    ['dSinks', exact.dSinks, (i) => i],
  ];
  return Object.fromEntries(
    all.filter(([each]) => got[each]).map(([each, sums, at]) => [each, worst(got[each]!, sums, bound, at)]),
  );
}
