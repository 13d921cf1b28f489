/** The kernels of logSumExp. */
import type { LogSumExpKernel } from '../../backend/backend.js';
import { LOG_SUM_EXP } from '../../backend/operators.js';
import { twinOf } from '../twin.js';
import { eachRow } from '../rows/row.js';
import { isPlain, writePlainSums } from './log-plain.js';
import { LogRows } from './log-rows.js';

const logSumExp: LogSumExpKernel<Float32Array | Float64Array> = (x, out, outer, cols, inner, ...rest) => {
  let rows: LogRows | undefined;
  const compute = (start: number, row: number): void => {
    out[row] = (rows ??= new LogRows(x, cols, inner, ...rest)).logSumExp(start);
  };
  if (isPlain(cols, rest[0], rest[1], rest[3])) writePlainSums(x, out, { outer, cols, inner }, compute);
  else eachRow(outer, cols, inner, compute);
};

export const logSumExpKernels = /* @__PURE__ */ twinOf(LOG_SUM_EXP, logSumExp, logSumExp);
