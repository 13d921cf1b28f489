/** The kernels of crossEntropy. */
import type { CrossEntropyKernel } from '../../backend/backend.js';
import { CROSS_ENTROPY } from '../../backend/operators.js';
import { eachRow } from '../rows/row.js';
import { isPlain, writePlainGradients, writePlainLosses } from '../softmax/log-plain.js';
import { LogRows } from '../softmax/log-rows.js';
import { twinOf } from '../twin.js';

const crossEntropy: CrossEntropyKernel<Float32Array | Float64Array> = (
  x,
  targets,
  loss,
  gradient,
  outer,
  cols,
  inner,
  ...rest
) => {
  let rows: LogRows | undefined;
  const compute = (start: number, row: number): void => {
    rows ??= new LogRows(x, cols, inner, ...rest);
    loss[row] = rows.crossEntropy(targets[row]!, gradient, start);
  };
  const shape = { outer, cols, inner };
  if (!isPlain(cols, rest[0], rest[1], rest[3])) eachRow(outer, cols, inner, compute);
  else if (gradient === null) writePlainLosses(x, targets, loss, shape, compute);
  else writePlainGradients(x, targets, loss, gradient, shape, compute);
};

export const crossEntropyKernels = /* @__PURE__ */ twinOf(CROSS_ENTROPY, crossEntropy, crossEntropy);
