/** The kernels of crossEntropy. */
import type { CrossEntropyKernel } from '../../backend/backend.js';
import { CROSS_ENTROPY } from '../../backend/operators.js';
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
) => new LogRows(x, cols, inner, ...rest).crossEntropy(targets, loss, gradient, outer);

export const crossEntropyKernels = /* @__PURE__ */ twinOf(CROSS_ENTROPY, crossEntropy, crossEntropy);
