/** Files that weights are read from: bytes in memory, or a file whose parts are read when they are asked for. */
import { bufferOf, byteLengthOf, byteOffsetOf } from '../call/arrays.js';
import { wrongType, wrongValue } from '../call/errors.js';
import { isUint8Array } from '../call/types.js';
import { openFile } from './file.js';

/** A file by its path or URL, or its bytes. */
export type HeadSource = string | FileURL | Uint8Array;

/** A URL, also for programs that are compiled without the types of one. */
export interface FileURL {
  readonly href: string;
  readonly protocol: string;
}

/** The bytes of a file. Callers ask for no bytes outside [0, size). */
export interface ByteSource {
  readonly name: string;
  readonly size: number;
  /** Bytes to look at: they are those of the file until the next call. */
  look(at: number, length: number): Uint8Array;
  /** Bytes to keep: a view where the file is in memory. */
  keep(at: number, length: number): Uint8Array;
  /** Another file, by a path relative to the folder of this one. */
  beside(location: string): ByteSource;
  close(): void;
}

/** Bytes in memory, of which everything is a view. */
export function memorySource(bytes: Uint8Array, name: string, others?: Readonly<Record<string, unknown>>): ByteSource {
  const [buffer, start] = [bufferOf(bytes), byteOffsetOf(bytes)];
  const view = (at: number, length: number) => new Uint8Array(buffer, start + at, length);
  return {
    name,
    size: byteLengthOf(bytes),
    look: view,
    keep: view,
    beside(location) {
      const other = others && Object.hasOwn(others, location) ? others[location] : undefined;
      if (!isUint8Array(other)) throw wrongType('a Uint8Array', `externalData['${location}']`, other);
      return memorySource(other, location);
    },
    close() {},
  };
}

/** Runs a body with a source, and closes it. */
export function withSource<T>(
  given: unknown,
  others: Readonly<Record<string, unknown>> | undefined,
  body: (source: ByteSource) => T,
): T {
  let source: ByteSource;
  if (isUint8Array(given)) source = memorySource(given, 'the bytes', others);
  else if (typeof given === 'string' || given instanceof URL) source = openFile(given);
  else throw wrongType('a path, a URL or a Uint8Array', 'source', given);
  try {
    return body(source);
  } finally {
    source.close();
  }
}

/** A position in a source, between bounds that no read passes. */
export class Cursor {
  at: number;
  readonly #source: ByteSource;
  readonly #end: number;

  constructor(source: ByteSource, at: number, end: number) {
    this.#source = source;
    this.at = at;
    this.#end = end;
  }

  get isAtEnd(): boolean {
    return this.at >= this.#end;
  }

  /** Steps over bytes. RangeError that names `field` where there are fewer. */
  skip(length: number, field: string): number {
    const start = this.at;
    const left = this.#end - start;
    if (!(length <= left)) throw wrongValue(`at most ${left} bytes`, fieldName(field, this.#source), String(length));
    this.at = start + length;
    return start;
  }

  #view(length: number, field: string): DataView {
    const bytes = this.#source.look(this.skip(length, field), length);
    return new DataView(bytes.buffer, bytes.byteOffset, length);
  }

  uint32(field: string): number {
    return this.#view(4, field).getUint32(0, true);
  }

  /** An integer of 64 bits, up to 2^53 − 1. */
  uint64(field: string): number {
    const value = this.#view(8, field).getBigUint64(0, true);
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
    throw wrongValue('an integer below 2^53', fieldName(field, this.#source), String(value));
  }

  text(length: number, field: string): string {
    return new TextDecoder().decode(this.#source.look(this.skip(length, field), length).slice());
  }

  /** A varint of protobuf. What is 2^53 or more, as are all negative numbers, is a RangeError. */
  varint(field: string): number {
    let [value, scale] = [0, 1];
    for (let i = 0; i < 10; i++, scale *= 128) {
      const byte = this.#source.look(this.skip(1, field), 1)[0]!;
      value += (byte & 127) * scale;
      if (byte < 128) {
        if (value <= Number.MAX_SAFE_INTEGER) return value;
        throw wrongValue('an integer from 0 to 2^53 − 1', fieldName(field, this.#source), 'another');
      }
    }
    throw wrongValue('a varint of at most 10 bytes', fieldName(field, this.#source), 'a longer one');
  }
}

/** A field's name in messages. */
export const fieldName = (field: string, { name }: ByteSource): string => `${field} of ${name}`;
