/** Memory for keys and values: an error with a code where there is none; memory that goes back at once. */
import { choice } from '../backend/choice.js';
import { wasm } from '../backend/wasm/host.js';
import { bufferOf, byteLengthOf, byteOffsetOf, lengthOf, type ArrayOfKind } from '../call/arrays.js';
import { native } from '../backend/native.js';
import { outOfMemory } from '../call/errors.js';

/** Slabs begin at a cache line. */
const LINE = 64;

/** The kinds of array that a slab can be. */
export type SlabKind = 'Float32Array' | 'Uint16Array' | 'Int8Array';
const ARRAYS = { Float32Array, Uint16Array, Int8Array } as const;

/** Slabs in WebAssembly's memory. */
const kept = new WeakSet<ArrayBufferView>();

/**
 * A new array of zeros that begins at a cache line. Its memory is shared where the platform has shared memory: jobs on
 * other threads read it in place, and nobody can detach or shrink it. Where the WebAssembly backend runs, it lies in a
 * memory of WebAssembly if that has room.
 *
 * @param beside Arrays of the same cache: all of them belong in one memory.
 */
export function allocateSlab<K extends SlabKind>(
  kind: K,
  length: number,
  name: string,
  beside: readonly ArrayBufferView[],
): ArrayOfKind<K> {
  const array = choice().name === 'wasm' ? wasm().keep?.({ module: 'attention', beside }, kind, length) : undefined;
  if (array === undefined) return inOrdinaryMemory(kind, length, name);
  kept.add(array);
  native().addon?.prepare(bytesOf(array), bufferOf(array));
  return array;
}

const bytesOf = (slab: ArrayBufferView): Uint8Array =>
  new Uint8Array(bufferOf(slab), byteOffsetOf(slab), byteLengthOf(slab));

function inOrdinaryMemory<K extends SlabKind>(kind: K, length: number, name: string): ArrayOfKind<K> {
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
  const buffer = bufferOf(slab) as ArrayBuffer & { transfer?(length: number): ArrayBuffer };
  const { addon } = native();
  if (kept.has(slab))
    addon?.release(bytesOf(slab)); // its memory has data of kernels as well
  else if (addon) addon.release(new Uint8Array(buffer));
  else buffer.transfer?.(0);
}
