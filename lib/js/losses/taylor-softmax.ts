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
  /** u^n T(z) of a logit; 0 for −∞. A z that overflows is another thing. */
  const term = (start: number, c: number, unit: number): number => {
    const logit = rows.read(start, c, unit);
    if (logit === -Infinity) return 0;
    const z = (logit + rows.low) / temperature;
    let sum = 1;
    for (let k = order, power = unit; k > 0; k--, power *= unit) sum = sum * (z / k) + power;
    return sum;
  };
  const sumOf = (start: number, unit: number): number => {
    const total = new Total();
    for (let c = 0; c < cols; c++) if (rows.isVisible(start, c)) total.add(term(start, c, unit));
    return total.parts[0];
  };
  /** A unit in which the largest |z| is about 1. */
  const unitOf = (start: number): number => {
    let size = 0;
    for (let c = 0; c < cols; c++) {
      const logit = rows.isVisible(start, c) ? rows.read(start, c) : -Infinity;
      if (logit !== -Infinity) size = Math.max(size, Math.abs(logit));
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
      else out[at] = isUsual ? sameNaN(term(start, c, unit) / sum) : NaN;
    }
  });
}

export const taylorSoftmaxKernels = /* @__PURE__ */ twinOf(TAYLOR_SOFTMAX, kernel, kernel);
