/**
 * The true lengths, buffers and kinds of typed arrays. A subclass or an own property can override `length`,
 * `constructor` and `slice`, and `Symbol.species` decides what `slice` and `subarray` make. Nothing here asks the array
 * itself: lengths and buffers come from the getters of %TypedArray%.prototype, and new arrays are made by kind.
 */
import type { NewLike } from './types.js';

type TypedArray = ArrayBufferView & { readonly length: number; [index: number]: number };
type Constructor<A> = {
  new (length: number): A;
  new (buffer: ArrayBufferLike, byteOffset?: number, length?: number): A;
  readonly BYTES_PER_ELEMENT: number;
};

const { Float16Array } = globalThis as { Float16Array?: Constructor<TypedArray> }; // from Node 24 on
const CONSTRUCTORS = {
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  Float16Array,
};

export type ArrayKind = keyof typeof CONSTRUCTORS;
export type ArrayOfKind<K extends ArrayKind> = InstanceType<NonNullable<(typeof CONSTRUCTORS)[K]>>;

const constructorOf = (kind: string | undefined): Constructor<TypedArray> =>
  CONSTRUCTORS[kind as ArrayKind] as unknown as Constructor<TypedArray>;

const prototype = Object.getPrototypeOf(Uint8Array.prototype) as object;
const getterOf = <T>(name: PropertyKey) =>
  Object.getOwnPropertyDescriptor(prototype, name)!.get as (this: unknown) => T;
const { keys, set } = Uint8Array.prototype as unknown as {
  keys: () => unknown;
  set: (source: ArrayLike<number>, at: number) => void;
};

/**
 * The intrinsic getters as functions. The constants of a function stay constants in a bundle, whose outermost ones may
 * become variables: V8 puts the getter's few instructions in place of a call that takes 5 ns.
 */
const intrinsics = () => {
  const kind = getterOf<string | undefined>(Symbol.toStringTag);
  const length = getterOf<number>('length');
  const byteLength = getterOf<number>('byteLength');
  const byteOffset = getterOf<number>('byteOffset');
  const buffer = getterOf<ArrayBufferLike>('buffer');
  return {
    /** The name of a typed array's kind, such as 'Float32Array'; undefined for other values. */
    kindOf: (x: unknown): string | undefined => kind.call(x),
    /** The number of elements now: 0 if the buffer was detached, or shrunk to before the array's end. */
    lengthOf: (x: ArrayBufferView): number => length.call(x),
    byteLengthOf: (x: ArrayBufferView): number => byteLength.call(x),
    byteOffsetOf: (x: ArrayBufferView): number => byteOffset.call(x),
    bufferOf: (x: ArrayBufferView): ArrayBufferLike => buffer.call(x),
  };
};

export const { kindOf, lengthOf, byteLengthOf, byteOffsetOf, bufferOf } = /* @__PURE__ */ intrinsics();
export const bytesPerElement = (x: ArrayBufferView): number => constructorOf(kindOf(x)).BYTES_PER_ELEMENT;

/** Whether the array's memory is gone: its buffer was transferred, or shrunk to before its end. */
export function isDetached(x: ArrayBufferView): boolean {
  if (lengthOf(x) > 0) return false;
  try {
    keys.call(x); // refuses such an array; nothing else on Node 20 does so as fast
    return false;
  } catch {
    return true;
  }
}

/**
 * Whether two views have memory in common. False for two handles of one SharedArrayBuffer, which JavaScript cannot
 * tell.
 */
export function overlap(a: ArrayBufferView, b: ArrayBufferView): boolean {
  const [from, other] = [byteOffsetOf(a), byteOffsetOf(b)];
  // Buffers last: to ask for one costs more than all the rest.
  return from < other + byteLengthOf(b) && other < from + byteLengthOf(a) && bufferOf(a) === bufferOf(b);
}

/** A new array of a kind: zeros in memory of its own, or all of `memory`. */
export function newArray<K extends ArrayKind>(kind: K, memory: number | ArrayBufferLike): ArrayOfKind<K> {
  return new (constructorOf(kind) as new (memory: number | ArrayBufferLike) => unknown)(memory) as ArrayOfKind<K>;
}

/** The elements [from, to) in place, as a plain array of the same kind: no subclass, no species. */
export function viewOf<A extends ArrayBufferView>(x: A, from = 0, to = lengthOf(x)): A {
  const Kind = constructorOf(kindOf(x));
  return new Kind(bufferOf(x), byteOffsetOf(x) + from * Kind.BYTES_PER_ELEMENT, to - from) as unknown as A;
}

/** A copy of the elements [from, to), as a plain array of the same kind in memory of its own. */
export function copyOf<A extends ArrayBufferView>(x: A, from = 0, to = lengthOf(x)): NewLike<A, ArrayBufferView> {
  const copy = newArray(kindOf(x) as ArrayKind, to - from);
  copyInto(copy, viewOf(x, from, to));
  return copy as unknown as NewLike<A, ArrayBufferView>;
}

/** Copies all elements of an array into another one, from element `at` on. */
export function copyInto(target: ArrayBufferView, source: ArrayBufferView, at = 0): void {
  set.call(target, source as unknown as ArrayLike<number>, at);
}

export const isShared = (x: ArrayBufferView): boolean =>
  typeof SharedArrayBuffer !== 'undefined' && bufferOf(x) instanceof SharedArrayBuffer;

/**
 * A copy of a caller's list, each element read once: a typed array by its true length, any other list by its own.
 */
export function elementsOf(list: ArrayLike<unknown>): unknown[] {
  return kindOf(list) === undefined ? Array.from(list) : Array.from(viewOf(list as unknown as Float64Array));
}
