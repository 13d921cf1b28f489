/** Memory for keys and values: an error with a code where there is none; memory that goes back at once. */
import { lengthOf, type ArrayOfKind } from '../call/arrays.js';
import { native } from '../backend/native.js';
import { outOfMemory } from '../call/errors.js';

/** Slabs begin at a cache line. */
const LINE = 64;

/** The kinds of array that a slab can be. */
export type SlabKind = 'Float32Array' | 'Uint16Array' | 'Int8Array';
const ARRAYS = { Float32Array, Uint16Array, Int8Array } as const;

/**
 * A new array that begins at a cache line. Its memory is shared where the platform has shared memory: jobs on other
 * threads read it in place, and nobody can detach or shrink it.
 */
export function allocateSlab<K extends SlabKind>(kind: K, length: number, name: string): ArrayOfKind<K> {
  const Memory = (typeof SharedArrayBuffer === 'undefined' ? ArrayBuffer : SharedArrayBuffer) as typeof ArrayBuffer;
  const bytes = length * ARRAYS[kind].BYTES_PER_ELEMENT + LINE;
  let buffer: ArrayBuffer;
  try {
    buffer = new Memory(bytes);
  } catch {
    throw outOfMemory(bytes, name);
  }
  const behind = native().addon?.prepare(new Uint8Array(buffer), buffer) ?? 0;
  return new ARRAYS[kind](buffer, (LINE - behind) % LINE, length) as unknown as ArrayOfKind<K>;
}

/**
 * Gives the memory of a slab back to the system: at once where the addon is loaded or the memory is not shared, else
 * when the garbage collector finds no reference to the slab. The slab then holds nothing, or zeros.
 */
export function releaseSlab(slab: ArrayBufferView): void {
  if (lengthOf(slab) === 0) return;
  const buffer = slab.buffer as ArrayBuffer & { transfer?(length: number): ArrayBuffer };
  const { addon } = native();
  if (addon) addon.release(new Uint8Array(buffer));
  else buffer.transfer?.(0);
}
