/** Operators. Made by scripts/operators.mjs from native/operators.def. Do not edit. */
import type { OperatorOf } from '../operator.js';

const SAME_OR_WIDER = ['f32', 'f64', 'f16', 'bf16', 'f16_f32', 'bf16_f32'];
const SAME = ['f32', 'f64', 'f16', 'bf16'];

export const SOFTMAX: OperatorOf<'softmax'> = {
  name: 'softmax', types: SAME_OR_WIDER, inPlace: ['out', 'x'], inputs: ['x', 'mask', 'bias'], outputs: ['out'],
  logits: ['x', 'bias'], results: ['out'],
  parameters: ['x', 'out', 'outer', 'cols', 'inner', 'temperature', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(a.x, a.out, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias),
};

export const LOG_SOFTMAX: OperatorOf<'log_softmax'> = {
  name: 'log_softmax', types: SAME_OR_WIDER, inPlace: ['out', 'x'], inputs: ['x', 'mask', 'bias'], outputs: ['out'],
  logits: ['x', 'bias'], results: ['out'],
  parameters: ['x', 'out', 'outer', 'cols', 'inner', 'temperature', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(a.x, a.out, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias),
};

export const LOG_SUM_EXP: OperatorOf<'log_sum_exp'> = {
  name: 'log_sum_exp', types: SAME, inPlace: null, inputs: ['x', 'mask', 'bias'], outputs: ['out'],
  logits: ['x', 'bias'], results: [],
  parameters: ['x', 'out', 'outer', 'cols', 'inner', 'temperature', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(a.x, a.out, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias),
};

export const CROSS_ENTROPY: OperatorOf<'cross_entropy'> = {
  name: 'cross_entropy', types: SAME, inPlace: ['gradient', 'x'], inputs: ['x', 'targets', 'mask', 'bias'],
  outputs: ['loss', 'gradient'], logits: ['x', 'gradient', 'bias'], results: [],
  parameters: [
    'x', 'targets', 'loss', 'gradient', 'outer', 'cols', 'inner', 'temperature', 'mask', 'maskLayout', 'bias',
  ],
  call: (kernel, a) => kernel(
    a.x, a.targets, a.loss, a.gradient, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias,
  ),
};

export const ROW_LOSS: OperatorOf<'row_loss'> = {
  name: 'row_loss', types: SAME, inPlace: ['gradient', 'x'],
  inputs: ['x', 'targets', 'soft', 'weight', 'given', 'mask', 'bias'], outputs: ['loss', 'gradient'],
  logits: ['x', 'soft', 'gradient', 'bias'], results: [],
  parameters: [
    'x', 'targets', 'soft', 'weight', 'given', 'loss', 'gradient', 'kind', 'parameter', 'smoothing', 'lsePenalty',
    'scale', 'outer', 'cols', 'inner', 'temperature', 'mask', 'maskLayout', 'bias',
  ],
  call: (kernel, a) => kernel(
    a.x, a.targets, a.soft, a.weight, a.given, a.loss, a.gradient, a.kind, a.parameter, a.smoothing, a.lsePenalty,
    a.scale, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias,
  ),
};

export const STABLE_MAX: OperatorOf<'stable_max'> = {
  name: 'stable_max', types: SAME_OR_WIDER, inPlace: ['out', 'x'], inputs: ['x', 'mask', 'bias'], outputs: ['out'],
  logits: ['x', 'bias'], results: ['out'],
  parameters: ['x', 'out', 'outer', 'cols', 'inner', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(a.x, a.out, a.outer, a.cols, a.inner, a.mask, a.maskLayout, a.bias),
};

export const LOG_STABLE_MAX: OperatorOf<'log_stable_max'> = {
  name: 'log_stable_max', types: SAME_OR_WIDER, inPlace: ['out', 'x'], inputs: ['x', 'mask', 'bias'],
  outputs: ['out'], logits: ['x', 'bias'], results: ['out'],
  parameters: ['x', 'out', 'outer', 'cols', 'inner', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(a.x, a.out, a.outer, a.cols, a.inner, a.mask, a.maskLayout, a.bias),
};

export const STABLE_MAX_LOSS: OperatorOf<'stable_max_loss'> = {
  name: 'stable_max_loss', types: SAME, inPlace: ['gradient', 'x'], inputs: ['x', 'targets', 'mask', 'bias'],
  outputs: ['loss', 'gradient'], logits: ['x', 'gradient', 'bias'], results: [],
  parameters: ['x', 'targets', 'loss', 'gradient', 'scale', 'outer', 'cols', 'inner', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(
    a.x, a.targets, a.loss, a.gradient, a.scale, a.outer, a.cols, a.inner, a.mask, a.maskLayout, a.bias,
  ),
};

export const TAYLOR_SOFTMAX: OperatorOf<'taylor_softmax'> = {
  name: 'taylor_softmax', types: SAME_OR_WIDER, inPlace: ['out', 'x'], inputs: ['x', 'mask', 'bias'],
  outputs: ['out'], logits: ['x', 'bias'], results: ['out'],
  parameters: ['x', 'out', 'order', 'outer', 'cols', 'inner', 'temperature', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(
    a.x, a.out, a.order, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias,
  ),
};

export const Z_LOSS: OperatorOf<'z_loss'> = {
  name: 'z_loss', types: SAME, inPlace: ['gradient', 'x'], inputs: ['x', 'targets', 'mask', 'bias'],
  outputs: ['loss', 'gradient'], logits: ['x', 'gradient', 'bias'], results: [],
  parameters: ['x', 'targets', 'loss', 'gradient', 'a', 'b', 'outer', 'cols', 'inner', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(
    a.x, a.targets, a.loss, a.gradient, a.a, a.b, a.outer, a.cols, a.inner, a.mask, a.maskLayout, a.bias,
  ),
};

export const SOFT_TOP_K: OperatorOf<'soft_top_k'> = {
  name: 'soft_top_k', types: SAME_OR_WIDER, inPlace: ['out', 'x'], inputs: ['x', 'mask', 'bias'],
  outputs: ['out', 'status'], logits: ['x', 'bias'], results: ['out'],
  parameters: ['x', 'out', 'status', 'k', 'alpha', 'outer', 'cols', 'inner', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(
    a.x, a.out, a.status, a.k, a.alpha, a.outer, a.cols, a.inner, a.mask, a.maskLayout, a.bias,
  ),
};

export const SOFT_TOP_K_BACKWARD: OperatorOf<'soft_top_k_backward'> = {
  name: 'soft_top_k_backward', types: SAME_OR_WIDER, inPlace: ['out', 'p'], inputs: ['p', 'dp'], outputs: ['out'],
  logits: ['p', 'dp'], results: ['out'],
  parameters: ['p', 'dp', 'out', 'alpha', 'outer', 'cols', 'inner'],
  call: (kernel, a) => kernel(a.p, a.dp, a.out, a.alpha, a.outer, a.cols, a.inner),
};

export const SAFE_STEP_RADIUS: OperatorOf<'safe_step_radius'> = {
  name: 'safe_step_radius', types: SAME, inPlace: null, inputs: ['x', 'mask', 'bias'], outputs: ['out'],
  logits: ['x', 'bias'], results: [],
  parameters: ['x', 'out', 'reach', 'outer', 'cols', 'inner', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(a.x, a.out, a.reach, a.outer, a.cols, a.inner, a.mask, a.maskLayout, a.bias),
};

export const SOFTMAX_BACKWARD: OperatorOf<'softmax_backward'> = {
  name: 'softmax_backward', types: SAME_OR_WIDER, inPlace: ['out', 'y'], inputs: ['y', 'dy', 'mask'],
  outputs: ['out'], logits: ['y', 'dy'], results: ['out'],
  parameters: ['y', 'dy', 'out', 'isLog', 'outer', 'cols', 'inner', 'temperature', 'mask', 'maskLayout'],
  call: (kernel, a) => kernel(
    a.y, a.dy, a.out, a.isLog, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout,
  ),
};

export const EXP_SUM: OperatorOf<'exp_sum'> = {
  name: 'exp_sum', types: SAME, inPlace: null, inputs: ['x', 'mask', 'bias'], outputs: ['mantissa', 'exponent'],
  logits: ['x', 'bias'], results: [],
  parameters: ['x', 'mantissa', 'exponent', 'outer', 'cols', 'inner', 'temperature', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(
    a.x, a.mantissa, a.exponent, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias,
  ),
};

export const NORMALIZE: OperatorOf<'normalize'> = {
  name: 'normalize', types: SAME_OR_WIDER, inPlace: ['out', 'x'],
  inputs: ['x', 'mantissa', 'exponent', 'mask', 'bias'], outputs: ['out'], logits: ['x', 'bias'], results: ['out'],
  parameters: [
    'x', 'out', 'mantissa', 'exponent', 'outer', 'cols', 'inner', 'temperature', 'mask', 'maskLayout', 'bias',
  ],
  call: (kernel, a) => kernel(
    a.x, a.out, a.mantissa, a.exponent, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias,
  ),
};
