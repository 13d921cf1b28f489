/** The kernels of logSoftmax. */
import type { SoftmaxKernel } from '../../backend/backend.js';
import { LOG_SOFTMAX } from '../../backend/operators.js';
import { twinOf } from '../twin.js';
import { LogRows } from './log-rows.js';

const logSoftmax: SoftmaxKernel<Float32Array | Float64Array> = (x, out, outer, cols, inner, ...rest) =>
  new LogRows(x, cols, inner, ...rest).logSoftmax(out, outer);

export const logSoftmaxKernels = /* @__PURE__ */ twinOf(LOG_SOFTMAX, logSoftmax, logSoftmax);
