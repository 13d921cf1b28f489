/** A sound call of every operator: its arrays by name, options, and lists of numbers whose elements may be getters. */
import type { Api } from '../fuzz/case.js';
import type { AnyArray } from '../fuzz/memory.js';
import { generator, normal } from '../cases.js';

export type Arrays = Record<string, AnyArray>;
export type Options = Record<string, unknown>;

export interface Operator {
  readonly name: string;
  readonly hasPromise: boolean;
  /** New arrays, the same each time. */
  arrays(): Arrays;
  /** Names of those that the call writes. */
  readonly written: readonly string[];
  options(arrays: Arrays): Options;
  /** Lists that are arguments or parts of options, whose elements are read. */
  lists?(): Record<string, unknown[]>;
  call(api: Api, arrays: Arrays, options: Options, lists: Record<string, unknown[]>): unknown;
  /** What of a result is compared. */
  results?(result: never, arrays: Arrays): unknown;
}

/** So many that memory which was given back is missed: several pages. */
const [ROWS, COLS] = [10, 512];
const SIZE = ROWS * COLS;

function floats(n: number, seed: number, size = 1): Float32Array {
  const random = generator(seed);
  return Float32Array.from({ length: n }, () => size * normal(random));
}
const doubles = (n: number, seed: number) => Float64Array.from(floats(n, seed));
const bytes = (n: number) => Uint8Array.from({ length: n }, (_, i) => (i % 7 ? 1 : 0));
const halves = (n: number) => Uint16Array.from({ length: n }, (_, i) => 0x3800 + (i % 1024));
const integers = (n: number) => Array.from({ length: n }, (_, i) => i % COLS);
const uniforms = (n: number) => Array.from({ length: n }, (_, i) => (i * 0.618) % 1);

/** softmax and those like it, over some type. */
function alongAxis(name: string, label: string, x: () => AnyArray, out: () => AnyArray, dtype?: string): Operator {
  return {
    name: `${name}, ${label}`,
    hasPromise: true,
    arrays: () => ({ x: x(), mask: bytes(SIZE), bias: x(), out: out() }),
    written: ['out'],
    options: ({ mask, bias, out: results }) => ({ temperature: 0.7, mask, maskFormat: 'bytes', bias, out: results, ...(dtype && { dtype }) }),
    lists: () => ({ shape: [ROWS, COLS] }),
    call: (api, { x: logits }, options, { shape }) => api[name]!(logits, Object.defineProperty(options, 'shape', { value: shape, enumerable: true, configurable: true })),
  };
}

