/** Partial softmax: sums of exponentials that can be taken elsewhere and added, and probabilities from them. */
import { axisCall, describe, outOfRange, wrongType, wrongValue } from '../call/arguments.js';
import type {
  AxisOptions, ElementType, Float16ArrayLike, FloatArray, LogitArray, ReductionOptions,
} from '../call/arguments.js';
import { copyOf, lengthOf } from '../call/arrays.js';
import { NO_EXPONENT } from '../backend/backend.js';
import { EXP_SUM, NORMALIZE } from '../backend/operators.js';
import { backend } from '../backend/choice.js';
import { expSumKernels, normalizeKernels } from '../js/softmax/partial-kernels.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { checkFields, fieldsOf, stateOf, statesOf, type ExpSums, type NewExpSums } from './exp-sum-state.js';
import { readable } from '../call/options.js';
import { extended, isOrdinary, logOf, powerOfTwo, type Extended } from '../math/extended.js';
import type {
  NewFloat32Array, NewFloat64Array, NewInt32Array, NewLike, NewUint16Array, Returned,
} from '../call/types.js';

export type { ExpSums, NewExpSums } from './exp-sum-state.js';

export interface ExpSumOptions<A extends LogitArray = LogitArray> extends ReductionOptions<A> {
  /** A logit that is near the largest of all rows (FlashDecoding++'s φ): its exponent is given to all sums. */
  unifiedMax?: number | undefined;
  /** How far below and above `unifiedMax` a row's sum may lie, as logits, to have that exponent. Default and most: ±600 temperatures. */
  range?: readonly [below: number, above: number] | undefined;
}

/** The widest range, in temperatures: 2^±866, which leaves doubles enough room for adding up. */
const WIDEST = 600;
const LOG2_E = 1.4426950408889634;

/**
 * The sum of the exponentials of each row, Σ exp((x[i] + bias[i]) / temperature), as a number that neither overflows nor is
 * relative to a maximum (Dukhan & Ablavatski, arXiv 2001.04438): the state of a partial softmax. Sums of parts of a row are
 * added with {@link mergeExpSums}, and {@link normalize} makes probabilities from the whole row's.
 *
 * A row's sum is, to the bit, that of its parts merged in order, if these are multiples of 2^18 elements and
 * along the last axis; and `normalize` on parts gives the bits of `normalize` on the row, and of `softmax` on rows of more
 * than 256 elements on native backends with logits up to ±22,000 temperatures (a rounding apart otherwise).
 *
 * `unifiedMax` (Hong et al., FlashDecoding++, arXiv 2311.01282): all sums get the exponent of exp(unifiedMax / temperature), so
 * that merging them is an addition. A row whose sum is outside exp((unifiedMax + range) / temperature), as it is if a logit is
 * above, keeps its own exponent, and `raised` says so; merging such rows aligns exponents. The sums are the same numbers.
 *
 * @param x Logits, row-major: all of them one row, or rows as `cols` or `shape` and `axis` say.
 * @param options `cols`, `shape`, `axis`, `temperature`, `mask`, `maskFormat`, `bias`, `dtype` (see {@link AxisOptions}), `unifiedMax`, `range`.
 * @returns A state with an entry for each row; 0 for a row of −∞ or nothing, NaN for one with NaN, else Infinity for one with +∞.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for values that do not fit; also for a row whose exponent does not
 *   fit 32 bits, which takes logits of about ±1.49e9 temperatures.
 */
export function expSum<A extends LogitArray>(x: A, options?: ExpSumOptions<A>): NewExpSums {
  return runNow(expSumCall(x, options as ExpSumOptions));
}

// Always the backend in force, however few elements: which one runs must not depend on how a row is cut.

export function expSumCall(
  logits: LogitArray,
  options?: ExpSumOptions,
  more: readonly string[] = [],
): Call<NewExpSums> {
  const { unifiedMax, range: ends } = readable(options);
  const range: unknown = Array.isArray(ends) ? Array.from(ends as readonly unknown[]) : ends; // its elements are read before lengths are taken
  const { x, elements, kernel, outer, cols, inner, temperature, mask, maskLayout, bias } = axisCall(
    logits,
    options,
    ['unifiedMax', 'range', ...more],
    'state',
  );
  const unified = unifiedMax === undefined ? undefined : unify(unifiedMax, range, temperature);
  if (unified === undefined && range !== undefined)
    throw wrongValue('no value', 'range without unifiedMax', describe(range));

  const mantissa = new Float64Array(outer * inner);
  const exponent = new Int32Array(outer * inner);
  return callOf(EXP_SUM, {
    backend: backend(expSumKernels),
    type: kernel as ElementType,
    args: { x, mantissa, exponent, outer, cols, inner, temperature, mask, maskLayout, bias },
    own: ['mantissa', 'exponent'],
    work: elements,
    finish() {
      const beyond = exponent.indexOf(NO_EXPONENT);
      if (beyond >= 0)
        throw wrongValue(
          'logits within 1.48e9 temperatures, for an exponent of 32 bits,',
          `row ${beyond} of x`,
          'larger ones',
        );
      return unified === undefined ? { mantissa, exponent } : share(mantissa, exponent, unified);
    },
  });
}

