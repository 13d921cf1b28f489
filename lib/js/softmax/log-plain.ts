/**
 * The logarithmic operators on rows of at most HELD_LENGTH logits without mask and bias, at temperature 1: the steps of
 * log-rows.ts without its objects, which take longer than a row of ten. The bits are the same.
 */
import { log1p, twoSum } from '../../math/log.js';
import { reduction } from '../rows/exponentials.js';
import { load_f32, load_f64, store_f32, total } from '../rows/logits.js';
import { HELD_LENGTH } from '../rows/row.js';
import { copy_f64, sumOthers, toLogs } from './log-rows.js';
import { logOf, RAISE } from './log-steps.js';

type Floats = Float32Array | Float64Array;

const constants = /* @__PURE__ */ reduction(1, 1);
/** log(1 + S) of the measured row, as a high and a low part. */
const log = /* @__PURE__ */ new Float64Array(2);

/** Whether the rows of a call are of this kind. */
export const isPlain = (cols: number, temperature: number, mask: unknown, bias: unknown): boolean =>
  mask === null && bias === null && temperature === 1 && cols <= HELD_LENGTH;

/** Copies a row to `cells`, and finds its `log`. Returns its largest logit; NaN if log-rows.ts must compute the row. */
function measure(x: Floats, start: number, inner: number, cols: number, isSingle: boolean): number {
  const max = isSingle
    ? load_f32(x as Float32Array, start, inner, cols)
    : load_f64(x as Float64Array, start, inner, cols, 1);
  if (!(Math.abs(max) < Infinity)) return NaN;
  total[0] = total[1] = 0;
  const tops = sumOthers(cols, max, constants, false, total);
  const high = total[0];
  const low = total[1];
  if (high + low !== high + low) return NaN;
  const [others, lost] = twoSum(tops - 1, high / RAISE);
  const [sum, rest] = twoSum(others, lost + low / RAISE);
  const [upper, lower] = log1p(sum, rest);
  log[0] = upper;
  log[1] = lower;
  return max;
}

/** Returns the logSumExp of a row, or NaN if log-rows.ts must compute it. */
export function plainLogSum(x: Floats, start: number, inner: number, cols: number, isSingle: boolean): number {
  const max = measure(x, start, inner, cols, isSingle);
  const [sum, lost] = twoSum(max, log[0]!);
  return sum + (lost + log[1]!);
}

/** Writes the logSoftmax of a row. Returns false, and has written nothing, if log-rows.ts must compute it. */
export function writePlainLogs(x: Floats, out: Floats, start: number, inner: number, cols: number, isSingle: boolean) {
  const max = measure(x, start, inner, cols, isSingle);
  if (max !== max) return false;
  toLogs(cols, max, log[0]!, log[1]!, constants, isSingle);
  if (isSingle) store_f32(out as Float32Array, start, inner, cols, 1);
  else copy_f64(out as Float64Array, start, inner, cols);
  return true;
}

/** Returns −logSoftmax of element `at` of a row, or NaN if log-rows.ts must compute it. */
export function plainLoss(x: Floats, at: number, start: number, inner: number, cols: number, isSingle: boolean) {
  const max = measure(x, start, inner, cols, isSingle);
  return max === max ? -logOf(x[at]!, 0, max, 0, log[0]!, log[1]!, constants) : NaN;
}
