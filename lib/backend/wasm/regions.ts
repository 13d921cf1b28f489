/**
 * Regions: memories of a fixed size, in which `allocate` gives arrays to callers. Kernels use these where they lie.
 *
 * A view of such an array, or of its buffer, may live for as long as it likes, so no array is ever given back alone. A
 * region that is full is forgotten: it lives as long as an array in it, and the engine collects all of it at once.
 */
import { bufferOf, byteOffsetOf, bytesPerElement, kindOf, newArray, type ArrayKind } from '../../call/arrays.js';
import type { ArrayOfKind } from '../../call/arrays.js';
import { threads } from './pool.js';
import { FIXED, MOST_BYTES, Space, WORKER_BYTES } from './space.js';

/** Bytes of a region, unless an array needs more; and what is left in each for copies and memory of kernels. */
const REGION = 2 ** 25;
const FOR_CALLS = 2 ** 22;

/** An array that `allocate` gave: neither its place nor its length ever changes. */
interface Place {
  readonly space: Space;
  readonly kind: ArrayKind;
  readonly at: number;
  readonly length: number;
}

const regions = new WeakMap<ArrayBufferLike, Space>();
/** One look-up costs less than to ask an array for its buffer. */
const places = new WeakMap<object, Place>();
export let hasRegions = false;
let current: Space | undefined;
/** The region that was last made for a large array, while an array lies in it. */
let large: WeakRef<Space> | undefined;

/** The place of an array that `allocate` gave; undefined for any other value. */
export const placeOf = (value: object): Place | undefined => places.get(value);

/** The region of an array; undefined: it lies elsewhere, or is no array. Arrays of regions begin behind FIXED. */
export function regionOf(value: unknown): Space | undefined {
  const place = places.get(value as object);
  if (place !== undefined || kindOf(value) === undefined) return place?.space;
  const view = value as ArrayBufferView;
  return byteOffsetOf(view) >= FIXED ? regions.get(bufferOf(view)) : undefined;
}

/** An array of zeros in a region; undefined where no region can be large enough, or there is no memory for one. */
export function inRegion<K extends ArrayKind>(kind: K, length: number): ArrayOfKind<K> | undefined {
  const bytes = length * bytesPerElement(newArray(kind, 0));
  const room = Math.ceil(bytes / 64) * 64;
  const open = isLarge(room) ? large?.deref() : current;
  const fits = open !== undefined && open.areas >= threads() - 1 && open.top + room + FOR_CALLS <= open.bytes;
  const region = fits ? open : newRegion(room);
  if (region === undefined) return undefined;
  const at = Math.ceil(region.top / 64) * 64;
  region.top = at + room;
  const array = region.part(kind, at, length);
  places.set(array, { space: region, kind, at, length });
  return array as unknown as ArrayOfKind<K>;
}

const isLarge = (bytes: number): boolean => bytes > REGION / 4;

function newRegion(bytes: number): Space | undefined {
  // A large array has a region of its own, with as much again for results and memory of kernels.
  const region = spaceOf(isLarge(bytes) ? 2 * bytes + FOR_CALLS : REGION + FOR_CALLS);
  if (region === undefined) return undefined;
  regions.set(region.buffer, region);
  hasRegions = true;
  if (isLarge(bytes)) large = new WeakRef(region);
  else current = region;
  return region;
}

function spaceOf(bytes: number): Space | undefined {
  const areas = threads() - 1;
  try {
    return bytes + areas * WORKER_BYTES < MOST_BYTES - 2 ** 21 ? new Space(bytes, false, areas) : undefined;
  } catch {
    return undefined;
  }
}
