/** The kernels of expSum. */
import type { ExpSumKernel } from '../../backend/backend.js';
import { EXP_SUM } from '../../backend/operators.js';
import { twinOf } from '../twin.js';
import { expSum } from './partial.js';
import { PartialLogits_f32, PartialLogits_f64 } from './partial-logits.js';

const expSum_f32: ExpSumKernel<Float32Array> = (x, mantissa, exponent, outer, cols, inner, ...rest) =>
  expSum(new PartialLogits_f32(x, cols, inner, ...rest), mantissa, exponent, outer, cols, inner);

const expSum_f64: ExpSumKernel<Float64Array> = (x, mantissa, exponent, outer, cols, inner, ...rest) =>
  expSum(new PartialLogits_f64(x, cols, inner, ...rest), mantissa, exponent, outer, cols, inner);

export const expSumKernels = /* @__PURE__ */ twinOf(EXP_SUM, expSum_f32, expSum_f64);
