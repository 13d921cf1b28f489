/** Memory for the weights of a file. */
import { outOfMemory } from '../attention/memory.js';

/** Shared memory, which promises read where it is. Throws an Error with the code ERR_MEMORY_ALLOCATION_FAILED. */
export function allocateShared(length: number, name: string): Uint8Array {
  try {
    return new Uint8Array(new SharedArrayBuffer(length));
  } catch {
    throw outOfMemory(length, name);
  }
}
