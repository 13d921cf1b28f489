/** Sound calls of attention, whole and in parts, and of KVCache. */
import type { Api } from '../fuzz/case.js';
import { bytes, doubles, floats } from './operator.js';
import type { Arrays, Operator, Options } from './operator.js';

export const [HEADS, KEYS, DIM, QUERIES] = [2, 96, 32, 16];
export const attentionArrays = () => ({
  q: floats(HEADS * QUERIES * DIM, 11),
  k: floats(HEADS * KEYS * DIM, 12),
  v: floats(HEADS * KEYS * DIM, 13),
  mask: bytes(HEADS * QUERIES * KEYS),
  bias: floats(HEADS * QUERIES * KEYS, 14),
  alibi: Float32Array.of(0.5, 0.25),
  sinks: Float32Array.of(1, 2),
  out: new Float32Array(HEADS * QUERIES * DIM),
  lse: new Float64Array(HEADS * QUERIES),
});
export const attentionOptions = ({ mask, bias, alibi, sinks, out, lse }: Arrays): Options => ({
  mask,
  bias,
  alibi,
  sinks,
  out,
  lse,
  layout: 'bhsd',
  scale: 0.125,
  causal: true,
  window: 100,
  softcap: 30,
});

/** Puts lists into options, as they are: their elements may be getters. */
const withLists = (options: Options, lists: Record<string, unknown[]>): Options =>
  Object.defineProperties(
    options,
    Object.fromEntries(Object.entries(lists).map(([name, value]) => [name, { value, enumerable: true }])),
  );

/** The header of 20 tokens as float32. */
const KV_HEADER = [70, 83, 75, 86, 1, 0, 0, 0, HEADS, 0, 0, 0, DIM, 0, 0, 0, DIM, 0, 0, 0, 20, 0, 0, 0];

/** A cache with one sequence of so many tokens. */
export function cacheOf(api: Api): [cache: unknown, ids: number[]] {
  interface Cache {
    create(): number;
    append(id: number, k: Float32Array, v: Float32Array): number;
  }
  const cache = new (api.KVCache as unknown as new (options: object) => Cache)({ kvHeads: HEADS, headDim: DIM });
  const id = cache.create();
  cache.append(id, floats(KEYS * HEADS * DIM, 12), floats(KEYS * HEADS * DIM, 13));
  return [cache, [id]];
}

/** A new state of linear attention. */
function linearStateOf(api: Api, options: object) {
  type Method = (...args: unknown[]) => unknown;
  const State = api.LinearAttentionState as unknown as new (
    options: object,
  ) => Record<'append' | 'query' | 'attend' | 'toBytes', Method>;
  return new State(options);
}

