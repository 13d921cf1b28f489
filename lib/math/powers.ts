/**
 * The powers of two that exponentials are put together from: the same bits on every machine, because they are made by
 * multiplication alone. (Math.exp and Math.pow differ from one JavaScript engine to the next.)
 *
 * 2^z = 2^(whole octaves) · 2^(j / STEPS) · 2^(the rest, at most half a step)
 */

/** Steps per octave. 512 keep the two tables of roots within a quarter of a first-level cache. */
export const STEPS = 512;
export const STEP_BITS = 9;

/** Octaves below the largest logit of a row within which others have weight; 1075 reach the smallest double. */
export const DEPTH = 1086;

/**
 * Octaves by which all weights are raised, so that one whose probability will be subnormal is a normal double itself
 * and the probability is rounded once.
 */
export const HEADROOM = 64;

/** ln 2 to 107 bits is LN2 + LN2_LOW. */
export const LN2 = 0.6931471805599453;
export const LN2_LOW = 2.3190468138462996e-17;
export const LOG2_E = 1.4426950408889634;

/** A number with the digits of two doubles, which is their sum. */
export type Pair = readonly [high: number, low: number];

/** The leading 26 bits of a, and the others (Veltkamp). Two such leading parts have an exact product. */
export function split(a: number): Pair {
  const scaled = a * 0x8000001;
  const high = scaled - (scaled - a);
  return [high, a - high];
}

/** a · b exactly (Dekker's TwoProduct), for factors below 2^996 whose product is not subnormal. */
export function exactProduct(a: number, b: number): Pair {
  const product = a * b;
  const [aHigh, aLow] = split(a);
  const [bHigh, bLow] = split(b);
  return [product, aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow)];
}

/**
 * 1 / (high + low), to 75 bits, as a number of 26 bits and the rest; high is above low and as exactProduct needs it.
 */
export function splitReciprocal(high: number, low: number): Pair {
  const inverse = 1 / high;
  const [product, rest] = exactProduct(inverse, high);
  const [leading, others] = split(inverse);
  return [leading, others + (1 - product - rest - inverse * low) * inverse];
}

/** 2^(j / STEPS) for j = 0 … STEPS − 1, to 75 bits, as a number of 26 bits and the rest. */
export function rootsOfTwo(): { high: Float64Array; low: Float64Array } {
  const [rootHigh, rootLow] = [1.0013547198921082, -1.8973728416792993e-17]; // 2^(1/512)
  const high = new Float64Array(STEPS);
  const low = new Float64Array(STEPS);
  let power: Pair = [1, 0];
  for (let j = 0; j < STEPS; j++) {
    const [leading, others] = split(power[0]);
    high[j] = leading;
    low[j] = others + power[1];

    const [product, rest] = exactProduct(power[0], rootHigh);
    const smaller = rest + (power[0] * rootLow + power[1] * rootHigh);
    const next = product + smaller;
    power = [next, smaller - (next - product)];
  }
  return { high, low };
}

/** 2^(i − DEPTH + HEADROOM) for i = 1 … DEPTH + 1; entry 0 is 0, the weight of all that lies deeper. */
export function octaves(): Float64Array {
  const powers = new Float64Array(DEPTH + 2);
  const one = DEPTH - HEADROOM;
  powers[one] = 1;
  for (let i = one; i <= DEPTH; i++) powers[i + 1] = powers[i]! * 2;
  for (let i = one; i > 1; i--) powers[i - 1] = powers[i]! / 2;
  return powers;
}

const LOG2_E_LOW = 2.0355273740931033e-17;

/** An exponential as a power of two: 2^(whole + fraction), the fraction within ±½ and good to 2^-52. */
export interface Octaves {
  readonly whole: number;
  readonly fraction: number;
}

/**
 * exp((value + rest) / temperature), where rest is a fraction of value's last place. Beyond 2^40 only the side is kept.
 */
export function octavesOf(value: number, rest: number, temperature: number): Octaves {
  const scale = temperature > 2 ** 900 ? 2 ** -200 : temperature < 2 ** -900 ? 2 ** 200 : 1; // for exactProduct
  const [v, r, t] = [value * scale, rest * scale, temperature * scale];
  const high = LOG2_E / t;
  const [one, lost] = exactProduct(high, t);
  const low = (LOG2_E - one - lost + LOG2_E_LOW) / t;
  if (!(Math.abs(v * high) < 2 ** 40)) return { whole: v > 0 ? 2 ** 40 : -(2 ** 40), fraction: 0 };
  const [product, others] = exactProduct(v, high);
  const whole = Math.round(product);
  return { whole, fraction: product - whole + (others + v * low + r * high) };
}

/** 2^fraction for |fraction| ≤ ¾: the power series of exp, to the last place but one. */
export function rootOfTwo(fraction: number): number {
  const t = fraction * LN2;
  let sum = 1;
  for (let k = 18; k > 0; k--) sum = 1 + (t / k) * sum;
  return sum;
}
