/**
 * The exact results of a row's operators, in double-double arithmetic: differences from the largest logit, their
 * exponentials, the sum. It shares exp and division with lib/cli/oracle.ts, and nothing with the kernels or the
 * fallback.
 *
 * Where results are float32 or narrower, and no sum is a double, plain doubles and Math.exp are exact to 2⁻²⁰ ULP of a
 * float32, and take a thirtieth of the time.
 */
import {
  add,
  addNumber,
  divide,
  expDD,
  multiply,
  multiplyNumber,
  scale,
  twoSum,
  type DD,
} from '../../lib/cli/oracle.js';
import { log1pDD } from '../softmax/log-oracle.js';

export const ZERO: DD = { hi: 0, lo: 0 };
export const negative = (a: DD): DD => ({ hi: -a.hi, lo: -a.lo });
export const dd = (hi: number): DD => ({ hi, lo: 0 });

/** One row: exact logits, biases, and the visible positions. */
export interface RowInput {
  readonly x: Float64Array;
  readonly bias?: Float64Array | undefined;
  readonly visible?: Uint8Array | undefined;
  readonly temperature: number;
  readonly precise: boolean;
}

/** 'masked': nothing is visible. 'low': only −∞ is visible. 'poisoned': a NaN or a +∞ is visible. */
export type RowState = 'ordinary' | 'masked' | 'low' | 'poisoned';

export interface ExactRow {
  readonly state: RowState;
  /** True for a poisoned row with a NaN, false for one with +∞ alone. */
  readonly hasNaN: boolean;
  /** (z − max z) / T of each position, −∞ for a term of 0. */
  readonly distances: readonly DD[];
  /** Σ exp of all distances but one of the largest. */
  readonly others: DD;
  /** max z / T. */
  readonly top: DD;
  /** The position of the largest logit. */
  readonly at: number;
  readonly precise: boolean;
}

/** A DD times 2^n; infinite if that overflows. */
function scaled(a: DD, n: number): DD {
  const hi = scale(a.hi, n);
  return { hi, lo: Math.abs(hi) < Infinity ? scale(a.lo, n) : 0 };
}

/** T as t · 2^n with t in [1, 2). */
function normalized(temperature: number): [t: number, n: number] {
  let [t, n] = [temperature, 0];
  for (; t < 2 ** -900; n -= 500) t *= 2 ** 500;
  const power = Math.floor(Math.log2(t));
  for (t = scale(t, -power), n += power; t >= 2; n++) t /= 2;
  for (; t < 1; n--) t *= 2;
  return [t, n];
}

/** Above the first, sums of double-doubles overflow; below the second, their quotients lose the lower part. */
const [LARGE, TINY] = [2 ** 900, 2 ** -400];

/** True if sum a is above sum b. If they overflow, a power of two times each decides. */
function isAbove(a: DD, b: DD, smallA: DD, smallB: DD): boolean {
  const isClear = a.hi !== b.hi && Math.abs(a.hi - b.hi) < Infinity;
  const [p, q] = isClear || !(Math.abs(a.hi) >= LARGE) ? [a, b] : [smallA, smallB];
  return p.hi > q.hi || (p.hi === q.hi && p.lo > q.lo);
}

export function exactRow({ x, bias, visible, temperature, precise }: RowInput): ExactRow {
  const n = x.length;
  const none: Omit<ExactRow, 'state'> = {
    hasNaN: false,
    distances: [],
    others: ZERO,
    top: dd(-Infinity),
    at: -1,
    precise,
  };
  let [most, seen, hasNaN, hasInfinity] = [0, 0, false, false];
  for (let i = 0; i < n; i++) {
    if (visible && visible[i] === 0) continue;
    seen++;
    const z = x[i]! + (bias ? bias[i]! : 0);
    // a sum of two finite numbers counts as finite, even if it overflows
    const isFinite = Math.abs(x[i]!) < Infinity && !(bias && !(Math.abs(bias[i]!) < Infinity));
    if (z !== z) hasNaN = true;
    else if (!isFinite) hasInfinity ||= z === Infinity;
    else most = Math.max(most, Math.abs(x[i]!), bias ? Math.abs(bias[i]!) : 0);
  }
  if (hasNaN || hasInfinity) return { ...none, state: 'poisoned', hasNaN };
  if (seen === 0) return { ...none, state: visible && n > 0 ? 'masked' : 'low' };

  const isLow = (i: number) => (visible && visible[i] === 0) || x[i] === -Infinity || (bias && bias[i] === -Infinity);
  const valueOf = (i: number, by: number): DD =>
    bias ? twoSum(scale(x[i]!, by), scale(bias[i]!, by)) : dd(scale(x[i]!, by));
  /** The sums as they are; and times 2^−200 if some are large, which takes bits from the smallest. */
  const z: DD[] = new Array<DD>(n);
  const down: DD[] = most > LARGE ? new Array<DD>(n) : z;
  let at = -1;
  for (let i = 0; i < n; i++) {
    const low = isLow(i);
    z[i] = low ? dd(-Infinity) : valueOf(i, 0);
    if (most > LARGE) down[i] = low ? dd(-Infinity) : valueOf(i, -200);
    if (!low && (at < 0 || isAbove(z[i]!, z[at]!, down[i]!, down[at]!))) at = i;
  }
  if (at < 0) return { ...none, state: 'low' };
  const isLarge = (i: number) => down !== z && !(Math.abs(z[i]!.hi) < LARGE);

  const [t, power] = normalized(temperature);
  /** a · 2^up / temperature */
  const quotient = (a: DD, up: number): DD => {
    const lift = Math.abs(a.hi) < TINY ? 600 : 0;
    const lifted = lift ? scaled(a, lift) : a;
    return scaled(precise ? divide(lifted, dd(t)) : dd((lifted.hi + lifted.lo) / t), up - power - lift);
  };
  const distances = z.map((_, i) => {
    if (isLow(i)) return dd(-Infinity);
    const [all, up] = isLarge(i) || isLarge(at) ? [down, 200] : [z, 0];
    const [v, largest] = [all[i]!, all[at]!];
    return quotient(precise ? add(v, negative(largest)) : dd(v.hi - largest.hi + (v.lo - largest.lo)), up);
  });
  let others = ZERO;
  if (precise) for (let i = 0; i < n; i++) others = i === at ? others : add(others, expDD(distances[i]!));
  else others = dd(plainSum(distances, at));
  return {
    state: 'ordinary',
    hasNaN: false,
    distances,
    others,
    top: isLarge(at) ? quotient(down[at]!, 200) : quotient(z[at]!, 0),
    at,
    precise,
  };
}

