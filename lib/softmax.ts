/** softmax: logits to probabilities. */
import { types } from 'node:util';
import { axisCall, type AxisOptions, type FloatArray } from './arguments.js';
import { backendFor } from './backend/select.js';
import type { Call } from './call.js';

export type SoftmaxOptions<A extends FloatArray = FloatArray> = AxisOptions<A>;

/**
 * The probabilities that belong to logits, row by row:
 *
 *     y[i] = exp((x[i] + bias[i]) / temperature) / Σⱼ exp((x[j] + bias[j]) / temperature)
 *
 * The sum is kept as a mantissa and an exponent (the two-pass algorithm of Dukhan & Ablavatski, arXiv 2001.04438), so any
 * finite logits are fine, and results below the normal range are rounded like all others.
 *
 * A row with a NaN or +∞ is NaN throughout, as is one of nothing but −∞; −∞ beside other logits gives 0. Masked positions
 * give 0, also where no others are left. A larger logit never gets a smaller probability.
 *
 * @param x Logits, row-major: all of them one row, or rows as `cols` or `shape` and `axis` say. Not written, unless `out`.
 * @param options See {@link AxisOptions}: `cols`, `shape`, `axis`, `temperature`, `mask`, `maskFormat`, `bias`, `out`.
 * @returns `out`, or a new array of the type and length of `x`. An empty `x` gives an empty array.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a number that makes no sense, lengths that do not fit,
 *   `out` that overlaps `x` in part. Nothing was written then.
 */
export function softmax(x: Float32Array, options?: SoftmaxOptions<Float32Array>): Float32Array;
export function softmax(x: Float64Array, options?: SoftmaxOptions<Float64Array>): Float64Array;
export function softmax(x: FloatArray, options?: SoftmaxOptions): FloatArray {
  const { out, outer, cols, inner, temperature, mask, maskLayout, bias } = axisCall(x, options);
  if (out.length === 0) return out;
  const backend = backendFor(out.length);
  if (types.isFloat32Array(out)) {
    const added = bias as Float32Array | null;
    backend.softmax_f32(x as Float32Array, out, outer, cols, inner, temperature, mask, maskLayout, added);
  } else {
    const added = bias as Float64Array | null;
    backend.softmax_f64(x as Float64Array, out as Float64Array, outer, cols, inner, temperature, mask, maskLayout, added);
  }
  return out;
}

/** The same call, to be run later. */
export function softmaxCall(x: FloatArray, options: SoftmaxOptions | undefined, more: readonly string[]): Call<FloatArray> {
  const { out, isOutNew, outer, cols, inner, temperature, mask, maskLayout, bias } = axisCall(x, options, more);
  return {
    backend: backendFor(out.length),
    kernel: types.isFloat32Array(out) ? 'softmax_f32' : 'softmax_f64',
    args: [x, out, outer, cols, inner, temperature, mask, maskLayout, bias],
    theirs: { x: 0, mask: 6, bias: 8, ...(isOutNew ? undefined : { out: 1 }) },
    results: [1],
    inPlace: true,
    finish: () => out,
  };
}
