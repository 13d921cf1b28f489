/** The kernels of logSoftmax. */
import type { SoftmaxKernel } from '../../backend/backend.js';
import { LOG_SOFTMAX } from '../../backend/operators.js';
import { kindOf } from '../../call/arrays.js';
import { twinOf } from '../twin.js';
import { eachRow } from '../rows/row.js';
import { isPlain, writePlainLogs } from './log-plain.js';
import { LogRows } from './log-rows.js';

const logSoftmax: SoftmaxKernel<Float32Array | Float64Array> = (x, out, outer, cols, inner, ...rest) => {
  const isSingle = kindOf(x) === 'Float32Array';
  const tries = isPlain(cols, rest[0], rest[1], rest[3]);
  let rows: LogRows | undefined;
  eachRow(outer, cols, inner, (start) => {
    if (tries && writePlainLogs(x, out, start, inner, cols, isSingle)) return;
    (rows ??= new LogRows(x, cols, inner, ...rest)).logSoftmax(out, start);
  });
};

export const logSoftmaxKernels = /* @__PURE__ */ twinOf(LOG_SOFTMAX, logSoftmax, logSoftmax);
