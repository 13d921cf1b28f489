/** New arrays. Where the system gives no memory for one, the error has the code ERR_MEMORY_ALLOCATION_FAILED. */
import { bytesPerElement, newArray, type ArrayKind, type ArrayOfKind } from './arrays.js';
import { outOfMemory } from './errors.js';

/** A new array of zeros. */
export function allocate<K extends ArrayKind>(kind: K, length: number, name: string): ArrayOfKind<K> {
  try {
    return newArray(kind, length);
  } catch {
    throw outOfMemory(length * bytesPerElement(newArray(kind, 0)), name);
  }
}

/** Bytes in shared memory, which promises read where they are. */
export function allocateShared(length: number, name: string): Uint8Array {
  try {
    return new Uint8Array(new SharedArrayBuffer(length));
  } catch {
    throw outOfMemory(length, name);
  }
}