export interface Unified {
  readonly exponent: number;
  /** The smallest and the largest sum that get it. */
  readonly least: Extended;
  readonly most: Extended;
}

/** exp(log). */
function exponential(log: number): Extended {
  const octaves = log * LOG2_E;
  return [2 ** (octaves - Math.floor(octaves)), Math.floor(octaves)];
}

export function unify(unifiedMax: unknown, range: unknown, temperature: number): Unified {
  if (typeof unifiedMax !== 'number') throw wrongType('a number', 'unifiedMax', unifiedMax);
  const phi = unifiedMax / temperature;
  if (!(Math.abs(phi) < 1.48e9)) throw outOfRange('a number within 1.48e9 temperatures', 'unifiedMax', unifiedMax);
  const within = (below: number, above: number): Unified => ({
    exponent: Math.round(phi * LOG2_E),
    least: exponential(phi + below),
    most: exponential(phi + above),
  });
  if (range === undefined) return within(-WIDEST, WIDEST);
  if (!Array.isArray(range)) throw wrongType('an array of two numbers', 'range', range);
  const [below, above]: unknown[] = range;
  if (range.length !== 2) throw wrongValue('two numbers', 'range', String(range.length));
  if (typeof below !== 'number' || typeof above !== 'number')
    throw wrongType('two numbers', 'range', typeof below === 'number' ? above : below);
  const isWithinWidest = below >= -WIDEST * temperature && above <= WIDEST * temperature; // infinite at the highest temperatures
  if (!(below <= above && isWithinWidest && below > -Infinity && above < Infinity)) {
    throw wrongValue(`two rising numbers within ${WIDEST} temperatures`, 'range', `[${below}, ${above}]`);
  }
  return within(below / temperature, above / temperature);
}

/** Whether a sum in canonical form gets the shared exponent. */
export function isWithin({ least, most }: Unified, m: number, e: number): boolean {
  return (e > least[1] || (e === least[1] && m >= least[0])) && (e < most[1] || (e === most[1] && m <= most[0]));
}

function share(mantissa: NewFloat64Array, exponent: NewInt32Array, unified: Unified): NewExpSums {
  const raised = new Uint8Array(mantissa.length);
  for (let r = 0; r < mantissa.length; r++) {
    const m = mantissa[r]!;
    const e = exponent[r]!;
    if (isOrdinary(m)) {
      if (!isWithin(unified, m, e)) {
        raised[r] = 1;
        continue;
      }
      mantissa[r] = m * powerOfTwo(e - unified.exponent);
    }
    exponent[r] = unified.exponent;
  }
  return { mantissa, exponent, raised };
}

/**
 * Adds states row by row: the state of the rows that the parts make up together.
 *
 * What is promised. Powers of two are applied exactly, so that each addition of two states rounds once, as one addition of
 * two doubles does: a relative error of 2^-53. States are added in the order given. Two states give the same bits either way
 * round; more of them, in any other order or grouping, give results that differ by these roundings only, (n − 1) · 2^-53 in all
 * for n states. 0 is neutral; NaN gives NaN, and Infinity, without NaN, Infinity. If all states came with the same `unifiedMax`,
 * rows that none has raised are added as they are, without looking at exponents, and the result has `raised` too.
 *
 * @param states One or more, with the same number of rows; or one array of them, of any length.
 * @returns A new state. Its mantissas are in [1, 2), but for rows that share an exponent.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for what is no state, and for detached arrays.
 * @throws RangeError (ERR_INVALID_ARG_VALUE) for no states, other numbers of rows, negative mantissas.
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
  } else if (inOrder(own) && inOrder(m)) {
    const apart = exponent[r]! - e;
    mantissa[r] = apart >= 0 ? own + m * powerOfTwo(-apart) : m + own * powerOfTwo(apart);
    if (apart < 0) exponent[r] = e;
  } else {
    // of unlike size, as unified ones can be
    settle(mantissa, exponent, r);
    const [canonical, at] = extended(m, e);
    addTo(mantissa, exponent, r, canonical, at);
  }
  if (mantissa[r]! >= 2) settle(mantissa, exponent, r);
}

const inOrder = (mantissa: number): boolean => mantissa >= 1 && mantissa < 2;

/** Brings row r into canonical form. */
function settle(mantissa: Float64Array, exponent: Int32Array, r: number): void {
  if (inOrder(mantissa[r]!)) return;
  const [m, e] = extended(mantissa[r]!, exponent[r]!);
  if (!(Math.abs(e) < 2 ** 31)) throw outOfRange('an exponent of 32 bits', `the sum of row ${r}`, e);
  mantissa[r] = m;
  exponent[r] = e;
}

