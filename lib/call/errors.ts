/**
 * The errors that callers cause: "Expected X for Y but received Z". A value of a wrong kind is a TypeError, a wrong
 * value of the right kind is a RangeError, and both have a `code`.
 */
import { isDetached, kindOf, lengthOf } from './arrays.js';

export type ErrorCode = 'ERR_INVALID_ARG_TYPE' | 'ERR_INVALID_ARG_VALUE' | 'ERR_OUT_OF_RANGE' | 'ERR_INVALID_STATE';

function coded<E extends Error>(error: E, code: ErrorCode): E & { code: ErrorCode } {
  return Object.assign(error, { code });
}

/** The error for a value of a wrong kind. */
export function wrongType(expected: string, name: string, received: unknown): TypeError & { code: ErrorCode } {
  return coded(
    new TypeError(`Expected ${expected} for ${name} but received ${describe(received)}`),
    'ERR_INVALID_ARG_TYPE',
  );
}

/** The error for a number out of its range. */
export function outOfRange(expected: string, name: string, received: unknown): RangeError & { code: ErrorCode } {
  return coded(
    new RangeError(`Expected ${expected} for ${name} but received ${describe(received)}`),
    'ERR_OUT_OF_RANGE',
  );
}

/** The error for any other wrong value; `received` is a phrase. */
export function wrongValue(expected: string, name: string, received: string): RangeError & { code: ErrorCode } {
  return coded(new RangeError(`Expected ${expected} for ${name} but received ${received}`), 'ERR_INVALID_ARG_VALUE');
}

/** The error for memory that the system does not give. */
export function outOfMemory(bytes: number, name: string): Error & { code: 'ERR_MEMORY_ALLOCATION_FAILED' } {
  const error = new Error(`Expected ${bytes} bytes of memory for ${name} but received none`);
  return Object.assign(error, { code: 'ERR_MEMORY_ALLOCATION_FAILED' as const });
}

/** The error for an object that cannot be used now; `received` is a phrase. */
export function wrongState(expected: string, name: string, received: string): RangeError & { code: ErrorCode } {
  return coded(new RangeError(`Expected ${expected} for ${name} but received ${received}`), 'ERR_INVALID_STATE');
}

/** Describes a value in a few words: 3, 'abc', an Array, a Float32Array of 5. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 40 ? `${value.slice(0, 40)}…` : value}'`;
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return String(value);
  const kind = Object.prototype.toString.call(value).slice(8, -1);
  const article = /^[AEIO]/.test(kind) ? 'an' : 'a';
  if (!ArrayBuffer.isView(value) || kindOf(value) === undefined) return `${article} ${kind}`;
  return isDetached(value) ? `a detached ${kind}` : `${article} ${kind} of ${lengthOf(value)}`;
}

/** The length of an array now. Throws a TypeError if its memory is gone, which is not the same as an empty array. */
export function trueLength(x: ArrayBufferView, name: string): number {
  const length = lengthOf(x);
  if (length === 0 && isDetached(x)) throw wrongType('an array that has its memory', name, x);
  return length;
}
