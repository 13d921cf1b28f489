/** Hidden states: checked, copied, and converted to floats. */
import { allocate } from '../call/allocate.js';
import { bufferOf, byteOffsetOf, copyOf, kindOf } from '../call/arrays.js';
import { elementTypeOf } from '../call/axis.js';
import { trueLength, wrongType, wrongValue } from '../call/errors.js';
import type { Float16ArrayLike, LogitArray, NewFloat32Array } from '../call/types.js';
import { bfloat16, float16 } from '../math/half.js';
import { lengthOfRow, type States } from './matrix-calls.js';
import type { HeadMatrix } from './matrix.js';

/** Hidden states, [count, cols]. */
export type HiddenStates = Float32Array | Uint16Array | Float16ArrayLike;

export interface StateOptions {
  /** What the bits of a Uint16Array of hidden states are. For a Uint16Array only, and needed there. */
  dtype?: 'float16' | 'bfloat16' | undefined;
}

/** A copy of hidden states as floats; of length 1 each for cosines, where a state of zeros stays one. */
export function statesOf(matrix: HeadMatrix, hidden: unknown, dtype: unknown): States {
  const type = elementTypeOf(hidden as LogitArray, dtype as 'float16', 'hidden');
  if (type === 'f64')
    throw wrongType('a Float32Array, a Float16Array, or a Uint16Array with a dtype,', 'hidden', hidden);
  const { cols, isCosine } = matrix;
  const array = hidden as Float32Array;
  const length = trueLength(array, 'hidden');
  if (length % cols !== 0) throw wrongValue(`rows of ${cols} numbers`, 'hidden', `${length} numbers`);
  const floats = type === 'f32' ? (copyOf(array) as NewFloat32Array) : floatsOf(array, length, type);
  const count = length / cols;
  return { hidden: floats, count, inverse: isCosine ? toUnitLength(floats, count, cols) : null };
}

function floatsOf(array: ArrayBufferView, length: number, type: 'f16' | 'bf16'): NewFloat32Array {
  const half = type === 'f16' ? float16 : bfloat16;
  const isBits = kindOf(array) === 'Uint16Array';
  const bits = isBits ? (array as Uint16Array) : new Uint16Array(bufferOf(array), byteOffsetOf(array), length);
  const floats = allocate('Float32Array', length, 'hidden');
  for (let i = 0; i < length; i++) floats[i] = half.toFloat(bits[i]!);
  return floats;
}

/** Divides each state by its length; returns the inverse lengths, 0 for a state of zeros. */
function toUnitLength(floats: Float32Array, count: number, cols: number): Float64Array {
  const inverse = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const length = lengthOfRow(floats, i * cols, cols);
    inverse[i] = length === 0 ? 0 : 1 / length;
    for (let c = i * cols; c < (i + 1) * cols && length !== 0; c++) floats[c] = floats[c]! / length;
  }
  return inverse;
}
