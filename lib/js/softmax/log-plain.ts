/**
 * The logarithmic operators on rows of at most HELD_LENGTH logits without mask and bias, at temperature 1: the steps of
 * log-rows.ts without its objects, which take longer than a row of ten. The bits are the same.
 */
import { kindOf } from '../../call/arrays.js';
import { log1pRounded, lowOfLog } from '../../math/log.js';
import { reduction } from '../rows/exponentials.js';
import { cells, load_f32, load_f64, store_f32, total } from '../rows/logits.js';
import { HELD_LENGTH } from '../rows/row.js';
import { copy_f64, plainLogs, sumPlain, toGradient } from './log-rows.js';
import { logOf, RAISE } from './log-steps.js';

type Floats = Float32Array | Float64Array;

const constants = /* @__PURE__ */ reduction(1, 1);
/** log(1 + S) of the measured row, as a high and a low part. */
export const log = /* @__PURE__ */ new Float64Array(2);

/** S of the measured row, and S · RAISE. */
export const others = /* @__PURE__ */ new Float64Array(2);

/** Whether the rows of a call are of this kind. */
export const isPlain = (cols: number, temperature: number, mask: unknown, bias: unknown): boolean =>
  mask === null && bias === null && temperature === 1 && cols <= HELD_LENGTH;

/** Rows along the middle axis of [outer, cols, inner]. */
interface Shape {
  readonly outer: number;
  readonly cols: number;
  readonly inner: number;
}

/** Copies a row to `cells`, or its weights, and finds `log`. Returns its largest logit; NaN: log-rows.ts must do it. */
export function measure(
  x: Floats,
  start: number,
  inner: number,
  cols: number,
  isSingle: boolean,
  keepsWeights: boolean,
): number {
  const max = isSingle
    ? load_f32(x as Float32Array, start, inner, cols)
    : load_f64(x as Float64Array, start, inner, cols, 1);
  if (!(Math.abs(max) < Infinity)) return NaN;
  const tops = sumPlain(cols, max, keepsWeights, total);
  const high = total[0]!;
  const low = total[1]!;
  if (high + low !== high + low) return NaN;
  // TwoSum twice: the others and what rounding took from them.
  const [first, second] = [tops - 1, high / RAISE];
  const leading = first + second;
  const ofSecond = leading - first;
  const lost = first - (leading - ofSecond) + (second - ofSecond) + low / RAISE;
  const sum = leading + lost;
  const ofLost = sum - leading;
  log[0] = log1pRounded(sum, leading - (sum - ofLost) + (lost - ofLost));
  log[1] = lowOfLog[0]!;
  others[0] = sum;
  others[1] = tops === 1 ? high + low : sum * RAISE;
  return max;
}

/** Writes the logSumExp of all rows. Calls `compute` for each row that log-rows.ts must compute. */
export function writePlainSums(
  x: Floats,
  out: Float64Array,
  { outer, cols, inner }: Shape,
  compute: (start: number, row: number) => void,
): void {
  const isSingle = kindOf(x) === 'Float32Array';
  for (let o = 0, row = 0; o < outer; o++) {
    for (let start = o * cols * inner, end = start + inner; start < end; start++, row++) {
      const max = measure(x, start, inner, cols, isSingle, false);
      const high = log[0]!;
      const sum = max + high;
      const ofHigh = sum - max;
      if (max === max) out[row] = sum + (max - (sum - ofHigh) + (high - ofHigh) + log[1]!);
      else compute(start, row);
    }
  }
}

/** Writes the logSoftmax of all rows. Calls `compute` for each row that log-rows.ts must compute. */
export function writePlainLogs(
  x: Floats,
  out: Floats,
  { outer, cols, inner }: Shape,
  compute: (start: number) => void,
): void {
  const isSingle = kindOf(x) === 'Float32Array';
  for (let o = 0; o < outer; o++) {
    for (let start = o * cols * inner, end = start + inner; start < end; start++) {
      const max = measure(x, start, inner, cols, isSingle, false);
      if (max !== max) {
        compute(start);
        continue;
      }
      plainLogs(cols, max, log[0]!, log[1]!);
      if (isSingle) store_f32(out as Float32Array, start, inner, cols, 1);
      else copy_f64(out as Float64Array, start, inner, cols);
    }
  }
}

/** Writes −logSoftmax of the target of all rows. Calls `compute` for each row that log-rows.ts must compute. */
export function writePlainLosses(
  x: Floats,
  targets: Int32Array,
  loss: Float64Array,
  { outer, cols, inner }: Shape,
  compute: (start: number, row: number) => void,
): void {
  const isSingle = kindOf(x) === 'Float32Array';
  for (let o = 0, row = 0; o < outer; o++) {
    for (let start = o * cols * inner, end = start + inner; start < end; start++, row++) {
      const target = targets[row]!;
      const max = target < 0 ? NaN : measure(x, start, inner, cols, isSingle, false);
      if (max === max) loss[row] = -logOf(x[start + target * inner]!, 0, max, 0, log[0]!, log[1]!, constants);
      else compute(start, row);
    }
  }
}

/** {@link writePlainLosses}, and the gradient of each row. */
export function writePlainGradients(
  x: Floats,
  targets: Int32Array,
  loss: Float64Array,
  gradient: Floats,
  { outer, cols, inner }: Shape,
  compute: (start: number, row: number) => void,
): void {
  const isSingle = kindOf(x) === 'Float32Array';
  for (let o = 0, row = 0; o < outer; o++) {
    for (let start = o * cols * inner, end = start + inner; start < end; start++, row++) {
      const target = targets[row]!;
      const max = target < 0 ? NaN : measure(x, start, inner, cols, isSingle, true);
      if (max !== max) {
        compute(start, row);
        continue;
      }
      const logit = x[start + target * inner]!;
      loss[row] = -logOf(logit, 0, max, 0, log[0]!, log[1]!, constants);
      const whole = 1 + others[0]!;
      const raised = others[1]!;
      cells[target] = logit === max ? -raised : -(raised + (RAISE - cells[target]!));
      if (isSingle) store_f32(gradient as Float32Array, start, inner, cols, whole * RAISE);
      else {
        toGradient(cols, whole, 1);
        copy_f64(gradient as Float64Array, start, inner, cols);
      }
    }
  }
}
