/**
 * Arrays that the WebAssembly backend keeps from call to call: slabs of caches and weights of heads. test/attention and
 * test/head compare results of caches and heads with their oracles on every backend.
 */
import { afterAll, afterEach, beforeAll, describe, expect, vi } from 'vitest';
import { KVCache, decodeAttention } from '../../lib/attention.js';
import { viewOf } from '../../lib/attention/kv-cache.js';
import { chosenBackend, inForce, runOn } from '../../lib/backend/choice.js';
import { inHome } from '../../lib/backend/wasm/homes.js';
import { inRegion, regionOf } from '../../lib/backend/wasm/regions.js';
import { copies, slabs } from '../../lib/backend/wasm/places.js';
import { OutputHead } from '../../lib/head.js';
import { decodeAttention as decodeLater } from '../../lib/promises.js';
import { allocate, softmax } from '../../lib/index.js';
import { backends } from '../support/backends.js';
import { itWith } from '../support/tools.js';

const relaxed = { name: 'relaxed SIMD', available: backends.includes('wasm'), path: '' };
const before = inForce();
const onWasm = () => runOn(chosenBackend('wasm'));

beforeAll(() => {
  if (relaxed.available) onWasm();
});
afterEach(() => {
  vi.unstubAllGlobals();
  if (relaxed.available) onWasm();
});
afterAll(() => runOn(before));

let seed = 1;
const random = (): number => (seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff) / 0x80000000 - 0.5;
const floats = (n: number) => Float32Array.from({ length: n }, random);

const HEADS = 2;
const DIM = 64;
const q = floats(HEADS * DIM);

/** A cache with so many tokens of one sequence, 1 KB each as float32, in pieces that make slab after slab. */
function filled(tokens: number, options: object = {}) {
  const cache = new KVCache({ kvHeads: HEADS, headDim: DIM, ...options });
  const sequence = cache.create();
  seed = 1;
  for (let left = tokens; left > 0; left -= 1000) {
    const n = HEADS * DIM * Math.min(1000, left);
    cache.append(sequence, floats(n), floats(n));
  }
  const { slabs: all, scales } = viewOf(cache, [sequence]);
  return { cache, sequence, arrays: [...all, ...scales] };
}
const decoded = ({ cache, sequence }: Pick<ReturnType<typeof filled>, 'cache' | 'sequence'>) =>
  decodeAttention(q, cache, sequence);

/** The same on another backend, whose caches are in ordinary memory. */
function expected(tokens: number, options?: object): Float32Array {
  runOn(chosenBackend(backends[0]!));
  const out = decoded(filled(tokens, options));
  onWasm();
  return out;
}

/** The positions of slabs among the arguments of attention_cached. */
const [SLABS, SCALES] = [3, 4];
const areCopied = () => [...slabs[SLABS]!, ...slabs[SCALES]!].map(({ isCopied }) => isCopied);

