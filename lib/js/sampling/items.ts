/** The largest logits of a row. */
import { NO_INDEX } from '../../backend/backend.js';
import type { Floats } from './rows.js';

/** A logit with its place in the row. */
export interface Item {
  readonly z: number;
  readonly index: number;
  /** Decides the order: larger keys come first, lower indices first among equals. Mostly the logit itself. */
  key: number;
  weight: number;
}

export const compareItems = (a: Item, b: Item): number => (a.key === b.key ? a.index - b.index : b.key - a.key);

/** The index of the largest logit, the lowest of several; NO_INDEX for a row with a NaN. */
export function indexOfLargest(x: Floats, start: number, n: number): number {
  let largest = -Infinity;
  let index = 0;
  for (let i = 0; i < n; i++) {
    const z = x[start + i]!;
    if (z > largest) {
      largest = z;
      index = i;
    } else if (z !== z) return NO_INDEX;
  }
  return index;
}

/** How many logits come before the one at `target`, plus 1; NO_INDEX for a target beyond the row. */
export function rankOf(x: Floats, start: number, n: number, target: number): number {
  if (target >= n) return NO_INDEX;
  const z = x[start + target]!;
  let rank = 1;
  for (let i = 0; i < n; i++) if (x[start + i]! > z || (i < target && x[start + i] === z)) rank++;
  return rank;
}

/** The first k items in order, of a row without NaN. */
export function bestItems(x: Floats, start: number, n: number, k: number): Item[] {
  const heap: Item[] = []; // its root comes last in order
  const sift = (moving: Item, from: number) => {
    let at = from;
    for (let child = 2 * at + 1; child < k; child = 2 * at + 1) {
      if (child + 1 < k && compareItems(heap[child]!, heap[child + 1]!) < 0) child++;
      if (compareItems(moving, heap[child]!) > 0) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = moving;
  };
  for (let index = 0; index < n; index++) {
    const z = x[start + index]!;
    if (heap.length < k) {
      heap.push({ key: z, z, index, weight: 0 });
      if (heap.length === k) for (let i = k >> 1; i-- > 0;) sift(heap[i]!, i);
    } else if (z > heap[0]!.z) sift({ key: z, z, index, weight: 0 }, 0);
  }
  return heap.sort(compareItems);
}
