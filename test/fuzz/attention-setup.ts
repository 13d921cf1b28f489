/** Calls of attention: sizes, options and numbers, their memory, and the oracle's judgement. */
import { attentionOracle, elementAt, type AttentionCase, type ExactRow } from '../attention/attention-oracle.js';
import type { Options } from './axis.js';
import { mildKinds, numbersOf } from './data.js';
import type { Draw } from './draw.js';
import type { Outcome } from './judge.js';
import type { AnyArray, Arena } from './memory.js';

/**
 * The bound, relative to the largest |v| that a row sees; and the rounding of the smallest floats
 * (lib/attention/dense.ts).
 */
const BOUND = 2e-6;
const LEAST = { native: 1e-39, js: 2 ** -149 };

export interface Setup {
  readonly batch: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly queries: number;
  readonly keys: readonly number[];
  /** The option of that name. */
  readonly keyLengths?: readonly number[];
  readonly headDim: number;
  readonly valueDim: number;
  readonly isPositionsFirst: boolean;
  readonly q: Float32Array;
  readonly scores: Options;
  readonly mask?: Uint8Array;
  readonly bias?: Float32Array;
  readonly slopes?: Float32Array;
  readonly sinks?: Float32Array;
  readonly wantsLse: boolean;
  readonly text: string;
}

const DIMENSIONS = [1, 2, 3, 7, 8, 15, 16, 17, 32, 33, 64, 65, 80, 128];
const MOST_WORK = 100_000;
export const KEYS = [0, 1, 2, 3, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 129, 255, 257, 300];

/** Scores up to about 10⁸, so that the exponent surely fits 32 bits. */
const MOST = 1e4;

/** q, k or v, of a size that makes scores small or large, or of one kind throughout. */
export function numbers(draw: Draw, n: number): Float32Array {
  const size = draw.pick([1, 1, 1, 0.01, 10, 100, 1e-10]);
  return Float32Array.from(numbersOf(draw, 'f32', n, draw.pick(mildKinds)), (x) =>
    Math.max(-MOST, Math.min(MOST, x * size)),
  );
}

/** A window: a number, or how far it reaches on each side. */
function windowOf(draw: Draw): number | [left: number, right: number] {
  if (draw.chance(0.4)) return draw.pick([1, 2, 16, 100, Infinity]);
  const side = (): number => draw.pick([0, 0, 1, 3, 15, 16, 100, Infinity]);
  return [side(), side()];
}

export function setupOf(draw: Draw, limit: number, keysOf: (draw: Draw) => readonly number[]): Setup {
  const keys = keysOf(draw);
  const batch = keys.length;
  const kvHeads = draw.pick([1, 1, 2, 3]);
  const heads = kvHeads * draw.pick([1, 1, 2, 4, 5]);
  const queries = Math.min(limit, draw.pick([1, 1, 1, 2, 3, 5, 16, 17]));
  // The oracle is plain loops, so that this much work takes some milliseconds.
  const room = Math.max(1, Math.floor(MOST_WORK / (1 + heads * queries * keys.reduce((a, b) => a + b, 0))));
  const [headDim, valueDim] = [0, 1].map(() => Math.min(limit, room, draw.pick(DIMENSIONS))) as [number, number];
  const isPositionsFirst = draw.chance(0.3);
  const longest = Math.max(0, ...keys);
  const scores: Options = {};
  if (isPositionsFirst || draw.chance(0.2)) scores.layout = isPositionsFirst ? 'bshd' : 'bhsd';
  if (draw.chance(0.3)) scores.scale = draw.pick([1, 0, -1, 0.05, draw.normal()]);
  if (draw.chance(0.4)) scores.causal = draw.pick([true, true, false, 'topLeft', 'topLeft', 'bottomRight']);
  if (draw.chance(0.3)) scores.window = windowOf(draw);
  if (draw.chance(0.2))
    scores.softcap = draw.pick([1, 30, 50, 1e-3, 1e6, 1e16, 1e300, Number.MIN_VALUE, Number.MAX_VALUE]);
  const isIncluded = () => draw.chance(0.25);
  const all = batch * heads * queries * longest;
  const share = draw.uniform();
  const mask = isIncluded()
    ? Uint8Array.from({ length: all }, () => (draw.uniform() < share ? 1 + draw.int(255) : 0))
    : undefined;
  const size = draw.pick([0, 1, 8, 100]);
  const lowest = draw.pick([-Infinity, -3.4028234663852886e38, -1e9]);
  const bias = isIncluded()
    ? Float32Array.from({ length: all }, () => (draw.chance(0.2) ? lowest : size * draw.normal()))
    : undefined;
  const slopes = isIncluded()
    ? Float32Array.from({ length: heads }, () => draw.pick([0.5, 0.0039, 0, 2 * draw.uniform()]))
    : undefined;
  const sinks = isIncluded()
    ? Float32Array.from({ length: heads }, () =>
        draw.pick([-Infinity, 0, -1e30, 3 * draw.normal(), 40, 500, 3.4028234663852886e38]),
      )
    : undefined;
  const named = {
    ...scores,
    ...(mask && { mask: share.toFixed(2) }),
    ...(bias && { bias: size }),
    ...(slopes && { alibi: 1 }),
    ...(sinks && { sinks: 1 }),
  };
  const sizes = `keys ${keys.join(', ')}; ${heads}/${kvHeads} heads, ${queries} queries, ${headDim} → ${valueDim}`;
  const text = `${sizes}, ${JSON.stringify(named)}`;
  return {
    batch,
    heads,
    kvHeads,
    queries,
    keys,
    headDim,
    valueDim,
    isPositionsFirst,
    scores,
    wantsLse: draw.chance(0.6),
    text,
    q: numbers(draw, batch * heads * queries * headDim),
    ...(mask && { mask }),
    ...(bias && { bias }),
    ...(slopes && { slopes }),
    ...(sinks && { sinks }),
  };
}

