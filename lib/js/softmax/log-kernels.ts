/** The kernels of the logarithmic operators. */
import type { BackendOf, CrossEntropyKernel, SoftmaxKernel } from '../../backend/backend.js';
import type { Positional } from '../../backend/operators.js';
import { halfKernels, narrow, ofElements, ofRows, widened, withFloatBias } from '../rows/half.js';
import { LogRows } from './log-rows.js';

type Floats = Float32Array | Float64Array;

const logSoftmax: SoftmaxKernel<Floats> = (x, out, outer, cols, inner, ...rest) =>
  new LogRows(x, cols, inner, ...rest).logSoftmax(out, outer);

const logSumExp: SoftmaxKernel<Floats, Float64Array> = (x, out, outer, cols, inner, ...rest) =>
  new LogRows(x, cols, inner, ...rest).logSumExp(out, outer);

const crossEntropy: CrossEntropyKernel<Floats> = (x, targets, loss, gradient, outer, cols, inner, ...rest) =>
  new LogRows(x, cols, inner, ...rest).crossEntropy(targets, loss, gradient, outer);

export const logSoftmaxKernels: BackendOf<'log_softmax'> = /* @__PURE__ */ (() => ({
  name: 'js',
  log_softmax_f32: logSoftmax,
  log_softmax_f64: logSoftmax,
  ...halfKernels('log_softmax', ofElements(logSoftmax)),
}))();

export const logSumExpKernels: BackendOf<'log_sum_exp'> = /* @__PURE__ */ (() => ({
  name: 'js',
  log_sum_exp_f32: logSumExp,
  log_sum_exp_f64: logSumExp,
  ...halfKernels('log_sum_exp', ofRows(logSumExp)),
}))();

export const crossEntropyKernels: BackendOf<'cross_entropy'> = /* @__PURE__ */ (() => ({
  name: 'js',
  cross_entropy_f32: crossEntropy,
  cross_entropy_f64: crossEntropy,
  ...halfKernels('cross_entropy', (half) => {
    const same: CrossEntropyKernel<Uint16Array> = (x, targets, loss, gradient, ...args) => {
      const y = widened(x, half);
      const rest = withFloatBias(args, half);
      (crossEntropy as Positional)(y, targets, loss, gradient && y, ...rest);
      if (gradient) narrow(y, gradient, half);
    };
    return { same };
  }),
}))();
