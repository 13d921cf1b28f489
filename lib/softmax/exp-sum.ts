/** expSum: the sum of the exponentials of a row, which can be taken elsewhere and added. */
import { NO_EXPONENT } from '../backend/backend.js';
import { backend } from '../backend/choice.js';
import { EXP_SUM } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { axisCall, type AxisOperator } from '../call/axis.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { describe, wrongValue } from '../call/errors.js';
import { AXIS_NAMES, namesWith, namesWithout, readable, type Form, type ReductionOptions } from '../call/options.js';
import type { ElementType, LogitArray } from '../call/types.js';
import { expSumKernels } from '../js/softmax/exp-sum.js';
import type { NewExpSums } from './exp-sum-state.js';
import { shareExponent, unify } from './unified-max.js';

export interface ExpSumOptions<A extends LogitArray = LogitArray> extends ReductionOptions<A> {
  /** A logit that is near the largest of all rows (FlashDecoding++'s φ): its exponent is given to all sums. */
  unifiedMax?: number | undefined;
  /**
   * How far below and above `unifiedMax` a row's sum may lie, as logits, to have that exponent. Default and most: ±600
   * temperatures.
   */
  range?: readonly [below: number, above: number] | undefined;
}

/**
 * The sum of the exponentials of each row, Σ exp((x[i] + bias[i]) / temperature), as a number that neither overflows
 * nor is relative to a maximum (Dukhan & Ablavatski, arXiv 2001.04438): the state of a partial softmax. Sums of parts
 * of a row are added with {@link mergeExpSums}, and {@link normalize} makes probabilities from the whole row's.
 *
 * A row's sum is, to the bit, that of its parts merged in order, if these are multiples of 2^16 elements and along the
 * last axis; and `normalize` on parts gives the bits of `normalize` on the row, and of `softmax` on rows of more than
 * 1,024 elements on native backends with logits up to ±22,000 temperatures (a rounding apart otherwise).
 *
 * `unifiedMax` (Hong et al., FlashDecoding++, arXiv 2311.01282): all sums get the exponent of exp(unifiedMax /
 * temperature), so that merging them is an addition. A row whose sum is outside exp((unifiedMax + range) /
 * temperature), as it is if a logit is above, keeps its own exponent, and `raised` says so; merging such rows aligns
 * exponents. The sums are the same numbers.
 *
 * @param x Logits, row-major: all of them one row, or rows as `cols` or `shape` and `axis` say.
 * @param options `cols`, `shape`, `axis`, `temperature`, `mask`, `maskFormat`, `bias`, `dtype` (see {@link
 *   AxisOptions}), `unifiedMax`, `range`.
 * @returns A state with an entry for each row; 0 for a row of −∞ or nothing, NaN for one with NaN, else Infinity for
 *   one with +∞.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for values that do not fit; also for a row whose
 *   exponent does not fit 32 bits, which takes logits of about ±1.49e9 temperatures.
 * @example
 * import { expSum, logSumExpOfState } from 'flash-softmax';
 * const state = expSum(Float32Array.of(1000, 1000)); // { mantissa, exponent }: a sum beyond any double
 * console.log(state.exponent[0] > 1023, logSumExpOfState(state)[0].toFixed(4)); // → true 1000.6931
 */
export function expSum<A extends LogitArray>(x: A, options?: ExpSumOptions<A>): NewExpSums {
  return runNow(expSumCall('now', x, options));
}

const CHECKS: AxisOperator = {
  logits: 'x',
  result: 'state',
  names: /* @__PURE__ */ namesWith<ReductionOptions, ExpSumOptions>(namesWithout(AXIS_NAMES, 'out'), {
    unifiedMax: true,
    range: true,
  }),
};

/** Always takes the backend in force, however few elements: which one runs must not depend on how a row is cut. */
export function expSumCall<A extends LogitArray>(
  form: Form,
  logits: A,
  options?: ExpSumOptions<A> & AsyncOptions,
): Call<NewExpSums> {
  const { unifiedMax, range: ends } = readable(options);
  // The elements of the range are read before lengths are taken.
  const range: unknown = Array.isArray(ends) ? Array.from(ends as readonly unknown[]) : ends;
  const call = axisCall(CHECKS, form, logits, options);
  const { args, elements, type } = call;
  const { x, outer, cols, inner, temperature, mask, maskLayout, bias } = args;
  const unified = unifiedMax === undefined ? undefined : unify(unifiedMax, range, temperature);
  if (unified === undefined && range !== undefined) {
    throw wrongValue('no value', 'range without unifiedMax', describe(range));
  }

  const mantissa = new Float64Array(outer * inner);
  const exponent = new Int32Array(outer * inner);
  return callOf(EXP_SUM, {
    backend: backend(expSumKernels),
    type: type as ElementType,
    args: { x, mantissa, exponent, outer, cols, inner, temperature, mask, maskLayout, bias },
    own: ['mantissa', 'exponent'],
    work: elements,
    finish() {
      const expected = 'logits within 1.48e9 temperatures, for an exponent of 32 bits,';
      const beyond = exponent.indexOf(NO_EXPONENT);
      if (beyond >= 0) throw wrongValue(expected, `row ${beyond} of x`, 'larger ones');
      return unified === undefined ? { mantissa, exponent } : shareExponent(mantissa, exponent, unified);
    },
  });
}
