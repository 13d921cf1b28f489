/** A right call of each operator of an output head, for contract.test.ts. */
import type { OperatorArguments } from '../../lib/backend/operators.js';

const floats = (n: number) => new Float32Array(n).fill(0.5);
const [rows, cols, block, count] = [5, 70, 32, 3];
const weights = {
  weights: new Uint8Array(rows * 3 * 16).fill(9),
  scales: floats(rows * 3),
  zeroPoints: new Uint8Array(rows * 2),
  factors: floats(rows),
  rows,
  cols,
  block,
  format: 8,
};

const logits = () => ({
  hidden: floats(count * cols),
  bias: floats(rows),
  out: floats(count * rows),
  count,
  softcap: 0,
  ...weights,
});

export const headCalls: Pick<OperatorArguments, 'head_logits' | 'head_integer_logits' | 'head_rows' | 'head_sums'> = {
  head_logits: logits(),
  head_integer_logits: logits(),
  head_rows: { out: floats(rows * cols), ...weights },
  head_sums: {
    sums: new Float64Array(count * cols).fill(1),
    factors: floats(count * rows),
    vectors: floats(rows * cols),
    out: new Float64Array(count * cols),
    count,
    rows,
    cols,
  },
};
