/** What becomes of the losses of rows: one a row, their sum, or their mean. */
import { lengthOf } from '../call/arrays.js';
import { oneOf } from '../call/checks.js';
import type { Returned } from '../call/types.js';
import { RunningSum } from '../math/running-sum.js';

/** What becomes of the losses: one a row, their sum, or their mean. */
export type Reduction = 'none' | 'mean' | 'sum';

/** The result of a loss: an array of one a row, or a number. */
export type LossOf<R extends Reduction, Out> = R extends 'none' ? Returned<Out> : number;

/** How the losses of a call are reduced. */
export interface Reducer {
  /** Multiplies the loss and the gradient of each row. */
  readonly factor: number;
  /** Makes the result from the losses, which have been multiplied. */
  result(loss: Float64Array): Float64Array | number;
}

export const reductionOf = (reduction: unknown): Reduction =>
  oneOf(reduction as Reduction, ['none', 'mean', 'sum'], 'reduction');

/** `total` is what a mean divides by: the sum of the weights of the rows that count. A mean over 0 is NaN. */
export function reducerOf(reduction: Reduction, total: number, scale = 1): Reducer {
  if (reduction === 'none') return { factor: scale, result: (loss) => loss };
  if (reduction === 'sum') return { factor: scale, result: sumOf };
  return { factor: total > 0 ? scale / total : scale, result: (loss) => (total > 0 ? sumOf(loss) : NaN) };
}

/** The number of rows that count, or the sum of their weights. */
export function totalOf(targets: Int32Array, weight: Float64Array | null): number {
  let total = 0;
  for (const target of targets) if (target >= 0) total += weight === null ? 1 : weight[target]!;
  return total;
}

/** The sum of all losses, rounded once or twice. */
function sumOf(loss: Float64Array): number {
  const sum = new RunningSum();
  for (let i = 0; i < lengthOf(loss); i++) sum.add(loss[i]!);
  return sum.total;
}