function plainSum(distances: readonly DD[], at: number): number {
  let sum = 0;
  for (let i = 0; i < distances.length; i++) if (i !== at) sum += Math.exp(distances[i]!.hi);
  return sum;
}

/** exp(a), a ≤ 0, with all bits even where it is subnormal: as (exp(a / 2) · 2^500)² · 2^−1000. */
function smallExp(a: DD, precise: boolean): { value: DD; shift: number } {
  if (!precise) return { value: dd(Math.exp(a.hi)), shift: 0 };
  if (a.hi > -600) return { value: expDD(a), shift: 0 };
  if (a.hi < -800) return { value: ZERO, shift: 0 };
  const root = expDD({ hi: a.hi / 2, lo: a.lo / 2 });
  const lifted = { hi: root.hi * 2 ** 500, lo: root.lo * 2 ** 500 };
  return { value: multiply(lifted, lifted), shift: -1000 };
}

export function softmaxOf(row: ExactRow, i: number): DD {
  const d = row.distances[i]!;
  if (d.hi === -Infinity) return ZERO;
  const { value, shift } = smallExp(d, row.precise);
  const y = divide(value, addNumber(row.others, 1));
  return shift === 0 ? y : { hi: scale(y.hi, shift), lo: scale(y.lo, shift) };
}

const logs = new WeakMap<ExactRow, DD>();
/** log(1 + S). */
export function logOf(row: ExactRow): DD {
  let log = logs.get(row);
  if (log === undefined) logs.set(row, (log = row.precise ? log1pDD(row.others) : dd(Math.log1p(row.others.hi))));
  return log;
}

/** Adds numbers that may be infinite. */
const sum = (a: DD, b: DD): DD => (Math.abs(a.hi) < 1e300 && Math.abs(b.hi) < 1e300 ? add(a, b) : dd(a.hi + b.hi));

export const logSoftmaxOf = (row: ExactRow, i: number): DD => sum(row.distances[i]!, negative(logOf(row)));
export const logSumExpOf = (row: ExactRow): DD => sum(row.top, logOf(row));

/** (softmax − [i is the target]) / T. */
export function gradientOf(row: ExactRow, i: number, target: number, temperature: number): DD {
  const whole = addNumber(row.others, 1);
  const exp = (j: number) => (row.distances[j]!.hi === -Infinity ? ZERO : expDD(row.distances[j]!));
  let numerator = exp(i);
  if (i === target) numerator = negative(i === row.at ? row.others : add(whole, negative(numerator)));
  const [t, power] = normalized(temperature);
  return scaled(divide(divide(numerator, whole), dd(t)), -power);
}

/** y · (dy − Σ y · dy) / T of the visible positions of a row; `size` is the largest term that may have cancelled. */
export function backwardOf(
  y: Float64Array,
  dy: Float64Array,
  visible: Uint8Array | undefined,
  temperature: number,
): { value: DD[]; size: number } {
  let [all, size] = [ZERO, 0];
  for (let i = 0; i < y.length; i++) {
    if (visible && visible[i] === 0) continue;
    all = add(all, multiplyNumber(dd(y[i]!), dy[i]!));
    size += Math.abs(y[i]! * dy[i]!);
  }
  const [t, power] = normalized(temperature);
  const value = Array.from(y, (v, i) =>
    visible && visible[i] === 0
      ? ZERO
      : scaled(divide(multiplyNumber(addNumber(negative(all), dy[i]!), v), dd(t)), -power),
  );
  return { value, size };
}
