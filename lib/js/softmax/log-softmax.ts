/** The kernels of logSoftmax. */
import type { SoftmaxKernel } from '../../backend/backend.js';
import { LOG_SOFTMAX } from '../../backend/operators.js';
import { twinOf } from '../twin.js';
import { eachRow } from '../rows/row.js';
import { isPlain, writePlainLogs } from './log-plain.js';
import { LogRows } from './log-rows.js';

const logSoftmax: SoftmaxKernel<Float32Array | Float64Array> = (x, out, outer, cols, inner, ...rest) => {
  let rows: LogRows | undefined;
  const compute = (start: number): void => (rows ??= new LogRows(x, cols, inner, ...rest)).logSoftmax(out, start);
  if (isPlain(cols, rest[0], rest[1], rest[3])) writePlainLogs(x, out, { outer, cols, inner }, compute);
  else eachRow(outer, cols, inner, compute);
};

export const logSoftmaxKernels = /* @__PURE__ */ twinOf(LOG_SOFTMAX, logSoftmax, logSoftmax);
