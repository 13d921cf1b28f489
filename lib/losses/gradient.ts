/** The array that a loss writes its gradient into. */
import type { KernelArray } from '../backend/backend.js';
import type { AxisCall } from '../call/axis.js';
import { apart, likeArray, sameOrApart } from '../call/checks.js';
import type { LogitArray } from '../call/types.js';

/** The array for the gradient, or null: like the logits, and apart from all other arrays but the logits themselves. */
export function gradientFor(gradient: LogitArray | undefined, logits: LogitArray, call: AxisCall): KernelArray | null {
  if (gradient === undefined) return null;
  const { x, mask, bias } = call.args;
  const slopes = likeArray(gradient, logits, 'gradient', 'logits');
  sameOrApart(slopes, 'gradient', x, 'logits');
  apart(slopes, 'gradient', call.out, 'out');
  apart(slopes, 'gradient', mask, 'mask');
  apart(slopes, 'gradient', bias, 'bias');
  return slopes;
}
