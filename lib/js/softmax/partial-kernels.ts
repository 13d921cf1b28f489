/** The kernels of partial sums: expSum and normalize. */
import type { BackendOf, ExpSumKernel, NormalizeKernel } from '../../backend/backend.js';
import { halfKernels, ofElements, ofRows } from '../rows/half.js';
import { Logits_f32 } from '../rows/logits.js';
import { Logits_f64 } from '../rows/logits-f64.js';
import { expSum, normalize } from './partial.js';

const expSum_f32: ExpSumKernel<Float32Array> = (x, mantissa, exponent, outer, cols, inner, ...rest) =>
  expSum(new Logits_f32(x, cols, inner, ...rest), mantissa, exponent, outer, cols, inner);

const expSum_f64: ExpSumKernel<Float64Array> = (x, mantissa, exponent, outer, cols, inner, ...rest) =>
  expSum(new Logits_f64(x, cols, inner, ...rest), mantissa, exponent, outer, cols, inner);

const normalize_f32: NormalizeKernel<Float32Array> = (x, out, mantissa, exponent, outer, cols, inner, ...rest) =>
  normalize(new Logits_f32(x, cols, inner, ...rest), out, mantissa, exponent, outer, cols, inner);

const normalize_f64: NormalizeKernel<Float64Array> = (x, out, mantissa, exponent, outer, cols, inner, ...rest) =>
  normalize(new Logits_f64(x, cols, inner, ...rest), out, mantissa, exponent, outer, cols, inner);

export const expSumKernels: BackendOf<'exp_sum'> = /* @__PURE__ */ (() => ({
  name: 'js',
  exp_sum_f32: expSum_f32,
  exp_sum_f64: expSum_f64,
  ...halfKernels('exp_sum', ofRows(expSum_f32)),
}))();

export const normalizeKernels: BackendOf<'normalize'> = /* @__PURE__ */ (() => ({
  name: 'js',
  normalize_f32,
  normalize_f64,
  ...halfKernels('normalize', ofElements(normalize_f32)),
}))();
