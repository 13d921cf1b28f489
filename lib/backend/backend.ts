/**
 * A backend is a table of kernels under the names operator_type. The native instruction sets and the JavaScript
 * fallback have the same kernels, so that no caller knows which backend runs. A kernel checks nothing: lib/call/ did.
 */
import type { Kernel, KernelsOf, Operator } from './operators.js';

/** Best first: the order in which a backend is chosen. */
export const BACKEND_NAMES = ['avx512', 'avx2', 'neon', 'wasm', 'scalar', 'js'] as const;

export type BackendName = (typeof BACKEND_NAMES)[number];

/** How a kernel reads its `mask`. Bits are counted from the least significant bit of each byte. */
export const MASK_NONE = 0;
export const MASK_BYTES = 1;
export const MASK_ROW_BYTES = 2;
export const MASK_BITS = 3;
export const MASK_ROW_BITS = 4;

/** The arrays of logits that kernels take. A Uint16Array holds the bits of halves. */
export type KernelArray = Float32Array | Float64Array | Uint16Array;

/** The kernels of some operators, and the name of their backend: all that a function needs of a backend. */
export type BackendOf<O extends Operator> = { readonly name: BackendName } & KernelsOf<O>;

export type Kernels = KernelsOf<Operator>;

export type Backend = BackendOf<Operator>;

/**
 * Softmax over the middle axis of x, which is [outer, cols, inner] in row-major order:
 *
 *     out[o, c, i] = exp(z[c]) / Σⱼ exp(z[j])        z[c] = (x[o, c, i] + bias[…]) / temperature
 *
 * - `out` has the length of x, and is x itself or shares no memory with it.
 * - `temperature` is finite and > 0.
 * - `mask` holds nonzero where a position counts, at every element (MASK_BYTES, MASK_BITS) or for one row that all rows
 *   share (MASK_ROW_BYTES, MASK_ROW_BITS, `cols` long). It is null with MASK_NONE.
 * - `bias` is as long as x, or `cols` long and shared by all rows, or null.
 */
export type SoftmaxKernel<X, Y = X> = Kernel<'softmax', X, Y>;

/** The logarithm of the sum of exp(z[c]) over each row, as a double. */
export type LogSumExpKernel<X> = Kernel<'log_sum_exp', X>;

/**
 * The loss of each row, and its gradient by x unless that is null. `targets` has a position for each row, −1 where the
 * row does not count. `gradient` may be x itself.
 */
export type CrossEntropyKernel<X> = Kernel<'cross_entropy', X>;

/**
 * A loss with class weights, smoothing, soft targets or another function of −ln p (native/losses/cross_entropy.h), and
 * its gradient. `targets` as in cross_entropy; beside `soft` they say which rows count. `given` has two numbers a row:
 * the logit of its target, whose element of x is −∞, and the slope that multiplies its gradient.
 */
export type RowLossKernel<X> = Kernel<'row_loss', X>;

/**
 * The sum of exp(z[c]) over each row, mantissa · 2^exponent, the mantissa in [1, 2) (lib/math/extended.ts). The
 * exponent is NO_EXPONENT where it does not fit 32 bits. An empty row is not written: it stays 0 in a new array.
 */
export type ExpSumKernel<X> = Kernel<'exp_sum', X>;

export const NO_EXPONENT = -(2 ** 31);

/** out[o, c, i] = exp(z[c]) / sum[o, i], for sums that are given. */
export type NormalizeKernel<X, Y = X> = Kernel<'normalize', X, Y>;

/** y · (dy − Σ y · dy) / temperature; if isLog, (dy − exp(y) · Σ dy) / temperature. `out` may be y or dy itself. */
export type BackwardKernel<X, Y = X> = Kernel<'softmax_backward', X, Y>;

/**
 * The numbers of an attention call, in the order in which kernels take them (a Float64Array): sizes; flags; what is
 * done to scores (0: nothing); and the distances in mask and bias from one sequence, head and query to the next.
 *
 * `causal` is 1 if the last query is at the last key (bottom right), 2 if query m is at key m (top left). A window has
 * so many keys on each side, the query's own counted on both; 0: no bound.
 */
export const ATTENTION_SHAPE = [
  'batch',
  'heads',
  'kvHeads',
  'queries',
  'keys',
  'headDim',
  'valueDim',
  'pageSize',
  'positionsFirst',
  'causal',
  'windowLeft',
  'windowRight',
  'scale',
  'softcap',
  'maskBatch',
  'maskHead',
  'maskQuery',
  'biasBatch',
  'biasHead',
  'biasQuery',
] as const;

