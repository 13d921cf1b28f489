/**
 * Softmax of rows of at most HELD_LENGTH logits without mask and bias: the steps of logits.ts without its objects, as
 * their methods take as long as a row of ten.
 */
import { reduction, stepAt } from '../rows/exponentials.js';
import { addWeights } from '../rows/logits-f64.js';
import { floatsAt, narrowerTo, valuesOf, wordsOf } from '../rows/half.js';
import { fill, load_f32, load_f64, load_half, store_f32, store_f64, total, weigh_f32 } from '../rows/logits.js';

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

/** Rounds to float32 first, and then to a half. */
export function softmaxPlain_half(
  x: Uint16Array,
  out: Uint16Array,
  outer: number,
  cols: number,
  inner: number,
  temperature: number,
  isBfloat16: boolean,
): void {
  const step = stepAt(temperature);
  const values = valuesOf(isBfloat16);
  const narrowTo = narrowerTo(isBfloat16);
  const floats = floatsAt(0, cols);
  const words = wordsOf(floats);
  for (let o = 0; o < outer; o++) {
    for (let start = o * cols * inner, end = start + inner; start < end; start++) {
      const max = load_half(x, values, start, inner, cols);
      const sum = weigh_f32(cols, max, step);
      if (sum === sum) {
        store_f32(floats, 0, 1, cols, sum);
        narrowTo(words, cols, out, start, inner);
      } else fill(out, start, inner, cols, isBfloat16 ? 0x7fc0 : 0x7e00);
    }
  }
}
