/**
 * Homes: memories for arrays that this package keeps from call to call, the slabs of a cache or the weights of a head.
 * Kernels use these where they lie; what else a call has is copied to its home.
 *
 * Each cache and each head has a home of its own, so that the engine collects it with their arrays: no array is ever
 * given back alone. A home of shared memory grows up to 2 GB, as growing that detaches no view. Elsewhere, and for a
 * head, a home has a fixed size, of which the system gives pages when they are written: V8 counts such memory, and not
 * what is shared, when it decides to collect. What does not fit lies in ordinary memory.
 */
import { bytesPerElement, copyInto, kindOf, lengthOf, newArray } from '../../call/arrays.js';
import type { ArrayKind, ArrayOfKind } from '../../call/arrays.js';
import { isProvided, isShareable } from './modules.js';
import { FOR_CALLS, give, regionOf } from './regions.js';
import { FIXED, lines, MOST_BYTES, Space } from './space.js';

/** Bytes of a home that cannot grow, unless its arrays need more; and what calls have besides known arrays. */
const FIXED_HOME = 2 ** 26;
const BESIDE = 2 ** 24;

/** The arrays that one owner keeps. */
export interface Owner {
  /** The module whose kernels use them. */
  readonly module: string;
  /** Arrays that the owner has: the first one in a home says where the next belongs. */
  readonly beside: readonly ArrayBufferView[];
  /** Bytes of all arrays that it will have, where that is known. */
  readonly bytes?: number;
}

/** An array of zeros in the home of its owner; undefined where there is no room, or no module for it. */
export function inHome<K extends ArrayKind>(owner: Owner, kind: K, length: number): ArrayOfKind<K> | undefined {
  const bytes = lines(length * bytesPerElement(newArray(kind, 0)));
  if (bytes === 0 || !isProvided(owner.module)) return undefined;
  const home = homeOf(owner) ?? newHome(owner, bytes);
  if (home === undefined) return undefined;
  const end = lines(home.top) + bytes;
  const { grows, bytes: before } = home;
  const fits = end + FOR_CALLS <= (grows ? MOST_BYTES : before) && home.reach(end);
  return fits ? give(home, kind, length, before) : undefined;
}

/** An array that lies in such memory, or a copy in the home of its owner; undefined where there is no room. */
export function copyInHome<A extends ArrayBufferView>(owner: Owner, array: A): A | undefined {
  if (regionOf(array) !== undefined) return array;
  const copy = inHome(owner, kindOf(array) as ArrayKind, lengthOf(array));
  if (copy !== undefined) copyInto(copy, array);
  return copy as unknown as A | undefined;
}

function homeOf({ beside }: Owner): Space | undefined {
  for (const array of beside) {
    const home = regionOf(array);
    if (home !== undefined) return home;
  }
  return undefined;
}

/** Undefined where there is no memory for an array of that size. */
function newHome({ module, bytes: all }: Owner, bytes: number): Space | undefined {
  const grows = all === undefined && typeof SharedArrayBuffer !== 'undefined' && isShareable(module);
  const fixed = all === undefined ? Math.max(FIXED_HOME, 4 * bytes) + FOR_CALLS : all + BESIDE;
  const wanted = grows ? bytes : fixed;
  try {
    return new Space(Math.min(wanted, MOST_BYTES - FIXED), grows, 0, grows);
  } catch {
    return undefined;
  }
}
