/** The kernels of sampling: argmax, top_k and sample, with the results of native/sampling/sample.h. */
import {
  NO_INDEX,
  type ArgmaxKernel,
  type BackendOf,
  type SampleKernel,
  type TopKKernel,
} from '../../backend/backend.js';
import { ARGMAX, SAMPLE, TOP_K } from '../../backend/operators.js';
import { twinOf } from '../twin.js';
import { BestItems, indexOfLargest, indicesOfLargest, rankOf } from './items.js';
import { filtersIn, filtersOfRow, placedRow, readRow, type Floats } from './rows.js';
import { SAMPLED, SampleRow } from './sample-row.js';

const argmax: ArgmaxKernel<Floats> = (x, indices, rows, cols) => {
  indicesOfLargest(x, indices, rows, cols);
};

const topK: TopKKernel<Floats> = (x, indices, values, targets, ranks, rows, cols, k, mask, maskLayout, bias) => {
  const isPlain = mask === null && bias === null;
  const best = new BestItems();
  for (let r = 0; r < rows; r++) {
    const [z, start] = isPlain ? [x, r * cols] : [readRow(x, r, cols, { mask, maskLayout, bias }).z, 0];
    const isNaNRow = k > 0 ? !best.find(z, start, cols, k) : indexOfLargest(z, start, cols) === NO_INDEX;
    if (targets !== null && ranks !== null) ranks[r] = isNaNRow ? NO_INDEX : rankOf(z, start, cols, targets[r]!);
    if (isNaNRow) {
      indices.fill(NO_INDEX, r * k, (r + 1) * k);
      continue;
    }
    for (let i = 0; i < k; i++) {
      const index = best.indices[i]!;
      indices[r * k + i] = index;
      values[r * k + i] = x[r * cols + index]!;
    }
  }
};

const sample: SampleKernel<Floats> = (
  x,
  tokens,
  kept,
  probabilities,
  status,
  uniforms,
  rowFilters,
  rows,
  cols,
  draws,
  k,
  temperature,
  topP,
  minDistance,
  typicalP,
  epsilon,
  mask,
  maskLayout,
  bias,
) => {
  const all = { topK: k, temperature, topP, minDistance, typicalP, epsilon };
  for (let r = 0; r < rows; r++) {
    const filters = rowFilters === null ? all : filtersOfRow(rowFilters, r, cols);
    const unitRow = placedRow(filters.temperature, x, r, cols, { mask, maskLayout, bias });
    const row = new SampleRow(unitRow, cols, filtersIn(unitRow.unit, filters));
    status[r] = row.filter();
    if (status[r] !== SAMPLED) {
      tokens?.fill(NO_INDEX, r * draws, (r + 1) * draws);
      continue;
    }
    for (let d = r * draws; d < (r + 1) * draws; d++) tokens![d] = row.draw(uniforms![d]!);
    if (kept !== null || probabilities !== null) row.write(kept, probabilities, r * cols);
  }
};

export const samplingKernels: BackendOf<'argmax' | 'top_k' | 'sample'> = /* @__PURE__ */ (() => ({
  ...twinOf(ARGMAX, argmax, argmax),
  ...twinOf(TOP_K, topK, topK),
  ...twinOf(SAMPLE, sample, sample),
}))();
