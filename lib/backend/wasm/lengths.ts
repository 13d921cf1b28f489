/** The lengths that a call's sizes give its arrays. */
import type { Parameter } from './parameters.js';
import type { Values } from './places.js';

/** The elements that a kernel takes of an array; undefined where that is no product of sizes. */
export function lengthOf({ length }: Parameter, values: Values): number | undefined {
  if (typeof length !== 'object') return undefined;
  let product = length.factor;
  for (const size of length.sizes) product *= values[size] as number;
  for (const number of length.ofShape) product *= (values[0] as Float64Array)[number]!;
  return product;
}