describe('slabs of a cache', () => {
  for (const dtype of ['float32', 'float16', 'bfloat16', 'int8'] as const)
    itWith([relaxed], `lie in one memory that grows, and are used there: ${dtype}`, () => {
      const options = { dtype };
      const cache = filled(9000, options);
      const home = regionOf(cache.arrays[0]);
      expect(home?.isShared).toBe(true);
      expect(cache.arrays.length).toBeGreaterThan(dtype === 'float32' ? 3 : 1);
      expect(cache.arrays.every((array) => regionOf(array) === home)).toBe(true);
      expect(decoded(cache)).toEqual(expected(9000, options));
      decoded(cache);
      expect(areCopied()).toEqual(cache.arrays.map(() => false));
    });

  itWith([relaxed], 'have zeros where calls have worked before', () => {
    const cache = filled(100);
    const home = regionOf(cache.arrays[0])!;
    decodeAttention(new Float32Array(2 ** 16).fill(7), cache.cache, cache.sequence);
    const next = inHome({ module: 'attention', beside: cache.arrays }, 'Float32Array', 2 ** 17)!;
    expect(regionOf(next)).toBe(home);
    expect(next.every((x) => x === 0)).toBe(true);
  });

  itWith([relaxed], 'lie in ordinary memory as far as there is no room', () => {
    const { arrays } = filled(100);
    expect(inHome({ module: 'attention', beside: arrays }, 'Int8Array', 2 ** 31)).toBeUndefined();
    expect(inHome({ module: 'attention', beside: [] }, 'Int8Array', 2 ** 31)).toBeUndefined();
    expect(inHome({ module: 'attention', beside: [] }, 'Int8Array', 0)).toBeUndefined();
  });

  itWith([relaxed], 'have a memory of fixed size where none can be shared', () => {
    vi.stubGlobal('SharedArrayBuffer', undefined);
    const cache = filled(2500);
    expect(cache.arrays.length).toBeGreaterThan(1);
    expect(regionOf(cache.arrays[0])?.grows).toBe(false);
    expect(inHome({ module: 'attention', beside: cache.arrays }, 'Int8Array', 2 ** 26)).toBeUndefined();
    vi.unstubAllGlobals();
    expect(decoded(cache)).toEqual(expected(2500));
    decoded(cache);
    expect(areCopied()).toEqual(cache.arrays.map(() => false));
  });

  itWith([relaxed], 'of a cache from before WebAssembly ran stay, and later ones are used in place', () => {
    runOn(chosenBackend('js'));
    const cache = filled(1000);
    onWasm();
    seed = 1;
    floats(2 * HEADS * DIM * 1000);
    for (let i = 0; i < 2; i++)
      cache.cache.append(cache.sequence, floats(HEADS * DIM * 1000), floats(HEADS * DIM * 1000));
    expect(decoded(cache)).toEqual(expected(3000));
    expect(areCopied().slice(0, 1)).toEqual([true]);
    expect(areCopied().at(-1)).toBe(false);
  });

  itWith([relaxed], 'are read by forks, restored caches and promises', async () => {
    const one = filled(2500, { dtype: 'int8' });
    const out = decoded(one);
    expect(decoded({ ...one, sequence: one.cache.fork(one.sequence) })).toEqual(out);
    expect(decoded(KVCache.fromBytes(one.cache.toBytes(one.sequence)))).toEqual(out);
    const promise = decodeLater(q, one.cache, one.sequence);
    one.cache.dispose();
    expect(await promise).toEqual(out);
  });
});

describe('weights of a head', () => {
  const ROWS = 700;
  const COLS = 96;
  const hidden = floats(COLS);
  const made = (weights: Float32Array | Int8Array, options: object = {}) =>
    new OutputHead(weights, { rows: ROWS, cols: COLS, ...options });
  /** The positions of arrays among the arguments of head_logits. */
  const WEIGHTS = 1;

  itWith([relaxed], 'are copied once, with what belongs to them', () => {
    const options = { format: 'int8', scales: floats(ROWS), bias: floats(ROWS), softcap: 3 } as const;
    const weights = Int8Array.from({ length: ROWS * COLS }, () => random() * 250);
    runOn(chosenBackend(backends[0]!));
    const logits = made(weights, options).logits(hidden);
    const tops = made(weights, options).topK(hidden, 5);
    onWasm();
    const head = made(weights, options);
    expect(head.logits(hidden)).toEqual(logits);
    expect(copies[WEIGHTS], 'copies of weights').toBe(0);
    expect(head.slice(100, 300).logits(hidden)).toEqual(logits.slice(100, 300));
    expect(made(weights, options).slice(100, 690).logits(hidden)).toEqual(logits.slice(100, 690));
    expect(head.topK(hidden, 5)).toEqual(tops);
    expect(head.logits(hidden, { candidates: Uint32Array.of(3, 1) })).toEqual(Float32Array.of(logits[3]!, logits[1]!));
  });

  itWith([relaxed], 'from allocate are used where they are', () => {
    const weights = allocate('float32', ROWS * COLS);
    weights.set(floats(ROWS * COLS));
    const logits = made(weights.slice()).logits(hidden);
    const region = regionOf(weights)!;
    const top = region.top;
    expect(made(weights).logits(hidden)).toEqual(logits);
    expect(region.top).toBe(top);
  });

  itWith([relaxed], 'are refused when the caller has taken their memory, or writes there', () => {
    const weights = floats(ROWS * COLS);
    const head = made(weights);
    head.logits(hidden);
    const out = new Float32Array(weights.buffer, 0, ROWS);
    expect(() => head.logits(hidden, { out })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }));
    structuredClone(weights, { transfer: [weights.buffer] });
    expect(() => head.logits(hidden)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }));
  });
});

describe('arrays of allocate', () => {
  itWith([relaxed], 'are zeros where calls have worked before', () => {
    const x = inRegion('Float32Array', 1000)!;
    softmax(x, { out: new Float32Array(1000).fill(7) });
    expect(new Set(inRegion('Float32Array', 1000))).toEqual(new Set([0]));
  });
});
