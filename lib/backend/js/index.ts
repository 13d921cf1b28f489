/** The backend in JavaScript: it runs everywhere, computes in double, and gives the same bits on every machine. */
import type { Backend, BackwardKernel, CrossEntropyKernel, FloatKernels, SoftmaxKernel } from '../backend.js';
import { attentionKernels } from './attention.js';
import { softmaxBackward } from './backward.js';
import { bfloat16, float16, halfKernels } from './half.js';
import { appendKernels } from './kv-append.js';
import { LogRows } from './log-rows.js';
import { Logits_f32 } from './logits.js';
import { Logits_f64 } from './logits-f64.js';
import { expSum, normalize } from './partial.js';
import { HELD } from './row.js';
import { samplingKernels } from './sampling.js';
import { softmaxPlain_f32, softmaxPlain_f64 } from './softmax-plain.js';

type Floats = Float32Array | Float64Array;

const logSoftmax: SoftmaxKernel<Floats> = (x, out, outer, cols, inner, ...rest) => new LogRows(x, cols, inner, ...rest).logSoftmax(out, outer);
const logSumExp: SoftmaxKernel<Floats, Float64Array> = (x, out, outer, cols, inner, ...rest) => new LogRows(x, cols, inner, ...rest).logSumExp(out, outer);
const crossEntropy: CrossEntropyKernel<Floats> = (x, targets, loss, gradient, outer, cols, inner, ...rest) =>
  new LogRows(x, cols, inner, ...rest).crossEntropy(targets, loss, gradient, outer);
const backward: BackwardKernel<Floats> = softmaxBackward;

const floats: FloatKernels = {
  softmax_f32(x, out, outer, cols, inner, temperature, mask, maskLayout, bias) {
    if (mask === null && bias === null && cols <= HELD) softmaxPlain_f32(x, out, outer, cols, inner, temperature);
    else new Logits_f32(x, cols, inner, temperature, mask, maskLayout, bias).softmax(out, outer);
  },
  softmax_f64(x, out, outer, cols, inner, temperature, mask, maskLayout, bias) {
    if (mask === null && bias === null && cols <= HELD) softmaxPlain_f64(x, out, outer, cols, inner, temperature);
    else new Logits_f64(x, cols, inner, temperature, mask, maskLayout, bias).softmax(out, outer);
  },
  log_softmax_f32: logSoftmax,
  log_softmax_f64: logSoftmax,
  log_sum_exp_f32: logSumExp,
  log_sum_exp_f64: logSumExp,
  cross_entropy_f32: crossEntropy,
  cross_entropy_f64: crossEntropy,
  softmax_backward_f32: backward,
  softmax_backward_f64: backward,
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

export const js: Backend = { name: 'js', ...floats, ...attentionKernels, ...appendKernels, ...halfKernels('f16', float16, floats), ...halfKernels('bf16', bfloat16, floats), ...samplingKernels };
