/**
 * The rule for memory while a job runs: it works on memory that JavaScript cannot take away. Input is copied into arrays that
 * nobody else knows, and results out of such arrays, a slice at a time so that the event loop stays free. Only
 * SharedArrayBuffers, which can be neither transferred nor shrunk, are used where they are.
 */
import { bytesPerElement, copyInto, kindOf, lengthOf, newArray, viewOf, type ArrayKind } from './arrays.js';
import { wrongValue } from './errors.js';
import { turn } from './js-jobs.js';

/** Bytes copied in one turn of the event loop: some tenths of a millisecond, also where page faults are slow. */
const SLICE = 2 ** 18;

/** A new array of the same kind, in memory that worker threads can see if `shared`. */
export function newLike(view: ArrayBufferView, length: number, shared: boolean): ArrayBufferView {
  return newArray(kindOf(view) as ArrayKind, shared ? new SharedArrayBuffer(length * bytesPerElement(view)) : length);
}

/** An array of the caller's, which had so many elements when the call was checked. */
export interface CallerArray {
  readonly view: ArrayBufferView;
  readonly name: string;
  readonly length: number;
}

/** Throws if the array has lost elements or gained some: detached buffers have none, resized ones another number. */
export function checkWhole({ view, name, length }: CallerArray): void {
  const now = lengthOf(view);
  if (now !== length) throw wrongValue(`${length} elements until the promise settles`, name, `${now}, as its buffer was transferred or resized`);
}

/** Copies all elements; at each turn the caller's array must still be whole and the signal not raised. */
export async function copy(from: ArrayBufferView, to: ArrayBufferView, length: number, caller: CallerArray | undefined, signal: AbortSignal | undefined): Promise<void> {
  const step = SLICE / bytesPerElement(from);
  for (let at = 0, end = step; ; at = end, end += step) {
    if (caller) checkWhole(caller);
    if (at >= length) return;
    copyInto(to, viewOf(from, at, Math.min(length, end)), at);
    if (end >= length) return;
    await turn();
    signal?.throwIfAborted();
  }
}