const rowOperators: Operator[] = [
  alongAxis('softmax', 'f32', () => floats(SIZE, 1), () => new Float32Array(SIZE)),
  alongAxis('softmax', 'f64', () => doubles(SIZE, 1), () => new Float64Array(SIZE)),
  alongAxis('softmax', 'f16', () => halves(SIZE), () => new Uint16Array(SIZE), 'float16'),
  alongAxis('softmax', 'bf16 to f32', () => halves(SIZE), () => new Float32Array(SIZE), 'bfloat16'),
  alongAxis('logSoftmax', 'f32', () => floats(SIZE, 1), () => new Float32Array(SIZE)),
  ...['softmax', 'logSoftmax'].map((name): Operator => ({
    name: `${name}, bare`, hasPromise: true, arrays: () => ({ x: floats(SIZE, 2) }), written: [], options: () => ({}), call: (api, { x }) => api[name]!(x),
  })),
  {
    name: 'softmax, bare f16', hasPromise: true, arrays: () => ({ x: halves(SIZE) }), written: [], options: () => ({ dtype: 'float16' }), call: (api, { x }, options) => api.softmax!(x, options),
  },
  alongAxis('logSumExp', 'f32', () => floats(SIZE, 3), () => new Float64Array(ROWS)),
  {
    name: 'crossEntropy',
    hasPromise: true,
    arrays: () => ({ x: floats(SIZE, 4), mask: bytes(SIZE), bias: floats(COLS, 5), out: new Float64Array(ROWS), gradient: new Float32Array(SIZE) }),
    written: ['out', 'gradient'],
    options: ({ mask, bias, out, gradient }) => ({ cols: COLS, temperature: 0.7, mask, bias, out, gradient, ignoreIndex: -1 }),
    lists: () => ({ targets: integers(ROWS) }),
    call: (api, { x }, options, { targets }) => api.crossEntropy!(x, targets, options),
    results: (loss, { gradient }) => [loss, gradient],
  },
  {
    name: 'crossEntropy, typed targets',
    hasPromise: true,
    arrays: () => ({ x: floats(SIZE, 4), targets: Int32Array.from(integers(ROWS)) }),
    written: [],
    options: () => ({ cols: COLS, ignoreIndex: -1, temperature: 1 }),
    call: (api, { x, targets }, options) => api.crossEntropy!(x, targets, options),
  },
  {
    name: 'softmaxBackward',
    hasPromise: true,
    arrays: () => ({ y: floats(SIZE, 6), dy: floats(SIZE, 7), mask: bytes(COLS), out: new Float32Array(SIZE) }),
    written: ['out'],
    options: ({ mask, out }) => ({ cols: COLS, temperature: 0.7, mask, out, maskFormat: 'bytes' }),
    call: (api, { y, dy }, options) => api.softmaxBackward!(y, dy, options),
  },
  {
    name: 'expSum',
    hasPromise: true,
    arrays: () => ({ x: floats(SIZE, 8), mask: bytes(SIZE), bias: floats(SIZE, 9) }),
    written: [],
    options: ({ mask, bias }) => ({ cols: COLS, temperature: 0.7, mask, bias, unifiedMax: 3 }),
    lists: () => ({ range: [-20, 20] }),
    call: (api, { x }, options, { range }) => api.expSum!(x, Object.defineProperty(options, 'range', { value: range, enumerable: true })),
  },
  {
    name: 'normalize',
    hasPromise: true,
    arrays: () => ({ x: floats(SIZE, 8), bias: floats(COLS, 9), out: new Float32Array(SIZE), mantissa: new Float64Array(ROWS).fill(1.5), exponent: new Int32Array(ROWS).fill(11) }),
    written: ['out'],
    options: ({ bias, out }) => ({ cols: COLS, temperature: 0.7, bias, out }),
    call: (api, { x, mantissa, exponent }, options) => api.normalize!(x, { mantissa, exponent }, options),
  },
  {
    name: 'mergeExpSums',
    hasPromise: false,
    arrays: () => ({ m1: new Float64Array(ROWS).fill(1.5), e1: new Int32Array(ROWS), m2: new Float64Array(ROWS).fill(1.25), e2: new Int32Array(ROWS).fill(1) }),
    written: [],
    options: () => ({}),
    call: (api, { m1, e1, m2, e2 }) => api.mergeExpSums!({ mantissa: m1, exponent: e1 }, { mantissa: m2, exponent: e2 }),
  },
  {
    name: 'logSumExp of a state', hasPromise: false, arrays: () => ({ mantissa: new Float64Array(ROWS).fill(1.5), exponent: new Int32Array(ROWS) }), written: [], options: () => ({}),
    call: (api, state) => api.logSumExp!(state),
  },
  {
    name: 'ExpSumAccumulator',
    hasPromise: false,
    arrays: () => ({ x: floats(SIZE, 8), mask: bytes(SIZE), bias: floats(SIZE, 9), out: new Float32Array(SIZE) }),
    written: ['out'],
    options: ({ mask, bias }) => ({ mask, bias, maskFormat: 'bytes' }),
    call(api, { x, out }, options) {
      const sum = new (api.ExpSumAccumulator as unknown as new () => { add(x: unknown, o: unknown): { normalize(...args: unknown[]): unknown } })();
      return sum.add(x, options).normalize(x, out, options);
    },
  },
];

const [HEADS, KEYS, DIM, QUERIES] = [2, 96, 32, 16];
const attentionArrays = () => ({
  q: floats(HEADS * QUERIES * DIM, 11), k: floats(HEADS * KEYS * DIM, 12), v: floats(HEADS * KEYS * DIM, 13), mask: bytes(HEADS * QUERIES * KEYS), bias: floats(HEADS * QUERIES * KEYS, 14),
  alibi: Float32Array.of(0.5, 0.25), sinks: Float32Array.of(1, 2), out: new Float32Array(HEADS * QUERIES * DIM), lse: new Float64Array(HEADS * QUERIES),
});
const attentionOptions = ({ mask, bias, alibi, sinks, out, lse }: Arrays): Options => ({ mask, bias, alibi, sinks, out, lse, layout: 'bhsd', scale: 0.125, causal: true, window: 100, softcap: 30 });

