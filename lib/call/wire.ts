/** The first bytes of every wire form of a state: four letters, and a version. */
import { describe, wrongType, wrongValue } from './errors.js';
import { copyOf, isDetached } from './arrays.js';
import { types } from './types.js';

export interface WireForm {
  readonly magic: string;
  readonly version: number;
}

/** The first five bytes. */
export const wireHeader = ({ magic, version }: WireForm): number[] => [
  ...Array.from(magic, (letter) => letter.charCodeAt(0)),
  version,
];

/**
 * Checks the first five bytes, and that there are `length` bytes, or with `isLeast` at least so many.
 *
 * @returns A private copy of all bytes, as other threads may write to the caller's memory.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for what is no Uint8Array, or a detached one.
 * @throws RangeError (ERR_INVALID_ARG_VALUE) for other bytes.
 */
export function wireView(given: unknown, form: WireForm, length: number, isLeast = false): DataView<ArrayBuffer> {
  if (!types.isUint8Array(given)) throw wrongType('a Uint8Array', 'bytes', given);
  if (isDetached(given)) throw wrongType('a Uint8Array that is not detached', 'bytes', given);
  const bytes = copyOf(given);
  if (isLeast ? bytes.length < length : bytes.length !== length) {
    throw wrongValue(`${length} bytes${isLeast ? ' at least' : ''}`, 'bytes', String(bytes.length));
  }
  const start = Array.from(bytes.subarray(0, form.magic.length), (byte) => String.fromCharCode(byte)).join('');
  if (start !== form.magic) throw wrongValue(`'${form.magic}' at the beginning`, 'bytes', describe(start));
  if (bytes[form.magic.length] !== form.version)
    throw wrongValue(`version ${form.version}`, 'bytes', `version ${bytes[form.magic.length]}`);
  return new DataView(bytes.buffer);
}
