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
 * A kernel checks nothing; lib/call/arguments.ts did.
 *
 * - `out` has the length of x, and is x itself or shares no memory with it.
 * - `temperature` is finite and > 0.
 * - `mask` holds nonzero where a position counts, at every element (MASK_BYTES, MASK_BITS) or for one row that all rows
 *   share (MASK_ROW_BYTES, MASK_ROW_BITS, `cols` long). It is null with MASK_NONE.
 * - `bias` is as long as x, or `cols` long and shared by all rows, or null.
 */
export type SoftmaxKernel<A, Out = A> = (
  x: A,
  out: Out,
  outer: number,
  cols: number,
  inner: number,
  temperature: number,
  mask: Uint8Array | null,
  maskLayout: number,
  bias: A | null,
) => void;

/**
 * crossEntropy: the loss of each row, and its gradient by x unless that is null; `targets` has a position for each row,
 * −1 where the row does not count. `gradient` may be x itself.
 */
export type CrossEntropyKernel<A> = (
  x: A,
  targets: Int32Array,
  loss: Float64Array,
  gradient: A | null,
  outer: number,
  cols: number,
  inner: number,
  temperature: number,
  mask: Uint8Array | null,
  maskLayout: number,
  bias: A | null,
) => void;

/**
 * The sum of exp(z[c]) over each row, mantissa · 2^exponent, the mantissa in [1, 2) (lib/math/extended.ts): [outer, inner] of them.
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
export type NormalizeKernel<A, Out = A> = (
  x: A,
  out: Out,
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

/** softmaxBackward: y · (dy − Σ y · dy) / temperature. `out` may be y or dy itself. */
export type BackwardKernel<A, Out = A> = (
  y: A,
  dy: A,
  out: Out,
  outer: number,
  cols: number,
  inner: number,
  temperature: number,
  mask: Uint8Array | null,
  maskLayout: number,
) => void;

/**
 * The numbers of an attention call, in the order in which kernels take them (a Float64Array): sizes; flags; what is done to
 * scores (0 where nothing is); and how far apart entries of mask and bias are from one sequence, head and query to the next.
 */
export const ATTENTION_SHAPE = [
  'batch', 'heads', 'kvHeads', 'queries', 'keys', 'headDim', 'valueDim', 'pageSize', 'positionsFirst', 'causal',
  'window', 'scale', 'softcap', 'maskBatch', 'maskHead', 'maskQuery', 'biasBatch', 'biasHead', 'biasQuery',
] as const;

export type AttentionShape = Readonly<Record<(typeof ATTENTION_SHAPE)[number], number>>;

/**
 * Where results go: either `out` (and lse, if not null), or the three of a state (lib/attention/partial.ts), the
 * others being null. `lse` is [batch, heads, queries]; rows of the others lie as the layout says.
 */
type AttentionResults = [
  out: Float32Array | null, lse: Float64Array | null, sums: Float64Array | null, mantissa: Float64Array | null, exponent: Int32Array | null,
];

/**
 * Attention over keys and values in two arrays. `spans`: for each sequence the position of its first key, and how many
 * positions there are in all; null: 0, and the number of keys. `slopes` (ALiBi) and `sinks` have an entry for each head.
 */
export type AttentionKernel = (
  shape: Float64Array, spans: Float64Array | null, q: Float32Array, k: Float32Array, v: Float32Array,
  slopes: Float32Array | null, sinks: Float32Array | null, mask: Uint8Array | null, bias: Float32Array | null, ...results: AttentionResults
) => void;

/**
 * The same over the pages of a cache. An entry of `table` is a page, the slab in its upper six bits and the place there in
 * the others; the pages of the sequences follow one another in it, as many for each as its entry of `lengths` needs. A slab
 * holds, head after head, that head's share of all its pages: tiles of 16 keys, the keys as [headDim, 16], then the values
 * as [16, width], with `width` the next multiple of 16 from valueDim on and 0 in what is too much. `scales` (int8, else
 * empty) hold for each tile, in the same order, 16 scales of keys and 16 of values.
 */
export type CachedAttentionKernel<A> = (
  shape: Float64Array, spans: Float64Array | null, q: Float32Array, slabs: readonly A[], scales: readonly Float32Array[],
  table: Uint32Array, lengths: Int32Array, slopes: Float32Array | null, sinks: Float32Array | null, mask: Uint8Array | null, bias: Float32Array | null,
  ...results: AttentionResults
) => void;

/** Writes `keys` tokens into the pages of a sequence, from token `from` on. */
export type AppendKernel<A> = (
  shape: Float64Array, k: Float32Array, v: Float32Array, slabs: readonly A[], scales: readonly Float32Array[], table: Uint32Array, from: number,
) => void;

type OfCache<Name extends string, A> = {
  readonly [K in `attention_cached_${Name}`]: CachedAttentionKernel<A>;
} & { readonly [K in `kv_append_${Name}`]: AppendKernel<A> };