export const attentionOperators: Operator[] = [
  {
    name: 'attention',
    hasPromise: true,
    arrays: () => ({ ...attentionArrays(), keyLengths: Int32Array.of(KEYS - 3) }) as Arrays,
    written: ['out', 'lse'],
    options: (arrays) => ({
      ...attentionOptions(arrays),
      keyLengths: arrays.keyLengths,
      heads: HEADS,
      kvHeads: HEADS,
      headDim: DIM,
      valueDim: DIM,
      batch: 1,
      queries: QUERIES,
      keys: KEYS,
    }),
    lists: () => ({ window: [50, 0] }),
    call: (api, { q, k, v }, options, lists) => api.attention!(q, k, v, withLists(options, lists)),
  },
  {
    name: 'attentionBackward',
    hasPromise: true,
    arrays: () => ({
      ...attentionArrays(),
      dOut: floats(HEADS * QUERIES * DIM, 16),
      dq: new Float32Array(HEADS * QUERIES * DIM),
      dk: new Float32Array(HEADS * KEYS * DIM),
      dv: new Float32Array(HEADS * KEYS * DIM),
      dBias: new Float32Array(HEADS * QUERIES * KEYS),
      dSinks: new Float32Array(HEADS),
    }),
    written: ['dq', 'dk', 'dv', 'dBias', 'dSinks'],
    options: (arrays) => ({
      ...attentionOptions(arrays),
      ...(({ dq, dk, dv, dBias, dSinks }) => ({ dq, dk, dv, dBias, dSinks }))(arrays),
      heads: HEADS,
      kvHeads: HEADS,
      headDim: DIM,
      valueDim: DIM,
      batch: 1,
      queries: QUERIES,
      keys: KEYS,
    }),
    call: (api, { q, k, v, dOut }, options) => api.attentionBackward!(q, k, v, dOut, options),
  },
  {
    name: 'attentionPartial',
    hasPromise: true,
    arrays: () => (({ out: _, lse: __, sinks: ___, ...arrays }) => arrays)(attentionArrays()),
    written: [],
    options: (arrays) =>
      (({ out: _, lse: __, sinks: ___, ...options }) => ({ ...options, heads: HEADS, headDim: DIM, unifiedMax: 3 }))(
        attentionOptions(arrays),
      ),
    lists: () => ({ keyOffset: [5], totalKeys: [500], range: [-50, 50], keyLengths: [KEYS - 1] }),
    call: (api, { q, k, v }, options, lists) => api.attentionPartial!(q, k, v, withLists(options, lists)),
  },
  {
    name: 'decodeAttention',
    hasPromise: true,
    arrays: () => (({ k: _, v: __, ...arrays }) => arrays)(attentionArrays()),
    written: ['out', 'lse'],
    options: (arrays) => ({ ...attentionOptions(arrays), heads: HEADS, queries: QUERIES }),
    call(api, { q }, options) {
      const [cache, ids] = cacheOf(api);
      return api.decodeAttention!(q, cache, ids, options);
    },
  },
  {
    name: 'prefillAttention',
    hasPromise: true,
    arrays: () => ({
      ...attentionArrays(),
      k: floats(HEADS * QUERIES * DIM, 12),
      v: floats(HEADS * QUERIES * DIM, 13),
      mask: bytes(HEADS * QUERIES * (KEYS + QUERIES)),
      bias: floats(HEADS * QUERIES * (KEYS + QUERIES), 14),
    }),
    written: ['out', 'lse'],
    options: (arrays) => ({ ...attentionOptions(arrays), heads: HEADS, layout: 'shd', chunk: 5 }),
    lists: () => ({ lengths: [QUERIES] }),
    call(api, { q, k, v }, options, { lengths }) {
      const [cache, ids] = cacheOf(api);
      const own = Object.defineProperty(options, 'lengths', { value: lengths, enumerable: true, configurable: true });
      return api.prefillAttention!(q, k, v, cache, ids, own);
    },
  },
  {
    name: 'AttentionPartial.from',
    hasPromise: false,
    arrays: () => ({ a: doubles(HEADS * DIM, 15), lse: doubles(HEADS, 16) }),
    written: [],
    options: () => ({ base: 2, heads: HEADS, queries: 1, layout: 'bshd' }),
    call(api, { a, lse }, options) {
      const Partial = api.AttentionPartial as unknown as { from(...args: unknown[]): { toBytes(): unknown } };
      return Partial.from(a, lse, options).toBytes();
    },
  },
  {
    name: 'KVCache.append of many',
    hasPromise: false,
    arrays: () => ({ k: floats(KEYS * HEADS * DIM, 12), v: floats(KEYS * HEADS * DIM, 13) }),
    written: [],
    options: () => ({ layout: 'hsd' }),
    lists: () => ({ lengths: [40, KEYS - 40] }),
    call(api, { k, v }, options, { lengths }) {
      const [cache, [id]] = cacheOf(api) as [Record<string, (...args: unknown[]) => unknown>, number[]];
      const own = Object.defineProperty(options, 'lengths', { value: lengths, enumerable: true, configurable: true });
      cache.append!([id, cache.fork!(id, 7)], k, v, own);
      return cache.toBytes!(id);
    },
  },
  {
    name: 'KVCache.fromBytes',
    hasPromise: false,
    arrays: () => ({ bytes: Uint8Array.from([...KV_HEADER, ...bytes(20 * HEADS * DIM * 8)]) }),
    written: [],
    options: () => ({ maxBytes: 2 ** 20, pageSize: 16 }),
    call(api, { bytes: given }, options) {
      type Restored = { cache: { toBytes(id: number): unknown }; sequence: number };
      const Cache = api.KVCache as unknown as { fromBytes(bytes: unknown, options: object): Restored };
      const { cache, sequence } = Cache.fromBytes(given, options);
      return cache.toBytes(sequence);
    },
  },
  {
    name: 'attentionPartial of a cache',
    hasPromise: true,
    arrays: () => (({ k: _, v: __, out: ___, lse: ____, sinks: _____, ...arrays }) => arrays)(attentionArrays()),
    written: [],
    options: (arrays) =>
      (({ out: _, lse: __, sinks: ___, ...options }) => ({ ...options, queries: QUERIES }))(attentionOptions(arrays)),
    call(api, { q }, options) {
      const [cache, ids] = cacheOf(api);
      return api.attentionPartial!(q, cache, ids, options);
    },
  },
  {
    name: 'AttentionPartial.finish',
    hasPromise: false,
    arrays: () => ({
      a: doubles(HEADS * DIM, 15),
      m: new Float64Array(HEADS).fill(1.5),
      e: new Int32Array(HEADS),
      sinks: Float32Array.of(1, 2),
      out: new Float32Array(HEADS * DIM),
      lse: new Float64Array(HEADS),
    }),
    written: ['out', 'lse'],
    options: ({ sinks, out, lse }) => ({ sinks, out, lse, heads: HEADS, queries: 1, layout: 'bhsd' }),
    call: (api, { a, m, e }, options) =>
      (
        api.mergeAttentionPartials!({ out: a, mantissa: m, exponent: e }) as { finish(options: unknown): unknown }
      ).finish(options),
  },
  {
    name: 'KVCache.append',
    hasPromise: false,
    arrays: () => ({ k: floats(KEYS * HEADS * DIM, 12), v: floats(KEYS * HEADS * DIM, 13) }),
    written: [],
    options: () => ({ layout: 'shd' }),
    call(api, { k, v }, options) {
      const [cache, [id]] = cacheOf(api) as [
        { append(...args: unknown[]): unknown; read(id: number): unknown },
        number[],
      ];
      cache.append(id!, k, v, options);
      return cache.read(id!);
    },
  },
  ...['magnitudeAwareAttention', 'injectiveLinearAttention'].map((name): Operator => ({
    name,
    hasPromise: true,
    arrays: () => (({ q, k, v, out }) => ({ q, k, v, out }))(attentionArrays()) as Arrays,
    written: ['out'],
    options: ({ out }) => ({
      batch: 1,
      heads: HEADS,
      kvHeads: HEADS,
      headDim: DIM,
      out,
      ...(name[0] === 'm' ? { epsilon: 1e-6, scale: 'code' } : { featureMap: 'exp', featureScale: 0.2 }),
    }),
    call: (api, { q, k, v }, options) => api[name]!(q, k, v, options),
  })),
  {
    name: 'LinearAttentionState',
    hasPromise: false,
    arrays: () => ({ k: floats(KEYS * HEADS * DIM, 12), v: floats(KEYS * HEADS * DIM, 13) }),
    written: [],
    options: () => ({ kvHeads: HEADS, headDim: DIM, valueDim: DIM, featureMap: 'elu', featureScale: 1, batch: 1 }),
    call(api, { k, v }, options) {
      const state = linearStateOf(api, options);
      state.append(k, v);
      return state.toBytes();
    },
  },
  {
    name: 'LinearAttentionState.query',
    hasPromise: false,
    arrays: () => (({ q, out }) => ({ q, out }))(attentionArrays()) as Arrays,
    written: ['out'],
    options: ({ out }) => ({ heads: HEADS, form: 'magnitudeAware', epsilon: 1e-6, scale: 'code', out }),
    call(api, { q }, options) {
      const state = linearStateOf(api, { kvHeads: HEADS, headDim: DIM });
      state.append(floats(KEYS * HEADS * DIM, 12), floats(KEYS * HEADS * DIM, 13));
      return state.query(q, options);
    },
  },
  {
    name: 'LinearAttentionState.attend',
    hasPromise: false,
    arrays: () => ({
      q: floats(QUERIES * HEADS * DIM, 11),
      k: floats(QUERIES * HEADS * DIM, 12),
      v: floats(QUERIES * HEADS * DIM, 13),
      out: new Float32Array(QUERIES * HEADS * DIM),
    }),
    written: ['out'],
    options: ({ out }) => ({ heads: HEADS, form: 'normalized', epsilon: 0, out }),
    call: (api, { q, k, v }, options) => linearStateOf(api, { kvHeads: HEADS, headDim: DIM }).attend(q, k, v, options),
  },
];
