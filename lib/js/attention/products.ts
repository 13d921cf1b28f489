/**
 * The two loops that attention spends its time in, for several rows at once: each sum has its own order still, and does
 * not wait for the addition before it while the others' are under way.
 */

/** How many queries a key, and how many values a query, are taken together. */
export const TOGETHER = 4;

/**
 * Puts q · k of TOGETHER queries, which begin at `starts` from `first` on, into `products`: each product of two floats
 * is exact, and the products are added in order.
 */
export function dots(
  q: Float32Array,
  starts: Int32Array,
  first: number,
  key: Float64Array,
  products: Float64Array,
): void {
  const a = starts[first]!;
  const b = starts[first + 1]!;
  const c = starts[first + 2]!;
  const d = starts[first + 3]!;
  let ofA = 0;
  let ofB = 0;
  let ofC = 0;
  let ofD = 0;
  for (let i = 0; i < key.length; i++) {
    const x = key[i]!;
    ofA += q[a + i]! * x;
    ofB += q[b + i]! * x;
    ofC += q[c + i]! * x;
    ofD += q[d + i]! * x;
  }
  products[first] = ofA;
  products[first + 1] = ofB;
  products[first + 2] = ofC;
  products[first + 3] = ofD;
}

/** Adds TOGETHER values, one behind the other in `values`, times the weights from `first` on, in order. */
export function addFour(out: Float64Array, weights: Float64Array, first: number, values: Float64Array): void {
  const n = out.length;
  const a = weights[first]!;
  const b = weights[first + 1]!;
  const c = weights[first + 2]!;
  const d = weights[first + 3]!;
  for (let i = 0; i < n; i++) {
    out[i] = out[i]! + a * values[i]! + b * values[n + i]! + c * values[2 * n + i]! + d * values[3 * n + i]!;
  }
}

/** Adds the value at `from` times a weight. */
export function addOne(out: Float64Array, weight: number, values: Float64Array, from: number): void {
  for (let i = 0; i < out.length; i++) out[i]! += weight * values[from + i]!;
}
