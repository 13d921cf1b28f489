/** softTopK: k of a row's positions chosen softly, and its gradient. */
import { SOFT_TOP_K, SOFT_TOP_K_BACKWARD } from '../backend/operators.js';
import { backendFor } from '../backend/choice.js';
import type { AsyncOptions } from '../call/abort.js';
import { copyInto } from '../call/arrays.js';
import { axisCall, newLike, type AxisOperator } from '../call/axis.js';
import { checkWhole } from '../call/memory.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { bitsOf, likeArray, positive, sameOrApart } from '../call/checks.js';
import { wrongValue, outOfRange } from '../call/errors.js';
import { optionNames, readable, UNSCALED_NAMES, type Form, type UnscaledOptions } from '../call/options.js';
import type { FloatArray, KindOf, LogitArray, NewResult, OptionsFor, ResultOf, Returned } from '../call/types.js';
import { softTopKBackwardKernels } from '../js/losses/soft-top-k-backward.js';
import { softTopKKernels } from '../js/losses/soft-top-k.js';

interface Sharpness {
  /** How sharp the choice is, an inverse temperature: finite and > 0. Default: 1. */
  alpha?: number | undefined;
}

export interface SoftTopKOptions<A extends LogitArray = FloatArray, Out = A>
  extends UnscaledOptions<A, Out>, Sharpness {}

export interface SoftTopKBackwardOptions<A extends LogitArray = FloatArray, Out = A>
  extends Pick<UnscaledOptions<A, Out>, 'cols' | 'shape' | 'axis' | 'out' | 'dtype'>, Sharpness {}

/**
 * A soft top-k of each row (Gupta et al., "Dual-Encoders for Extreme Multi-Label Classification", arXiv 2310.10636):
 *
 *     y[i] = σ(alpha · (x[i] + t))      with the t for which Σ y = k
 *
 * t is found to the last place by Newton's method in double, in an order of operations that does not depend on threads
 * or vectors; 3 to 8 readings of a row. Small y are relatively exact too, on both sides of a wide gap.
 *
 * −∞ and masked positions give 0 and do not count as positions. A row with a NaN or a +∞ that is not masked is NaN
 * there. Largest error seen: 0.51 ULP (float32), (10 + 4 |ln y| + alpha (max x − min x)) ULP (float64). One thread
 * takes a row.
 *
 * @param x Scores, row-major: all of them one row, or rows as `cols` or `shape` and `axis` say. Not written, unless
 *   `out`.
 * @param k The sum of a row's results, > 0 and below the number of its finite scores; not necessarily an integer.
 * @param rest `options`:
 *   `alpha`; and `cols`, `shape`, `axis`, `mask`, `maskFormat`, `bias`, `out` and `dtype`, as softmax has them.
 * @returns `out`, or a new array of the type and length of `x`.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a k that is not above 0 and below the length of a
 *   row, for a row with no more than k finite scores, which it names, and as softmax does. Nothing was written
 *   then.
 * @example
 * import { softTopK } from 'flash-softmax/losses';
 * const y = softTopK(Float64Array.of(3, 1, 2, 0), 2);
 * console.log([...y].map((each) => each.toFixed(3)).join(' ')); // their sum is 2 → 0.818 0.378 0.622 0.182
 */
export function softTopK<A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  x: A,
  k: number,
  ...rest: OptionsFor<A, SoftTopKOptions<KindOf<A>, Out>>
): Returned<Out> {
  return runNow(softTopKCall('now', x, k, ...rest));
}

/**
 * The gradient of a loss by the scores of {@link softTopK}, from its results p and the gradient dp of the loss by them:
 *
 *     y[i] = alpha · v[i] · (dp[i] − Σ dp v / Σ v)      v = p (1 − p)
 *
 * 0 where v is 0: where p is 0 or 1, and so at masked positions, whatever dp is there. A NaN elsewhere makes a row NaN.
 * Largest error seen: half a last place of its type and 2⁻⁵⁰ · alpha · v[i] · (|dp[i]| + Σ |dp| v / Σ v).
 *
 * @param p Results of softTopK. Not written, unless `out`.
 * @param dp The gradient of the loss by each of them: of the type and length of `p`. Not written.
 * @param rest `options`:
 *   `alpha`, as softTopK had it; and `cols`, `shape`, `axis`, `out` and `dtype`, as softmax has them.
 * @returns `out`, or a new array of the type and length of `p`.
 * @throws TypeError, RangeError as softmax does. Nothing was written then.
 * @example
 * import { softTopK, softTopKBackward } from 'flash-softmax/losses';
 * const p = softTopK(Float64Array.of(3, 1, 2, 0), 2);
 * console.log(softTopKBackward(p, Float64Array.of(1, 0, 0, 0))[0].toFixed(4)); // → 0.1202
 */