/**
 * The probabilities of a chunk of logits, given the sums of the whole rows that it is part of:
 *
 *     y[i] = exp((x[i] + bias[i]) / temperature) / (mantissa · 2^exponent)
 *
 * @param x Logits, row-major, as for {@link expSum}: any part of each row.
 * @param state One sum for each row; its temperature is taken to be that of this call.
 * @param options `cols`, `shape`, `axis`, `temperature`, `mask`, `maskFormat`, `bias`, `out`, `dtype`: see {@link AxisOptions}.
 * @returns `out`, or a new array of the type and length of `x` (half types: the float32 result rounded once, or a float32 `out`). A
 *   sum of NaN or Infinity gives NaN, as does 0, except in a chunk of a row that is masked throughout, which is 0. Masked positions
 *   are always 0. A logit that the sum was made without may give anything.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for values that do not fit. Nothing was written then.
 */
export function normalize<Out extends Float32Array = NewFloat32Array>(
  x: Float32Array,
  state: ExpSums,
  options?: AxisOptions<Float32Array, Out>,
): Returned<Out>;
export function normalize<Out extends Float64Array = NewFloat64Array>(
  x: Float64Array,
  state: ExpSums,
  options?: AxisOptions<Float64Array, Out>,
): Returned<Out>;
export function normalize<Out extends Uint16Array | Float32Array = NewUint16Array>(
  x: Uint16Array,
  state: ExpSums,
  options: AxisOptions<Uint16Array, Out>,
): Returned<Out>;
export function normalize<
  A extends Float16ArrayLike,
  Out extends Float16ArrayLike | Float32Array = NewLike<A, Float16ArrayLike>,
>(x: A, state: ExpSums, options?: AxisOptions<A, Out>): Returned<Out>;
export function normalize<A extends FloatArray>(x: A, state: ExpSums, options?: AxisOptions<A>): FloatArray;
export function normalize(x: LogitArray, state: ExpSums, options?: AxisOptions<LogitArray, LogitArray>): LogitArray {
  return runNow(normalizeCall(x, state, options));
}

export function normalizeCall(
  logits: LogitArray,
  state: ExpSums,
  options?: AxisOptions<LogitArray, LogitArray>,
  more: readonly string[] = [],
): Call<LogitArray> {
  const sums = fieldsOf(state, 'state');
  const { x, elements, out, kernelOut, isOutNew, kernel, outer, cols, inner, temperature, mask, maskLayout, bias } =
    axisCall(logits, options, more);
  checkFields(sums, 'state', outer * inner);
  const [mantissa, exponent] = [copyOf(sums.mantissa), copyOf(sums.exponent)];
  for (let r = 0; r < mantissa.length; r++) settle(mantissa, exponent, r);
  return callOf(NORMALIZE, {
    backend: backend(normalizeKernels),
    type: kernel,
    args: { x, out: kernelOut, mantissa, exponent, outer, cols, inner, temperature, mask, maskLayout, bias },
    own: isOutNew ? ['mantissa', 'exponent', 'out'] : ['mantissa', 'exponent'],
    work: elements,
    finish: () => out,
  });
}

/**
 * The logarithm of each sum of a state, ln mantissa + exponent · ln 2: log Σ exp((x[i] + bias[i]) / temperature). −Infinity for 0.
 *
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_INVALID_ARG_VALUE) for what is no state.
 */
export function logSumExpOfState(state: ExpSums): NewFloat64Array {
  const { mantissa, exponent } = stateOf(state, 'state');
  const logs = new Float64Array(lengthOf(mantissa));
  for (let r = 0; r < logs.length; r++) logs[r] = logOf(mantissa[r]!, exponent[r]!);
  return logs;
}
