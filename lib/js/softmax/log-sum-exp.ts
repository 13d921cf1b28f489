/** The kernels of logSumExp. */
import type { LogSumExpKernel } from '../../backend/backend.js';
import { LOG_SUM_EXP } from '../../backend/operators.js';
import { kindOf } from '../../call/arrays.js';
import { twinOf } from '../twin.js';
import { eachRow } from '../rows/row.js';
import { isPlain, plainLogSum } from './log-plain.js';
import { LogRows } from './log-rows.js';

const logSumExp: LogSumExpKernel<Float32Array | Float64Array> = (x, out, outer, cols, inner, ...rest) => {
  const isSingle = kindOf(x) === 'Float32Array';
  const tries = isPlain(cols, rest[0], rest[1], rest[3]);
  let rows: LogRows | undefined;
  eachRow(outer, cols, inner, (start, row) => {
    const sum = tries ? plainLogSum(x, start, inner, cols, isSingle) : NaN;
    out[row] = sum === sum ? sum : (rows ??= new LogRows(x, cols, inner, ...rest)).logSumExp(start);
  });
};

export const logSumExpKernels = /* @__PURE__ */ twinOf(LOG_SUM_EXP, logSumExp, logSumExp);
