/** The kernel moments, with the results of native/sampling/moments.h. */
import type { BackendOf, MomentsKernel } from '../../backend/backend.js';
import { MOMENTS } from '../../backend/operators.js';
import { ColumnSums } from '../../sampling/column-sums.js';
import { IntegerSum, TokenWeights } from '../../sampling/weights.js';
import { twinOf } from '../twin.js';
import { readRow, type Floats } from './rows.js';
import { HAS_NAN, NOTHING_FINITE, SAMPLED } from './sample-row.js';

/** The status of a row whose sums with the bias overflow: nothing is measured. */
export const OVERFLOWS = 3;

const moments: MomentsKernel<Floats> = (x, temperatures, spread, mass, status, rows, cols, mask, maskLayout, bias) => {
  for (let r = 0; r < rows; r++) {
    const { z, unit } = readRow(x, r, cols, { mask, maskLayout, bias });
    let top = -Infinity;
    for (let i = 0; i < cols && top === top; i++) if (!(z[i]! <= top)) top = z[i]!;
    if (unit !== 1) status[r] = OVERFLOWS;
    else if (Math.abs(top) < Infinity) status[r] = SAMPLED;
    else status[r] = top === top ? NOTHING_FINITE : HAS_NAN;
    if (status[r] !== SAMPLED) continue;
    spread?.set(spreadOf(z, top), 3 * r);
    mass?.set(massOf(z, top, temperatures[r]!), 4 * r);
  }
};

/** The number of finite logits, their mean distance from the top, and the sum of squared deviations from it. */
function spreadOf(z: Float64Array, top: number): readonly number[] {
  const sums = new ColumnSums();
  let count = 0;
  for (let i = 0; i < z.length; i++) {
    if (z[i] === -Infinity) continue;
    sums.add(i, top - z[i]!);
    count++;
  }
  const mean = sums.total / count;
  for (let i = 0; i < z.length; i++) {
    const deviation = top - z[i]! - mean;
    if (z[i] !== -Infinity) sums.add(i, deviation * deviation);
  }
  return [count, mean, sums.total];
}

/** The top, the number of finite logits, the sum of the weights, and that of weights times distances. */
function massOf(z: Float64Array, top: number, temperature: number): readonly number[] {
  const weights = new TokenWeights(top, temperature, z.length);
  const sums = new ColumnSums();
  const total = new IntegerSum();
  let count = 0;
  for (let i = 0; i < z.length; i++) {
    if (z[i] === -Infinity) continue;
    const weight = weights.of(z[i]!);
    total.add(weight);
    sums.add(i, weight * weights.distance(z[i]!));
    count++;
  }
  return [top, count, total.value, sums.total];
}

export const momentsKernels: BackendOf<'moments'> = /* @__PURE__ */ (() => ({
  ...twinOf(MOMENTS, moments, moments),
}))();
