/** Half types: their values as float32, exactly, and back, to the nearest with ties to even. */
import { viewOf } from '../../call/arrays.js';
import type { Half } from '../../math/half.js';

/** Without an iterator of the array's own, which a caller can replace. */
export const widened = (x: Uint16Array, { toFloat }: Half): Float32Array => Float32Array.from(viewOf(x), toFloat);

export const narrow = (from: Float32Array, to: Uint16Array, { toBits }: Half): void =>
  from.forEach((value, i) => (to[i] = toBits(value)));
