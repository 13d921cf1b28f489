/**
 * What a backend is: kernels under the names that native/kernels.def gives them. The native instruction sets and the
 * JavaScript fallback all look like this, so nothing above this line knows which of them runs.
 */

/** Best first: the order in which a backend is chosen. */
export const BACKEND_NAMES = ['avx512', 'avx2', 'neon', 'scalar', 'js'] as const;

export type BackendName = (typeof BACKEND_NAMES)[number];

/** How a kernel reads its `mask`; bits are counted from the least significant one of each byte. */
export const MASK_NONE = 0;
export const MASK_BYTES = 1;
export const MASK_ROW_BYTES = 2;
export const MASK_BITS = 3;
export const MASK_ROW_BITS = 4;

/**
 * Softmax over the middle axis of x, which is [outer, cols, inner] in row-major order:
 *
 *     out[o, c, i] = exp(z[c]) / Σⱼ exp(z[j])        z[c] = (x[o, c, i] + bias[…]) / temperature
 *
 * A kernel checks nothing; lib/arguments.ts did.
 *
 * - `out` has the length of x, and is x itself or shares no memory with it.
 * - `temperature` is finite and > 0.
 * - `mask` holds nonzero where a position counts, at every element (MASK_BYTES, MASK_BITS) or for one row that all rows
 *   share (MASK_ROW_BYTES, MASK_ROW_BITS, `cols` long). It is null with MASK_NONE.
 * - `bias` is as long as x, or `cols` long and shared by all rows, or null.
 */
export type SoftmaxKernel<A> = (
  x: A,
  out: A,
  outer: number,
  cols: number,
  inner: number,
  temperature: number,
  mask: Uint8Array | null,
  maskLayout: number,
  bias: A | null,
) => void;

/**
 * The sum of exp(z[c]) over each row, mantissa · 2^exponent, the mantissa in [1, 2) (lib/extended.ts): [outer, inner] of them.
 * The exponent is NO_EXPONENT where it does not fit 32 bits. A sum that nothing adds to stays as it is: 0 in a new array.
 */
export type ExpSumKernel<A> = (
  x: A,
  mantissa: Float64Array,
  exponent: Int32Array,
  outer: number,
  cols: number,
  inner: number,
  temperature: number,
  mask: Uint8Array | null,
  maskLayout: number,
  bias: A | null,
) => void;

export const NO_EXPONENT = -(2 ** 31);

/** out[o, c, i] = exp(z[c]) / sum[o, i], for sums that are given. */
export type NormalizeKernel<A> = (
  x: A,
  out: A,
  mantissa: Float64Array,
  exponent: Int32Array,
  outer: number,
  cols: number,
  inner: number,
  temperature: number,
  mask: Uint8Array | null,
  maskLayout: number,
  bias: A | null,
) => void;

export interface Kernels {
  readonly softmax_f32: SoftmaxKernel<Float32Array>;
  readonly softmax_f64: SoftmaxKernel<Float64Array>;
  readonly exp_sum_f32: ExpSumKernel<Float32Array>;
  readonly exp_sum_f64: ExpSumKernel<Float64Array>;
  readonly normalize_f32: NormalizeKernel<Float32Array>;
  readonly normalize_f64: NormalizeKernel<Float64Array>;
}

export interface Backend extends Kernels {
  readonly name: BackendName;
}
