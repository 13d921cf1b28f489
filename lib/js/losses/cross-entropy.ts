/** The kernels of crossEntropy. */
import type { CrossEntropyKernel } from '../../backend/backend.js';
import { CROSS_ENTROPY } from '../../backend/operators.js';
import { kindOf } from '../../call/arrays.js';
import { eachRow } from '../rows/row.js';
import { isPlain, plainLoss } from '../softmax/log-plain.js';
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
  const isSingle = kindOf(x) === 'Float32Array';
  const tries = gradient === null && isPlain(cols, rest[0], rest[1], rest[3]);
  let rows: LogRows | undefined;
  eachRow(outer, cols, inner, (start, row) => {
    const target = targets[row]!;
    const tried = tries && target >= 0 ? plainLoss(x, start + target * inner, start, inner, cols, isSingle) : NaN;
    loss[row] =
      tried === tried ? tried : (rows ??= new LogRows(x, cols, inner, ...rest)).crossEntropy(target, gradient, start);
  });
};

export const crossEntropyKernels = /* @__PURE__ */ twinOf(CROSS_ENTROPY, crossEntropy, crossEntropy);
