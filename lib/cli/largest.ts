/** The largest elements of each row of an array, along any axis. */
import type { Floats } from './floats.js';

/** The indices of the k largest numbers, the largest first, lower indices first among equals. */
export function largest(y: Floats, k: number): number[] {
  const kept: number[] = [];
  let threshold = -Infinity;
  const prune = () => {
    kept.sort((a, b) => y[b]! - y[a]! || a - b);
    if (kept.length >= k) {
      kept.length = k;
      threshold = y[kept[k - 1]!]!;
    }
  };
  const room = Math.max(2 * k, 64); // one sort for k or more new numbers
  for (let i = 0; i < y.length; i++) {
    if (!(y[i]! > threshold)) continue;
    kept.push(i);
    if (kept.length === room) prune();
  }
  prune();
  return kept;
}

/** A row: its indices along the other axes, and its largest elements; undefined if it begins with NaN. */
export interface Row {
  readonly place: readonly number[];
  readonly top: readonly { readonly index: number; readonly probability: number }[] | undefined;
}

/** The rows of an array in C order, one after the other. */
export class LargestRows implements Iterable<Row> {
  readonly cols: number;
  readonly hasMany: boolean;
  readonly #data: Floats;
  readonly #others: readonly number[];
  readonly #inner: number;
  readonly #k: number;

  constructor(data: Floats, shape: readonly number[], axis: number, k: number) {
    this.cols = shape[axis]!;
    this.hasMany = shape.length > 1;
    this.#data = data;
    this.#others = shape.filter((_, i) => i !== axis);
    this.#inner = shape.slice(axis + 1).reduce((product, n) => product * n, 1);
    this.#k = Math.min(k, this.cols);
  }

  /** Characters of the last place, the longest one. */
  get widestPlace(): number {
    return this.#others.map((n) => n - 1).join().length;
  }

  *[Symbol.iterator](): Generator<Row> {
    const place = this.#others.map(() => 0);
    const row = this.#data.slice(0, this.cols);
    for (let r = 0; r < this.#data.length / this.cols; r++) {
      const inner = r % this.#inner;
      const start = (r - inner) * this.cols + inner;
      for (let c = 0; c < this.cols; c++) row[c] = this.#data[start + c * this.#inner]!;
      const hasNone = Number.isNaN(row[0]);
      const top = hasNone ? undefined : largest(row, this.#k).map((index) => ({ index, probability: row[index]! }));
      yield { place: place.slice(), top };
      for (let i = place.length - 1; i >= 0 && ++place[i]! === this.#others[i]; i--) place[i] = 0;
    }
  }
}
