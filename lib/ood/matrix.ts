/**
 * Sums of products in double, in blocks that a first-level cache holds. Tiles of 2 × 4 results stay in registers: V8
 * has no vectors, but enough scalar registers for these. Generators give up control between blocks: a promise waits
 * there for the event loop.
 */

import type { NewFloat64Array } from '../call/types.js';

/** Samples of a block: their 32 columns fit a cache beside a panel of the other matrix. */
export const BLOCK = 32;

/**
 * Adds Σ x·xᵀ over a block to the lower triangle of `sums`, [dim, dim]. `block` is [dim, BLOCK]: a feature's samples
 * lie side by side; missing ones are 0.
 */
export function addProducts(sums: Float64Array, block: Float64Array, dim: number): void {
  for (let i = 0; i < dim; i += 2) {
    const i0 = i * BLOCK;
    const i1 = (i + 1 < dim ? i + 1 : i) * BLOCK;
    for (let j = 0; j <= i + 1; j += 4) {
      const [j0, j1, j2, j3] = [0, 1, 2, 3].map((k) => Math.min(j + k, dim - 1) * BLOCK) as [
        number,
        number,
        number,
        number,
      ];
      let [a0, a1, a2, a3, b0, b1, b2, b3] = [0, 0, 0, 0, 0, 0, 0, 0];
      for (let t = 0; t < BLOCK; t++) {
        const u = block[i0 + t]!;
        const v = block[i1 + t]!;
        const w = block[j0 + t]!;
        const x = block[j1 + t]!;
        const y = block[j2 + t]!;
        const z = block[j3 + t]!;
        a0 += u * w;
        a1 += u * x;
        a2 += u * y;
        a3 += u * z;
        b0 += v * w;
        b1 += v * x;
        b2 += v * y;
        b3 += v * z;
      }
      const row = i * dim + j;
      if (j <= i) sums[row]! += a0;
      if (j + 1 <= i) sums[row + 1]! += a1;
      if (j + 2 <= i) sums[row + 2]! += a2;
      if (j + 3 <= i) sums[row + 3]! += a3;
      if (i + 1 >= dim) continue;
      const next = row + dim;
      if (j <= i + 1) sums[next]! += b0;
      if (j + 1 <= i + 1) sums[next + 1]! += b1;
      if (j + 2 <= i + 1) sums[next + 2]! += b2;
      if (j + 3 <= i + 1) sums[next + 3]! += b3;
    }
  }
}

/** Σ of products of n numbers, from positions a and b on, in four chains. */
function dot(x: Float64Array, a: number, y: Float64Array, b: number, n: number): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    s0 += x[a + i]! * y[b + i]!;
    s1 += x[a + i + 1]! * y[b + i + 1]!;
    s2 += x[a + i + 2]! * y[b + i + 2]!;
    s3 += x[a + i + 3]! * y[b + i + 3]!;
  }
  for (; i < n; i++) s0 += x[a + i]! * y[b + i]!;
  return s0 + s1 + (s2 + s3);
}

/**
 * The lower triangle L with L·Lᵀ = a, row by row (Cholesky–Banachiewicz), zeros above it. Only the lower triangle of a
 * is read. undefined: a is not positive definite, or singular to the precision of doubles.
 */
export function* cholesky(a: Float64Array, dim: number): Generator<void, NewFloat64Array | undefined> {
  const l = new Float64Array(dim * dim);
  // Of a pivot, relative to its diagonal element: rounding alone leaves up to a thirtieth of that.
  const least = dim * 2 ** -46;
  for (let i = 0; i < dim; i++) {
    const row = i * dim;
    for (let j = 0; j < i; j++) {
      l[row + j] = (a[row + j]! - dot(l, row, l, j * dim, j)) / l[j * dim + j]!;
    }
    const diagonal = a[row + i]!;
    const pivot = diagonal - dot(l, row, l, row, i);
    if (!(pivot > least * diagonal && pivot < Infinity)) return undefined;
    l[row + i] = Math.sqrt(pivot);
    if (i % 32 === 31) yield;
  }
  return l;
}

/** Solves L·y = x in place for a block of samples, [dim, BLOCK] as in addProducts. */
export function solveLower(l: Float64Array, block: Float64Array, dim: number): void {
  for (let i = 0; i < dim; i += 2) {
    const isPair = i + 1 < dim;
    const row0 = i * dim;
    const row1 = isPair ? row0 + dim : row0;
    const out0 = i * BLOCK;
    const out1 = out0 + BLOCK;
    const diagonal0 = l[row0 + i]!;
    const below = isPair ? l[row1 + i]! : 0;
    const diagonal1 = isPair ? l[row1 + i + 1]! : 1;
    for (let t = 0; t < BLOCK; t += 4) {
      let [a0, a1, a2, a3, b0, b1, b2, b3] = [0, 0, 0, 0, 0, 0, 0, 0];
      for (let j = 0, at = t; j < i; j++, at += BLOCK) {
        const u = l[row0 + j]!;
        const v = l[row1 + j]!;
        const w = block[at]!;
        const x = block[at + 1]!;
        const y = block[at + 2]!;
        const z = block[at + 3]!;
        a0 += u * w;
        a1 += u * x;
        a2 += u * y;
        a3 += u * z;
        b0 += v * w;
        b1 += v * x;
        b2 += v * y;
        b3 += v * z;
      }
      const p = out0 + t;
      const y0 = (block[p] = (block[p]! - a0) / diagonal0);
      const y1 = (block[p + 1] = (block[p + 1]! - a1) / diagonal0);
      const y2 = (block[p + 2] = (block[p + 2]! - a2) / diagonal0);
      const y3 = (block[p + 3] = (block[p + 3]! - a3) / diagonal0);
      if (!isPair) continue;
      const q = out1 + t;
      block[q] = (block[q]! - b0 - below * y0) / diagonal1;
      block[q + 1] = (block[q + 1]! - b1 - below * y1) / diagonal1;
      block[q + 2] = (block[q + 2]! - b2 - below * y2) / diagonal1;
      block[q + 3] = (block[q + 3]! - b3 - below * y3) / diagonal1;
    }
  }
}
