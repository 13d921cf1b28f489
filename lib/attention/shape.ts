/** The numbers of an attention call, by name and as kernels take them. */
import { ATTENTION_SHAPE, type AttentionShape } from '../backend/backend.js';

/** The numbers in the order of kernels; 0 where there is none. */
export function shapeArray(shape: Partial<AttentionShape>): Float64Array {
  return Float64Array.from(ATTENTION_SHAPE, (name) => shape[name] ?? 0);
}

/** The numbers by name. */
export function shapeOf(numbers: Float64Array): AttentionShape {
  return Object.fromEntries(ATTENTION_SHAPE.map((name, i) => [name, numbers[i]!])) as unknown as AttentionShape;
}
