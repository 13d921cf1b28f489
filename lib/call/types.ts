/** Kinds of typed arrays, and what TypeScript is told of arrays that are new. */
import type { LogitArray } from './arguments.js';
import { kindOf } from './arrays.js';

/** What kind of typed array a value is: as `types` of node:util, in browsers too, and for arrays of other realms. */
export const types = {
  isTypedArray: (value: unknown): value is NodeJS.TypedArray => kindOf(value) !== undefined,
  isFloat32Array: (value: unknown): value is Float32Array => kindOf(value) === 'Float32Array',
  isFloat64Array: (value: unknown): value is Float64Array => kindOf(value) === 'Float64Array',
  isInt8Array: (value: unknown): value is Int8Array => kindOf(value) === 'Int8Array',
  isInt16Array: (value: unknown): value is Int16Array => kindOf(value) === 'Int16Array',
  isInt32Array: (value: unknown): value is Int32Array => kindOf(value) === 'Int32Array',
  isUint8Array: (value: unknown): value is Uint8Array => kindOf(value) === 'Uint8Array',
  isUint16Array: (value: unknown): value is Uint16Array => kindOf(value) === 'Uint16Array',
  isUint32Array: (value: unknown): value is Uint32Array => kindOf(value) === 'Uint32Array',
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
