/**
 * What kind of typed array a value is: the names of `types` in node:util, for browsers too. The tag is asked of the array
 * itself and not of a property, so arrays of other realms count and what only looks like one does not.
 */
const tagOf = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)!
  .get as (this: unknown) => string | undefined;

export const types = {
  isTypedArray: (value: unknown): value is NodeJS.TypedArray => tagOf.call(value) !== undefined,
  isFloat32Array: (value: unknown): value is Float32Array => tagOf.call(value) === 'Float32Array',
  isFloat64Array: (value: unknown): value is Float64Array => tagOf.call(value) === 'Float64Array',
  isInt8Array: (value: unknown): value is Int8Array => tagOf.call(value) === 'Int8Array',
  isInt16Array: (value: unknown): value is Int16Array => tagOf.call(value) === 'Int16Array',
  isInt32Array: (value: unknown): value is Int32Array => tagOf.call(value) === 'Int32Array',
  isUint8Array: (value: unknown): value is Uint8Array => tagOf.call(value) === 'Uint8Array',
  isUint16Array: (value: unknown): value is Uint16Array => tagOf.call(value) === 'Uint16Array',
  isUint32Array: (value: unknown): value is Uint32Array => tagOf.call(value) === 'Uint32Array',
};
