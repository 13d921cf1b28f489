/**
 * The logarithmic operators in double-double arithmetic, with the exp of lib/cli/oracle.ts: one row at a time, by their
 * definitions, with log by Newton's method and log1p of small sums by its series.
 */
import {
  add,
  addNumber,
  divide,
  expDD,
  multiply,
  multiplyNumber,
  twoProduct,
  twoSum,
  type DD,
} from '../../lib/cli/oracle.js';
import type { Floats } from '../support/cases.js';

export const ZERO: DD = { hi: 0, lo: 0 };
const negative = (a: DD): DD => ({ hi: -a.hi, lo: -a.lo });

/** log(1 + s) for s ≥ 0. */
export function log1pDD(s: DD): DD {
  if (s.hi < 2 ** -20) {
    let sum: DD = ZERO;
    for (let k = 6; k >= 1; k--)
      ((sum = multiply(addNumber(negative(sum), 0), s)), (sum = add(sum, divide({ hi: 1, lo: 0 }, { hi: k, lo: 0 }))));
    return multiply(sum, s);
  }
  const v = addNumber(s, 1);
  const guess = Math.log(v.hi);
  const e = addNumber(multiply(v, expDD({ hi: -guess, lo: 0 })), -1);
  return addNumber(add(e, multiplyNumber(multiply(e, e), -0.5)), guess);
}

export interface LogRow {
  /** (x − max) / T of each element, −∞ where x is. */
  distances: DD[];
  /** Σ exp of the distances without one of the maxima, and log(1 + Σ). */
  others: DD;
  log: DD;
  logSumExp: DD;
}

/** One row of finite numbers and −∞, with a bias as long; at least one is finite. */
export function logRow(x: Floats, temperature = 1, bias?: Floats): LogRow {
  const t: DD = { hi: temperature, lo: 0 };
  const z = Array.from(x, (v, i) => (v === -Infinity ? { hi: v, lo: 0 } : twoSum(v, bias?.[i] ?? 0)));
  const at = z.reduce(
    (best, v, i) => (v.hi > z[best]!.hi || (v.hi === z[best]!.hi && v.lo > z[best]!.lo) ? i : best),
    0,
  );
  const top = z[at]!;
  const distances = z.map((v) => (v.hi === -Infinity ? v : divide(add(v, negative(top)), t)));
  // Adding the largest terms last would lose less, but an error of 2^-100 is small enough.
  const others = distances.reduce((sum, d, i) => (i === at ? sum : add(sum, expDD(d))), ZERO);
  const log = log1pDD(others);
  return { distances, others, log, logSumExp: add(divide(top, t), log) };
}

export const logSoftmaxOf = (row: LogRow, i: number): DD => add(row.distances[i]!, negative(row.log));

/** (softmax − [i is the target]) / T. */
export function gradientOf(row: LogRow, i: number, target: number, temperature: number): DD {
  const whole = addNumber(row.others, 1);
  const d = row.distances[i]!;
  const term = d.hi === -Infinity ? ZERO : expDD(d);
  const isTop = d.hi === 0 && d.lo === 0;
  const numerator = i !== target ? term : negative(isTop ? row.others : add(whole, negative(term)));
  return divide(divide(numerator, whole), { hi: temperature, lo: 0 });
}

/** y (dy − Σ y dy) / T of one row. */
export function backwardOf(y: Floats, dy: Floats, temperature: number): DD[] {
  const sum = Array.from(y).reduce((all: DD, v, i) => add(all, twoProduct(v, dy[i]!)), ZERO);
  return Array.from(y, (v, i) =>
    divide(multiplyNumber(addNumber(negative(sum), dy[i]!), v), { hi: temperature, lo: 0 }),
  );
}
