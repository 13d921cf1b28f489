/** The backend in JavaScript: it runs everywhere, computes in double, and gives the same bits on every machine. */
import type { Backend } from '../backend.js';
import { Logits_f32, Logits_f64, softmaxPlain_f32, softmaxPlain_f64 } from './logits.js';
import { expSum, normalize } from './partial.js';
import { HELD } from './row.js';

export const js: Backend = {
  name: 'js',
  softmax_f32(x, out, outer, cols, inner, temperature, mask, maskLayout, bias) {
    if (mask === null && bias === null && cols <= HELD) softmaxPlain_f32(x, out, outer, cols, inner, temperature);
    else new Logits_f32(x, cols, inner, temperature, mask, maskLayout, bias).softmax(out, outer);
  },
  softmax_f64(x, out, outer, cols, inner, temperature, mask, maskLayout, bias) {
    if (mask === null && bias === null && cols <= HELD) softmaxPlain_f64(x, out, outer, cols, inner, temperature);
    else new Logits_f64(x, cols, inner, temperature, mask, maskLayout, bias).softmax(out, outer);
  },
  exp_sum_f32(x, mantissa, exponent, outer, cols, inner, temperature, mask, maskLayout, bias) {
    expSum(new Logits_f32(x, cols, inner, temperature, mask, maskLayout, bias), mantissa, exponent, outer, cols, inner);
  },
  exp_sum_f64(x, mantissa, exponent, outer, cols, inner, temperature, mask, maskLayout, bias) {
    expSum(new Logits_f64(x, cols, inner, temperature, mask, maskLayout, bias), mantissa, exponent, outer, cols, inner);
  },
  normalize_f32(x, out, mantissa, exponent, outer, cols, inner, temperature, mask, maskLayout, bias) {
    normalize(new Logits_f32(x, cols, inner, temperature, mask, maskLayout, bias), out, mantissa, exponent, outer, cols, inner);
  },
  normalize_f64(x, out, mantissa, exponent, outer, cols, inner, temperature, mask, maskLayout, bias) {
    normalize(new Logits_f64(x, cols, inner, temperature, mask, maskLayout, bias), out, mantissa, exponent, outer, cols, inner);
  },
};
