/** The kernels of softmax. */
import type { BackendOf, SoftmaxKernel } from '../../backend/backend.js';
import { SOFTMAX } from '../../backend/operators.js';
import { kindOf } from '../../call/arrays.js';
import { Logits_f32 } from '../rows/logits.js';
import { Logits_f64 } from '../rows/logits-f64.js';
import { HELD_LENGTH, LONGEST_HELD } from '../rows/row.js';
import { twinOf } from '../twin.js';
import { softmaxPlain_f32, softmaxPlain_f64, softmaxPlain_half } from './softmax-plain.js';

const softmax_f32: SoftmaxKernel<Float32Array> = (x, out, outer, cols, inner, temperature, mask, maskLayout, bias) => {
  if (mask === null && bias === null && cols <= LONGEST_HELD) softmaxPlain_f32(x, out, outer, cols, inner, temperature);
  else new Logits_f32(x, cols, inner, temperature, mask, maskLayout, bias).softmax(out, outer);
};

const softmax_f64: SoftmaxKernel<Float64Array> = (x, out, outer, cols, inner, temperature, mask, maskLayout, bias) => {
  if (mask === null && bias === null && cols <= HELD_LENGTH) softmaxPlain_f64(x, out, outer, cols, inner, temperature);
  else new Logits_f64(x, cols, inner, temperature, mask, maskLayout, bias).softmax(out, outer);
};

/** Halves of plain rows are read and written by the kernel: two copies of floats take as long as the rest. */
function softmaxKernelsOf(): BackendOf<'softmax'> {
  const all = twinOf(SOFTMAX, softmax_f32, softmax_f64);
  const kernelOf =
    (general: SoftmaxKernel<Uint16Array>, isBfloat16: boolean): SoftmaxKernel<Uint16Array> =>
    (x, out, outer, cols, inner, temperature, ...rest) => {
      const isPlain = rest[0] === null && rest[2] === null && cols <= LONGEST_HELD;
      if (isPlain && kindOf(out) === 'Uint16Array')
        softmaxPlain_half(x, out, outer, cols, inner, temperature, isBfloat16);
      else general(x, out, outer, cols, inner, temperature, ...rest);
    };
  return {
    ...all,
    softmax_f16: kernelOf(all.softmax_f16, false),
    softmax_bf16: kernelOf(all.softmax_bf16, true),
  };
}

export const softmaxKernels = /* @__PURE__ */ softmaxKernelsOf();
