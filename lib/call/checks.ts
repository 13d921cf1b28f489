/**
 * Checks of single arguments: numbers, arrays, and arrays beside one another. Each throws, or returns what it checked.
 */
import type { KernelArray } from '../backend/backend.js';
import { bufferOf, byteLengthOf, byteOffsetOf, kindOf, lengthOf, overlap } from './arrays.js';
import { describe, outOfRange, trueLength, wrongType, wrongValue } from './errors.js';
import { isFloat32Array, isFloat64Array, isUint16Array, type LogitArray } from './types.js';

/** A size or a count: a positive integer, or an integer from 0 on. */
export function count(value: unknown, name: string, least: 0 | 1 = 1): number {
  const expected = least ? 'a positive integer' : 'an integer from 0';
  if (typeof value !== 'number') throw wrongType(expected, name, value);
  if (!(Number.isSafeInteger(value) && value >= least)) throw outOfRange(expected, name, value);
  return value;
}

/** A finite number above 0, or from 0 on. */
export function positive(value: unknown, name: string, orZero = false): number {
  if (typeof value !== 'number') throw wrongType('a number', name, value);
  if ((value > 0 || (orZero && value === 0)) && value < Infinity) return value;
  throw outOfRange(`a finite number ${orZero ? 'from' : 'above'} 0`, name, value);
}

/** One of two or more words. */
export function oneOf<Word extends string>(value: unknown, words: readonly Word[], name: string): Word {
  if (words.includes(value as Word)) return value as Word;
  const quoted = words.map((word) => `'${word}'`);
  const expected = `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`;
  if (typeof value !== 'string') throw wrongType(expected, name, value);
  throw wrongValue(expected, name, describe(value));
}

/** Whether two arrays are of one kind. */
export const isLike = <A extends LogitArray>(value: unknown, x: A): value is A => kindOf(value) === kindOf(x);

/** A typed array as kernels take it: a Float16Array as the bits of its elements. */
export function bitsOf(x: LogitArray): KernelArray {
  if (isFloat32Array(x) || isFloat64Array(x) || isUint16Array(x)) return x;
  return new Uint16Array(bufferOf(x), byteOffsetOf(x), lengthOf(x));
}

/** Another array of logits that belongs to a call: of the kind and length of x, which callers know as `owner`. */
export function likeArray(value: unknown, x: LogitArray, name: string, owner: string): KernelArray {
  if (!isLike(value, x)) throw wrongType(`a ${kindOf(x)}, as ${owner} is,`, name, value);
  const [given, wanted] = [trueLength(value, name), lengthOf(x)];
  if (given !== wanted) throw wrongValue(`${wanted} elements, as in ${owner},`, name, String(given));
  return bitsOf(value);
}

/** Refuses an array that is written if it shares memory with another one. */
export function apart(written: ArrayBufferView, name: string, other: ArrayBufferView | null, otherName: string): void {
  if (other !== null && overlap(written, other)) throw wrongValue(`memory apart from ${otherName}`, name, 'an overlap');
}

/** As {@link apart}, for an array that may also be the other one itself. */
export function sameOrApart(written: ArrayBufferView, name: string, other: ArrayBufferView, otherName: string): void {
  if (byteOffsetOf(written) === byteOffsetOf(other) && byteLengthOf(written) === byteLengthOf(other)) return;
  apart(written, name, other, otherName);
}
