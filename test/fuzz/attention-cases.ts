/** Cases of attention over arrays: of all keys, and of parts that are merged. */
import { attentionOracle, elementAt, type AttentionCase } from '../attention/attention-oracle.js';
import type { Options } from './axis.js';
import { exactCase, faultOf, KEYS, numbers, optionsOf, outputs, results, setupOf, workOf } from './attention-setup.js';
import type { Result, Setup } from './attention-setup.js';
import { chain, type Api, type Maker } from './case.js';
import type { Draw } from './draw.js';
import type { Outcome } from './judge.js';
import type { Arena } from './memory.js';

const denseKeys = (limit: number) => (draw: Draw) =>
  new Array<number>(draw.pick([1, 1, 2, 3])).fill(Math.min(limit, draw.pick(KEYS)));

/** An array of key lengths, in each kind that the option has. */
function lengthsOf(arena: Arena, { keyLengths }: Setup): Options {
  if (!keyLengths) return {};
  const sum = keyLengths.reduce((a, b) => a + b, 0);
  if (sum % 3 === 0) return { keyLengths: [...keyLengths] };
  const array = sum % 3 === 1 ? Int32Array.from(keyLengths) : Uint32Array.from(keyLengths);
  return { keyLengths: arena.input('keyLengths', array) };
}

export function dense(draw: Draw, limit: number, hasLengths = true) {
  const made = setupOf(draw, limit, denseKeys(limit));
  const keys = made.keys[0]!;
  const keyLengths =
    hasLengths && draw.chance(0.3)
      ? made.keys.map(() => draw.pick([0, 1, keys, draw.int(keys + 1), draw.int(keys + 1)]))
      : undefined;
  if (keyLengths?.some((n) => n > keys)) keyLengths.fill(keys);
  const s = { ...made, ...(keyLengths && { keyLengths, text: `${made.text}, keyLengths ${keyLengths.join(', ')}` }) };
  const [k, v] = [s.headDim, s.valueDim].map((dim) => numbers(draw, s.batch * s.kvHeads * keys * dim)) as [
    Float32Array,
    Float32Array,
  ];
  if (draw.chance(0.1) && v.length > 0) v[draw.int(v.length)] = draw.pick([NaN, Infinity]);
  const read = (x: Float32Array, dim: number) => (b: number, head: number, n: number, d: number) =>
    x[elementAt(s.isPositionsFirst, [b, head, n, d], [s.kvHeads, keys, dim])]!;
  if (keyLengths && draw.chance(0.7)) {
    const bad = draw.pick([NaN, Infinity]);
    fillBehind(s, k, s.headDim, bad);
    fillBehind(s, v, s.valueDim, bad);
  }
  const sizes = { heads: s.heads, headDim: s.headDim, kvHeads: s.kvHeads, batch: s.batch, valueDim: s.valueDim };
  return { s, k, v, sizes, exact: exactCase(s, false, read(k, s.headDim), read(v, s.valueDim)) };
}

/** Fills what lies behind the keys of each sequence. */
function fillBehind(s: Setup, x: Float32Array, dim: number, value: number): void {
  const keys = s.keys[0]!;
  for (let b = 0; b < s.batch; b++)
    for (let head = 0; head < s.kvHeads; head++)
      for (let n = s.keyLengths![b]!; n < keys; n++)
        for (let d = 0; d < dim; d++) x[elementAt(s.isPositionsFirst, [b, head, n, d], [s.kvHeads, keys, dim])] = value;
}

const attention: Maker = (draw, limit) => {
  const { s, k, v, sizes, exact } = dense(draw, limit);
  const hasOut = draw.chance(0.4);
  const isDouble = draw.chance(0.25);
  const sums: Options = isDouble ? { accumulate: 'float64' } : {};
  return {
    text: `attention(${s.text}${isDouble ? ', in double' : ''})`,
    elements: workOf(s),
    hasPromise: true,
    isSameEverywhere: false,
    expects: 'value',
    invoke: (api, arena) =>
      api.attention!(
        arena.input('q', s.q),
        arena.input('k', k),
        arena.input('v', v),
        arena.options({
          ...optionsOf(arena, s, { ...sizes, ...sums, ...lengthsOf(arena, s) }),
          ...results(arena, s, hasOut),
        }),
      ),
    outputs,
    check: (outcome, isNative) => faultOf(s, exact, outcome, isNative && !isDouble),
  };
};

