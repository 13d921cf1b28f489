/** Judges rows by the double-double oracle of lib/cli/oracle.ts, which exact.test.ts proves. */
import { softmaxOracle, countedError } from '../../lib/cli/oracle.js';
import { isNative } from './backends.js';
import type { Floats, FloatsName } from './cases.js';

export type Expected = ReturnType<typeof softmaxOracle>;

/** The exact row, as hi + lo. */
export function oracle(x: Floats, temperature = 1): Expected {
  return softmaxOracle(x, { temperature });
}

/** The promised bound of a row, in ULP. Rows that are computed in double are only rounded. */
export function bound(backend: string, type: FloatsName, cols = Infinity): number {
  return type === 'f32' && (!isNative(backend) || cols <= 256) ? 0.51 : 2;
}

/** The largest error of a row and its index, with both values for a message. */
export function worstError(type: FloatsName, actual: Floats, expected: Expected) {
  let [error, index] = [0, 0];
  for (let i = 0; i < actual.length; i++) {
    const e = countedError(actual[i]!, expected.hi[i]!, expected.lo[i]!, type);
    if (e > error) [error, index] = [e, i];
  }
  return { error, index, actual: actual[index], exact: expected.hi[index] };
}
