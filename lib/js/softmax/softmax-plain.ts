/**
 * Softmax of rows of at most HELD_LENGTH logits without mask and bias: the steps of logits.ts without its objects, as
 * their methods take as long as a row of ten.
 */
import { reduction, stepAt } from '../rows/exponentials.js';
import { addWeights } from '../rows/logits-f64.js';
import { fill, load_f32, load_f64, store_f32, store_f64, total, weigh_f32 } from '../rows/logits.js';

export function softmaxPlain_f32(
  x: Float32Array,
  out: Float32Array,
  outer: number,
  cols: number,
  inner: number,
  temperature: number,
): void {
  const step = stepAt(temperature);
  for (let o = 0; o < outer; o++) {
    for (let start = o * cols * inner, end = start + inner; start < end; start++) {
      const max = load_f32(x, start, inner, cols);
      const sum = weigh_f32(cols, max, step);
      if (sum === sum) store_f32(out, start, inner, cols, sum);
      else fill(out, start, inner, cols, NaN);
    }
  }
}

export function softmaxPlain_f64(
  x: Float64Array,
  out: Float64Array,
  outer: number,
  cols: number,
  inner: number,
  temperature: number,
): void {
  const constants = reduction(temperature, 1);
  for (let o = 0; o < outer; o++) {
    for (let start = o * cols * inner, end = start + inner; start < end; start++) {
      const max = load_f64(x, start, inner, cols, constants.before);
      total[0] = total[1] = 0;
      addWeights(cols, max, 0, constants, false);
      if (total[0] === total[0]) store_f64(out, start, inner, cols, total[0], total[1]);
      else fill(out, start, inner, cols, NaN);
    }
  }
}
