/** The kernel of taylorSoftmax: T(z) / Σ T(z), T the Taylor polynomial of exp of an even order. */
import { TAYLOR_SOFTMAX } from '../../backend/operators.js';
import { kindOf } from '../../call/arrays.js';
import { twinOf } from '../twin.js';
import { hideLowest, isPlainShape, parts, storeShares, taylorTerms } from './plain-steps.js';
import { exponentOf, LossRows, powerWithin, sameNaN, Total, type Floats } from './loss-rows.js';

/** What a row's logits are multiplied by, and what that is divided by: u times a logit over the temperature. */
interface Units {
  readonly u: number;
  readonly logit: number;
  readonly divisor: number;
}

/** Writes plain rows. Calls `compute` for each row of which a term overflows. */
function plainRows(
  x: Floats,
  out: Floats,
  outer: number,
  cols: number,
  order: number,
  temperature: number,
  compute: (start: number) => void,
): void {
  const isSingle = kindOf(x) === 'Float32Array';
  for (let start = 0; start < outer * cols; start += cols) {
    taylorTerms(x, start, cols, order, temperature);
    if (parts[0] === Infinity) hideLowest(x, start, cols);
    const sum = parts[0]!;
    if (sum > 0 && sum < Infinity) storeShares(out, start, cols, sum, isSingle);
    else compute(start);
  }
}

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
  const plain: Units = { u: 1, logit: 1, divisor: temperature };
  const octaves = exponentOf(temperature);
  const half = powerWithin(Math.trunc(octaves / 2));
  const rest = powerWithin(octaves - Math.trunc(octaves / 2));
  /** u^n T(z) of a logit; 0 for −∞. A z that overflows is another thing. */
  const term = (start: number, c: number, { u, logit, divisor }: Units): number => {
    const scaled = rows.read(start, c, logit);
    if (scaled === -Infinity) return 0;
    const z = (scaled + rows.low) / divisor;
    let sum = 1;
    for (let k = order, power = u; k > 0; k--, power *= u) sum = sum * (z / k) + power;
    return sum;
  };
  const sumOf = (start: number, units: Units): number => {
    const total = new Total();
    for (let c = 0; c < cols; c++) if (rows.isVisible(start, c)) total.add(term(start, c, units));
    return total.parts[0];
  };
  /** Units in which the largest |z|^n is about 2^900, so that small terms keep their bits; undefined with +∞. */
  const unitsOf = (start: number): Units | undefined => {
    let size = 0;
    for (let c = 0; c < cols; c++) {
      const logit = rows.isVisible(start, c) ? rows.read(start, c) : -Infinity;
      if (logit !== -Infinity) size = Math.max(size, Math.abs(logit));
    }
    if (!(size < Infinity)) return undefined;
    const sizeOctaves = exponentOf(size);
    const mostZ = powerWithin(Math.trunc(900 / order) - Math.max(0, sizeOctaves - 1000));
    const logit = powerWithin(-sizeOctaves);
    return { u: logit * half * mostZ * rest, logit, divisor: temperature / half / rest / mostZ };
  };

  const isPlain = isPlainShape(cols, inner, mask, bias);
  const compute = (start: number): void => {
    let sum = sumOf(start, plain);
    const own = sum === Infinity ? unitsOf(start) : undefined;
    if (own !== undefined) sum = sumOf(start, own);
    const isEmpty = sum === 0 && rows.hasMask;
    const isUsual = sum > 0 && sum < Infinity;
    for (let c = 0, at = start; c < cols; c++, at += inner) {
      if (isEmpty || !rows.isVisible(start, c)) out[at] = 0;
      else out[at] = isUsual ? sameNaN(term(start, c, own ?? plain) / sum) : NaN;
    }
  };
  if (isPlain) plainRows(x, out, outer, cols, order, temperature, compute);
  else rows.each(outer, compute);
}

export const taylorSoftmaxKernels = /* @__PURE__ */ twinOf(TAYLOR_SOFTMAX, kernel, kernel);
