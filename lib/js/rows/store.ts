/** Steps on a row (row.ts): storing its weights, divided by their sum. */
import { HEADROOM, splitReciprocal } from '../../math/powers.js';

/** Makes the steps that write results to start, start + stride, … */
export function storeSteps(cells: Float64Array, remainders: Float64Array) {
  const row = cells;
  const rest = remainders;
  const raise = 2 ** HEADROOM;

  /** Writes cells / sum, rounded once to float32. */
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
   * Writes (cells + remainders) / (sumHigh + sumLow), rounded once to float64: the first product is exact, and the
   * others are small.
   */
  function store_f64(
    out: Float64Array,
    start: number,
    stride: number,
    n: number,
    sumHigh: number,
    sumLow: number,
  ): void {
    // Weights keep their HEADROOM until the last product, so that no other one is rounded to a subnormal number.
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

  return { store_f32, store_f64 };
}
