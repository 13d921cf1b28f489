/** Cases of KVCache, decodeAttention and prefillAttention: sequences that grow, are cut, travel, and share pages. */
import { floatsOf, halvesOf } from '../support/halves.js';
import { exactCase, faultOf, KEYS, numbers, optionsOf, outputs, results, setupOf, workOf } from './attention-setup.js';
import { chain, type Api, type Case, type Maker } from './case.js';
import { Draw } from './draw.js';
import type { AnyArray, Arena } from './memory.js';

interface Cache {
  readonly kvHeads: number;
  readonly headDim: number;
  readonly valueDim: number;
  create(): number;
  append(sequence: number, k: Float32Array, v: Float32Array, options?: object): number;
  append(sequences: number[], k: Float32Array, v: Float32Array, options?: object): number[];
  fork(sequence: number, length?: number): number;
  evict(sequence: number, options: object): number;
  toBytes(sequence: number): Uint8Array;
  fromBytes(bytes: Uint8Array): number;
  truncate(sequence: number, length: number): void;
  free(sequence: number): void;
  length(sequence: number): number;
  read(sequence: number): { k: Float32Array; v: Float32Array };
  read(sequence: number, from: 0, to: undefined, options: { dtype: 'float64' }): { k: Float64Array; v: Float64Array };
}

const TYPES = ['float32', 'float16', 'bfloat16', 'int8'] as const;

/** An int8 key or value whose numbers are all below this is stored as 0. */
const LEAST_INT8 = 127 * 2 ** -120;

/** A cache with sequences of some lengths, made by steps that share, cut and copy pages. */
function cached(draw: Draw, limit: number, lengths: readonly number[] = KEYS) {
  const dtype = draw.pick(TYPES);
  const s = setupOf(draw, limit, () =>
    Array.from({ length: draw.pick([1, 1, 2, 4]) }, () => Math.min(limit, draw.pick(lengths))),
  );
  const pageSize = draw.pick([16, 16, 32, 64]);
  const [keySize, valueSize] = [s.kvHeads * s.headDim, s.kvHeads * s.valueDim];
  const tokens = s.keys.map((n) => ({ k: numbers(draw, n * keySize), v: numbers(draw, n * valueSize) }));
  const word = draw.word();
  /** All tokens of each sequence but the last ones. */
  const fill = (api: Api, arena: Arena, without = 0): { cache: Cache; ids: number[] } => {
    const Kind = api.KVCache as unknown as new (options: object) => Cache;
    const cache = new Kind({ kvHeads: s.kvHeads, headDim: s.headDim, valueDim: s.valueDim, dtype, pageSize });
    const steps = new Draw(word);
    const ids = s.keys.map((all, i) => {
      const length = all - without;
      let id = cache.create();
      for (let at = 0; at < length;) {
        const n = Math.min(length - at, 1 + steps.int(40));
        const { k, v } = tokens[i]!;
        const gone = steps.chance(0.15) ? noise(cache, id, steps, pageSize) : undefined;
        cache.append(
          id,
          arena.input('append k', k.slice(at * keySize, (at + n) * keySize)),
          arena.input('append v', v.slice(at * valueSize, (at + n) * valueSize)),
        );
        if (gone) cache.evict(id, { sinks: at, window: n, exact: gone.exact });
        at += n;
        if (steps.chance(0.1)) id = travelled(cache, id);
        if (steps.chance(0.15)) at = retreat(cache, id, at, steps);
        if (steps.chance(0.2)) id = forked(cache, id, steps);
      }
      return id;
    });
    return { cache, ids };
  };
  return { s, dtype, fill, tokens, keySize, valueSize, text: `${dtype}, pages of ${pageSize}, ${s.text}` };
}

function retreat(cache: Cache, id: number, at: number, steps: Draw): number {
  const left = Math.max(0, at - steps.int(20));
  cache.truncate(id, left);
  return left;
}

