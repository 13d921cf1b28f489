/** mergeExpSums and logSumExpOfState: the sum of states, and their logarithms. */
import { copyOf, lengthOf } from '../call/arrays.js';
import type { NewFloat64Array } from '../call/types.js';
import { extended, isOrdinary, logOf, powerOfTwo } from '../math/extended.js';
import { checkFields, fieldsOf, isCanonical, settle, stateOf, statesOf } from './exp-sum-state.js';
import type { ExpSums, NewExpSums } from './exp-sum-state.js';

/**
 * Adds states row by row: the state of the rows that the parts make up together.
 *
 * What is promised. Powers of two are applied exactly, so that each addition of two states rounds once, as one addition
 * of two doubles does: a relative error of 2^-53. States are added in the order given. Two states give the same bits
 * either way round; more of them, in any other order or grouping, give results that differ by these roundings only, (n
 * − 1) · 2^-53 in all for n states. 0 is neutral; NaN gives NaN, and Infinity, without NaN, Infinity. If all states
 * came with the same `unifiedMax`, rows that none has raised are added as they are, without looking at exponents, and
 * the result has `raised` too.
 *
 * @param states One or more, with the same number of rows; or one array of them, of any length.
 * @returns A new state. Its mantissas are in [1, 2), but for rows that share an exponent.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for what is no state, and for detached arrays.
 * @throws RangeError (ERR_INVALID_ARG_VALUE) for no states, other numbers of rows, negative mantissas.
 * @example
 * import { expSum, logSumExpOfState, mergeExpSums } from 'flash-softmax';
 * const shards = [Float32Array.of(1, 2), Float32Array.of(3)]; // on two machines, say
 * console.log(logSumExpOfState(mergeExpSums(...shards.map((shard) => expSum(shard))))[0].toFixed(4)); // → 3.4076
 */
export function mergeExpSums(states: readonly ExpSums[]): NewExpSums;
export function mergeExpSums(...states: readonly ExpSums[]): NewExpSums;
export function mergeExpSums(...states: readonly (ExpSums | readonly ExpSums[])[]): NewExpSums {
  const all = statesOf(states).map((state, i) => fieldsOf(state, `states[${i}]`));
  const [first, ...others] = all as [ExpSums, ...ExpSums[]];
  all.forEach((state, i) => checkFields(state, `states[${i}]`, i === 0 ? undefined : lengthOf(first.mantissa)));
  const mantissa = copyOf(first.mantissa);
  const exponent = copyOf(first.exponent);
  const rows = mantissa.length;
  const raised = all.every((state) => state.raised !== undefined) ? copyOf(first.raised!) : undefined;
  for (const other of others) {
    const [m, e] = [other.mantissa, other.exponent];
    for (let r = 0; r < rows; r++) {
      if (raised !== undefined && exponent[r] === e[r] && (raised[r]! | other.raised![r]!) === 0) {
        mantissa[r]! += m[r]!;
        continue;
      }
      if (raised !== undefined) raised[r] = 1;
      addTo(mantissa, exponent, r, m[r]!, e[r]!);
    }
  }
  for (let r = 0; r < rows; r++) if (raised === undefined || raised[r] === 1) settle(mantissa, exponent, r);
  return raised === undefined ? { mantissa, exponent } : { mantissa, exponent, raised };
}

/** Adds m · 2^e to row r: scaled exactly, rounded once. */
function addTo(mantissa: Float64Array, exponent: Int32Array, r: number, m: number, e: number): void {
  const own = mantissa[r]!;
  if (m === 0) return;
  if (!isOrdinary(own) || !isOrdinary(m)) {
    if (own === 0) exponent[r] = e;
    mantissa[r] = own + m;
  } else if (isCanonical(own) && isCanonical(m)) {
    const apart = exponent[r]! - e;
    mantissa[r] = apart >= 0 ? own + m * powerOfTwo(-apart) : m + own * powerOfTwo(apart);
    if (apart < 0) exponent[r] = e;
  } else {
    // mantissas out of [1, 2), as sums with a shared exponent have
    settle(mantissa, exponent, r);
    const [canonical, at] = extended(m, e);
    addTo(mantissa, exponent, r, canonical, at);
  }
  if (mantissa[r]! >= 2) settle(mantissa, exponent, r);
}

/**
 * The logarithm of each sum of a state, ln mantissa + exponent · ln 2: log Σ exp((x[i] + bias[i]) / temperature).
 * −Infinity for 0.
 *
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_INVALID_ARG_VALUE) for what is no state.
 * @example
 * import { expSum, logSumExpOfState } from 'flash-softmax';
 * console.log(logSumExpOfState(expSum(Float32Array.of(1, 2, 3)))[0].toFixed(4)); // → 3.4076
 */
export function logSumExpOfState(state: ExpSums): NewFloat64Array {
  const { mantissa, exponent } = stateOf(state, 'state');
  const logs = new Float64Array(lengthOf(mantissa));
  for (let r = 0; r < logs.length; r++) logs[r] = logOf(mantissa[r]!, exponent[r]!);
  return logs;
}
