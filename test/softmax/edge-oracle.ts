/**
 * The exact results of the row operators: sums, quotients and exponentials as integers (v · 2^1400, see exact.ts), and
 * the interval of doubles within a bound. Rows of few different logits are cheap: each logit is computed once.
 */
import { exponential, fixed } from '../support/exact.js';

const BITS = 1400n;
const ONE = 1n << BITS;

/** The digits of a type, the exponent of its smallest number, and the exponent of the first number beyond its range. */
const formats = { f32: [24, -149, 128], f64: [53, -1074, 1024], f16: [11, -24, 16], bf16: [8, -133, 128] } as const;
export type FormatName = keyof typeof formats;

/** Every number from low to high is right. If both are NaN, only NaN is. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

const only = (value: number): Interval => ({ low: value, high: value });
export const NOT_A_NUMBER = only(NaN);

/** A fixed number as a double, rounded down or up; beyond the range, the largest double or ∞. */
function toDouble(v: bigint, up: boolean): number {
  if (v < 0n) return -toDouble(-v, !up);
  if (v === 0n) return 0;
  const shift = BigInt(Math.max(v.toString(2).length - 53, 1400 - 1074));
  const digits = (v >> shift) + (up && v & ((1n << shift) - 1n) ? 1n : 0n);
  const exponent = Number(shift) - 1400;
  const value =
    exponent > 971 ? Infinity : Number(digits) * 2 ** Math.max(exponent, -1000) * 2 ** Math.min(exponent + 1000, 0);
  return value === Infinity && !up ? Number.MAX_VALUE : value;
}

/** The interval within some ULP and `slack` of v. Beyond a type's range it is ±∞. */
export function near(v: bigint, type: FormatName, units: number, slack = 0n): Interval {
  const [digits, smallest, beyond] = formats[type];
  const size = v < 0n ? -v : v;
  const exponent = Math.max(size.toString(2).length - 1400 - digits, smallest);
  const most = (BigInt(Math.round(units * 1000)) * (1n << BigInt(1400 + exponent))) / 1000n + slack;
  const end = ONE << BigInt(beyond);
  const border = end - (1n << BigInt(1400 + beyond - digits - 1)); // from here on numbers round to ∞
  const [low, high] = [v - most, v + most];
  return {
    low: low <= -border ? -Infinity : low >= border ? lastOf(type) : toDouble(low, false),
    high: high >= border ? Infinity : high <= -border ? -lastOf(type) : toDouble(high, true),
  };
}

const lastOf = (type: FormatName): number => (2 - 2 ** (1 - formats[type][0])) * 2 ** (formats[type][2] - 1);

const divide = (a: bigint, b: bigint): bigint => (a << BITS) / b;
const multiply = (a: bigint, b: bigint): bigint => (a * b) >> BITS;

/** log(1 + s). */
function log1p(s: bigint): bigint {
  if (s < ONE >> 500n) return s - multiply(s, s) / 2n;
  let y = fixed(Math.log1p(toDouble(s, false)));
  for (let i = 0; i < 5; i++) y += multiply(ONE + s, exponential(-y)) - ONE;
  return y;
}

/** The visible logits of a row: their number, and the quantities of their finite sums. */
export interface ExactRow {
  /** (z − max z) / T at position i; null where z is −∞. */
  distance(i: number): bigint | null;
  /** exp of the distance at position i. */
  weight(i: number): bigint;
  readonly others: bigint;
  readonly log: bigint;
  readonly logSumExp: bigint;
}

/** Takes −∞ and finite sums of x and bias. Null for a row without a finite sum, or with NaN or +∞. */
export function exactRow(
  x: readonly number[],
  bias: readonly number[] | null,
  isVisible: (i: number) => boolean,
  temperature: number,
): ExactRow | null {
  const sums = new Map<string, bigint>();
  const keys = x.map((v, i) => `${v} ${bias?.[i] ?? 0}`);
  const z = keys.map((key, i): bigint | null => {
    const b = bias?.[i] ?? 0;
    if (!isVisible(i) || x[i] === -Infinity || b === -Infinity) return null;
    if (!sums.has(key)) sums.set(key, fixed(x[i]!) + fixed(b));
    return sums.get(key)!;
  });
  const finite = z.filter((v) => v !== null);
  if (finite.length === 0) return null;
  const top = finite.reduce((a, b) => (b > a ? b : a));
  const t = fixed(temperature);
  const known = new Map<bigint, readonly [bigint, bigint]>();
  const at = (v: bigint): readonly [bigint, bigint] => {
    let found = known.get(v);
    if (found === undefined) {
      const distance = divide(v - top, t);
      known.set(v, (found = [distance, exponential(distance)]));
    }
    return found;
  };
  const counts = new Map<bigint, bigint>();
  for (const v of finite) counts.set(v, (counts.get(v) ?? 0n) + 1n);
  let others = -ONE;
  for (const [v, count] of counts) others += count * at(v)[1];
  const log = log1p(others);
  return {
    distance: (i) => (z[i] == null ? null : at(z[i])[0]),
    weight: (i) => (z[i] == null ? 0n : at(z[i])[1]),
    others,
    log,
    logSumExp: divide(top, t) + log,
  };
}

export const probability = (row: ExactRow, i: number): bigint => divide(row.weight(i), ONE + row.others);

/** (softmax − [i is the target]) / T */
export function gradient(row: ExactRow, i: number, target: number, temperature: number): bigint {
  const part = i === target ? row.weight(i) - ONE - row.others : row.weight(i);
  return divide(divide(part, ONE + row.others), fixed(temperature));
}

/** y (dy − Σ y dy) / T of finite numbers, 0 where masked. */
export function backward(
  y: readonly number[],
  dy: readonly number[],
  isVisible: (i: number) => boolean,
  temperature: number,
): bigint[] {
  const term = (i: number): bigint => (isVisible(i) ? multiply(fixed(y[i]!), fixed(dy[i]!)) : 0n);
  const sum = y.reduce((all, _, i) => all + term(i), 0n);
  const t = fixed(temperature);
  const known = new Map<string, bigint>();
  return y.map((v, i) => {
    if (!isVisible(i)) return 0n;
    const key = `${v} ${dy[i]}`;
    if (!known.has(key)) known.set(key, divide(multiply(fixed(v), fixed(dy[i]!) - sum), t));
    return known.get(key)!;
  });
}
