/** The kernels of logSumExp. */
import type { LogSumExpKernel } from '../../backend/backend.js';
import { LOG_SUM_EXP } from '../../backend/operators.js';
import { twinOf } from '../twin.js';
import { LogRows } from './log-rows.js';

const logSumExp: LogSumExpKernel<Float32Array | Float64Array> = (x, out, outer, cols, inner, ...rest) =>
  new LogRows(x, cols, inner, ...rest).logSumExp(out, outer);

export const logSumExpKernels = /* @__PURE__ */ twinOf(LOG_SUM_EXP, logSumExp, logSumExp);
