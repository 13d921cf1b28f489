/** Inputs of the kernels that calls on arrays and on a cache share. */
import type { AttentionShape } from '../backend/backend.js';
import { isFloat64Array } from '../call/types.js';
import type { MaskOptions, Scores } from './options.js';
import { slopesOf } from './options.js';
import { shapeArray } from './shape.js';
import { masksOf } from './sizes.js';

type Sizes = Partial<AttentionShape> & Pick<AttentionShape, 'batch' | 'heads' | 'queries' | 'headDim'>;

/** The numbers of a call, slopes, mask and bias; `keys` is the length that rows of mask and bias have. */
export function scoreInputs(
  scores: Scores,
  options: Omit<MaskOptions, 'bias'> & { readonly bias?: Float32Array | Float64Array | undefined },
  sizes: Sizes,
  keys: number,
  isDouble = false,
) {
  const { mask: givenMask, bias: givenBias } = options;
  const { batch, heads, queries, headDim } = sizes;
  const { positionsFirst, causal, windowLeft, windowRight, softcap, scale = 1 / Math.sqrt(headDim) } = scores;
  const slopes = slopesOf(scores.alibi, heads);
  const maskSizes = { batch, heads, queries, keys };
  const { mask, bias, strides } = masksOf({ mask: givenMask, bias: givenBias }, maskSizes, isDouble);
  const window = { windowLeft, windowRight };
  const shape = shapeArray({ ...sizes, positionsFirst, causal, ...window, scale, softcap, ...strides });
  // Only float64 inputs have slopes and biases of doubles beside them.
  const [slopes32, slopes64] = byType(slopes);
  const [bias32, bias64] = byType(bias);
  return { shape, slopes: slopes32, mask, bias: bias32, wideSlopes: slopes64, wideBias: bias64 };
}

/** An array as kernels take it: as floats, or as doubles. */
export function byType(
  x: Float32Array | Float64Array | null,
): [floats: Float32Array | null, doubles: Float64Array | null] {
  return isFloat64Array(x) ? [null, x] : [x, null];
}
