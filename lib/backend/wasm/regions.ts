/**
 * Regions: memories of a fixed size, in which `allocate` gives arrays to callers. Kernels use these where they lie.
 *
 * A view of such an array, or of its buffer, may live for as long as it likes, so no array is ever given back alone. A
 * region that is full is forgotten: it lives as long as an array in it, and the engine collects all of it at once.
 */
import { bufferOf, byteLengthOf, byteOffsetOf, bytesPerElement, kindOf, newArray } from '../../call/arrays.js';
import type { ArrayKind, ArrayOfKind } from '../../call/arrays.js';
import { threads } from './pool.js';
import { FIXED, lines, MOST_BYTES, Space, WORKER_BYTES } from './space.js';

/** Bytes of a region, unless an array needs more; and what is left in each for copies and memory of kernels. */
const REGION = 2 ** 25;
export const FOR_CALLS = 2 ** 22;

/** An array that {@link give} gave: neither its place nor its length ever changes. */
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

/** The place of an array that {@link give} gave; undefined for any other value. */
export const placeOf = (value: object): Place | undefined => places.get(value);

/** The memory whose buffer this is, or was before it grew; undefined: no array was given of it. */
export const spaceOfBuffer = (buffer: ArrayBufferLike): Space | undefined => regions.get(buffer);

/**
 * An array of zeros behind those that a memory has given, which reaches that far. Calls have written up to `written` at
 * most: what has grown since has no pages yet.
 */
export function give<K extends ArrayKind>(
  space: Space,
  kind: K,
  length: number,
  written = space.bytes,
): ArrayOfKind<K> {
  const at = lines(space.top);
  const array = space.part(kind, at, length);
  const end = at + lines(byteLengthOf(array));
  if (!space.isFresh) space.all<Uint8Array>('Uint8Array').fill(0, at, Math.min(end, written));
  space.top = end;
  space.holdsArrays = true;
  regions.set(space.buffer, space);
  places.set(array, { space, kind, at, length });
  hasRegions = true;
  return array as unknown as ArrayOfKind<K>;
}

/** The region of an array; undefined: it lies elsewhere, or is no array. Arrays of regions begin behind FIXED. */
export function regionOf(value: unknown): Space | undefined {
  const place = places.get(value as object);
  if (place !== undefined || kindOf(value) === undefined) return place?.space;
  const view = value as ArrayBufferView;
  return byteOffsetOf(view) >= FIXED ? regions.get(bufferOf(view)) : undefined;
}

/** An array of zeros in a region; undefined where no region can be large enough, or there is no memory for one. */
export function inRegion<K extends ArrayKind>(kind: K, length: number): ArrayOfKind<K> | undefined {
  const room = lines(length * bytesPerElement(newArray(kind, 0)));
  const open = isLarge(room) ? large?.deref() : current;
  const fits = open !== undefined && open.areas >= threads() - 1 && open.top + room + FOR_CALLS <= open.bytes;
  const region = fits ? open : newRegion(room);
  return region && give(region, kind, length);
}

const isLarge = (bytes: number): boolean => bytes > REGION / 4;

function newRegion(bytes: number): Space | undefined {
  // A large array has a region of its own, with as much again for results and memory of kernels.
  const region = spaceOf(isLarge(bytes) ? 2 * bytes + FOR_CALLS : REGION + FOR_CALLS);
  if (region === undefined) return undefined;
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