export type AttentionShape = Readonly<Record<(typeof ATTENTION_SHAPE)[number], number>>;

/**
 * Attention over keys and values in two arrays. `spans` has for each sequence the position of its first key, and the
 * number of positions; null: 0, and the number of keys. `keyLengths` has the number of keys of each sequence that are
 * there; null: all. `slopes` (ALiBi) and `sinks` have an entry for each head.
 *
 * Results go into `out` (and `lse`, if not null), or into the three arrays of a state (lib/attention/partial.ts); the
 * others are null. `lse` is [batch, heads, queries]; rows of the others lie as the layout says.
 */
export type AttentionKernel<X, Y = X> = Kernel<'attention', X, Y>;

/**
 * The same in double, with the softmax weights, and with the scores of a `stage`: 0 the scaled products, 1 after the
 * softcap, 2 after slope, bias and mask, 3 the weights; both [batch, heads, queries, keys] in both layouts, or null.
 * Of slopes, sinks and bias either the floats or the doubles (`wideSlopes`, …) are given.
 */
export type ExactAttentionKernel<X, Y = X> = Kernel<'attention_exact', X, Y>;

/**
 * The gradients of attention (lib/attention/backward.ts) for `dOut`, from the `out` and `lse` that it gave. A null of
 * the last five is not wanted. `dBias` has the strides of `bias`. A call without query rows writes no dBias.
 */
export type AttentionBackwardKernel = Kernel<'attention_backward', never>;

/**
 * Attention over the pages of a cache. An entry of `table` is a page: the upper six bits are its slab, the others its
 * place there. Pages of the sequences follow one another in it, as many for each as its entry of `lengths` needs.
 *
 * A slab holds, head after head, that head's share of all its pages: tiles of 16 keys, the keys as [headDim, 16], then
 * the values as [16, width], with `width` the next multiple of 16 from valueDim on, filled up with 0. `scales` (int8,
 * else empty) hold for each tile, in the same order, 16 scales of keys and 16 of values.
 */
export type CachedAttentionKernel<X> = Kernel<'attention_cached', X>;

/** Writes `keys` tokens into the pages of a sequence, from token `from` on. */
export type AppendKernel<X> = Kernel<'kv_append', X>;

/** The index of the first of the largest logits of each row; NO_INDEX for a row with a NaN. */
export type ArgmaxKernel<X> = Kernel<'argmax', X>;

export const NO_INDEX = 2 ** 32 - 1;

/**
 * The k ≤ cols largest logits of each row and their indices, largest first, lower indices first among equals; NO_INDEX
 * first for a row with a NaN. The order counts the bias and puts masked logits last; `values` are the logits of x.
 */
export type TopKKernel<X> = Kernel<'top_k', X>;

/**
 * Filters and draws (native/sampling/sample.h). `tokens` gets `draws` of each row, one for each of `uniforms` in [0,
 * 1). `kept` gets the (x + bias) / temperature that the filters leave, −∞ elsewhere; `probabilities` their
 * probabilities, 0 elsewhere; each may be null. `status` is 0, or 1 for a row with a NaN, or 2 for a row without a
 * finite logit or with +∞: nothing of such a row is written.
 *
 * Without a filter: topK ≥ cols, topP ≥ 1, minDistance (temperature · log minP) −∞, typicalP ≥ 1, epsilon 0.
 * Temperature 0 is the largest logit.
 */
export type SampleKernel<X, Y = X> = Kernel<'sample', X, Y>;

/**
 * Draws a token of each row, whose logits the row's table of tokens changes (native/sampling/penalties.h). `entries`
 * has the tables (lib/sampling/token-table.ts), `regions` the first slot and the number of slots of each row's,
 * `settings` eleven numbers of each row: its filters as for `sample`, then its penalties. `status` as for `sample`.
 */
export type SamplePenalizedKernel<X> = Kernel<'sample_penalized', X>;

/**
 * Measures each row: `spread` has the number of its finite logits, their mean distance from the largest, and the sum of
 * squared deviations from that mean; `mass` the largest, that number, the exact sum of the integer weights at the row's
 * temperature, and the sum of weights times distances in eighths of octaves. `status` as for `sample`, or 3 where a sum
 * with the bias overflows; nothing else of a row with another status than 0 is written.
 */
export type MomentsKernel<X> = Kernel<'moments', X>;

/** The kernels of sampling for one type. */
export type SamplingOfType<Name extends string, X, Y> = { readonly [K in `argmax_${Name}`]: ArgmaxKernel<X> } & {
  readonly [K in `top_k_${Name}`]: TopKKernel<X>;
} & { readonly [K in `sample_${Name}`]: SampleKernel<X, Y> };
