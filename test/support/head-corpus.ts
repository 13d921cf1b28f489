/** The corpus of the output head: logits, weights and sums of each format, for rows of a length. */
import type { Kernels } from '../../lib/backend/backend.js';
import { HEAD_FORMATS, INT8, type HeadFormat } from '../../lib/head/formats.js';
import { matrixOf } from '../../lib/head/matrix.js';
import { columnsFor, matrix } from '../head/head-oracle.js';
import { row } from './cases.js';

const [ROWS, STATES] = [5, 3];

type Kernel = (...args: unknown[]) => void;

/** The results of the head's kernels on rows of about n columns. */
function resultsOf(backend: Kernels, format: HeadFormat, isInteger: boolean, n: number): readonly NodeJS.TypedArray[] {
  const cols = columnsFor(format, n);
  const m = matrix(format, ROWS, cols, 11);
  const { weights, scales, zeroPoints, factors, block, format: code } = matrixOf(m.weights, m.options);
  const [hidden, bias] = [row('f32', 'N(0,1)', STATES * cols, 4), row('f32', 'N(0,1)', ROWS, 5)];
  const head = [weights, scales, zeroPoints, ROWS, cols, block, code];
  if (isInteger) {
    const integers = new Float32Array(STATES * ROWS);
    (backend.head_integer_logits_f32 as Kernel)(hidden, factors, bias, integers, STATES, 0, ...head);
    return [integers];
  }
  const [logits, capped] = [new Float32Array(STATES * ROWS), new Float32Array(STATES * ROWS)];
  const floats = new Float32Array(ROWS * cols);
  const sums = Float64Array.from(hidden);
  (backend.head_logits_f32 as Kernel)(hidden, factors, null, logits, STATES, 0, ...head);
  (backend.head_logits_f32 as Kernel)(hidden, factors, bias, capped, STATES, 20, ...head);
  (backend.head_rows_f32 as Kernel)(factors, floats, ...head);
  (backend.head_sums_f32 as Kernel)(sums, capped, floats, sums, STATES, ROWS, cols);
  return [logits, capped, floats, sums];
}

/** Adds a case a format, and one a format of integers with states in bytes: `add` hashes the results of each length. */
export function addHead(
  add: (what: string, of: (n: number) => readonly NodeJS.TypedArray[]) => void,
  backend: Kernels,
) {
  for (const format of HEAD_FORMATS) add(`OutputHead, ${format}`, (n) => resultsOf(backend, format, false, n));
  for (const format of HEAD_FORMATS.slice(INT8)) {
    add(`OutputHead, ${format}, states in bytes`, (n) => resultsOf(backend, format, true, n));
  }
}
