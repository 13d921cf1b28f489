/** What kind of typed array a value is: the names of `types` in node:util, for browsers too, and for arrays of other realms. */
import { kindOf } from './arrays.js';

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
