/** The kernels of softmaxBackward. */
import type { BackendOf, BackwardKernel } from '../../backend/backend.js';
import { softmaxBackward } from './backward.js';
import { halfKernels, narrow, widened } from '../rows/half.js';

export const backwardKernels: BackendOf<'softmax_backward'> = /* @__PURE__ */ (() => ({
  name: 'js',
  softmax_backward_f32: softmaxBackward,
  softmax_backward_f64: softmaxBackward,
  ...halfKernels('softmax_backward', (half) => {
    const same: BackwardKernel<Uint16Array> = (y, dy, out, ...rest) => {
      const x = widened(y, half);
      softmaxBackward(x, widened(dy, half), x, ...rest);
      narrow(x, out, half);
    };
    const wide: BackwardKernel<Uint16Array, Float32Array> = (y, dy, out, ...rest) =>
      softmaxBackward(widened(y, half), widened(dy, half), out, ...rest);
    return { same, wide };
  }),
}))();
