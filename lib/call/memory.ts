/**
 * A job works on memory that JavaScript cannot take away. Inputs are copied into private arrays, and results out of
 * such arrays, a slice at a time so that the event loop stays free. Only SharedArrayBuffers, which can be neither
 * transferred nor shrunk, are used where they are.
 */
import { bytesPerElement, copyInto, kindOf, lengthOf, newArray, viewOf } from './arrays.js';
import type { ArrayKind } from './arrays.js';
import { allocate } from './allocate.js';
import { wrongValue } from './errors.js';
import { turn } from './js-jobs.js';

/** Bytes copied in one turn of the event loop at most, if that takes less time than PATIENCE. */
const MOST = 2 ** 20;
/** Bytes copied between two looks at the clock. */
const SLICE = 2 ** 17;
/** Milliseconds of copying in one turn: page faults can make new memory fifty times as slow as old memory. */
const PATIENCE = 0.3;
// Taken at load: tests replace the clock by one that stands still.
const now = performance.now.bind(performance);

/** Bytes copied before the promise is returned: a row of 262,144 floats may be written as soon as it was passed. */
const FIRST_SLICE = 2 ** 20;

/** A new array of the same kind, in memory that worker threads can see if `shared`. */
export function newLike(view: ArrayBufferView, length: number, shared: boolean): ArrayBufferView {
  return newArray(kindOf(view) as ArrayKind, shared ? new SharedArrayBuffer(length * bytesPerElement(view)) : length);
}

/** The most bytes that {@link scratchLike} keeps. */
const MOST_SCRATCH = 2 ** 24;

const scratches = new Map<string, ArrayBufferView>();

/**
 * An array of the same kind and at least this length, with any content: for a call that runs at once and hands it to no
 * caller. Memory that was used before is up to 60 times faster than new memory.
 */
export function scratchLike(view: ArrayBufferView, length: number, name = 'scratch'): ArrayBufferView {
  const kind = kindOf(view)!;
  const kept = scratches.get(kind);
  if (kept !== undefined && lengthOf(kept) >= length) return kept;
  const made = allocate(kind as ArrayKind, length, name);
  if (length * bytesPerElement(view) <= MOST_SCRATCH) scratches.set(kind, made);
  return made;
}

/** A caller's array, with its length when the call was checked. */
export interface CallerArray {
  readonly view: ArrayBufferView;
  readonly name: string;
  readonly length: number;
}

/** Throws if the array's length has changed: its buffer was detached or resized. */
export function checkWhole({ view, name, length }: CallerArray): void {
  const now = lengthOf(view);
  if (now !== length)
    throw wrongValue(
      `${length} elements until the promise settles`,
      name,
      `${now}, as its buffer was transferred or resized`,
    );
}

/** Copies all elements. Rejects if the caller's array is not whole at a turn, or the signal was raised. */
export async function copy(
  from: ArrayBufferView,
  to: ArrayBufferView,
  length: number,
  caller: CallerArray | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const size = bytesPerElement(from);
  const slice = SLICE / size;
  for (let at = 0, most = FIRST_SLICE / size; ; most = MOST / size) {
    const end = Math.min(length, at + most);
    const until = at === 0 ? Infinity : now() + PATIENCE;
    if (caller) checkWhole(caller);
    if (at >= length) return;
    do {
      const next = Math.min(end, at + slice);
      copyInto(to, viewOf(from, at, next), at);
      at = next;
    } while (at < end && now() < until);
    if (at >= length) return;
    await turn();
    signal?.throwIfAborted();
  }
}
