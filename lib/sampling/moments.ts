/** The call that measures whole rows for filters, and what follows from its numbers. */
import { backendFor } from '../backend/choice.js';
import { EXP_SUM, MOMENTS } from '../backend/operators.js';
import { callOf } from '../call/call.js';
import type { Steps } from '../call/steps.js';
import type { NewFloat64Array } from '../call/types.js';
import { momentsKernels, OVERFLOWS } from '../js/sampling/moments.js';
import { expSumKernels } from '../js/softmax/exp-sum.js';
import { extendedExp } from '../math/exp.js';
import type { Rows } from './rows.js';
import { entropyOf } from './token-set.js';
import { TokenWeights } from './weights.js';

interface Wanted {
  readonly spread?: NewFloat64Array;
  readonly mass?: NewFloat64Array;
  /** Of each row, for `mass`. */
  readonly temperatures: NewFloat64Array;
}

/** Measures all rows. False: the sums of a row with its bias overflow. */
function* measured(call: Rows, { spread, mass, temperatures }: Wanted): Steps<boolean> {
  const { x, type, rows, cols, mask, maskLayout, bias, own } = call;
  const status = new Int32Array(rows);
  const numbers = { temperatures, spread: spread ?? null, mass: mass ?? null, status };
  yield callOf(MOMENTS, {
    backend: backendFor(rows * cols, momentsKernels),
    type,
    args: { x, ...numbers, rows, cols, mask, maskLayout, bias },
    own: ['temperatures', 'spread', 'mass', 'status', ...own],
    names: { x: 'logits' },
    work: rows * cols,
    finish: () => undefined,
  });
  return !status.includes(OVERFLOWS);
}

/** A sum of squares of which none that counts has underflowed. */
const LEAST_SQUARES = 2 ** -800;

/**
 * The standard deviation of each row's logits, 0 for a row of fewer than two; undefined if sums overflow, or squares
 * are beyond the range of doubles.
 */
export function* deviations(call: Rows): Steps<NewFloat64Array | undefined> {
  const { rows } = call;
  const spread = new Float64Array(3 * rows);
  const isMeasured = yield* measured(call, { spread, temperatures: new Float64Array(rows) });
  if (!isMeasured) return undefined;
  const sigma = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    const [count, mean, squares] = spread.subarray(3 * r) as unknown as [number, number, number];
    if (count > 1 && mean !== 0 && !(squares > LEAST_SQUARES && squares < Infinity)) return undefined;
    if (count > 1) sigma[r] = Math.sqrt(squares / count);
  }
  return sigma;
}

/** The weights of one row as a whole. `count` is 0 for a row without an answer. */
export interface RowMass {
  /** The number of its finite logits. */
  readonly count: number;
  /** The exact sum of its weights. */
  readonly total: number;
  /** In nats. */
  readonly entropy: number;
  readonly weights: TokenWeights;
}

/** Weighs all rows, each at its temperature, which is above 0; undefined if sums overflow. */
export function* masses(call: Rows, temperatureOf: (row: number) => number): Steps<RowMass[] | undefined> {
  const { rows, cols } = call;
  const mass = new Float64Array(4 * rows);
  const temperatures = Float64Array.from({ length: rows }, (_, r) => temperatureOf(r));
  const isMeasured = yield* measured(call, { mass, temperatures });
  if (!isMeasured) return undefined;
  return Array.from(temperatures, (temperature, r) => {
    const [top, count, total, sum] = mass.subarray(4 * r) as unknown as [number, number, number, number];
    const weights = new TokenWeights(top, temperature, cols);
    return { count, total, entropy: count === 0 ? 0 : entropyOf(total, sum, weights.unit), weights };
  });
}

/** The exact total of a row's weights, or one within {@link ROUGH} of it, and perhaps the number of finite logits. */
export type RowTotal = Pick<RowMass, 'total' | 'weights'> & Partial<Pick<RowMass, 'count'>>;

/** The largest relative error of rough totals: what float kernels leave open, and the rounding of weights, are less. */
export const ROUGH = 2 ** -19;
/** Rough totals are for so many columns, and tops within so many temperatures. */
const [MOST_ROUGH, FARTHEST] = [2 ** 20, 10_000];

/**
 * The totals of rows of floats without bias and mask, in a quarter of the time of {@link masses}; undefined where a
 * row's might not be within {@link ROUGH}. `topOf` gives a row's largest logit, or NaN.
 */
export function* roughTotals(
  { x, type, rows, cols, mask, maskLayout, bias, own }: Rows,
  temperature: number,
  topOf: (row: number) => number,
): Steps<RowTotal[] | undefined> {
  const backend = backendFor(rows * cols, expSumKernels);
  const isPlain = type !== 'f64' && mask === null && bias === null;
  if (!isPlain || backend.name === 'js' || cols > MOST_ROUGH || !(temperature >= 2 ** -20)) return undefined;
  const tops = Array.from({ length: rows }, (_, r) => topOf(r));
  if (!tops.every((top) => Math.abs(top / temperature) <= FARTHEST)) return undefined;
  const [mantissa, exponent] = [new Float64Array(rows), new Int32Array(rows)];
  const extent = { outer: rows, cols, inner: 1 };
  yield callOf(EXP_SUM, {
    backend,
    type,
    args: { x, mantissa, exponent, ...extent, temperature, mask, maskLayout, bias },
    own: ['mantissa', 'exponent', ...own],
    names: { x: 'logits' },
    work: rows * cols,
    finish: () => undefined,
  });
  return tops.map((top, r) => {
    const weights = new TokenWeights(top, temperature, cols);
    const [m, e] = extendedExp(top / temperature);
    return { total: (mantissa[r]! / m) * 2 ** (exponent[r]! - e) * weights.unit, weights };
  });
}

/**
 * The distance from the top of the lowest float whose weight is at least `least`: 0 if none is. undefined if no number
 * says it exactly.
 */
export function distanceOf({ weights }: RowMass, least: number): number | undefined {
  const top = weights.largest;
  let [low, high] = [-(2 - 2 ** -23) * 2 ** 127, top];
  if (weights.of(low) >= least) return -Infinity;
  for (;;) {
    const middle = Math.fround(low / 2 + high / 2);
    if (middle === low || middle === high) break;
    if (weights.of(middle) >= least) high = middle;
    else low = middle;
  }
  return top + (high - top) === high ? high - top : undefined;
}
