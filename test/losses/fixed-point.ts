/** sin and cos of a double by BigInt arithmetic in fixed point, with 200 bits behind the point. */
import { addNumber, type DD } from '../../lib/cli/oracle.js';

const BITS = 200n;
const ONE = 1n << BITS;
const times = (a: bigint, b: bigint): bigint => (a * b) >> BITS;

/** atan(1 / n). */
function arctan(n: bigint): bigint {
  let [power, sum] = [ONE / n, ONE / n];
  for (let k = 3n, sign = -1n; power !== 0n; k += 2n, sign = -sign) {
    power /= n * n;
    sum += (sign * power) / k;
  }
  return sum;
}

const HALF_PI = 2n * (4n * arctan(5n) - arctan(239n));

/** A double, exactly: it must be 0 or at least 2^-140. */
function fixed(x: number): bigint {
  let [scaled, bits] = [x, 0n];
  for (; !Number.isInteger(scaled); scaled *= 2) bits++;
  return (BigInt(scaled) << BITS) >> bits;
}

/** The sum of two doubles nearest to a number. */
export function pairOf(x: bigint): DD {
  const number = (v: bigint): number => {
    const size = v < 0n ? -v : v;
    const drop = BigInt(Math.max(0, size.toString(2).length - 60));
    return (Number(v >> drop) * 2 ** Number(drop)) / 2 ** Number(BITS);
  };
  const hi = number(x);
  return hi === 0 ? { hi, lo: 0 } : addNumber({ hi: number(x - fixed(hi)), lo: 0 }, hi);
}

/** sin x and cos x, to 2^-190. */
export function sinCosOracle(x: number): { sin: DD; cos: DD } {
  const exact = fixed(x);
  const k = (2n * exact + HALF_PI) / (2n * HALF_PI);
  const r = exact - k * HALF_PI;
  let [term, sin, cos] = [ONE, 0n, 0n];
  for (let n = 1n; term !== 0n && n < 200n; n++) {
    const isEven = n % 2n === 1n;
    const sign = ((n - 1n) / 2n) % 2n === 0n ? 1n : -1n;
    if (isEven) cos += sign * term;
    else sin += sign * term;
    term = times(term, r) / n;
  }
  const [s, c] = [
    [sin, cos],
    [cos, -sin],
    [-sin, -cos],
    [-cos, sin],
  ][Number(((k % 4n) + 4n) % 4n)] as [bigint, bigint];
  return { sin: pairOf(s), cos: pairOf(c) };
}