export function optionsOf(arena: Arena, s: Setup, more: Options): Options {
  return {
    ...s.scores,
    ...(s.mask && { mask: arena.input('mask', s.mask) }),
    ...(s.bias && { bias: arena.input('bias', s.bias) }),
    ...(s.slopes && { alibi: arena.input('alibi', s.slopes) }),
    ...more,
  };
}

/** The case for the oracle. */
export function exactCase(
  s: Setup,
  causalDefault: boolean,
  k: (b: number, head: number, n: number, d: number) => number,
  v: (b: number, head: number, n: number, d: number) => number,
): AttentionCase {
  const longest = Math.max(0, ...s.keys);
  const entry = (b: number, head: number, m: number, n: number) => ((b * s.heads + head) * s.queries + m) * longest + n;
  const {
    scale,
    causal = causalDefault,
    window,
    softcap,
  } = s.scores as Pick<AttentionCase, 'scale' | 'causal' | 'window' | 'softcap'>;
  return {
    heads: s.heads,
    kvHeads: s.kvHeads,
    queries: s.queries,
    keys: s.keyLengths ?? s.keys,
    headDim: s.headDim,
    valueDim: s.valueDim,
    k,
    v,
    q: (b, head, m, d) => s.q[elementAt(s.isPositionsFirst, [b, head, m, d], [s.heads, s.queries, s.headDim])]!,
    ...(scale !== undefined && { scale }),
    ...(causal && { causal }),
    ...(window !== undefined && { window }),
    ...(softcap !== undefined && { softcap }),
    ...(s.slopes && { slopes: s.slopes }),
    ...(s.sinks && { sinks: s.sinks }),
    ...(s.mask && { sees: (b: number, head: number, m: number, n: number) => s.mask![entry(b, head, m, n)] !== 0 }),
    ...(s.bias && { bias: (b: number, head: number, m: number, n: number) => s.bias![entry(b, head, m, n)]! }),
  };
}

/** The bound of an lse (lib/attention/dense.ts), and some roundings of the oracle. */
function lseBound(s: Setup, { lse, size, added }: ExactRow, keys: number, isNative: boolean): number {
  const { softcap = 0 } = s.scores as { softcap?: number };
  const ofScores = (2 + s.headDim / 2) * size;
  const documented =
    (isNative ? (40 + ofScores) * 2 ** -24 : (keys + ofScores) * 2 ** -52) +
    added * 2 ** -50 +
    Math.min(softcap * 2 ** -52, size * 2 ** -42);
  return documented + (8 + keys + ofScores + Math.abs(lse)) * 2 ** -52;
}

export function faultOf(s: Setup, exact: AttentionCase, { arrays }: Outcome, isNative: boolean): string | undefined {
  const rows = attentionOracle(exact);
  for (const [i, row] of rows.entries()) {
    const [b, head, m] = [Math.floor(i / (s.heads * s.queries)), Math.floor(i / s.queries) % s.heads, i % s.queries];
    const at = s.isPositionsFirst ? (b * s.queries + m) * s.heads + head : i;
    for (let d = 0; d < s.valueDim; d++) {
      const got = arrays.out![at * s.valueDim + d]!;
      if (got === row.out[d] || (got !== got && !(Math.abs(row.out[d]!) < Infinity))) continue; // 0 · ∞ is NaN
      if (!(Math.abs(row.out[d]!) < Infinity)) return `out, row ${at}, ${d} is ${got}, not ${row.out[d]}`;
      const error = Math.abs(got - row.out[d]!);
      const isBounded = row.most < Infinity; // nothing is promised beside a NaN
      // Large terms of q · k that cancel keep their rounding.
      const ofScores = isNative ? (2 + s.headDim / 2) * row.size * 2 ** -24 : 0;
      if (!isBounded || error <= (BOUND + 2 * ofScores) * row.most + LEAST[isNative ? 'native' : 'js']) continue;
      const share = (error / row.most).toPrecision(3);
      return `out, row ${at}, ${d} is ${got}, not ${row.out[d]}: off by ${share} of the largest value`;
    }
    const lse = arrays.lse?.[i]; // [batch, heads, queries] in both layouts
    if (lse === undefined || lse === row.lse || (lse !== lse && row.lse !== row.lse)) continue;
    const bound = lseBound(s, row, s.keys[b]!, isNative);
    const error = Math.abs(lse - row.lse);
    if (error <= bound) continue;
    return `lse of row ${i} is ${lse}, not ${row.lse}: off by ${(error / bound).toPrecision(3)} of the bound`;
  }
  return undefined;
}

export interface Result {
  readonly out: Float32Array;
  readonly lse?: Float64Array;
}
export const outputs = (result: Float32Array | Result) =>
  result instanceof Float32Array || ArrayBuffer.isView(result)
    ? { out: result as AnyArray }
    : { out: result.out, ...(result.lse && { lse: result.lse }) };

/** Options for the results: none, or arrays to write. */
export function results(arena: Arena, s: Setup, hasOut: boolean): Options {
  const rows = s.batch * s.heads * s.queries;
  const given = hasOut ? { out: arena.output('out', new Float32Array(0), rows * s.valueDim) } : {};
  return {
    ...given,
    ...(s.wantsLse && { lse: hasOut ? arena.output('lse', new Float64Array(0), rows) : true }),
    ...(s.sinks && { sinks: arena.input('sinks', s.sinks) }),
  };
}

export const workOf = (s: Setup) => s.heads * s.queries * s.keys.reduce((a, b) => a + b, 0);
