/** The kernels of softmax. */
import type { SoftmaxKernel } from '../../backend/backend.js';
import { SOFTMAX } from '../../backend/operators.js';
import { Logits_f32 } from '../rows/logits.js';
import { Logits_f64 } from '../rows/logits-f64.js';
import { HELD_LENGTH } from '../rows/row.js';
import { twinOf } from '../twin.js';
import { softmaxPlain_f32, softmaxPlain_f64 } from './softmax-plain.js';

const softmax_f32: SoftmaxKernel<Float32Array> = (x, out, outer, cols, inner, temperature, mask, maskLayout, bias) => {
  if (mask === null && bias === null && cols <= HELD_LENGTH) softmaxPlain_f32(x, out, outer, cols, inner, temperature);
  else new Logits_f32(x, cols, inner, temperature, mask, maskLayout, bias).softmax(out, outer);
};

const softmax_f64: SoftmaxKernel<Float64Array> = (x, out, outer, cols, inner, temperature, mask, maskLayout, bias) => {
  if (mask === null && bias === null && cols <= HELD_LENGTH) softmaxPlain_f64(x, out, outer, cols, inner, temperature);
  else new Logits_f64(x, cols, inner, temperature, mask, maskLayout, bias).softmax(out, outer);
};

export const softmaxKernels = /* @__PURE__ */ twinOf(SOFTMAX, softmax_f32, softmax_f64);
