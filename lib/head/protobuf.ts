/** Walks a message of protobuf, and reads none of what it steps over. */
import { describe, wrongValue } from '../call/errors.js';
import { Cursor, fieldName, type ByteSource } from './source.js';

/** A field of a message. Of varints `value` counts; of all others the bytes [at, end). */
export interface Field {
  readonly number: number;
  readonly isVarint: boolean;
  readonly value: number;
  readonly at: number;
  readonly end: number;
}

/** The bytes of a message, or of a field. */
export interface Span {
  readonly at: number;
  readonly end: number;
}

/** The fields of a message, in order. RangeError that names `message` for bytes that are none. */
export function* fieldsOf(source: ByteSource, { at, end }: Span, message: string): Generator<Field> {
  const cursor = new Cursor(source, at, end);
  while (!cursor.isAtEnd) {
    const tag = cursor.varint(message);
    const [number, wire] = [Math.floor(tag / 8), tag % 8];
    if (number === 0) throw wrongValue('a field', fieldName(message, source), 'the number 0');
    if (wire === 0) yield { number, isVarint: true, value: skippableVarint(cursor, message), at: 0, end: 0 };
    else {
      const length = wire === 1 ? 8 : wire === 5 ? 4 : wire === 2 ? cursor.varint(message) : undefined;
      if (length === undefined) throw wrongValue('a wire type of 0, 1, 2, 5', fieldName(message, source), String(wire));
      const start = cursor.skip(length, message);
      yield { number, isVarint: false, value: NaN, at: start, end: start + length };
    }
  }
}

/** A varint; NaN for one that is negative or beyond 2^53, which may stand in a field that nobody asks for. */
function skippableVarint(cursor: Cursor, message: string): number {
  const start = cursor.at;
  try {
    return cursor.varint(message);
  } catch (error) {
    if (cursor.at - start === 10) return NaN;
    throw error;
  }
}

/** The text of a field. */
export function textOf(source: ByteSource, { at, end }: Span, message: string): string {
  return new Cursor(source, at, end).text(end - at, message);
}

/** The number of a field of 32 bits. */
export function floatAt(source: ByteSource, { at, end }: Span): number {
  const bytes = source.look(at, end - at).slice();
  return bytes.length === 4 ? new DataView(bytes.buffer).getFloat32(0, true) : NaN;
}

/** The numbers of a repeated field of integers: one varint, or packed ones. */
export function integersOf(source: ByteSource, field: Field, message: string): number[] {
  if (field.isVarint) return [integer(source, field.value, message)];
  const cursor = new Cursor(source, field.at, field.end);
  const numbers: number[] = [];
  while (!cursor.isAtEnd) numbers.push(integer(source, skippableVarint(cursor, message), message));
  return numbers;
}

function integer(source: ByteSource, value: number, message: string): number {
  if (value === value) return value;
  throw wrongValue('integers from 0 to 2^53 − 1', fieldName(message, source), describe(value));
}
