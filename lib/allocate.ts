/** allocate: arrays that kernels use where they are. */
import { allocate as newZeros } from './call/allocate.js';
import { choice } from './backend/choice.js';
import { describe, outOfRange, wrongType, wrongValue } from './call/errors.js';
import { wasm } from './backend/wasm/host.js';
import type { ArrayKind } from './call/arrays.js';
import type {
  NewFloat32Array,
  NewFloat64Array,
  NewInt32Array,
  NewUint16Array,
  NewUint32Array,
  NewUint8Array,
} from './call/types.js';

/** The arrays of each element type. Halves are the bits in a Uint16Array. */
export interface ArraysByType {
  float32: NewFloat32Array;
  float64: NewFloat64Array;
  float16: NewUint16Array;
  bfloat16: NewUint16Array;
  int32: NewInt32Array;
  uint32: NewUint32Array;
  uint8: NewUint8Array;
}

const KINDS: Readonly<Record<keyof ArraysByType, ArrayKind>> = {
  float32: 'Float32Array',
  float64: 'Float64Array',
  float16: 'Uint16Array',
  bfloat16: 'Uint16Array',
  int32: 'Int32Array',
  uint32: 'Uint32Array',
  uint8: 'Uint8Array',
};

/**
 * Returns a new array of zeros. Where the WebAssembly backend runs, it lies in WebAssembly's memory, and kernels use it
 * where it is; every other array is copied for a call. With other backends it is an ordinary array.
 *
 * Use it for arrays that live long, such as a model's logits and results: memory is given back in regions of 32 MB,
 * when no array of a region is referenced any more. Arrays of one call should have been allocated one after another, as
 * they are used in place if they lie in one region. Its `buffer` is a whole region, with other arrays in it: do not
 * send it to another thread.
 *
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for a length that is no number, RangeError (ERR_INVALID_ARG_VALUE or
 *   ERR_OUT_OF_RANGE) for an unknown type or a length that is not a size; Error (ERR_MEMORY_ALLOCATION_FAILED) where
 *   there is no memory.
 * @example
 * import { allocate, softmax } from 'flash-softmax';
 * const logits = allocate('float32', 3);
 * logits.set([1, 1, 1]);
 * softmax(logits, { out: logits }); // WebAssembly works on it where it is
 * console.log(logits[0].toFixed(4)); // → 0.3333
 */
export function allocate<T extends keyof ArraysByType>(type: T, length: number): ArraysByType[T] {
  const kind = Object.hasOwn(KINDS, type) ? KINDS[type] : undefined;
  if (kind === undefined) throw wrongValue(`one of ${Object.keys(KINDS).join(', ')}`, 'type', describe(type));
  if (typeof length !== 'number') throw wrongType('a number', 'length', length);
  if (!(Number.isSafeInteger(length) && length >= 0)) throw outOfRange('a whole number from 0 on', 'length', length);
  if (choice().name === 'wasm') {
    const array = wasm().allocate?.(kind, length);
    if (array !== undefined) return array as unknown as ArraysByType[T];
  }
  return newZeros(kind, length, 'the array') as unknown as ArraysByType[T];
}
