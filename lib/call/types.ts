/** The arrays of logits, the kinds of typed arrays, and the types of results. */
import { kindOf } from './arrays.js';

export type FloatArray = Float32Array | Float64Array;

/** Float16Array as far as this package uses it: not every runtime that it supports has one. */
export interface Float16ArrayLike extends ArrayBufferView {
  readonly length: number;
  readonly BYTES_PER_ELEMENT: number;
  readonly [Symbol.toStringTag]: 'Float16Array';
  [index: number]: number;
}

/** The arrays of logits. A Uint16Array holds the bits of the half type that `dtype` names. */
export type LogitArray = FloatArray | Uint16Array | Float16ArrayLike;

/** Element types, by the names that kernels have for them. */
export type ElementType = 'f32' | 'f64' | 'f16' | 'bf16';

/**
 * Whether a value is a typed array of a kind, as `types` of node:util: in browsers too, and for arrays of other realms.
 */
export const isTypedArray = (value: unknown): value is NodeJS.TypedArray => kindOf(value) !== undefined;
export const isFloat32Array = (value: unknown): value is Float32Array => kindOf(value) === 'Float32Array';
export const isFloat64Array = (value: unknown): value is Float64Array => kindOf(value) === 'Float64Array';
export const isInt8Array = (value: unknown): value is Int8Array => kindOf(value) === 'Int8Array';
export const isInt16Array = (value: unknown): value is Int16Array => kindOf(value) === 'Int16Array';
export const isInt32Array = (value: unknown): value is Int32Array => kindOf(value) === 'Int32Array';
export const isUint8Array = (value: unknown): value is Uint8Array => kindOf(value) === 'Uint8Array';
export const isUint16Array = (value: unknown): value is Uint16Array => kindOf(value) === 'Uint16Array';
export const isUint32Array = (value: unknown): value is Uint32Array => kindOf(value) === 'Uint32Array';

/** All of these in one object. */
export const types = {
  isTypedArray,
  isFloat32Array,
  isFloat64Array,
  isInt8Array,
  isInt16Array,
  isInt32Array,
  isUint8Array,
  isUint16Array,
  isUint32Array,
};

/**
 * New arrays. From TypeScript 5.7 on `of` gives a Float32Array<ArrayBuffer>, which `new Blob`, `new Response` and
 * WebCrypto take; a Float32Array may lie in shared memory. Before 5.7 arrays are not generic: to name an ArrayBuffer
 * in the declarations of this package would be an error there.
 */
export type NewFloat32Array = ReturnType<typeof Float32Array.of>;
export type NewFloat64Array = ReturnType<typeof Float64Array.of>;
export type NewInt32Array = ReturnType<typeof Int32Array.of>;
export type NewUint8Array = ReturnType<typeof Uint8Array.of>;
export type NewUint16Array = ReturnType<typeof Uint16Array.of>;
export type NewUint32Array = ReturnType<typeof Uint32Array.of>;

/** A new array of the kind of A: what its `slice` gives, or A for a Float16ArrayLike, which has none. */
export type NewLike<A extends Kind, Kind extends ArrayBufferView = LogitArray> = A extends {
  slice(): infer New extends Kind;
}
  ? New
  : A;

/**
 * What a call with an option `out` returns: the caller's array with its own type, or a new one, the default of Out.
 * This is Out, which TypeScript does not infer from what the result is assigned to (as NoInfer, which 5.4 brought).
 */
export type Returned<Out> = [Out][Out extends unknown ? 0 : never];

/** All arrays of the kind of A, whatever memory they are in: the type of another array of logits beside an A. */
export type KindOf<A extends LogitArray> = [A] extends [never] ? LogitArray : KindOfEach<A>;

type KindOfEach<A> = A extends Float32Array
  ? Float32Array
  : A extends Float64Array
    ? Float64Array
    : A extends Uint16Array
      ? Uint16Array
      : A;

/** The arrays that results for logits in an A may go into: arrays of its kind, and for halves of float32 too. */
export type ResultOf<A> = A extends FloatArray
  ? KindOf<A>
  : A extends Uint16Array
    ? Uint16Array | Float32Array
    : Float16ArrayLike | Float32Array;

/** The new array of results for logits in an A. */
export type NewResult<A extends LogitArray> = Extract<NewLike<A>, ResultOf<A>>;

/** The options O of a function of logits in an A: a Uint16Array needs a `dtype`, and so options. */
export type OptionsFor<A, O> = [Extract<A, Uint16Array>] extends [never] ? [options?: O] : [options: O];
