/** The kernels of partial sums: expSum and normalize. */
import type { BackendOf, ExpSumKernel, NormalizeKernel } from '../backend.js';
import { halfKernels, narrow, widened, widenedBias } from './half.js';
import { Logits_f32 } from './logits.js';
import { Logits_f64 } from './logits-f64.js';
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
  ...halfKernels('exp_sum', (half) => {
    const same: ExpSumKernel<Uint16Array> = (
      x,
      mantissa,
      exponent,
      outer,
      cols,
      inner,
      temperature,
      mask,
      layout,
      bias,
    ) =>
      expSum_f32(
        widened(x, half),
        mantissa,
        exponent,
        outer,
        cols,
        inner,
        temperature,
        mask,
        layout,
        widenedBias(bias, half),
      );
    return { same };
  }),
}))();

export const normalizeKernels: BackendOf<'normalize'> = /* @__PURE__ */ (() => ({
  name: 'js',
  normalize_f32,
  normalize_f64,
  ...halfKernels('normalize', (half) => {
    const wide: NormalizeKernel<Uint16Array, Float32Array> = (
      x,
      out,
      mantissa,
      exponent,
      outer,
      cols,
      inner,
      ...rest
    ) => {
      const [temperature, mask, layout, bias] = rest;
      const b = widenedBias(bias, half);
      normalize_f32(widened(x, half), out, mantissa, exponent, outer, cols, inner, temperature, mask, layout, b);
    };
    const same: NormalizeKernel<Uint16Array> = (x, out, mantissa, exponent, outer, cols, inner, ...rest) => {
      const [temperature, mask, layout, bias] = rest;
      const y = widened(x, half);
      const b = widenedBias(bias, half);
      normalize_f32(y, y, mantissa, exponent, outer, cols, inner, temperature, mask, layout, b);
      narrow(y, out, half);
    };
    return { same, wide };
  }),
}))();
