/** dirichletResample: probabilities drawn anew around given ones. */
import { outOfRange, wrongType, type FloatArray } from '../arguments.js';
import { softmax } from '../softmax.js';
import { types } from '../types.js';
import { checkEither, noiseOf, SEED_OPTIONS, streamOf, type SeedOptions } from './random.js';
import { rowsOf } from './rows.js';
import { optionsOf, positive } from '../options.js';

export interface DirichletOptions extends SeedOptions {
  /** The length of a row, for rows that follow one another. Default: all is one row. */
  cols?: number | undefined;
  /** The concentration: the larger, the nearer to p. Default: 1. */
  alpha?: number | undefined;
  /** Instead of a seed: the logarithm of a Gamma(alpha · p) variate for each element. */
  noise?: Float64Array | Float32Array | readonly number[] | undefined;
}

/**
 * A draw from Dirichlet(alpha · p) for each row of probabilities: G / Σ G with G ~ Gamma(alpha · p).
 *
 * G is drawn as its logarithm: ln Gamma(a) = ln Gamma(a + 1) + ln U / a below shape 1, as a variate of shape 0.004 is below the
 * smallest double more often than not. A probability of 0 stays 0.
 *
 * @param p Probabilities, row-major; they need not sum to 1.
 * @returns A new array like p.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a negative or infinite probability, a row without a positive one, or lengths that do not fit.
 */
export function dirichletResample<A extends FloatArray>(p: A, options?: DirichletOptions): A {
  const given = optionsOf(options, ['cols', 'alpha', ...SEED_OPTIONS, 'noise']);
  const concentration = positive(given.alpha ?? 1, 'alpha');
  if (!types.isFloat32Array(p) && !types.isFloat64Array(p)) throw wrongType('a Float32Array or Float64Array', 'p', p);
  const { rows, cols } = rowsOf(p, { cols: given.cols }, 'p');
  checkEither(given);
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (let i = row * cols; i < (row + 1) * cols; i++) {
      if (!(p[i]! >= 0 && p[i]! < Infinity)) throw outOfRange('finite numbers from 0', `row ${row} of p`, p[i]);
      sum += p[i]!;
    }
    if (!(sum > 0)) throw outOfRange('a number above 0', `row ${row} of p`, 'none');
  }
  const noise = given.noise === undefined ? undefined : noiseOf(given.noise, p.length, 'numbers', (g) => g === g && g < Infinity);
  const stream = noise === undefined ? streamOf(given, rows) : undefined;
  const logs = new Float64Array(p.length);
  for (let i = 0; i < p.length; i++) {
    const [row, column] = [Math.floor(i / cols), i % cols];
    logs[i] = p[i] === 0 ? -Infinity : noise !== undefined ? noise[i]! : stream!.logGamma(row, column, concentration * p[i]!);
  }
  softmax(logs, { cols: Math.max(cols, 1), out: logs });
  if (types.isFloat64Array(p)) return logs as A;
  return Float32Array.from(logs) as A;
}
