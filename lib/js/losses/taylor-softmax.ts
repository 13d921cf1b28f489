/** The kernel of taylorSoftmax: T(z) / Σ T(z), T the Taylor polynomial of exp of an even order. */
import { TAYLOR_SOFTMAX } from '../../backend/operators.js';
import { twinOf } from '../twin.js';
import { exponentOf, LossRows, powerWithin, sameNaN, Total, type Floats } from './loss-rows.js';

function kernel(
  x: Floats,
  out: Floats,
  order: number,
  outer: number,
  cols: number,
  inner: number,
  temperature: number,
  mask: Uint8Array | null,
  maskLayout: number,
  bias: Floats | null,
): void {
  const rows = new LossRows(x, cols, inner, mask, maskLayout, bias);
  /** u^n T(z), z being u times a logit over the temperature. */
  const term = (z: number, unit: number): number => {
    if (z === -Infinity) return 0;
    let sum = 1;
    for (let k = order, power = unit; k > 0; k--, power *= unit) sum = sum * (z / k) + power;
    return sum;
  };
  const value = (start: number, c: number, unit: number): number => {
    const sum = rows.read(start, c, unit);
    return (sum + rows.low) / temperature;
  };
  const sumOf = (start: number, unit: number): number => {
    const total = new Total();
    for (let c = 0; c < cols; c++) if (rows.isVisible(start, c)) total.add(term(value(start, c, unit), unit));
    return total.parts[0];
  };
  /** A unit in which the largest |z| is about 1. */
  const unitOf = (start: number): number => {
    let size = 0;
    for (let c = 0; c < cols; c++) {
      if (rows.isVisible(start, c)) size = Math.max(size, Math.abs(rows.read(start, c)));
    }
    return size < Infinity ? powerWithin(exponentOf(temperature) - exponentOf(size)) : 1;
  };

  rows.each(outer, (start) => {
    let unit = 1;
    let sum = sumOf(start, unit);
    if (sum === Infinity && (unit = unitOf(start)) !== 1) sum = sumOf(start, unit);
    const isEmpty = sum === 0 && rows.hasMask;
    const isUsual = sum > 0 && sum < Infinity;
    for (let c = 0, at = start; c < cols; c++, at += inner) {
      if (isEmpty || !rows.isVisible(start, c)) out[at] = 0;
      else out[at] = isUsual ? sameNaN(term(value(start, c, unit), unit) / sum) : NaN;
    }
  });
}

export const taylorSoftmaxKernels = /* @__PURE__ */ twinOf(TAYLOR_SOFTMAX, kernel, kernel);