/** A cache with one sequence of so many tokens. */
function cacheOf(api: Api): [cache: unknown, ids: number[]] {
  interface Cache {
    create(): number;
    append(id: number, k: Float32Array, v: Float32Array): number;
  }
  const cache = new (api.KVCache as unknown as new (options: object) => Cache)({ kvHeads: HEADS, headDim: DIM });
  const id = cache.create();
  cache.append(id, floats(KEYS * HEADS * DIM, 12), floats(KEYS * HEADS * DIM, 13));
  return [cache, [id]];
}

const attentionOperators: Operator[] = [
  {
    name: 'attention', hasPromise: true, arrays: attentionArrays, written: ['out', 'lse'],
    options: (arrays) => ({ ...attentionOptions(arrays), heads: HEADS, kvHeads: HEADS, headDim: DIM, valueDim: DIM, batch: 1, queries: QUERIES, keys: KEYS }),
    call: (api, { q, k, v }, options) => api.attention!(q, k, v, options),
  },
  {
    name: 'attentionPartial', hasPromise: true, arrays: () => (({ out: _, lse: __, sinks: ___, ...arrays }) => arrays)(attentionArrays()), written: [],
    options: (arrays) => (({ out: _, lse: __, sinks: ___, ...options }) => ({ ...options, heads: HEADS, headDim: DIM, unifiedMax: 3 }))(attentionOptions(arrays)),
    lists: () => ({ keyOffset: [5], totalKeys: [500], range: [-50, 50] }),
    call: (api, { q, k, v }, options, lists) => api.attentionPartial!(q, k, v, Object.defineProperties(options, Object.fromEntries(Object.entries(lists).map(([name, value]) => [name, { value, enumerable: true }])))),
  },
  {
    name: 'decodeAttention', hasPromise: true, arrays: () => (({ k: _, v: __, ...arrays }) => arrays)(attentionArrays()), written: ['out', 'lse'],
    options: (arrays) => ({ ...attentionOptions(arrays), heads: HEADS, queries: QUERIES }),
    call(api, { q }, options) {
      const [cache, ids] = cacheOf(api);
      return api.decodeAttention!(q, cache, ids, options);
    },
  },
  {
    name: 'attentionPartial of a cache', hasPromise: true, arrays: () => (({ k: _, v: __, out: ___, lse: ____, sinks: _____, ...arrays }) => arrays)(attentionArrays()), written: [],
    options: (arrays) => (({ out: _, lse: __, sinks: ___, ...options }) => ({ ...options, queries: QUERIES }))(attentionOptions(arrays)),
    call(api, { q }, options) {
      const [cache, ids] = cacheOf(api);
      return api.attentionPartial!(q, cache, ids, options);
    },
  },
  {
    name: 'AttentionPartial.finish', hasPromise: false,
    arrays: () => ({ a: doubles(HEADS * DIM, 15), m: new Float64Array(HEADS).fill(1.5), e: new Int32Array(HEADS), sinks: Float32Array.of(1, 2), out: new Float32Array(HEADS * DIM), lse: new Float64Array(HEADS) }),
    written: ['out', 'lse'],
    options: ({ sinks, out, lse }) => ({ sinks, out, lse, heads: HEADS, queries: 1, layout: 'bhsd' }),
    call: (api, { a, m, e }, options) => (api.mergeAttentionPartials!({ out: a, mantissa: m, exponent: e }) as { finish(options: unknown): unknown }).finish(options),
  },
  {
    name: 'KVCache.append', hasPromise: false, arrays: () => ({ k: floats(KEYS * HEADS * DIM, 12), v: floats(KEYS * HEADS * DIM, 13) }), written: [],
    options: () => ({ layout: 'shd' }),
    call(api, { k, v }, options) {
      const [cache, [id]] = cacheOf(api) as [{ append(...args: unknown[]): unknown; read(id: number): unknown }, number[]];
      cache.append(id!, k, v, options);
      return cache.read(id!);
    },
  },
];

const filters = { temperature: 0.8, topK: 50, topP: 0.9, minP: 0.01, typicalP: 0.99, epsilonCutoff: 1e-6 };
const logits = () => ({ x: floats(SIZE, 21), mask: bytes(COLS), bias: floats(SIZE, 22) });
const masked = ({ mask, bias }: Arrays): Options => ({ cols: COLS, mask, bias, maskFormat: 'bytes' });