/** argmax: the index of the first of the largest logits of each row; NO_INDEX for a row with a NaN. */
export type ArgmaxKernel<A> = (x: A, indices: Uint32Array, rows: number, cols: number) => void;

export const NO_INDEX = 2 ** 32 - 1;

/**
 * The k ≤ cols largest logits of each row and their indices, largest first, lower indices first among equals; NO_INDEX first for a NaN. A
 * bias counts, and what is masked is the least, but `values` are those of x.
 */
export type TopKKernel<A> = (
  x: A, indices: Uint32Array, values: A, rows: number, cols: number, k: number, mask: Uint8Array | null, maskLayout: number, bias: A | null,
) => void;

/**
 * Filters and draws (native/sampling/sample.h). `tokens` gets `draws` of each row, one for each of `uniforms`, which lie in [0, 1);
 * `kept` what is left of (x + bias) / temperature, −∞ elsewhere; `probabilities` theirs, 0 elsewhere; each may be null. `status` is
 * 0, 1 for a row with a NaN, 2 for one without a finite logit or with +∞, of which nothing is written. Without a filter:
 * topK ≥ cols, topP ≥ 1, minDistance (temperature · log minP) −∞, typicalP ≥ 1, epsilon 0. Temperature 0 is the largest logit.
 */
export type SampleKernel<A, Out = A> = (
  x: A,
  tokens: Uint32Array | null,
  kept: Out | null,
  probabilities: Out | null,
  status: Int32Array,
  uniforms: Float64Array | null,
  rows: number,
  cols: number,
  draws: number,
  topK: number,
  temperature: number,
  topP: number,
  minDistance: number,
  typicalP: number,
  epsilon: number,
  mask: Uint8Array | null,
  maskLayout: number,
  bias: A | null,
) => void;

export type SamplingOfType<Name extends string, A, Out> = { readonly [K in `argmax_${Name}`]: ArgmaxKernel<A> } & {
  readonly [K in `top_k_${Name}`]: TopKKernel<A>;
} & { readonly [K in `sample_${Name}`]: SampleKernel<A, Out> };

export type SamplingKernels = SamplingOfType<'f32', Float32Array, Float32Array> & SamplingOfType<'f64', Float64Array, Float64Array> &
  SamplingOfType<'f16' | 'bf16', Uint16Array, Float32Array>;

/** The kernels of one float type, for rows of which the results are like the logits, or doubles. */
type OfType<Name extends string, A> = {
  readonly [K in `softmax_${Name}` | `log_softmax_${Name}`]: SoftmaxKernel<A>;
} & { readonly [K in `log_sum_exp_${Name}`]: SoftmaxKernel<A, Float64Array> } & {
  readonly [K in `cross_entropy_${Name}`]: CrossEntropyKernel<A>;
} & { readonly [K in `softmax_backward_${Name}`]: BackwardKernel<A> };

/** Those of partial sums. */
type OfSums<Name extends string, A> = { readonly [K in `exp_sum_${Name}`]: ExpSumKernel<A> } & { readonly [K in `normalize_${Name}`]: NormalizeKernel<A> };

/** Those of half types with float32 results. */
type Widening<Name extends string> = {
  readonly [K in `softmax_${Name}_f32` | `log_softmax_${Name}_f32`]: SoftmaxKernel<Uint16Array, Float32Array>;
} & { readonly [K in `softmax_backward_${Name}_f32`]: BackwardKernel<Uint16Array, Float32Array> } & {
  readonly [K in `normalize_${Name}_f32`]: NormalizeKernel<Uint16Array, Float32Array>;
};

type All<Name extends string, A> = OfType<Name, A> & OfSums<Name, A>;
export type FloatKernels = All<'f32', Float32Array> & All<'f64', Float64Array>;
export type HalfKernels<Name extends 'f16' | 'bf16'> = All<Name, Uint16Array> & Widening<Name>;
export type AttentionKernels = { readonly attention_f32: AttentionKernel } & OfCache<'f32', Float32Array> &
  OfCache<'f16', Uint16Array> & OfCache<'bf16', Uint16Array> & OfCache<'i8', Int8Array>;
export type Kernels = FloatKernels & AttentionKernels & HalfKernels<'f16'> & HalfKernels<'bf16'> & SamplingKernels;

export type Backend = Kernels & { readonly name: BackendName };

type ElementType = 'f32' | 'f64' | 'f16' | 'bf16' | 'f16_f32' | 'bf16_f32' | 'i8';

/** The kernels of some operators, and whose they are: all that a function needs of a backend. */
export type BackendOf<O extends string> = { readonly name: BackendName } & {
  readonly [K in keyof Kernels as K extends `${O}_${ElementType}` ? K : never]: Kernels[K];
};