/** Some tokens' numbers, which no result may have. */
const junk = ({ kvHeads, headDim, valueDim }: Cache, n: number): [k: Float32Array, v: Float32Array] => [
  new Float32Array(n * kvHeads * headDim).fill(7),
  new Float32Array(n * kvHeads * valueDim).fill(NaN),
];

/** Appends tokens that are evicted later: whole pages of them, unless it is told to the token. */
function noise(cache: Cache, id: number, steps: Draw, pageSize: number): { exact: boolean } {
  const exact = steps.chance(0.5);
  cache.append(id, ...junk(cache, exact ? 1 + steps.int(40) : pageSize * (1 + steps.int(3))));
  return { exact };
}

/** Forks a sequence, or makes one with its first tokens, and appends to one or both of the two. */
function forked(cache: Cache, id: number, steps: Draw): number {
  const prefix = cache.fork(id, steps.int(cache.length(id) + 1));
  const fork = cache.fork(id);
  const [kept, other] = steps.chance(0.5) ? [id, fork] : [fork, id];
  if (steps.chance(0.7)) cache.append([other, prefix], ...junk(cache, 8), { lengths: [3, 5] });
  if (steps.chance(0.7)) cache.free(other);
  if (steps.chance(0.7)) cache.evict(prefix, { window: steps.int(20), sinks: steps.int(5), exact: steps.chance(0.5) });
  return kept;
}

/** A sequence of the same tokens, from its bytes. */
function travelled(cache: Cache, id: number): number {
  const copy = cache.fromBytes(cache.toBytes(id));
  cache.free(id);
  return copy;
}

const kvCache: Maker = (draw, limit): Case => {
  const { s, dtype, fill, tokens, text } = cached(draw, limit);
  return {
    text: `KVCache of ${text}`,
    elements: s.keys.reduce((a, b) => a + b, 0) * s.kvHeads * (s.headDim + s.valueDim),
    hasPromise: false,
    isSameEverywhere: true,
    expects: 'value',
    invoke(api, arena) {
      const { cache, ids } = fill(api, arena);
      return ids.map((id) => cache.read(id));
    },
    outputs: (read: { k: Float32Array; v: Float32Array }[]) =>
      Object.fromEntries(
        read.flatMap(({ k, v }, i) => [
          [`k${i}`, k],
          [`v${i}`, v],
        ]),
      ),
    check({ arrays }) {
      for (const [i, given] of tokens.entries()) {
        for (const part of ['k', 'v'] as const) {
          const fault = faultOfStored(
            dtype,
            given[part],
            arrays[`${part}${i}`]! as Float32Array,
            part === 'k' ? s.headDim : s.valueDim,
          );
          if (fault !== undefined) return `${part} of sequence ${i}: ${fault}`;
        }
      }
      return undefined;
    },
  };
};

function faultOfStored(
  dtype: (typeof TYPES)[number],
  given: Float32Array,
  stored: Float32Array,
  dim: number,
): string | undefined {
  if (given.length !== stored.length) return `${stored.length} numbers of ${given.length}`;
  const type = dtype === 'float16' ? 'f16' : 'bf16';
  const wanted = dtype === 'float32' || dtype === 'int8' ? given : floatsOf(type, halvesOf(type, given));
  for (let i = 0; i < given.length; i++) {
    if (stored[i] === wanted[i] || (stored[i] !== stored[i] && wanted[i] !== wanted[i])) continue;
    const most = given.subarray(i - (i % dim), i - (i % dim) + dim).reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    if (dtype === 'int8' && most < LEAST_INT8 && stored[i] === 0) continue;
    if (dtype === 'int8' && Math.abs(stored[i]! - wanted[i]!) <= (most / 254) * (1 + 1e-5) + 1e-6 * most) continue;
    return `[${i}] is ${stored[i]}, not ${wanted[i]}`;
  }
  return undefined;
}

