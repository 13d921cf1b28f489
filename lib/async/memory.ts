/**
 * The rule for memory while a job runs: it works on memory that JavaScript cannot take away. Input is copied into arrays that
 * nobody else knows, and results out of such arrays, a slice at a time so that the event loop stays free. Only
 * SharedArrayBuffers, which can be neither transferred nor shrunk, are used where they are.
 */
import { wrongValue } from '../arguments.js';
import { turn } from './js-jobs.js';

export type View = Float32Array | Float64Array | Int32Array | Uint32Array | Uint16Array | Uint8Array;

/** Bytes copied in one turn of the event loop: some tenths of a millisecond, page faults included. */
const SLICE = 2 ** 20;

export const isView = (value: unknown): value is View => ArrayBuffer.isView(value);
export const isShared = (view: View): boolean => typeof SharedArrayBuffer !== 'undefined' && view.buffer instanceof SharedArrayBuffer;

/** A new array of the same kind, in memory that worker threads can see if `shared`. */
export function newLike(view: View, length: number, shared: boolean): View {
  const kind = view.constructor as new (source: number | SharedArrayBuffer) => View;
  return new kind(shared ? new SharedArrayBuffer(length * view.BYTES_PER_ELEMENT) : length);
}

/** The caller's array, which had so many elements when they were checked. */
export interface Theirs {
  readonly view: View;
  readonly name: string;
  readonly length: number;
}

/** Detached buffers have no elements, resized ones another number. */
export function check({ view, name, length }: Theirs): void {
  if (view.length !== length) throw wrongValue(`${length} elements until the promise settles`, name, `${view.length}, as its buffer was transferred or resized`);
}

/** Copies all elements; at each turn the caller's array must still be whole and the signal not raised. */
export async function copy(from: View, to: View, length: number, theirs: Theirs | undefined, signal: AbortSignal | undefined): Promise<void> {
  const step = SLICE / from.BYTES_PER_ELEMENT;
  for (let at = 0; ; at += step) {
    if (theirs) check(theirs);
    if (at >= length) return;
    to.set(from.subarray(at, Math.min(length, at + step)), at);
    if (at + step >= length) return;
    await turn();
    signal?.throwIfAborted();
  }
}
