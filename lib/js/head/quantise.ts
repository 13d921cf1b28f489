/** Hidden states as bytes with a scale for each block of 32 columns, as in native/head/integer_states.h. */

const BLOCK = 32;
/** Its sum with a small float has the nearest integer in the low bits. */
const SHIFT = 1.5 * 2 ** 23;

/** The largest |h| of columns [from, to); NaN if one of them is not finite. */
function largestOf(hidden: Float32Array, from: number, to: number): number {
  let most = 0;
  for (let i = from; i < to; i++) {
    const size = Math.abs(hidden[i]!);
    if (!(size < Infinity)) return NaN;
    if (size > most) most = size;
  }
  return most;
}

/**
 * scale · q of each number: scale = max(max |h| / 127, 2⁻¹²⁶) of its block, q = h / scale rounded to the nearest
 * integer, ties to even. Both quotients are floats. A block with a number that is not finite is NaN.
 */
export function quantised(hidden: Float32Array, cols: number): Float64Array {
  const states = new Float64Array(hidden.length);
  for (let at = 0; at < hidden.length; at += cols) {
    for (let from = at; from < at + cols; from += BLOCK) {
      const to = Math.min(at + cols, from + BLOCK);
      const scale = Math.max(Math.fround(largestOf(hidden, from, to) / 127), 2 ** -126);
      for (let i = from; i < to; i++) {
        states[i] = scale * (Math.fround(Math.fround(hidden[i]! / scale) + SHIFT) - SHIFT);
      }
    }
  }
  return states;
}
