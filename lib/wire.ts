/** What the wire forms of states have in common: four letters, and a version byte behind them. */
import { describe, wrongType, wrongValue } from './arguments.js';
import { types } from './types.js';

export interface WireForm {
  readonly magic: string;
  readonly version: number;
}

/** The first five bytes. */
export const wireHeader = ({ magic, version }: WireForm): number[] => [...Array.from(magic, (letter) => letter.charCodeAt(0)), version];

/**
 * Checks these, and that there are `length` bytes, or so many at least.
 *
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for what is no Uint8Array; RangeError (ERR_INVALID_ARG_VALUE) for other bytes.
 */
export function wireView(bytes: unknown, form: WireForm, length: number, isLeast = false): DataView {
  if (!types.isUint8Array(bytes)) throw wrongType('a Uint8Array', 'bytes', bytes);
  if (isLeast ? bytes.length < length : bytes.length !== length) throw wrongValue(`${length} bytes${isLeast ? ' at least' : ''}`, 'bytes', String(bytes.length));
  const start = String.fromCharCode(...bytes.subarray(0, form.magic.length));
  if (start !== form.magic) throw wrongValue(`'${form.magic}' at the beginning`, 'bytes', describe(start));
  if (bytes[form.magic.length] !== form.version) throw wrongValue(`version ${form.version}`, 'bytes', `version ${bytes[form.magic.length]}`);
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
