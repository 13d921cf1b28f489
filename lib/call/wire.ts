/**
 * The wire forms of states. Both versions begin with four letters and a version byte. Version 2 is version 1 with its
 * origin behind it, 12 bytes, little-endian: uint32 shard, float64 epoch.
 */
import { describe, outOfRange, wrongType, wrongValue } from './errors.js';
import { copyInto, copyOf, isDetached } from './arrays.js';
import { optionsOf } from './options.js';
import { types, type NewUint8Array } from './types.js';

/**
 * Which state of a sum this is, as its bytes carry it between machines: who adds states counts each shard of an epoch
 * once, however often its bytes arrive.
 */
export interface StateOrigin {
  /** The number of the share that the state sums, in the order of merging: 0 … 2^32 − 1. */
  readonly shard: number;
  /** The number of the request, of the step or of the version of the data that it belongs to: 0 … 2^53 − 1. */
  readonly epoch: number;
}

const VERSIONS = { plain: 1, withOrigin: 2 } as const;
const ORIGIN_BYTES = 12;

/** The first five bytes of version 1. */
export const wireHeader = (magic: string): number[] => [
  ...Array.from(magic, (letter) => letter.charCodeAt(0)),
  VERSIONS.plain,
];

/** A checked copy of an origin; undefined if none is given. Each field is read once. */
export function originOf(given: StateOrigin | undefined): StateOrigin | undefined {
  if (given === undefined) return undefined;
  const { shard, epoch } = optionsOf(given, ['shard', 'epoch']);
  for (const [name, value, most] of [
    ['shard', shard, 2 ** 32 - 1],
    ['epoch', epoch, Number.MAX_SAFE_INTEGER],
  ] as const) {
    if (typeof value !== 'number') throw wrongType('an integer', name, value);
    const isFit = Number.isInteger(value) && value >= 0 && value <= most;
    if (!isFit) throw outOfRange(`an integer from 0 to ${most}`, name, value);
  }
  return { shard, epoch: epoch + 0 }; // −0 becomes 0
}

/** The bytes of version 1 as they are; with an origin, as version 2. */
export function withOrigin(bytes: NewUint8Array, magic: string, origin: StateOrigin | undefined): NewUint8Array {
  if (origin === undefined) return bytes;
  const longer = new Uint8Array(bytes.length + ORIGIN_BYTES);
  copyInto(longer, bytes);
  longer[magic.length] = VERSIONS.withOrigin;
  const view = new DataView(longer.buffer, bytes.length);
  view.setUint32(0, origin.shard, true);
  view.setFloat64(4, origin.epoch, true);
  return longer;
}

/** Bytes that have arrived: those of version 1 in private memory, and the origin that version 2 adds. */
export interface WireView {
  readonly view: DataView<ArrayBuffer>;
  readonly origin: StateOrigin | undefined;
}

/**
 * Checks the first five bytes, and that version 1 has `length` bytes, or with `isLeast` at least so many.
 *
 * @returns A view of a private copy, as other threads may write to the caller's memory.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for what is no Uint8Array, or a detached one.
 * @throws RangeError (ERR_INVALID_ARG_VALUE) for other bytes.
 */
export function wireView(given: unknown, magic: string, length: number, isLeast = false): WireView {
  if (!types.isUint8Array(given)) throw wrongType('a Uint8Array', 'bytes', given);
  if (isDetached(given)) throw wrongType('a Uint8Array that is not detached', 'bytes', given);
  const bytes = copyOf(given);
  const version = bytes[magic.length];
  const hasOrigin = version === VERSIONS.withOrigin;
  const expected = hasOrigin ? length + ORIGIN_BYTES : length;
  if (isLeast ? bytes.length < expected : bytes.length !== expected) {
    throw wrongValue(`${expected} bytes${isLeast ? ' at least' : ''}`, 'bytes', String(bytes.length));
  }
  const start = Array.from(bytes.subarray(0, magic.length), (byte) => String.fromCharCode(byte)).join('');
  if (start !== magic) throw wrongValue(`'${magic}' at the beginning`, 'bytes', describe(start));
  if (!hasOrigin && version !== VERSIONS.plain) throw wrongValue('version 1 or 2', 'bytes', `version ${version}`);
  const end = hasOrigin ? bytes.length - ORIGIN_BYTES : bytes.length;
  return {
    view: new DataView(bytes.buffer, 0, end),
    origin: hasOrigin ? readOrigin(new DataView(bytes.buffer, end)) : undefined,
  };
}

function readOrigin(view: DataView): StateOrigin {
  const [shard, epoch] = [view.getUint32(0, true), view.getFloat64(4, true)];
  if (!(Number.isSafeInteger(epoch) && epoch >= 0 && !Object.is(epoch, -0))) {
    throw wrongValue('an epoch from 0 to 2^53 − 1', 'bytes', String(epoch));
  }
  return { shard, epoch };
}
