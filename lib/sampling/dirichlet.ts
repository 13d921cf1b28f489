/** dirichletResample: draws probabilities around given ones. */
import { outOfRange, wrongValue } from '../call/errors.js';
import { type FloatArray } from '../call/types.js';
import { positive } from '../call/checks.js';
import { softmax } from '../softmax/softmax.js';
import { types, type NewLike } from '../call/types.js';
import { ln } from '../math/log.js';
import { checkFloats, optionsOf } from './options.js';
import { checkCount, checkEither, noiseOf, SEED_OPTIONS, streamOf } from './random.js';
import type { Noise, SeedOptions, Stream } from './random.js';
import { rowsOf } from './rows.js';

export interface DirichletOptions extends SeedOptions {
  /** The length of a row, for rows that follow one another. Default: all is one row. */
  cols?: number | null | undefined;
  /** The concentration: the larger, the nearer to p. Default: 1. */
  alpha?: number | null | undefined;
  /** Instead of a seed: the logarithm of a Gamma(alpha · p) variate for each element, below Infinity. */
  noise?: Noise | null | undefined;
}

/**
 * A draw from Dirichlet(alpha · p) for each row of probabilities: G / Σ G with G ~ Gamma(alpha · p).
 *
 * ln G is drawn, not G: ln Gamma(a) = ln Gamma(a + 1) + ln U / a below shape 1, as a variate of shape 0.004 is below
 * the smallest double more often than not. A probability of 0 stays 0. Shapes beyond the range of a double work: a
 * larger one has no noise that a double could hold, and if all are so small that every ln U / a is below −1.8e308, the
 * largest variate gets the probability 1.
 *
 * @param p Probabilities, row-major; they need not sum to 1.
 * @returns A new array like p.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a negative or infinite probability, a row without a
 *   positive one, lengths that do not fit, and noise of −∞ at every positive probability of a row, which it names.
 * @example
 * import { dirichletResample } from 'flash-softmax/sampling';
 * const p = dirichletResample(Float64Array.of(0.5, 0.5, 0), { alpha: 10, seed: 1, step: 0 });
 * console.log(p[0].toFixed(4), p[2], (p[0] + p[1]).toFixed(4)); // → 0.5030 0 1.0000
 */
export function dirichletResample<A extends FloatArray>(p: A, options?: DirichletOptions): NewLike<A> {
  const given = optionsOf(options, ['cols', 'alpha', ...SEED_OPTIONS, 'noise']);
  const alpha = positive(given.alpha ?? 1, 'alpha');
  checkEither(given);
  const noise = noiseOf(given.noise, 'numbers below Infinity', (g) => g < Infinity);
  checkFloats(p, 'p');
  const { rows, cols } = rowsOf(p, { cols: given.cols }, 'p');
  for (let row = 0; row < rows; row++) checkRow(p, row, cols);
  if (noise !== undefined) checkCount(noise, rows * cols);
  const stream = noise === undefined ? streamOf(given, rows) : undefined;

  const logs = new Float64Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    let largest = -Infinity;
    for (let column = 0; column < cols; column++) {
      const i = row * cols + column;
      logs[i] = p[i] === 0 ? -Infinity : noise !== undefined ? noise[i]! : logGamma(stream!, row, column, alpha, p[i]!);
      if (logs[i]! > largest) largest = logs[i]!;
    }
    if (largest > -Infinity) continue;
    const expected = 'a finite number beside a positive one of p';
    if (stream === undefined) throw wrongValue(expected, `row ${row} of noise`, 'none');
    logs[row * cols + columnOfLargest(stream, row, p, cols)] = 0;
  }
  softmax(logs, { cols: Math.max(cols, 1), out: logs });
  return (types.isFloat64Array(p) ? logs : new Float32Array(logs)) as FloatArray as NewLike<A>;
}

function checkRow(p: FloatArray, row: number, cols: number): void {
  let sum = 0;
  for (let i = row * cols; i < (row + 1) * cols; i++) {
    if (!(p[i]! >= 0 && p[i]! < Infinity)) throw outOfRange('finite numbers from 0', `row ${row} of p`, p[i]);
    sum += p[i]!;
  }
  if (cols > 0 && !(sum > 0)) throw outOfRange('a number above 0', `row ${row} of p`, 'none');
}

/**
 * ln of a Gamma(alpha · p) variate; if the shape overflows, ln of its mean, relative to which the variate differs by
 * 1e-154.
 */
function logGamma(stream: Stream, row: number, column: number, alpha: number, p: number): number {
  const shape = alpha * p;
  return shape < Infinity ? stream.logGamma(row, column, shape) : ln(alpha) + ln(p);
}

/** The column of a row's largest ln U / p, for a row whose ln U / (alpha · p) are all below −1.8e308. */
function columnOfLargest(stream: Stream, row: number, p: FloatArray, cols: number): number {
  let largest = 0;
  for (let i = row * cols; i < (row + 1) * cols; i++) if (p[i]! > largest) largest = p[i]!;
  let [best, found] = [-Infinity, 0];
  for (let column = 0; column < cols; column++) {
    const share = p[row * cols + column]! / largest;
    const log = share === 0 ? -Infinity : stream.gammaParts(row, column, 0).power / share;
    if (log > best) [best, found] = [log, column];
  }
  return found;
}
