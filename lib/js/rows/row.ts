/**
 * One row of logits, copied into doubles: loading it, adding its bias, hiding what is masked, and storing what became
 * of it. Element types and layouts (n elements at start, start + stride, …) are a matter of this file alone.
 *
 * Why copy: V8 checks an array that came as a parameter at each access in a loop, but knows the address and the length
 * of one that is a constant where the function is made. So all arithmetic happens in such an array, and the loops that
 * copy take four elements a turn, to share the checks. Constants of a module would do, but bundlers turn them into
 * variables, which costs a factor of 2.5: hence a function that makes the functions.
 */
import { HEADROOM, splitReciprocal } from '../../math/powers.js';

/** The longest row that is held whole: 8 MiB, not backed by memory until used. */
export const HELD = 2 ** 20;

/** Longer ones are taken in parts of this length, which stay in a second-level cache from one step to the next. */
export const PART = 2 ** 16;

/** From this size on, steps of TwoSum may overflow where its sum does not. */
export const NEAR_END = 2 ** 1023;

/** What rounding takes from a sum of that size (Dekker): the larger number is taken off first. */
function lostNearEnd(a: number, b: number, sum: number): number {
  return Math.abs(a) >= Math.abs(b) ? b - (sum - a) : a - (sum - b);
}

/** The steps on a row held in `cells`; `remainders` takes what does not fit into its doubles, where that matters. */
export function rowSteps(cells: Float64Array, remainders: Float64Array) {
  const row = cells;
  const rest = remainders;
  const raise = 2 ** HEADROOM;
  let overflowed = false;

  /** Loads logits and returns the largest; a NaN is never the largest. */
  function load_f32(x: Float32Array, start: number, stride: number, n: number): number {
    let max = -Infinity;
    let i = 0;
    for (; stride === 1 && i < n - 3; i += 4) {
      const at = start + i;
      const a = x[at]!;
      const b = x[at + 1]!;
      const c = x[at + 2]!;
      const d = x[at + 3]!;
      row[i] = a;
      row[i + 1] = b;
      row[i + 2] = c;
      row[i + 3] = d;
      if (a > max) max = a;
      if (b > max) max = b;
      if (c > max) max = c;
      if (d > max) max = d;
    }
    for (; i < n; i++) {
      const a = x[start + i * stride]!;
      row[i] = a;
      if (a > max) max = a;
    }
    return max;
  }

  /** The same for doubles, divided by a power of two. */
  function load_f64(x: Float64Array, start: number, stride: number, n: number, divisor: number): number {
    const scale = 1 / divisor;
    let max = -Infinity;
    let i = 0;
    for (; stride === 1 && i < n - 3; i += 4) {
      const at = start + i;
      const a = x[at]! * scale;
      const b = x[at + 1]! * scale;
      const c = x[at + 2]! * scale;
      const d = x[at + 3]! * scale;
      row[i] = a;
      row[i + 1] = b;
      row[i + 2] = c;
      row[i + 3] = d;
      if (a > max) max = a;
      if (b > max) max = b;
      if (c > max) max = c;
      if (d > max) max = d;
    }
    for (; i < n; i++) {
      const a = x[start + i * stride]! * scale;
      row[i] = a;
      if (a > max) max = a;
    }
    return max;
  }

  /**
   * Adds bias / divisor to the logits exactly (Knuth's TwoSum: what rounding takes is in `rest`) and returns the
   * largest. A finite sum that no double holds is noted.
   */
  function addBias(
    bias: Float32Array | Float64Array,
    start: number,
    stride: number,
    n: number,
    divisor: number,
  ): number {
    const scale = 1 / divisor;
    let max = -Infinity;
    for (let i = 0, at = start; i < n; i++, at += stride) {
      const a = row[i]!;
      const b = bias[at]! * scale;
      const sum = a + b;
      const ofB = sum - a;
      row[i] = sum;
      const lost = a - (sum - ofB) + (b - ofB);
      const isFinite = Math.abs(sum) < Infinity;
      rest[i] = lost === lost ? lost : isFinite ? lostNearEnd(a, b, sum) : 0;
      if (!isFinite && Math.abs(a) < Infinity && Math.abs(b) < Infinity) overflowed = true;
      if (sum > max) max = sum;
    }
    return max;
  }

  /** Whether addBias noted a sum that overflows since this was asked last. */
  function hasOverflowed(): boolean {
    const answer = overflowed;
    overflowed = false;
    return answer;
  }

  /** Turns masked logits into −∞. Returns the largest of the others: NaN if there is one, −∞ if there are none. */
  function hide(mask: Uint8Array, isBits: boolean, start: number, stride: number, n: number): number {
    let max = -Infinity;
    for (let i = 0, at = start; i < n; i++, at += stride) {
      const kept = isBits ? mask[Math.floor(at / 8)]! & (1 << (at & 7)) : mask[at]!;
      const logit = row[i]!;
      if (kept === 0) row[i] = -Infinity;
      else if (logit > max || logit !== logit) max = logit;
    }
    return max;
  }

  /** What `rest` adds to the largest logit, if that is `max`: the most that it adds to any logit of this value. */
  function largestRest(n: number, max: number): number {
    let largest = -Infinity;
    for (let i = 0; i < n; i++) if (row[i] === max && rest[i]! > largest) largest = rest[i]!;
    return largest;
  }

  /**
   * Turns logits, row + rest, into their distances from the largest, max + maxRest, divided by a power of two: row +
   * rest again, good to 100 bits (TwoSum twice, and once to add the results). Nothing goes below `bottom`.
   */
  function settle(n: number, max: number, maxRest: number, divisor: number, bottom: number): void {
    const minusMax = -max;
    const minusRest = -maxRest;
    const scale = 1 / divisor;
    for (let i = 0; i < n; i++) {
      const a = row[i]!;
      const b = rest[i]!;
      const high = a + minusMax;
      const ofMax = high - a;
      const low = b + minusRest;
      const ofRest = low - b;
      const distance = high + low;
      const ofLow = distance - high;
      const lostOfHigh = a - (high - ofMax) + (minusMax - ofMax);
      const lostOfLow = b - (low - ofRest) + (minusRest - ofRest);
      const lost = high - (distance - ofLow) + (low - ofLow) + (lostOfHigh + lostOfLow);
      const isDeep = distance * scale < bottom; // and may be −∞, with NaN for what is lost
      row[i] = isDeep ? bottom : distance * scale;
      rest[i] = isDeep ? 0 : lost * scale;
    }
  }

  /** Writes row / sum, rounded once to float32. */
  function store_f32(out: Float32Array, start: number, stride: number, n: number, sum: number): void {
    const factor = 1 / sum;
    let i = 0;
    for (; stride === 1 && i < n - 3; i += 4) {
      const at = start + i;
      out[at] = row[i]! * factor;
      out[at + 1] = row[i + 1]! * factor;
      out[at + 2] = row[i + 2]! * factor;
      out[at + 3] = row[i + 3]! * factor;
    }
    for (; i < n; i++) out[start + i * stride] = row[i]! * factor;
  }

  /**
   * Writes (row + rest) / (sumHigh + sumLow), rounded once to float64: the first product is exact, the others are
   * small.
   */
  function store_f64(
    out: Float64Array,
    start: number,
    stride: number,
    n: number,
    sumHigh: number,
    sumLow: number,
  ): void {
    // Weights keep their HEADROOM until the last step, so that only that one rounds to a subnormal number.
    const [high, low] = splitReciprocal(sumHigh / raise, sumLow / raise);
    const inverse = high + low;
    const lower = 1 / raise;
    let i = 0;
    for (; stride === 1 && i < n - 3; i += 4) {
      const at = start + i;
      const a = row[i]!;
      const b = row[i + 1]!;
      const c = row[i + 2]!;
      const d = row[i + 3]!;
      out[at] = (a * high + (a * low + rest[i]! * inverse)) * lower;
      out[at + 1] = (b * high + (b * low + rest[i + 1]! * inverse)) * lower;
      out[at + 2] = (c * high + (c * low + rest[i + 2]! * inverse)) * lower;
      out[at + 3] = (d * high + (d * low + rest[i + 3]! * inverse)) * lower;
    }
    for (; i < n; i++) out[start + i * stride] = (row[i]! * high + (row[i]! * low + rest[i]! * inverse)) * lower;
  }

  return { load_f32, load_f64, addBias, hasOverflowed, hide, largestRest, settle, store_f32, store_f64 };
}
