/**
 * The rows that the tests share: their numbers, their lengths, their places in memory.
 *
 * Rows come from an integer generator and exact float arithmetic, so that they have the same bits on every machine.
 * Math.exp, Math.log and Math.random do not give that, and are not used.
 */

export type Floats = Float32Array | Float64Array;
export type FloatsName = 'f32' | 'f64';

export const floats = { f32: Float32Array, f64: Float64Array } as const;
export const typeNames: readonly FloatsName[] = ['f32', 'f64'];

/** Mulberry32: 32 bits of state, uint32 out. */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return (word ^ (word >>> 14)) >>> 0;
  };
}

/**
 * About N(0,1), exactly: twelve uniforms of 16 bits less their mean, with 32 more bits below so that doubles are
 * filled.
 */
export function normal(random: () => number): number {
  let sum = random() / 2 ** 32 - 12 * 0x7fff - 6.5;
  for (let i = 0; i < 6; i++) {
    const word = random();
    sum += (word & 0xffff) + (word >>> 16);
  }
  return sum / 0x10000;
}

/** One kind of logits: the value at index i of a row of n. */
export type Kind = (random: () => number, i: number, n: number) => number;

/** A number for each row, from -most to most. */
const some = (n: number, most: number): number => (generator(n)() / 0x80000000 - 1) * most;

/** Rows as models give them. */
export const ordinary = {
  'N(0,1)': (random) => normal(random),
  'N(0,8)': (random) => 8 * normal(random),
  equal: () => 0.7,
  clamped: (random, _, n) => Math.min(3 * normal(random), some(n, 3)),
  'one peak': (random, i, n) => (i === n >> 1 ? 40 : normal(random)),
} satisfies Record<string, Kind>;

/** Rows with extreme exponents or spreads, and with subnormal results. */
export const extreme = {
  'N(0,100)': (random) => 100 * normal(random),
  'down into the subnormals': (_, i, n) => (-110 * i) / n,
  'about 1e5': (random) => 1e5 + 8 * normal(random),
  'about -1e6': (random) => -1e6 + 8 * normal(random),
  'about 1e7': (random) => 1e7 + 8 * normal(random),
  'about -1e8': (random) => -1e8 + 32 * normal(random),
  'up to ±3.4e38': (random) => (random() / 0x80000000 - 1) * 3.4e38,
  'tiny logits': (random) => normal(random) * 1e-38,
  'two values': (random, _, n) => some(n, 8) - (random() % 10 ? some(n + 7, 3) : 0),
  'every third -∞': (random, i) => (i % 3 === 1 ? -Infinity : 4 * normal(random)),
  'rising, so that the exponent is raised again and again': (random, i) => i / 2 + normal(random),
} satisfies Record<string, Kind>;

export const kinds: Record<string, Kind> = { ...ordinary, ...extreme };
export type KindName = keyof typeof ordinary | keyof typeof extreme;

export function row(type: 'f32', kind: KindName | Kind, n: number, seed?: number): Float32Array;
export function row(type: 'f64', kind: KindName | Kind, n: number, seed?: number): Float64Array;
export function row(type: FloatsName, kind: KindName | Kind, n: number, seed?: number): Floats;
export function row(type: FloatsName, kind: KindName | Kind, n: number, seed = n + 1): Floats {
  const random = generator(seed);
  const value = typeof kind === 'string' ? kinds[kind]! : kind;
  const x = new floats[type](n);
  for (let i = 0; i < n; i++) x[i] = value(random, i, n);
  return x;
}

/** The longest ordinary row. An emulated processor, about fifty times slower, gets shorter ones. */
export const longest = Number(process.env.FLASH_SOFTMAX_TEST_LONGEST ?? 2 ** 20);

/** 0 … 300: every tail of a vector, of a block of vectors, and of several blocks. */
export const shortLengths: readonly number[] = Array.from({ length: 301 }, (_, n) => n);

/** 2^k and 3·2^k with their neighbours, from 2^8 up to 2^20. */
export function longLengths(limit = longest): number[] {
  const lengths = new Set<number>();
  for (let k = 8; k <= 20; k++) {
    for (const base of [2 ** k, 3 * 2 ** k]) {
      for (const n of [base - 1, base, base + 1]) if (base <= limit) lengths.add(n);
    }
  }
  return [...lengths].sort((a, b) => a - b);
}

export const temperatures: readonly number[] = [1, 0.7, 1.3, 0.05, 40];

/** The bits of an array, for comparisons in which NaN equals NaN and -0 differs from 0. */
export function bits(x: Floats): Uint32Array {
  return new Uint32Array(x.buffer, x.byteOffset, x.byteLength / 4);
}

/** The index of the first 32-bit word in which two arrays differ; -1 if there is none. */
export function firstDifference(a: Floats, b: Floats): number {
  const [left, right] = [bits(a), bits(b)];
  if (left.length !== right.length) return 0;
  for (let i = 0; i < left.length; i++) if (left[i] !== right[i]) return i;
  return -1;
}

/** A value that no softmax gives: a write over it shows. */
export const SENTINEL = -123.25;

export interface Guarded<A extends Floats> {
  /** The n elements that may be written, `offset` elements from the buffer's natural start. */
  readonly view: A;
  /** True if nothing around the view has been written. */
  untouched(): boolean;
}

export function guarded(type: 'f32', n: number, offset: number): Guarded<Float32Array>;
export function guarded(type: 'f64', n: number, offset: number): Guarded<Float64Array>;
export function guarded(type: FloatsName, n: number, offset: number): Guarded<Floats>;
export function guarded(type: FloatsName, n: number, offset: number): Guarded<Floats> {
  const margin = 64;
  const start = margin + offset;
  const whole = new floats[type](start + n + margin).fill(SENTINEL);
  const around = [whole.subarray(0, start), whole.subarray(start + n)];
  return {
    view: whole.subarray(start, start + n),
    untouched: () => around.every((part) => part.every((value) => value === SENTINEL)),
  };
}

/** Flags as the bits of a mask, the first flag in the lowest bit. */
export function packedBits(flags: ArrayLike<number | boolean>): Uint8Array {
  const packed = new Uint8Array((flags.length + 7) >> 3);
  Array.from(flags).forEach((isSet, i) => {
    if (isSet) packed[i >> 3]! |= 1 << (i & 7);
  });
  return packed;
}
