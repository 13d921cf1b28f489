/** Arrays of floats in files: their types, bytes and shapes. */
import { endianness } from 'node:os';
import { bfloat16, float16 } from '../math/half.js';
import { Failure } from './command.js';

export type FloatType = 'float16' | 'bfloat16' | 'float32' | 'float64';

/** Halves are widened to float32, which holds each exactly. */
export type Floats = Float32Array | Float64Array;

export const SIZES: Readonly<Record<FloatType, number>> = { float16: 2, bfloat16: 2, float32: 4, float64: 8 };

/** Whether this machine stores the low byte first, as nearly all do. */
export const littleEndian = endianness() === 'LE';

/** (2, 3) or (5,), as Python writes them. */
export function shapeText(shape: readonly number[]): string {
  return `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`;
}

/** A shape of one dimension or more, each 1 or more. */
export function checkShape(shape: number[]): number[] {
  if (!shape.every((n) => Number.isSafeInteger(n) && n >= 0)) {
    throw new Failure(`Expected lengths that are whole numbers but received shape ${shapeText(shape)}`);
  }
  if (shape.length === 0) throw new Failure('Expected one dimension at least but received a single number');
  if (shape.includes(0)) throw new Failure(`Expected at least one element but received shape ${shapeText(shape)}`);
  return shape;
}

/** The elements of these bytes; they may share their memory. */
export function floatsOf(bytes: Uint8Array, type: FloatType, isBig = false): Floats {
  const size = SIZES[type];
  const isSwapped = isBig === littleEndian;
  const mustCopy = isSwapped || bytes.byteOffset % size !== 0;
  const raw = mustCopy ? new Uint8Array(bytes) : bytes;
  if (isSwapped) swap(raw, size);
  const length = raw.length / size;
  if (type === 'float64') return new Float64Array(raw.buffer, raw.byteOffset, length);
  if (type === 'float32') return new Float32Array(raw.buffer, raw.byteOffset, length);
  const halves = new Uint16Array(raw.buffer, raw.byteOffset, length);
  const half = type === 'float16' ? float16 : bfloat16;
  const widened = new Float32Array(length);
  for (let i = 0; i < length; i++) widened[i] = half.toFloat(halves[i]!);
  return widened;
}

/** The bytes of these elements, the low byte first; they may share their memory. */
export function bytesOf(data: Floats): Uint8Array {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (littleEndian) return bytes;
  const swapped = new Uint8Array(bytes);
  swap(swapped, data.BYTES_PER_ELEMENT);
  return swapped;
}

function swap(raw: Uint8Array, elementSize: number): void {
  const buffer = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
  if (elementSize === 2) buffer.swap16();
  else if (elementSize === 4) buffer.swap32();
  else buffer.swap64();
}