const decodeAttention: Maker = (draw, limit): Case => {
  const { s, fill, text } = cached(draw, limit);
  const hasOut = draw.chance(0.4);
  return {
    text: `decodeAttention(${text})`,
    elements: workOf(s),
    hasPromise: true,
    isSameEverywhere: false,
    expects: 'value',
    invoke(api, arena) {
      const { cache, ids } = fill(api, arena);
      const options = { ...optionsOf(arena, s, { heads: s.heads, queries: s.queries }), ...results(arena, s, hasOut) };
      const done = api.decodeAttention!(
        arena.input('q', s.q),
        cache,
        ids.length === 1 && !hasOut ? ids[0] : ids,
        arena.options(options),
      );
      return chain([done], ([result]) => ({ ...outputs(result as Float32Array), ...stored(cache, ids) }));
    },
    outputs: (all: Record<string, AnyArray>) => all,
    check(outcome, isNative) {
      const read = (part: 'k' | 'v', dim: number) => (b: number, head: number, n: number, d: number) =>
        outcome.arrays[`${part}${b}`]![(n * s.kvHeads + head) * dim + d]!;
      return faultOf(s, exactCase(s, true, read('k', s.headDim), read('v', s.valueDim)), outcome, isNative);
    },
  };
};

/** The last tokens of all sequences, one sequence after the other, heads first or tokens first. */
function lastTokens(
  tokens: readonly Record<'k' | 'v', Float32Array>[],
  part: 'k' | 'v',
  { queries, kvHeads, isPositionsFirst }: ReturnType<typeof setupOf>,
  size: number,
): Float32Array {
  const all = tokens.map((each) => each[part].slice(each[part].length - queries * size));
  const dim = size / kvHeads;
  const turned = (x: Float32Array) =>
    x.map((_, i) => {
      const [head, token] = [Math.floor(i / (queries * dim)), Math.floor(i / dim) % queries];
      return x[(token * kvHeads + head) * dim + (i % dim)]!;
    });
  return Float32Array.from(all.flatMap((x) => [...(isPositionsFirst ? x : turned(x))]));
}

const prefillAttention: Maker = (draw, limit): Case => {
  const longEnough = KEYS.filter((n) => n >= 17);
  const { s, fill, tokens, keySize, valueSize, text } = cached(draw, limit, longEnough);
  const hasOut = draw.chance(0.4);
  const chunk = draw.pick([undefined, 1, 2, 5, 16]);
  const lengths = draw.chance(0.5) ? s.keys.map(() => s.queries) : undefined;
  return {
    text: `prefillAttention(${text}, chunks of ${chunk})`,
    elements: workOf(s),
    hasPromise: true,
    isSameEverywhere: false,
    expects: 'value',
    invoke(api, arena) {
      const { cache, ids } = fill(api, arena, s.queries);
      const options = { ...optionsOf(arena, s, { heads: s.heads }), ...results(arena, s, hasOut), chunk, lengths };
      const done = api.prefillAttention!(
        arena.input('q', s.q),
        arena.input('k', lastTokens(tokens, 'k', s, keySize)),
        arena.input('v', lastTokens(tokens, 'v', s, valueSize)),
        cache,
        ids,
        arena.options({ ...options, layout: s.isPositionsFirst ? 'shd' : 'hsd' }),
      );
      return chain([done], ([result]) => ({ ...outputs(result as Float32Array), ...stored(cache, ids) }));
    },
    outputs: (all: Record<string, AnyArray>) => all,
    check(outcome, isNative) {
      const read = (part: 'k' | 'v', dim: number) => (b: number, head: number, n: number, d: number) =>
        outcome.arrays[`${part}${b}`]![(n * s.kvHeads + head) * dim + d]!;
      return faultOf(s, exactCase(s, true, read('k', s.headDim), read('v', s.valueDim)), outcome, isNative);
    },
  };
};

/** All numbers of the sequences, exactly. */
const stored = (cache: Cache, ids: readonly number[]): Record<string, Float64Array> =>
  Object.fromEntries(
    ids
      .map((id, i) => [i, cache.read(id, 0, undefined, { dtype: 'float64' })] as const)
      .flatMap(([i, { k, v }]) => [
        [`k${i}`, k],
        [`v${i}`, v],
      ]),
  );

export const cacheMakers: Record<string, Maker> = { KVCache: kvCache, decodeAttention, prefillAttention };
