/** The parts of a sound call: arrays by name, options, and lists of numbers whose elements may be getters. */
import type { Api } from '../fuzz/case.js';
import type { AnyArray } from '../fuzz/memory.js';
import { generator, normal } from '../support/cases.js';

export type Arrays = Record<string, AnyArray>;
export type Options = Record<string, unknown>;

export interface Operator {
  readonly name: string;
  readonly hasPromise: boolean;
  /** Makes the same new arrays each time. */
  arrays(): Arrays;
  /** Names of the arrays that the call writes. */
  readonly written: readonly string[];
  options(arrays: Arrays): Options;
  /** Lists of numbers, as arguments or in options. */
  lists?(): Record<string, unknown[]>;
  call(api: Api, arrays: Arrays, options: Options, lists: Record<string, unknown[]>): unknown;
  /** The part of a result that is compared. */
  results?(result: never, arrays: Arrays): unknown;
}

/** So many elements span several pages of memory, so that a read after their release faults. */
export const [ROWS, COLS] = [10, 512];
export const SIZE = ROWS * COLS;

export function floats(n: number, seed: number, size = 1): Float32Array {
  const random = generator(seed);
  return Float32Array.from({ length: n }, () => size * normal(random));
}
export const doubles = (n: number, seed: number) => Float64Array.from(floats(n, seed));
export const bytes = (n: number) => Uint8Array.from({ length: n }, (_, i) => (i % 7 ? 1 : 0));
export const halves = (n: number) => Uint16Array.from({ length: n }, (_, i) => 0x3800 + (i % 1024));
export const integers = (n: number) => Array.from({ length: n }, (_, i) => i % COLS);
export const uniforms = (n: number) => Array.from({ length: n }, (_, i) => (i * 0.618) % 1);
