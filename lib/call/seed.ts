/** The options of random streams: a seed, a step and the number of the first row, and their checks. */
import type { Key } from '../math/philox.js';
import { outOfRange, wrongType } from './errors.js';

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

/** Checked options, for a call of so many rows. */
export function seedOf({ seed, step, firstRow }: SeedOptions, rows: number) {
  const [at, first] = [stepOf(step ?? 0), firstRow ?? 0];
  if (typeof first !== 'number') throw wrongType('an integer', 'firstRow', first);
  if (!(Number.isInteger(first) && first >= 0 && first + rows <= 2 ** 32)) {
    throw outOfRange('an integer from 0 that leaves all rows below 2^32', 'firstRow', first);
  }
  return { key: wordsOf(seed ?? randomSeed()), step: at, firstRow: first };
}

/** A checked step. */
export function stepOf(step: unknown, name = 'step'): number {
  if (typeof step !== 'number') throw wrongType('an integer', name, step);
  if (Number.isInteger(step) && step >= 0 && step < 2 ** 32) return step;
  throw outOfRange('an integer from 0 to 2^32 − 1', name, step);
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
export function keyOf(seed: number | bigint, name = 'seed'): bigint {
  if (typeof seed !== 'number' && typeof seed !== 'bigint') throw wrongType('an integer', name, seed);
  if (typeof seed === 'number' && !(Number.isSafeInteger(seed) && seed >= 0)) {
    throw outOfRange('an integer from 0 to 2^53 − 1, or a bigint,', name, seed);
  }
  const key = BigInt(seed);
  if (key < 0n || key >= 2n ** 64n) throw outOfRange('an integer from 0 to 2^64 − 1', name, seed);
  return key;
}