const samplingOperators: Operator[] = [
  { name: 'argmax', hasPromise: false, arrays: () => ({ x: floats(SIZE, 21) }), written: [], options: () => ({ cols: COLS }), call: (api, { x }, options) => api.argmax!(x, options) },
  { name: 'topK', hasPromise: true, arrays: () => ({ x: floats(SIZE, 21) }), written: [], options: () => ({ cols: COLS }), call: (api, { x }, options) => api.topK!(x, 50, options) },
  { name: 'topK, f16', hasPromise: true, arrays: () => ({ x: halves(SIZE) }), written: [], options: () => ({ cols: COLS, dtype: 'float16' }), call: (api, { x }, options) => api.topK!(x, 50, options) },
  {
    name: 'sample', hasPromise: true, arrays: logits, written: [], options: (arrays) => ({ ...masked(arrays), ...filters }), lists: () => ({ noise: uniforms(ROWS) }),
    call: (api, { x }, options, { noise }) => api.sample!(x, Object.defineProperty(options, 'noise', { value: noise, enumerable: true })),
  },
  {
    name: 'sampleMany, typed noise', hasPromise: true, arrays: () => ({ ...logits(), noise: Float64Array.from(uniforms(3 * ROWS)) }), written: [],
    options: (arrays) => ({ ...masked(arrays), ...filters, noise: arrays.noise }), call: (api, { x }, options) => api.sampleMany!(x, 3, options),
  },
  { name: 'filterLogits', hasPromise: true, arrays: logits, written: [], options: (arrays) => ({ ...masked(arrays), ...filters }), call: (api, { x }, options) => api.filterLogits!(x, options) },
  {
    name: 'logProbs', hasPromise: false, arrays: logits, written: [], options: (arrays) => ({ ...masked(arrays), temperature: 0.8, top: 5 }), lists: () => ({ tokens: integers(ROWS) }),
    call: (api, { x }, options, { tokens }) => api.logProbs!(x, tokens, options),
  },
  ...['gumbelSoftmax', 'gumbelMax', 'gumbelTopK'].map((name): Operator => ({
    name, hasPromise: false, arrays: () => ({ ...logits(), noise: Float64Array.from(uniforms(SIZE)) }), written: [], options: (arrays) => ({ ...masked(arrays), noise: arrays.noise }),
    call: (api, { x }, options) => (name === 'gumbelTopK' ? api.gumbelTopK!(x, 5, options) : api[name]!(x, options)),
  })),
  {
    name: 'softToken', hasPromise: false, arrays: logits, written: [], options: (arrays) => ({ ...masked(arrays), temperature: 0.8, topK: 5, tau: 0.5, seed: 1 }), lists: () => ({ noiseRange: [-1, 2] }),
    call: (api, { x }, options, { noiseRange }) => api.softToken!(x, Object.defineProperty(options, 'noiseRange', { value: noiseRange, enumerable: true })),
  },
  {
    name: 'dirichletResample', hasPromise: false, arrays: () => ({ x: Float32Array.from(uniforms(SIZE)) }), written: [], options: () => ({ cols: COLS, alpha: 2, seed: 1, step: 0, firstRow: 0 }),
    call: (api, { x }, options) => api.dirichletResample!(x, options),
  },
  {
    name: 'penalize', hasPromise: false, arrays: () => ({ x: floats(COLS * 8, 21), out: new Float32Array(COLS * 8) }), written: ['out'],
    options: ({ out }) => ({ out, repetitionPenalty: 1.1, frequencyPenalty: 0.5, presencePenalty: 0.1, penaltyWindow: 30 }),
    lists: () => ({ history: integers(50), banned: integers(5) }),
    call: (api, { x }, options, { history, banned }) => api.penalize!(x, history, Object.defineProperty(options, 'banned', { value: banned, enumerable: true })),
  },
  {
    name: 'Sampler', hasPromise: false, arrays: () => ({ x: floats(COLS * 8, 21), prompt: Int32Array.from(integers(50)) }), written: [],
    options: () => ({ ...filters, repetitionPenalty: 1.1, seed: 1 }),
    lists: () => ({ banned: integers(5) }),
    call(api, { x, prompt }, options, { banned }) {
      const Kind = api.Sampler as unknown as new (options: object) => { accept(tokens: unknown): unknown; next(x: unknown): number };
      const sampler = new Kind(Object.defineProperty(options, 'banned', { value: banned, enumerable: true }));
      sampler.accept(prompt);
      return [sampler.next(x), sampler.next(x), sampler.next(x)];
    },
  },
];

export const operators: readonly Operator[] = [...rowOperators, ...attentionOperators, ...samplingOperators];
