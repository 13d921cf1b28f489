/** stableMax and logStableMax: probabilities without exponentials, whose gradients do not vanish by rounding. */
import { LOG_STABLE_MAX, STABLE_MAX } from '../backend/operators.js';
import { elementCalls } from '../call/call.js';
import { UNSCALED_NAMES, type AxesOptions } from '../call/options.js';
import { elementFunction } from '../call/plain.js';
import type { FloatArray, KindOf, LogitArray, NewResult, OptionsFor, ResultOf, Returned } from '../call/types.js';
import { logStableMaxKernels, stableMaxKernels } from '../js/losses/stable-max.js';

export type StableMaxOptions<A extends LogitArray = FloatArray, Out = A> = Omit<AxesOptions<A, Out>, 'temperature'>;

/**
 * StableMax (Prieto et al., arXiv 2501.04697), row by row, with z = x + bias:
 *
 *     y[i] = s(z[i]) / Σⱼ s(z[j])      s(z) = z + 1 for z ≥ 0, 1 / (1 − z) for z < 0
 *
 * Edge values are those of {@link softmax}: −∞ gives 0; a NaN, a +∞, or nothing but −∞ without a mask makes a row NaN;
 * masked positions give 0. Largest error: 0.51 ULP (float32), 3 ULP (float64; 2.53 seen, with a bias).
 *
 * @param x Logits, row-major: all of them one row, or rows as `cols` or `shape` and `axis` say. Not written, unless
 *   `out`.
 * @param rest `options`:
 *   `cols`, `shape`, `axis`, `mask`, `maskFormat`, `bias`, `out` and `dtype`, as {@link softmax} has them.
 * @returns `out`, or a new array of the type and length of `x`.
 * @throws TypeError, RangeError as {@link softmax} does.
 * @example
 * import { stableMax } from 'flash-softmax/losses';
 * const y = stableMax(Float64Array.of(0, 1, -1)); // shares of 1, 2 and ½
 * console.log(y[0].toFixed(4), y[1].toFixed(4), y[2].toFixed(4)); // → 0.2857 0.5714 0.1429
 */
export function stableMax<A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  x: A,
  ...rest: OptionsFor<A, StableMaxOptions<KindOf<A>, Out>>
): Returned<Out> {
  return stableMaxNow(x, ...rest);
}

/**
 * The logarithm of {@link stableMax}, exact where that is near 1 or below all floats. −∞ and masked positions give −∞.
 * Largest error: 0.51 ULP (float32), 4 ULP (float64).
 *
 * @param x Logits, as in {@link stableMax}.
 * @param rest `options`:
 *   As in {@link stableMax}.
 * @returns `out`, or a new array of the type and length of `x`.
 * @throws TypeError, RangeError as {@link softmax} does.
 * @example
 * import { logStableMax } from 'flash-softmax/losses';
 * const y = logStableMax(Float64Array.of(0, 1, -1)); // shares of 1, 2 and ½
 * console.log(y[0].toFixed(4), y[1].toFixed(4), y[2].toFixed(4)); // → -1.2528 -0.5596 -1.9459
 */
export function logStableMax<A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  x: A,
  ...rest: OptionsFor<A, StableMaxOptions<KindOf<A>, Out>>
): Returned<Out> {
  return logStableMaxNow(x, ...rest);
}

export const stableMaxCall = /* @__PURE__ */ elementCalls<'temperature'>(STABLE_MAX, stableMaxKernels, UNSCALED_NAMES);
export const logStableMaxCall = /* @__PURE__ */ elementCalls<'temperature'>(
  LOG_STABLE_MAX,
  logStableMaxKernels,
  UNSCALED_NAMES,
);

const stableMaxNow = /* @__PURE__ */ elementFunction<'temperature'>(STABLE_MAX, stableMaxKernels, UNSCALED_NAMES);
const logStableMaxNow = /* @__PURE__ */ elementFunction<'temperature'>(
  LOG_STABLE_MAX,
  logStableMaxKernels,
  UNSCALED_NAMES,
);
