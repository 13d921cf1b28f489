/** Half types: their values as float32, exactly, and back, to the nearest with ties to even. */
import { lengthOf } from '../../call/arrays.js';
import type { Half } from '../../math/half.js';

/** A loop, as a callback an element takes thirty times as long. */
export function widened(x: Uint16Array, half: Half): Float32Array {
  const floats = new Float32Array(lengthOf(x));
  for (let i = 0; i < floats.length; i++) floats[i] = half.toFloat(x[i]!);
  return floats;
}

export function narrow(from: Float32Array, to: Uint16Array, half: Half): void {
  for (let i = 0; i < from.length; i++) to[i] = half.toBits(from[i]!);
}
