/**
 * The random streams of sampling, on the generator of lib/math/philox.ts. The draws of a row depend on the seed, the
 * step and the row alone, and not on its batch or on earlier calls.
 */
import { describe, outOfRange, wrongType, wrongValue } from '../call/errors.js';
import { copyInto } from '../call/arrays.js';
import { trueLength } from '../call/errors.js';
import { types, type NewFloat64Array } from '../call/types.js';
import { ln } from '../math/log.js';
import { keyOf, randomSeed, seedOf, SEED_OPTIONS, stepOf, type SeedOptions } from '../call/seed.js';
import { block, philox, PURPOSE, uniformOf, type Key } from '../math/philox.js';
import { listOf, type Given } from './options.js';
import { perRow, type RowNumbers } from './per-row.js';

export { keyOf, randomSeed, SEED_OPTIONS, type SeedOptions } from '../call/seed.js';

/** Noise that a caller gives. */
export type Noise = Float64Array | Float32Array | readonly number[];

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

  /** The number that decides whether a row's top choices are excluded, in (0, 1). */
  chance(row: number): number {
    this.#draw(0, row, PURPOSE.xtc);
    return uniformOf(block[0]!, block[1]!);
  }

  /** −ln(−ln u) for elements `first` … first + n − 1 of a row, two a block; `take` gets i from 0 on. */
  gumbel(row: number, n: number, take: (i: number, g: number) => void, first = 0): void {
    for (let i = 0; i < n;) {
      const at = first + i;
      this.#draw(Math.floor(at / 2), row, PURPOSE.gumbel);
      const second = uniformOf(block[2]!, block[3]!);
      if (at % 2 === 0) take(i++, -ln(-ln(uniformOf(block[0]!, block[1]!))));
      if (i < n) take(i++, -ln(-ln(second)));
    }
  }

  /** −ln(−ln u) for element i of a row. */
  gumbelAt(row: number, i: number): number {
    this.#draw(Math.floor(i / 2), row, PURPOSE.gumbel);
    return -ln(-ln(i % 2 === 1 ? uniformOf(block[2]!, block[3]!) : uniformOf(block[0]!, block[1]!)));
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
export function streamOf(options: SeedOptions, rows: number): Stream {
  const { key, step, firstRow } = seedOf(options, rows);
  return new Stream(key, step, firstRow);
}

/** Seed options whose seed and step may be one a row. */
export interface RowSeedOptions {
  /**
   * The key of the generator: an integer from 0 to 2^64 − 1 (a bigint beyond 2^53). An array has one a row, each of
   * which then draws as row 0. Default: another one for each call.
   */
  seed?: number | bigint | ArrayLike<number | bigint> | null | undefined;
  /** The step of a sequence, 0 … 2^32 − 1, or one a row: each step has draws of its own. Default: 0. */
  step?: number | ArrayLike<number> | null | undefined;
  /** The generator's number of the first row: a batch that is cut in two draws the same tokens. Default: 0. */
  firstRow?: number | null | undefined;
}

/** Seeds and steps, read from the caller's lists; they are checked with the rows. */
export interface Seeds {
  readonly seed: RowNumbers<number | bigint | undefined>;
  readonly step: RowNumbers<number | undefined>;
  readonly firstRow: number | undefined;
}

const seedValue = (value: unknown, name: string): number | bigint | undefined => {
  if (value !== undefined && name !== 'seed') keyOf(value as number, name);
  return value as number | bigint | undefined;
};
const stepValue = (value: unknown, name: string): number | undefined => {
  if (value !== undefined && name !== 'step') stepOf(value, name);
  return value as number | undefined;
};

/** Copies of the caller's seeds and steps. */
export const seedsOf = ({ seed, step, firstRow }: Given<RowSeedOptions>): Seeds => ({
  seed: perRow(seed, 'seed', seedValue),
  step: perRow(step, 'step', stepValue),
  firstRow,
});

/** The draws of one row. */
export interface RowDraws {
  token(d: number): number;
  chance(): number;
}

/** The draws of each row of a call. */
export function rowDrawsOf({ seed, step, firstRow }: Seeds, rows: number): (row: number) => RowDraws {
  seed.checkRows(rows);
  step.checkRows(rows);
  if (seed.each === undefined && step.each === undefined) {
    const stream = streamOf({ seed: seed.first, step: step.first, firstRow }, rows);
    return (row) => ({ token: (d) => stream.token(row, d), chance: () => stream.chance(row) });
  }
  const own = seed.each === undefined ? (seed.first ?? randomSeed()) : undefined;
  const first = seedOf({ seed: own ?? 0, step: 0, firstRow }, rows).firstRow;
  return (row) => {
    const stream = streamOf({ seed: own ?? seed.at(row), step: step.at(row) }, 1);
    const at = own === undefined ? 0 : first + row;
    return { token: (d) => stream.token(at, d), chance: () => stream.chance(at) };
  };
}

/**
 * A copy of a caller's noise; undefined if there is none. Each number must pass `fits`. Call it before any length is
 * taken, as elements may have getters; `checkCount` compares its length once the length of the logits is known.
 */
export function noiseOf(
  noise: unknown,
  expected: string,
  fits: (value: number) => boolean,
): NewFloat64Array | undefined {
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
export function checkEither(
  options: { [Name in (typeof SEED_OPTIONS)[number]]?: unknown } & { noise?: unknown },
): void {
  if (options.noise === undefined) return;
  for (const name of SEED_OPTIONS) {
    if (options[name] !== undefined) throw wrongValue('no value', `${name} beside noise`, describe(options[name]));
  }
}
