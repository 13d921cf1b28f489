/**
 * Random numbers: Philox4x32-10 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011),
 * a bijection on 128-bit counters. The draws of a row depend on the seed, the step and the row alone, and not on its
 * batch or on earlier calls.
 *
 *     key = seed (64 bits)      counter = (draw, element or pair of elements; row; step; purpose)
 *
 * Two words a, b of a block make u = (k + ½) · 2^-52 with the 52-bit k = a · 2^20 + (b >> 12): in (0, 1), and never 0
 * or 1.
 */
import { describe, outOfRange, wrongType, wrongValue } from '../call/errors.js';
import { copyInto } from '../call/arrays.js';
import { trueLength } from '../call/errors.js';
import { types } from '../call/types.js';
import { ln } from '../math/log.js';
import { listOf, type Given } from './options.js';

/** Noise that a caller gives. */
export type Noise = Float64Array | Float32Array | readonly number[];

/** The fourth word of the counter; its upper 24 bits count the attempts of a rejection method. */
export const PURPOSE = { token: 0, gumbel: 1, gamma: 2 } as const;

/** The four words of a counter, and then of its random block. */
export const block = new Uint32Array(4);

/** The upper word of a product of 32-bit numbers. */
function highProduct(a: number, b: number): number {
  const [al, ah, bl, bh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const middle = ah * bl + ((al * bl) >>> 16);
  return ah * bh + Math.floor(middle / 0x10000) + (((middle & 0xffff) + al * bh) >>> 16);
}

/** The two words of a key. */
export type Key = readonly [low: number, high: number];

/** Replaces the counter in `block` by its random block. */
export function philox(key: Key): void {
  let [c0, c1, c2, c3] = [block[0]!, block[1]!, block[2]!, block[3]!];
  let [key0, key1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = highProduct(0xd2511f53, c0);
    const high1 = highProduct(0xcd9e8d57, c2);
    const low0 = Math.imul(0xd2511f53, c0);
    const low1 = Math.imul(0xcd9e8d57, c2);
    c0 = (high1 ^ c1 ^ key0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ key1) >>> 0;
    c3 = low0 >>> 0;
    key0 = (key0 + 0x9e3779b9) >>> 0;
    key1 = (key1 + 0xbb67ae85) >>> 0;
  }
  block[0] = c0;
  block[1] = c1;
  block[2] = c2;
  block[3] = c3;
}

/** Two words as a number in (0, 1). */
export const uniformOf = (a: number, b: number): number => (a * 2 ** 20 + (b >>> 12) + 0.5) * 2 ** -52;

export interface SeedOptions {
  /**
   * The key of the generator: an integer from 0 to 2^64 − 1 (a bigint beyond 2^53). Default: another one for each call.
   */
  seed?: number | bigint | null | undefined;
  /** The step of a sequence, 0 … 2^32 − 1: each step has draws of its own. Default: 0. */
  step?: number | null | undefined;
  /** The generator's number of the first row: a batch that is cut in two draws the same tokens. Default: 0. */
  firstRow?: number | null | undefined;
}

export const SEED_OPTIONS = ['seed', 'step', 'firstRow'] as const;

/** The random stream of a call. */
export class Stream {
  readonly #key: Key;
  readonly #step: number;
  readonly #firstRow: number;

  constructor(key: Key, step: number, firstRow: number) {
    this.#key = key;
    this.#step = step;
    this.#firstRow = firstRow;
  }

  /** Puts a random block of a row into `block`. */
  #draw(counter: number, row: number, purpose: number): void {
    block[0] = counter;
    block[1] = this.#firstRow + row;
    block[2] = this.#step;
    block[3] = purpose;
    philox(this.#key);
  }

  /** Draw d of a row, a number in (0, 1). */
  token(row: number, d: number): number {
    this.#draw(d, row, PURPOSE.token);
    return uniformOf(block[0]!, block[1]!);
  }

  /** −ln(−ln u) for elements 0 … n − 1 of a row, two a block. */
  gumbel(row: number, n: number, take: (i: number, g: number) => void): void {
    for (let i = 0; i < n; i += 2) {
      this.#draw(i >>> 1, row, PURPOSE.gumbel);
      const second = uniformOf(block[2]!, block[3]!);
      take(i, -ln(-ln(uniformOf(block[0]!, block[1]!))));
      if (i + 1 < n) take(i + 1, -ln(-ln(second)));
    }
  }

  /** −ln(−ln u) for element i of a row. */
  gumbelAt(row: number, i: number): number {
    this.#draw(i >>> 1, row, PURPOSE.gumbel);
    return -ln(-ln(i & 1 ? uniformOf(block[2]!, block[3]!) : uniformOf(block[0]!, block[1]!)));
  }

  /** ln of a Gamma(shape) variate for element i of a row. */
  logGamma(row: number, i: number, shape: number): number {
    const { log, power } = this.gammaParts(row, i, shape);
    return log + (shape < 1 ? power / shape : 0);
  }

  /**
   * The parts of ln G = log + power / shape for a Gamma(shape) variate G: Marsaglia & Tsang 2000. power is 0 for shapes
   * from 1 on, and ln U below, where the variate itself would underflow. `shape` is finite, and may be 0.
   */
  gammaParts(row: number, i: number, shape: number): { readonly log: number; readonly power: number } {
    const isSmall = shape < 1;
    const d = (isSmall ? shape + 1 : shape) - 1 / 3;
    const c = 1 / Math.sqrt(9 * d);
    for (let attempt = 0; ; attempt++) {
      this.#draw(i, row, PURPOSE.gamma + ((2 * attempt) << 8));
      const v = 2 * uniformOf(block[0]!, block[1]!) - 1;
      const w = 2 * uniformOf(block[2]!, block[3]!) - 1;
      const s = v * v + w * w;
      if (s >= 1) continue; // Marsaglia's polar method
      const normal = v * Math.sqrt((-2 * ln(s)) / s);
      const root = 1 + c * normal;
      if (root <= 0) continue;
      const cube = root * root * root;
      this.#draw(i, row, PURPOSE.gamma + ((2 * attempt + 1) << 8));
      if (ln(uniformOf(block[0]!, block[1]!)) >= 0.5 * normal * normal + d - d * cube + d * ln(cube)) continue;
      return { log: ln(d * cube), power: isSmall ? ln(uniformOf(block[2]!, block[3]!)) : 0 };
    }
  }
}

/** The stream of checked options, for a call of so many rows. */
export function streamOf({ seed, step = 0, firstRow = 0 }: Given<SeedOptions>, rows: number): Stream {
  if (typeof step !== 'number') throw wrongType('an integer', 'step', step);
  if (!(Number.isInteger(step) && step >= 0 && step < 2 ** 32)) {
    throw outOfRange('an integer from 0 to 2^32 − 1', 'step', step);
  }
  if (typeof firstRow !== 'number') throw wrongType('an integer', 'firstRow', firstRow);
  if (!(Number.isInteger(firstRow) && firstRow >= 0 && firstRow + rows <= 2 ** 32)) {
    throw outOfRange('an integer from 0 that leaves all rows below 2^32', 'firstRow', firstRow);
  }
  return new Stream(wordsOf(seed ?? randomSeed()), step, firstRow);
}

export const randomSeed = (): number => Math.floor(Math.random() * 2 ** 53);

/** The two words of a checked seed. A number takes no bigint, which would cost a microsecond. */
function wordsOf(seed: number | bigint): Key {
  if (typeof seed === 'number' && Number.isSafeInteger(seed) && seed >= 0) {
    return [seed % 2 ** 32, Math.floor(seed / 2 ** 32)];
  }
  const key = keyOf(seed);
  return [Number(key & 0xffffffffn), Number(key >> 32n)];
}

/** A checked seed, as the generator's key of 64 bits. */
export function keyOf(seed: number | bigint): bigint {
  if (typeof seed !== 'number' && typeof seed !== 'bigint') throw wrongType('an integer', 'seed', seed);
  if (typeof seed === 'number' && !(Number.isSafeInteger(seed) && seed >= 0)) {
    throw outOfRange('an integer from 0 to 2^53 − 1, or a bigint,', 'seed', seed);
  }
  const key = BigInt(seed);
  if (key < 0n || key >= 2n ** 64n) throw outOfRange('an integer from 0 to 2^64 − 1', 'seed', seed);
  return key;
}

/**
 * A copy of a caller's noise; undefined if there is none. Each number must pass `fits`. Call it before any length is
 * taken, as elements may have getters; `checkCount` compares its length once the length of the logits is known.
 */
export function noiseOf(noise: unknown, expected: string, fits: (value: number) => boolean): Float64Array | undefined {
  if (noise === undefined) return undefined;
  const isTyped = types.isFloat32Array(noise) || types.isFloat64Array(noise);
  if (!isTyped && !Array.isArray(noise)) throw wrongType('a Float64Array, a Float32Array or an array', 'noise', noise);
  const check = (value: unknown, i: number): number => {
    if (typeof value !== 'number') throw wrongType(expected, 'noise', value);
    if (!fits(value)) throw outOfRange(expected, 'noise', `${describe(value)} at ${i}`);
    return value;
  };
  if (!isTyped) return Float64Array.from(listOf(noise, 'noise', check));
  const copy = new Float64Array(trueLength(noise, 'noise'));
  copyInto(copy, noise);
  for (let i = 0; i < copy.length; i++) check(copy[i], i);
  return copy;
}

/** Checks that there are n numbers of noise. */
export function checkCount(noise: Float64Array, n: number): void {
  if (noise.length !== n) throw wrongValue(`${n} numbers`, 'noise', String(noise.length));
}

/** Refuses seed options beside noise. */
export function checkEither(options: Given<SeedOptions> & { noise?: unknown }): void {
  if (options.noise === undefined) return;
  for (const name of SEED_OPTIONS) {
    if (options[name] !== undefined) throw wrongValue('no value', `${name} beside noise`, describe(options[name]));
  }
}
