/** Inputs of the kernels that calls on arrays and on a cache share. */
import type { AttentionShape } from '../backend/backend.js';
import type { MaskOptions, Scores } from './options.js';
import { slopesOf } from './options.js';
import { shapeArray } from './shape.js';
import { masksOf } from './sizes.js';

type Sizes = Partial<AttentionShape> & Pick<AttentionShape, 'batch' | 'heads' | 'queries' | 'headDim'>;

/** The numbers of a call, slopes, mask and bias; `keys` is the length that rows of mask and bias have. */
export function scoreInputs(
  scores: Scores,
  { mask: givenMask, bias: givenBias }: MaskOptions,
  sizes: Sizes,
  keys: number,
) {
  const { batch, heads, queries, headDim } = sizes;
  const { positionsFirst, causal, windowLeft, windowRight, softcap, scale = 1 / Math.sqrt(headDim) } = scores;
  const slopes = slopesOf(scores.alibi, heads);
  const maskSizes = { batch, heads, queries, keys };
  const { mask, bias, strides } = masksOf({ mask: givenMask, bias: givenBias }, maskSizes);
  const window = { windowLeft, windowRight };
  const shape = shapeArray({ ...sizes, positionsFirst, causal, ...window, scale, softcap, ...strides });
  return { shape, slopes, mask, bias };
}
