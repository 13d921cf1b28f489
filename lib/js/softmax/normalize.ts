/** The kernels of normalize. */
import type { NormalizeKernel } from '../../backend/backend.js';
import { NORMALIZE } from '../../backend/operators.js';
import { twinOf } from '../twin.js';
import { normalize } from './partial.js';
import { PartialLogits_f32, PartialLogits_f64 } from './partial-logits.js';

const normalize_f32: NormalizeKernel<Float32Array> = (x, out, mantissa, exponent, outer, cols, inner, ...rest) =>
  normalize(new PartialLogits_f32(x, cols, inner, ...rest), out, mantissa, exponent, outer, cols, inner);

const normalize_f64: NormalizeKernel<Float64Array> = (x, out, mantissa, exponent, outer, cols, inner, ...rest) =>
  normalize(new PartialLogits_f64(x, cols, inner, ...rest), out, mantissa, exponent, outer, cols, inner);

export const normalizeKernels = /* @__PURE__ */ twinOf(NORMALIZE, normalize_f32, normalize_f64);
