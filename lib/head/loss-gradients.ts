/** The gradients of a head's losses by hidden states, weights and bias: logits are computed again, block by block. */
import { backend } from '../backend/choice.js';
import { HEAD_SUMS } from '../backend/operators.js';
import { allocate } from '../call/allocate.js';
import { viewOf } from '../call/arrays.js';
import { callOf, type Call } from '../call/call.js';
import type { Steps } from '../call/steps.js';
import type { NewFloat32Array, NewFloat64Array } from '../call/types.js';
import { headKernels } from '../js/head/head.js';
import { toGradients, type Losses } from './loss-terms.js';
import { logitsCall, rowsCall, type Product } from './matrix-calls.js';
import type { HeadMatrix } from './matrix.js';

/** Classes of a block of gradients, and states that go through them together. */
const [CLASSES, STATES] = [256, 1024];

/** The call that adds Σ factors[i, j] · vectors[j] to sums[i]. */
function sumsCall(
  sums: Float64Array,
  factors: Float32Array,
  vectors: Float32Array,
  sizes: { readonly count: number; readonly rows: number; readonly cols: number },
): Call<void> {
  return callOf(HEAD_SUMS, {
    backend: backend(headKernels),
    type: 'f32',
    args: { sums, factors, vectors, out: sums, ...sizes },
    own: ['sums', 'factors', 'vectors', 'out'],
    work: sizes.count * sizes.rows * sizes.cols,
    finish: () => undefined,
  });
}

function transposeInto(to: Float32Array, from: Float32Array, n: number, width: number): void {
  for (let i = 0; i < n; i++) for (let c = 0; c < width; c++) to[c * n + i] = from[i * width + c]!;
}

/** Where gradients go. */
export interface Gradients {
  /** By hidden states, those of length 1 for cosines. */
  readonly hidden: NewFloat64Array;
  readonly weights: NewFloat32Array | null;
  readonly bias: NewFloat32Array | null;
}

/** Adds up all gradients, a block of classes at a time. */
function* addGradients(product: Product, losses: Losses, to: Gradients): Steps<void> {
  const { matrix, states, weights } = product;
  const { cols } = matrix;
  const most = Math.min(STATES, states.count);
  const [logits, turned] = [
    allocate('Float32Array', most * CLASSES, 'logits'),
    allocate('Float32Array', to.weights ? most * CLASSES : 0, 'logits'),
  ];
  const rows = allocate('Float32Array', CLASSES * cols, 'weights');
  for (let from = 0; from < matrix.rows; from += CLASSES) {
    const end = Math.min(matrix.rows, from + CLASSES);
    const width = end - from;
    const byRows = allocate('Float64Array', to.weights ? width * cols : 0, 'weights');
    yield rowsCall(matrix, weights, from, end, rows);
    for (let first = 0; first < states.count; first += most) {
      const n = Math.min(most, states.count - first);
      const block = viewOf(logits, 0, n * width);
      const place = { first, n, from, to: end };
      yield logitsCall(product, place, block);
      toGradients(block, losses, matrix.softcap, place);
      const part = viewOf(to.hidden, first * cols, (first + n) * cols);
      yield sumsCall(part, block, rows, { count: n, rows: width, cols });
      if (to.weights === null) continue;
      addColumns(to.bias, block, from, width);
      transposeInto(turned, block, n, width);
      const hidden = viewOf(states.hidden, first * cols, (first + n) * cols);
      yield sumsCall(byRows, turned, hidden, { count: width, rows: n, cols });
    }
    if (to.weights !== null) storeRows(to.weights, byRows, rows, matrix, from);
  }
}

/** Adds the gradients of each class to those by the bias. */
function addColumns(bias: Float32Array | null, block: Float32Array, from: number, width: number): void {
  if (bias === null) return;
  for (let c = 0; c < width; c++) {
    let sum = 0;
    for (let at = c; at < block.length; at += width) sum += block[at]!;
    bias[from + c]! += sum;
  }
}

/** Rounds gradients by rows; those of cosines are turned into gradients by rows that have their own lengths. */
function storeRows(
  to: Float32Array,
  sums: Float64Array,
  rows: Float32Array,
  { cols, factors, isCosine }: HeadMatrix,
  from: number,
): void {
  for (let r = 0; r < sums.length / cols; r++) {
    if (isCosine) awayFrom(sums, rows, r, cols, Math.abs(factors![from + r]!));
    for (let c = 0; c < cols; c++) to[(from + r) * cols + c] = sums[r * cols + c]!;
  }
}

/** The gradient by a vector from the gradient by its direction: its part across the direction, over the length. */
function awayFrom(sums: Float64Array, directions: Float32Array, row: number, cols: number, inverse: number): void {
  let along = 0;
  for (let c = row * cols; c < (row + 1) * cols; c++) along += sums[c]! * directions[c]!;
  for (let c = row * cols; c < (row + 1) * cols; c++) sums[c] = (sums[c]! - along * directions[c]!) * inverse;
}

/** New gradients of zeros, as many as are wanted. */
function newGradients(product: Product, gradient: 'none' | 'hidden' | 'both'): Gradients {
  const { matrix, states } = product;
  const isBoth = gradient === 'both';
  return {
    hidden: allocate('Float64Array', gradient === 'none' ? 0 : states.count * matrix.cols, 'hidden'),
    weights: isBoth ? allocate('Float32Array', matrix.rows * matrix.cols, 'weights') : null,
    bias: isBoth && matrix.bias !== null ? allocate('Float32Array', matrix.rows, 'bias') : null,
  };
}

/** Adds up the gradients of a product's losses; those by cosines become those by states that have lengths. */
export function* gradientsOf(product: Product, losses: Losses, gradient: 'none' | 'hidden' | 'both'): Steps<Gradients> {
  const to = newGradients(product, gradient);
  const { states, matrix } = product;
  if (gradient === 'none' || states.count === 0) return to;
  yield* addGradients(product, losses, to);
  for (let i = 0; states.inverse !== null && i < states.count; i++) {
    awayFrom(to.hidden, states.hidden, i, matrix.cols, states.inverse[i]!);
  }
  return to;
}