/** Merges the states of parts of the keys, which must give attention over all keys. */
const attentionPartial: Maker = (draw, limit) => {
  const made = dense(draw, limit);
  const {
    mask: _,
    bias: __,
    keyLengths: ____,
    ...s
  } = { ...made.s, batch: 1, keys: [made.s.keys[0]!], isPositionsFirst: false };
  const { layout: ___, ...scores } = s.scores;
  const keys = s.keys[0]!;
  const [k, v] = [s.headDim, s.valueDim].map((dim) => numbers(draw, s.kvHeads * keys * dim)) as [
    Float32Array,
    Float32Array,
  ];
  const read = (x: Float32Array, dim: number) => (_b: number, head: number, n: number, d: number) =>
    x[(head * keys + n) * dim + d]!;
  const q = s.q.slice(0, s.heads * s.queries * s.headDim);
  const setup: Setup = { ...s, scores, q };
  const places = [
    0,
    ...Array.from({ length: draw.between(0, 3) }, () => draw.int(keys + 1)).sort((a, b) => a - b),
    keys,
  ];
  const unified = draw.chance(0.2) ? { unifiedMax: draw.pick([0, 10, 700]) } : {};
  const travels = draw.chance(0.3);
  const padding = draw.chance(0.3) ? draw.pick([1, 5, 16, 30]) : 0;
  // A part of the keys, and NaN behind them.
  const part = (x: Float32Array, dim: number, from: number, to: number) => {
    const size = (to - from + padding) * dim;
    return Float32Array.from({ length: s.kvHeads * size }, (_, i) =>
      i % size < (to - from) * dim ? x[(Math.floor(i / size) * keys + from) * dim + (i % size)]! : NaN,
    );
  };
  return {
    text: `attentionPartial at ${places.join(', ')}, padding ${padding} (${s.text})`,
    elements: workOf(setup),
    hasPromise: true,
    isSameEverywhere: false,
    expects: 'judged',
    invoke(api, arena) {
      const sizes = { heads: s.heads, headDim: s.headDim, kvHeads: s.kvHeads, valueDim: s.valueDim };
      const states = places.slice(1).map((to, i) => {
        const from = places[i]!;
        const there = padding > 0 ? { keyLengths: [to - from] } : {};
        const options = { ...optionsOf(arena, setup, sizes), keyOffset: from, totalKeys: keys, ...unified, ...there };
        return api.attentionPartial!(
          arena.input('q', q),
          arena.input('k', part(k, s.headDim, from, to)),
          arena.input('v', part(v, s.valueDim, from, to)),
          arena.options(options),
        );
      });
      return chain(states, (done) => finish(api, done, travels, arena, setup));
    },
    outputs,
    check(outcome, isNative) {
      const exact = exactCase(setup, false, read(k, s.headDim), read(v, s.valueDim));
      const range = faultOfRange(exact, places, outcome.error);
      return range !== undefined || outcome.error ? range : faultOf(setup, exact, outcome, isNative);
    },
  };
};

/**
 * 2³¹ ln 2 is 1.4885e9: below the first size the exponent of a log-sum-exp fits 32 bits, above the second it does not.
 */
const [FITS, SURELY_TOO_MUCH] = [1.488e9, 1.489e9];

/** A state whose exponent does not fit must be an error. Undefined if an error, or none, is right. */
function faultOfRange(whole: AttentionCase, places: readonly number[], error: Outcome['error']): string | undefined {
  const keys = whole.keys[0]!;
  let most = 0;
  places.slice(1).forEach((to, i) => {
    const from = places[i]!;
    const rows = attentionOracle({
      ...whole,
      keys: [to - from],
      k: (b, head, n, d) => whole.k(b, head, from + n, d),
      v: (b, head, n, d) => whole.v(b, head, from + n, d),
      spans: [[from, keys]],
      sinks: undefined, // a part has no sinks
    });
    for (const { lse } of rows) if (Math.abs(lse) < Infinity) most = Math.max(most, Math.abs(lse));
  });
  if (most > SURELY_TOO_MUCH) return error ? undefined : 'no error for an exponent that does not fit';
  const isRange = error?.message.startsWith('Expected scores within 1.48e9, for an exponent of 32 bits,') ?? false;
  return error === undefined || (isRange && most > FITS) ? undefined : error.message;
}

interface State {
  finish(options: Options): Float32Array | Result;
  toBytes(): Uint8Array;
}

function finish(api: Api, states: readonly unknown[], travels: boolean, arena: Arena, s: Setup): unknown {
  const { fromBytes } = api.AttentionPartial as unknown as { fromBytes(bytes: Uint8Array): unknown };
  const merged = api.mergeAttentionPartials!(
    ...(travels ? states.map((state) => fromBytes((state as State).toBytes())) : states),
  ) as State;
  const sinks = s.sinks && { sinks: arena.input('sinks', s.sinks), heads: s.heads, queries: s.queries };
  return merged.finish({ ...(s.wantsLse && { lse: true }), ...sinks });
}

export const attentionMakers: Record<string, Maker> = { attention, attentionPartial };
