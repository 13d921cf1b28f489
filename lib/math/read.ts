/** Elements of logits as numbers, whatever they are stored as. */
import type { KernelArray } from '../backend/backend.js';
import { copyInto, lengthOf } from '../call/arrays.js';
import { bfloat16, float16 } from './half.js';

/** A function that reads elements; the type is one of a kernel, such as 'f32' or 'f16_f32'. */
export function readerOf(x: KernelArray, type: string): (i: number) => number {
  if (type.startsWith('f16')) return (i) => float16.toFloat(x[i]!);
  if (type.startsWith('bf16')) return (i) => bfloat16.toFloat(x[i]!);
  return (i) => x[i]!;
}

/** −∞ as it is stored. */
export const lowestOf = (type: string): number =>
  type.startsWith('f16') ? 0xfc00 : type.startsWith('bf16') ? 0xff80 : -Infinity;

/** A function that writes elements, rounded to the type. */
export function writerOf(x: KernelArray, type: string): (i: number, value: number) => void {
  if (type === 'f16') return (i, value) => (x[i] = float16.toBits(value));
  if (type === 'bf16') return (i, value) => (x[i] = bfloat16.toBits(value));
  return (i, value) => (x[i] = value);
}

/** All elements, in double. */
export function doublesOf(x: KernelArray, type: string): Float64Array {
  const doubles = new Float64Array(lengthOf(x));
  if (type === 'f32' || type === 'f64') {
    copyInto(doubles, x);
    return doubles;
  }
  const read = readerOf(x, type);
  for (let i = 0; i < doubles.length; i++) doubles[i] = read(i);
  return doubles;
}
