/**
 * Partial softmax: the sum of a row as a number that is not relative to anything, and probabilities from such a sum.
 *
 * A sum is made of sums of SHARD elements, each relative to its own largest logit, added in order; a probability
 * depends on its logit and on the sum alone. So a row gives the same bits as its shards, if these are multiples of
 * SHARD.
 */
import { NO_EXPONENT } from '../../backend/backend.js';
import { extended, isOrdinary, NOTHING, powerOfTwo, sum, type Extended } from '../../math/extended.js';
import type { Logits, Relative } from '../rows/logits.js';
import { HEADROOM, rootOfTwo } from '../../math/powers.js';
import { PART } from '../rows/row.js';

type Floats = Float32Array | Float64Array;

/** As in native/math/sum.h (kSuper). */
const SHARD = 2 ** 16;

/** The sums of all rows. */
export function expSum<A extends Floats>(
  logits: Logits<A> & Relative,
  mantissa: Float64Array,
  exponent: Int32Array,
  outer: number,
  cols: number,
  inner: number,
): void {
  for (let o = 0, r = 0; o < outer; o++) {
    for (let start = o * cols * inner, end = start + inner; start < end; start++, r++) {
      let row = NOTHING;
      for (let column = 0; column < cols; column += SHARD) {
        row = sum(row, shardSum(logits, start, column, Math.min(SHARD, cols - column)));
      }
      mantissa[r] = row[0];
      exponent[r] = Math.abs(row[1]) < 2 ** 31 - 1 ? row[1] : NO_EXPONENT;
    }
  }
}

function shardSum<A extends Floats>(logits: Logits<A> & Relative, start: number, column: number, n: number): Extended {
  const max = logits.takeAlone(start, column, n);
  if (!Number.isFinite(max)) return [max !== max || logits.hasNaN(n) ? NaN : max > 0 ? Infinity : 0, 0];
  logits.begin();
  const { whole, fraction } = logits.reference(max);
  logits.weigh(n, max);
  return extended(logits.weights * rootOfTwo(fraction), whole - HEADROOM);
}

/** The probabilities of all rows from their sums. */
export function normalize<A extends Floats>(
  logits: Logits<A> & Relative,
  out: A,
  mantissa: Float64Array,
  exponent: Int32Array,
  outer: number,
  cols: number,
  inner: number,
): void {
  for (let o = 0, r = 0; o < outer; o++) {
    for (let start = o * cols * inner, end = start + inner; start < end; start++, r++) {
      const m = mantissa[r]!;
      if (isOrdinary(m)) normalizeRow(logits, out, start, cols, inner, m, exponent[r]!);
      else
        logits.fillVisible(
          out,
          start,
          m === 0 && logits.mask !== null && logits.largest(start) === -Infinity ? 0 : NaN,
        );
    }
  }
}

function normalizeRow<A extends Floats>(
  logits: Logits<A> & Relative,
  out: A,
  start: number,
  cols: number,
  inner: number,
  mantissa: number,
  exponent: number,
): void {
  const highest = logits.highest(exponent + 1);
  for (let column = 0; column < cols; column += PART) {
    const n = Math.min(PART, cols - column);
    logits.takeRelative(start, column, n);
    if (column === 0) {
      const { whole, fraction } = logits.reference(highest);
      const [m, e] = extended(mantissa / rootOfTwo(fraction), exponent - whole + HEADROOM);
      logits.divideBy(m * powerOfTwo(Math.max(-1000, Math.min(1000, e))));
    }
    logits.weigh(n, highest);
    logits.store(out, start + column * inner, n);
  }
}
