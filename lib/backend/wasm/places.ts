/**
 * Where the arrays of a call lie: those of the call's memory where they are, others at places for copies, one behind
 * the other. The state here is that of the call that runs: no code of a caller runs before it ends, so that there is
 * one at a time.
 */
import { bufferOf, byteOffsetOf } from '../../call/arrays.js';
import { lengthOfArray, numberOf, slabsOf } from './arguments.js';
import type { Parameter } from './parameters.js';
import { placeOf, spaceOfBuffer } from './regions.js';
import { FIXED, FRAME, lines, type Space } from './space.js';

export type Values = readonly unknown[];

export interface Slab {
  /** Null: nothing lies there. */
  readonly view: ArrayBufferView | null;
  readonly length: number;
  readonly at: number;
  readonly isCopied: boolean;
}

/** The most arguments of a call: Arguments::kMost of native/host/arguments.h. */
const MOST = 24;

/** Arrays of more elements than that are an error of memory: kernels count bytes of their own memory in 32 bits. */
const MOST_ELEMENTS = 2 ** 28;
/** Slabs and weights that lie in the memory may have more: memory of kernels does not grow with these. */
const MOST_THERE = 2 ** 30;

export const enum Copy {
  none = 0,
  own = 1,
  /** That of an earlier argument, which is the same array. */
  shared = 2,
}

/** For each argument that is an array: its true length, of null −1; its address; whether that is a copy. */
export const lengths = new Float64Array(MOST);
export const addresses = new Float64Array(MOST);
export const copies = new Uint8Array(MOST);
/** The slabs of an argument. */
export const slabs: Slab[][] = [];

/** Whether an array of the call is longer than kernels may take. */
export let isTooLong = false;
/** Whether all arrays lie in the memory, so that nothing is copied. */
export let areInPlace = true;
/** The end of all places so far. */
let end = 0;

/** The address of an array in a memory; −1: it does not lie there. */
const addressIn = (space: Space, view: ArrayBufferView): number => {
  const at = byteOffsetOf(view);
  if (at < FIXED) return -1;
  const buffer = bufferOf(view);
  return buffer === space.buffer || spaceOfBuffer(buffer) === space ? at : -1;
};

function room(bytes: number): number {
  const at = end;
  end += lines(bytes);
  return at;
}

/** The position of an earlier argument that is this one; −1: none. */
function sameAs(values: Values, at: number): number {
  for (let i = 0; i < at; i++) if (values[i] === values[at]) return i;
  return -1;
}

/** The place of an array that is copied, or that `allocate` did not give. */
function placeOther(space: Space, { name, kind, bytes }: Parameter, values: Values, i: number): void {
  const view = values[i] as ArrayBufferView;
  const length = lengthOfArray(view, kind);
  lengths[i] = length;
  const at = space.holdsArrays ? addressIn(space, view) : -1;
  isTooLong ||= length >= (at >= 0 && name === 'weights' ? MOST_THERE : MOST_ELEMENTS);
  areInPlace &&= at >= 0;
  const same = at < 0 ? sameAs(values, i) : -1;
  copies[i] = at >= 0 || length === 0 ? Copy.none : same < 0 ? Copy.own : Copy.shared;
  addresses[i] = at >= 0 ? at : same < 0 ? room(length * bytes) : addresses[same]!;
}

function placeSlabs(space: Space, { kind, bytes }: Parameter, value: unknown, i: number): void {
  const given = slabsOf(value, kind);
  areInPlace = false; // their addresses must be written
  addresses[i] = room(8 * given.length);
  lengths[i] = given.length;
  slabs[i] = given.map(({ view, length }) => {
    const at = view !== null && space.holdsArrays ? addressIn(space, view) : -1;
    isTooLong ||= length >= (at < 0 ? MOST_ELEMENTS : MOST_THERE);
    return { view, length, at: at < 0 ? room(length * bytes) : at, isCopied: at < 0 && length > 0 };
  });
}

/**
 * Reads the arguments, gives each array its place, and writes the slots that the kernel reads. Returns the end of all
 * places. Throws the errors of the native binding for values that no kernel takes.
 */
export function place(space: Space, parameters: readonly Parameter[], values: Values): number {
  const numbers = space.all<Float64Array>('Float64Array');
  end = lines(space.top);
  isTooLong = false;
  areInPlace = true;
  for (let i = 0, slot = FRAME / 8; i < parameters.length; i++, slot += 2) {
    const parameter = parameters[i]!;
    const value = values[i];
    if (parameter.form === 'size' || parameter.form === 'number') {
      numbers[slot] = numberOf(value, parameter.form === 'size');
      continue;
    }
    copies[i] = Copy.none;
    if (parameter.form === 'slabs') placeSlabs(space, parameter, value, i);
    else if (value === null) {
      lengths[i] = -1;
      addresses[i] = 0;
    } else {
      const known = space.holdsArrays ? placeOf(value as object) : undefined;
      if (known?.space === space && known.kind === parameter.kind) {
        lengths[i] = known.length;
        addresses[i] = known.at;
        isTooLong ||= known.length >= MOST_ELEMENTS;
      } else placeOther(space, parameter, values, i);
    }
    numbers[slot] = addresses[i]!;
    numbers[slot + 1] = lengths[i]!;
  }
  return end;
}

/** Whether a result of the call that was placed last shares memory with an input, so that it cannot be done again. */
export function isOverwritten(parameters: readonly Parameter[]): boolean {
  const end = (i: number): number => addresses[i]! + lengths[i]! * parameters[i]!.bytes;
  const arrays = parameters.flatMap(({ form }, i) => (form === 'array' && lengths[i]! > 0 ? [i] : []));
  return arrays.some(
    (i) =>
      parameters[i]!.isWritten &&
      arrays.some((j) => !parameters[j]!.isWritten && addresses[i]! < end(j) && addresses[j]! < end(i)),
  );
}