export function softTopKBackward<A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  p: A,
  dp: KindOf<A>,
  ...rest: OptionsFor<A, SoftTopKBackwardOptions<KindOf<A>, Out>>
): Returned<Out> {
  return runNow(softTopKBackwardCall('now', p, dp, ...rest));
}

const CHECKS: AxisOperator = {
  logits: 'x',
  result: 'element',
  names: /* @__PURE__ */ optionNames<SoftTopKOptions>({ ...UNSCALED_NAMES.now, alpha: true }),
};
const BACKWARD_CHECKS: AxisOperator = {
  logits: 'p',
  result: 'element',
  names: /* @__PURE__ */ optionNames<SoftTopKBackwardOptions>({
    cols: true,
    shape: true,
    axis: true,
    out: true,
    dtype: true,
    alpha: true,
  }),
};

/** What a kernel writes to `status` for a row with no more than k finite scores. */
const TOO_SHORT = 1;

export function softTopKCall<A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  form: Form,
  x: A,
  k: number,
  ...[options]: OptionsFor<A, SoftTopKOptions<KindOf<A>, Out> & AsyncOptions>
): Call<Returned<Out>> {
  const given = options as SoftTopKOptions<LogitArray> | undefined;
  const alpha = positive(readable(given).alpha ?? 1, 'alpha');
  positive(k, 'k');
  const { args, elements, type, out, isOutNew } = axisCall(CHECKS, form, x, given);
  const { outer, cols, inner } = args;
  const rows = outer * inner;
  if (rows > 0 && k >= cols) throw outOfRange(`a number above 0 and below ${cols}, the length of a row,`, 'k', k);
  const status = new Int32Array(rows);
  // A job writes the caller's array after `status` was read: a promise that rejects has written nothing either.
  const isApart = form === 'later' && !isOutNew;
  const result = isApart ? newLike(out, elements) : out;
  return callOf(SOFT_TOP_K, {
    backend: backendFor(elements, softTopKKernels),
    type,
    args: { ...args, out: bitsOf(result), status, k, alpha },
    own: isOutNew || isApart ? ['out', 'status'] : ['status'],
    work: 8 * elements,
    finish() {
      const row = status.indexOf(TOO_SHORT);
      if (row >= 0) throw wrongValue(`more than ${k} finite scores`, `row ${row} of x`, 'no more than that');
      if (isApart) {
        checkWhole({ view: out, name: 'out', length: elements });
        copyInto(out, result);
      }
      return out as Returned<Out>;
    },
  });
}

export function softTopKBackwardCall<A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  form: Form,
  p: A,
  dp: KindOf<A>,
  ...[options]: OptionsFor<A, SoftTopKBackwardOptions<KindOf<A>, Out> & AsyncOptions>
): Call<Returned<Out>> {
  const given = options as SoftTopKBackwardOptions<LogitArray> | undefined;
  const alpha = positive(readable(given).alpha ?? 1, 'alpha');
  const { args, elements, type, out, isOutNew } = axisCall(BACKWARD_CHECKS, form, p, given);
  const slopes = likeArray(dp, p, 'dp', 'p');
  if (!isOutNew) sameOrApart(args.out, 'out', slopes, 'dp');
  const { x, outer, cols, inner } = args;
  return callOf(SOFT_TOP_K_BACKWARD, {
    backend: backendFor(elements, softTopKBackwardKernels),
    type,
    args: { p: x, dp: slopes, out: args.out, alpha, outer, cols, inner },
    own: isOutNew ? ['out'] : [],
    work: elements,
    finish: () => out as Returned<Out>,
  });
}
