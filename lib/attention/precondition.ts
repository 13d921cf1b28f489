/**
 * LUCID's preconditioner, in double: values Y from which each has what earlier keys like its own have in common taken
 * off ("LUCID: Attention with Preconditioned Representations", Duvvuri et al., arXiv 2602.10410).
 *
 *     Y[n] = v[n] − Σ_{j < n} w(n, j) · Y[j]      w(n, j) = exp(√d · (cos(k[n], k[j]) − 1))      d = headDim
 *
 * which solves L Y = v for the lower triangle L of the weights, ones on its diagonal. The Gram matrix G of the weights
 * is positive semidefinite and L + Lᵀ = G + I, so ‖L⁻¹‖₂ ≤ 2: an error of Y grows to no more than twice its length.
 *
 * Terms are subtracted in the order of j, however rows are grouped: the same bits for any division into calls.
 */
import { divideRow, expBelow, lengthOfRow } from './composed.js';

/** Positions of one head. `y` has values, which become Y row after row. */
export interface Positions {
  /** Keys of length 1, or 0 for a key of zeros; NaN for a key with a number that is not finite. */
  readonly unit: Float64Array;
  readonly y: Float64Array;
}

export interface RowSizes {
  readonly headDim: number;
  readonly valueDim: number;
}

/** Rows that are finished together, and earlier rows that are subtracted together: both fit the nearest cache. */
export const ROWS = 16;

/** Makes the keys of rows [from, to) as long as 1. A key of zeros stays: its product with every key is 0. */
export function toUnits(unit: Float64Array, from: number, to: number, headDim: number): void {
  for (let row = from; row < to; row++) divideRow(unit, row, headDim, lengthOfRow(unit, row, headDim));
}

/** y[row] −= w(row, j) · past.y[j] for j in [from, to), in their order. */
export function subtractRows(
  rows: Positions,
  row: number,
  past: Positions,
  [from, to]: readonly [number, number],
  sizes: RowSizes,
): void {
  let j = from;
  for (; j + 4 <= to; j += 4) subtractFour(rows, row, past, j, sizes);
  for (; j < to; j++) subtractOne(rows, row, past, j, sizes);
}

function subtractOne(rows: Positions, row: number, past: Positions, j: number, sizes: RowSizes): void {
  const { headDim, valueDim } = sizes;
  const [a, b, y, z] = [rows.unit, past.unit, rows.y, past.y];
  const [at, other] = [row * headDim, j * headDim];
  let sum = 0;
  for (let d = 0; d < headDim; d++) sum += a[at + d]! * b[other + d]!;
  const w = weightOf(sum, Math.sqrt(headDim));
  for (let d = 0; d < valueDim; d++) y[row * valueDim + d]! -= w * z[j * valueDim + d]!;
}

/** As {@link subtractOne} for j, …, j + 3: four sums at a time do not wait for one another. */
function subtractFour(rows: Positions, row: number, past: Positions, j: number, sizes: RowSizes): void {
  const { headDim, valueDim } = sizes;
  const [a, b, y, z] = [rows.unit, past.unit, rows.y, past.y];
  const [at, k0] = [row * headDim, j * headDim];
  const [k1, k2, k3] = [k0 + headDim, k0 + 2 * headDim, k0 + 3 * headDim];
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  for (let d = 0; d < headDim; d++) {
    const x = a[at + d]!;
    s0 += x * b[k0 + d]!;
    s1 += x * b[k1 + d]!;
    s2 += x * b[k2 + d]!;
    s3 += x * b[k3 + d]!;
  }
  const root = Math.sqrt(headDim);
  const [w0, w1, w2, w3] = [weightOf(s0, root), weightOf(s1, root), weightOf(s2, root), weightOf(s3, root)];
  const [to, v0] = [row * valueDim, j * valueDim];
  const [v1, v2, v3] = [v0 + valueDim, v0 + 2 * valueDim, v0 + 3 * valueDim];
  for (let d = 0; d < valueDim; d++) {
    y[to + d] = y[to + d]! - w0 * z[v0 + d]! - w1 * z[v1 + d]! - w2 * z[v2 + d]! - w3 * z[v3 + d]!;
  }
}

const weightOf = (cosine: number, root: number): number => expBelow(root * (cosine - 1));

/** Finishes rows [from, to) from all rows before them, which are finished; `finish` may round each row. */
export function finishRows(
  all: Positions,
  [from, to]: readonly [number, number],
  sizes: RowSizes,
  finish?: (row: number) => void,
): void {
  for (let j = 0; j < from; j += ROWS) {
    for (let row = from; row < to; row++) subtractRows(all, row, all, [j, Math.min(from, j + ROWS)], sizes);
  }
  for (let row = from; row < to; row++) {
    subtractRows(all, row, all, [from, row], sizes);
    finish?.(row);
  }
}
