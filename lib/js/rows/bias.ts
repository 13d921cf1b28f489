/**
 * Steps on a row (row.ts): exact sums of logits and a bias, and their distances from the largest. A sum is
 * cells + remainders.
 */

/** From this size on, a step of TwoSum may overflow although the sum does not. */
export const NEAR_END = 2 ** 1023;

/** Returns the rounding error of a sum of that size (Dekker): the larger number is subtracted first. */
function errorNearEnd(a: number, b: number, sum: number): number {
  return Math.abs(a) >= Math.abs(b) ? b - (sum - a) : a - (sum - b);
}

/** Makes the steps that add a bias. */
export function biasSteps(cells: Float64Array, remainders: Float64Array) {
  const row = cells;
  const rest = remainders;
  let overflowed = false;

  /**
   * Adds bias / divisor to n logits, exactly (Knuth's TwoSum), and returns the largest sum. Remembers whether a sum of
   * two finite numbers overflows.
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
      const error = a - (sum - ofB) + (b - ofB);
      const isFinite = Math.abs(sum) < Infinity;
      rest[i] = error === error ? error : isFinite ? errorNearEnd(a, b, sum) : 0;
      if (!isFinite && Math.abs(a) < Infinity && Math.abs(b) < Infinity) overflowed = true;
      if (sum > max) max = sum;
    }
    return max;
  }

  /** Whether a sum has overflowed in addBias since the last call of this function. */
  function hasOverflowed(): boolean {
    const answer = overflowed;
    overflowed = false;
    return answer;
  }

  /** Returns the largest remainder of the sums that are `max` in `cells`: the largest sum is max + this remainder. */
  function largestRest(n: number, max: number): number {
    let largest = -Infinity;
    for (let i = 0; i < n; i++) if (row[i] === max && rest[i]! > largest) largest = rest[i]!;
    return largest;
  }

  return { addBias, hasOverflowed, largestRest };
}

/** Makes the step that subtracts the largest logit. */
export function distanceSteps(cells: Float64Array, remainders: Float64Array) {
  const row = cells;
  const rest = remainders;

  /**
   * Replaces n logits by their distances from max + maxRest, divided by a power of two, and no distance below `bottom`.
   * A distance is cells + remainders again. Max error: 2^-100 (TwoSum twice, and once to add the results).
   */
  function subtractLargest(n: number, max: number, maxRest: number, divisor: number, bottom: number): void {
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
      const errorOfHigh = a - (high - ofMax) + (minusMax - ofMax);
      const errorOfLow = b - (low - ofRest) + (minusRest - ofRest);
      const error = high - (distance - ofLow) + (low - ofLow) + (errorOfHigh + errorOfLow);
      const isBelow = distance * scale < bottom; // it may be −∞, with a NaN for its error
      row[i] = isBelow ? bottom : distance * scale;
      rest[i] = isBelow ? 0 : error * scale;
    }
  }

  return { subtractLargest };
}
