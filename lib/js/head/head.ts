/** The kernels of an output head in double: the steps of native/head/ but for the order of their sums. */
import type { BackendOf } from '../../backend/backend.js';
import type { Kernel } from '../../backend/operators.js';
import { tanh } from '../../math/tanh.js';
import { decodeRow } from './decode.js';
import { quantised } from './quantise.js';

/** Σ row · hidden of the state that begins at `at`. */
function dot(row: Float32Array, hidden: Float32Array | Float64Array, at: number): number {
  let [even, odd] = [0, 0];
  const { length } = row;
  for (let i = 0; i + 1 < length; i += 2) {
    even += row[i]! * hidden[at + i]!;
    odd += row[i + 1]! * hidden[at + i + 1]!;
  }
  return even + odd + (length % 2 === 1 ? row[length - 1]! * hidden[at + length - 1]! : 0);
}

type Logits = Kernel<'head_logits', never>;

/** The logits of states that `statesOf` makes of the hidden ones. */
const logitsOf =
  (statesOf: (hidden: Float32Array, cols: number) => Float32Array | Float64Array): Logits =>
  (hidden, factors, bias, out, count, softcap, weights, scales, zeroPoints, rows, cols, block, format) => {
    const head = { weights, scales, zeroPoints, cols, block, format };
    const row = new Float32Array(cols);
    const states = statesOf(hidden, cols);
    for (let r = 0; r < rows && count > 0; r++) {
      decodeRow(head, r, row);
      const [factor, added] = [factors === null ? 1 : factors[r]!, bias === null ? 0 : bias[r]!];
      for (let i = 0; i < count; i++) {
        const z = dot(row, states, i * cols) * factor + added;
        out[i * rows + r] = softcap > 0 ? softcap * tanh(Math.fround(z) / softcap) : z;
      }
    }
  };

const rowsAsFloats: Kernel<'head_rows', never> = (
  factors,
  out,
  weights,
  scales,
  zeroPoints,
  rows,
  cols,
  block,
  format,
) => {
  const head = { weights, scales, zeroPoints, cols, block, format };
  const row = new Float32Array(cols);
  for (let r = 0; r < rows; r++) {
    decodeRow(head, r, row);
    const factor = factors === null ? 1 : factors[r]!;
    for (let i = 0; i < cols; i++) out[r * cols + i] = row[i]! * factor;
  }
};

const sumsOf: Kernel<'head_sums', never> = (sums, factors, vectors, out, count, rows, cols) => {
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < cols; c++) out[i * cols + c] = sums[i * cols + c]!;
    for (let j = 0; j < rows; j++) {
      const factor = factors[i * rows + j]!;
      for (let c = 0; c < cols; c++) out[i * cols + c]! += factor * vectors[j * cols + c]!;
    }
  }
};

export const headKernels: BackendOf<'head_logits' | 'head_integer_logits' | 'head_rows' | 'head_sums'> = {
  name: 'js',
  head_logits_f32: logitsOf((hidden) => hidden),
  head_integer_logits_f32: logitsOf(quantised),
  head_rows_f32: rowsAsFloats,
  head_sums_f32: sumsOf,
};
