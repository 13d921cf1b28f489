/** The largest logits of a row. */
import { NO_INDEX } from '../../backend/backend.js';
import type { Floats } from './rows.js';

/** The index of the largest logit, the lowest of several; NO_INDEX for a row with a NaN. */
export function indexOfLargest(x: Floats, start: number, n: number): number {
  const end = start + n;
  let largest = -Infinity;
  let best = start;
  let i = start;
  while (i < end) {
    // Four comparisons share a turn; a NaN is not below any number.
    for (; i < end - 3; i += 4) {
      if (!(x[i]! <= largest && x[i + 1]! <= largest && x[i + 2]! <= largest && x[i + 3]! <= largest)) break;
    }
    for (const next = Math.min(i + 4, end); i < next; i++) {
      const z = x[i]!;
      if (z <= largest) continue;
      if (z !== z) return NO_INDEX;
      largest = z;
      best = i;
    }
  }
  return best - start;
}

/** A longer row is read four logits a turn. */
const SHORT = 32;

/** Writes indexOfLargest of each row. */
export function indicesOfLargest(x: Floats, indices: Uint32Array, rows: number, n: number): void {
  if (n > SHORT) {
    for (let r = 0; r < rows; r++) indices[r] = indexOfLargest(x, r * n, n);
    return;
  }
  for (let r = 0, start = 0; r < rows; r++, start += n) {
    let largest = -Infinity;
    let best = start;
    for (let i = start; i < start + n; i++) {
      const z = x[i]!;
      if (z > largest) {
        largest = z;
        best = i;
      } else if (z !== z) {
        best = start - 1; // NO_INDEX in a Uint32Array
        break;
      }
    }
    indices[r] = best - start;
  }
}

/** How many logits come before the one at `target`, plus 1; NO_INDEX for a target beyond the row. */
export function rankOf(x: Floats, start: number, n: number, target: number): number {
  if (target >= n) return NO_INDEX;
  const z = x[start + target]!;
  let rank = 1;
  for (let i = 0; i < n; i++) if (x[start + i]! > z || (i < target && x[start + i] === z)) rank++;
  return rank;
}

/** The first logits of a row in order: larger ones first, lower indices first among equals. */
export class BestItems {
  values = new Float64Array(0);
  indices = new Uint32Array(0);

  /** Finds the first k of n logits. Returns false if it finds a NaN. */
  find(x: Floats, start: number, n: number, k: number): boolean {
    if (this.values.length < k) {
      this.values = new Float64Array(k);
      this.indices = new Uint32Array(k);
    }
    const { values, indices } = this;
    for (let i = 0; i < k; i++) {
      const z = x[start + i]!;
      if (z !== z) return false;
      values[i] = z;
      indices[i] = i;
    }
    for (let i = k >> 1; i-- > 0;) sift(values, indices, k, i, values[i]!, indices[i]!);
    if (!scan(x, start, n, k, values, indices)) return false;
    // The root comes last in order: it goes behind the others.
    for (let end = k - 1; end > 0; end--) {
      const z = values[end]!;
      const index = indices[end]!;
      values[end] = values[0]!;
      indices[end] = indices[0]!;
      sift(values, indices, end, 0, z, index);
    }
    return true;
  }
}

/** Offers the logits from k on to a heap of k. Returns false if it finds a NaN. */
function scan(x: Floats, start: number, n: number, k: number, values: Float64Array, indices: Uint32Array): boolean {
  let least = values[0]!;
  let i = k;
  while (i < n) {
    // Four comparisons share a turn; a NaN is not below any number.
    for (; i < n - 3; i += 4) {
      const at = start + i;
      if (!(x[at]! <= least && x[at + 1]! <= least && x[at + 2]! <= least && x[at + 3]! <= least)) break;
    }
    for (const end = Math.min(i + 4, n); i < end; i++) {
      const z = x[start + i]!;
      if (z <= least) continue;
      if (z !== z) return false;
      sift(values, indices, k, 0, z, i);
      least = values[0]!;
    }
  }
  return true;
}

/** Moves an item down from `from` to its place in a heap of n, whose root comes last in order. */
function sift(values: Float64Array, indices: Uint32Array, n: number, from: number, z: number, index: number): void {
  let at = from;
  for (let child = 2 * at + 1; child < n; child = 2 * at + 1) {
    let value = values[child]!;
    if (child + 1 < n) {
      const other = values[child + 1]!;
      if (other < value || (other === value && indices[child + 1]! > indices[child]!)) {
        child++;
        value = other;
      }
    }
    if (z < value || (z === value && index > indices[child]!)) break;
    values[at] = value;
    indices[at] = indices[child]!;
    at = child;
  }
  values[at] = z;
  indices[at] = index;
}
