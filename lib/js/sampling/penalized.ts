/** The kernel of sample_penalized, with the results of native/sampling/penalties.h. */
import { NO_INDEX, type BackendOf, type SamplePenalizedKernel } from '../../backend/backend.js';
import { SAMPLE_PENALIZED } from '../../backend/operators.js';
import { bufferOf, byteOffsetOf, copyOf, viewOf } from '../../call/arrays.js';
import { applyTable } from '../../sampling/token-table.js';
import { twinOf } from '../twin.js';
import { filtersIn, placedRow, type Floats } from './rows.js';
import { SAMPLED, SampleRow } from './sample-row.js';

/** Numbers of a row in `settings`: filters, then penalties. */
const SETTINGS = 11;

type Six = readonly [number, number, number, number, number, number];

const samplePenalized: SamplePenalizedKernel<Floats> = (
  x,
  tokens,
  status,
  uniforms,
  entries,
  regions,
  settings,
  rows,
  cols,
) => {
  const numbers = new Float64Array(bufferOf(entries), byteOffsetOf(entries));
  for (let r = 0; r < rows; r++) {
    const own = settings.subarray(SETTINGS * r, SETTINGS * (r + 1));
    const [topK, temperature, topP, minDistance, typicalP, epsilon] = own as unknown as Six;
    const [encoder, repetition, frequency, presence, flags] = own.subarray(6) as unknown as Six;
    const changed = copyOf(viewOf(x, r * cols, (r + 1) * cols));
    const rule = { encoder, repetition, frequency, presence, countsPrompt: (flags & 1) !== 0 };
    applyTable(changed, rule, { words: entries, numbers, start: regions[2 * r]!, capacity: regions[2 * r + 1]! });
    const filters = { topK, temperature, topP, minDistance, typicalP, epsilon };
    const unitRow = placedRow(temperature, changed, 0, cols, { mask: null, maskLayout: 0, bias: null });
    const row = new SampleRow(unitRow, cols, filtersIn(unitRow.unit, filters));
    status[r] = row.filter();
    tokens[r] = status[r] === SAMPLED ? row.draw(uniforms[r]!) : NO_INDEX;
  }
};

export const penalizedKernels: BackendOf<'sample_penalized'> = /* @__PURE__ */ (() => ({
  ...twinOf(SAMPLE_PENALIZED, samplePenalized, samplePenalized),
}))();
