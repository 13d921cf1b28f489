/** What a sound call of an operator is made of: arrays by name, options, and lists of numbers whose elements may be getters. */
import type { Api } from '../fuzz/case.js';
import type { AnyArray } from '../fuzz/memory.js';
import { generator, normal } from '../support/cases.js';

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

