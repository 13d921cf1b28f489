/**
 * Partial softmax: the sum of a row's exponentials as mantissa · 2^exponent, and probabilities from such a sum.
 *
 * A sum is the sum of shards of SHARD_LENGTH elements, added in order, each relative to its own largest logit. A
 * probability depends on its logit and on the sum alone. So a row gives the same bits as its pieces, if their lengths
 * are multiples of SHARD_LENGTH.
 */
import { NO_EXPONENT } from '../../backend/backend.js';
import { extended, isOrdinary, NOTHING, powerOfTwo, sum, type Extended } from '../../math/extended.js';
import { hasNaN } from '../rows/logits.js';
import { HEADROOM, rootOfTwo } from '../../math/powers.js';
import { eachRow, PART_LENGTH } from '../rows/row.js';
import type { PartialLogits } from './partial-logits.js';

type Floats = Float32Array | Float64Array;

/** kSuper of native/rows/run.h. */
const SHARD_LENGTH = 2 ** 16;

/** Writes the sums of all rows. */
export function expSum<A extends Floats>(
  logits: PartialLogits<A>,
  mantissa: Float64Array,
  exponent: Int32Array,
  outer: number,
  cols: number,
  inner: number,
): void {
  eachRow(outer, cols, inner, (start, row) => {
    let total = NOTHING;
    for (let column = 0; column < cols; column += SHARD_LENGTH) {
      total = sum(total, shardSum(logits, start, column, Math.min(SHARD_LENGTH, cols - column)));
    }
    mantissa[row] = total[0];
    exponent[row] = Math.abs(total[1]) < 2 ** 31 - 1 ? total[1] : NO_EXPONENT;
  });
}

/** Returns the sum of n elements from a column on. */
function shardSum<A extends Floats>(logits: PartialLogits<A>, start: number, column: number, n: number): Extended {
  const max = logits.loadAlone(start, column, n);
  if (!Number.isFinite(max)) return [max !== max || hasNaN(n) ? NaN : max > 0 ? Infinity : 0, 0];
  logits.beginSum();
  const { whole, fraction } = logits.reference(max);
  logits.weigh(n, max);
  return extended(logits.weightSum * rootOfTwo(fraction), whole - HEADROOM);
}

/** Writes the probabilities of all rows, from their sums. */
export function normalize<A extends Floats>(
  logits: PartialLogits<A>,
  out: A,
  mantissa: Float64Array,
  exponent: Int32Array,
  outer: number,
  cols: number,
  inner: number,
): void {
  eachRow(outer, cols, inner, (start, row) => {
    const m = mantissa[row]!;
    if (isOrdinary(m)) return normalizeRow(logits, out, start, cols, inner, m, exponent[row]!);
    const isMasked = m === 0 && logits.mask !== null && logits.findLargest(start) === -Infinity;
    logits.fillVisible(out, start, isMasked ? 0 : NaN);
  });
}

function normalizeRow<A extends Floats>(
  logits: PartialLogits<A>,
  out: A,
  start: number,
  cols: number,
  inner: number,
  mantissa: number,
  exponent: number,
): void {
  const highest = logits.highest(exponent + 1);
  let reference = NaN;
  for (let column = 0; column < cols; column += PART_LENGTH) {
    const n = Math.min(PART_LENGTH, cols - column);
    const max = logits.loadPart(start, column, n);
    // A sum that lacks a term of the row gives results above 1.
    const top = exponent !== NO_EXPONENT && max > highest && max < Infinity ? max : highest;
    if (top !== reference) {
      reference = top;
      const { whole, fraction } = logits.reference(top);
      const [m, e] = extended(mantissa / rootOfTwo(fraction), exponent - whole + HEADROOM);
      logits.divideBy(m * powerOfTwo(Math.max(-1000, Math.min(1000, e))));
    }
    logits.weigh(n, top);
    logits.store(out, start + column * inner, n);
  }
}
