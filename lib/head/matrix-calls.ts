/** The calls of kernels on rows of an OutputHead's weights. */
import { backend } from '../backend/choice.js';
import { HEAD_INTEGER_LOGITS, HEAD_LOGITS, HEAD_ROWS } from '../backend/operators.js';
import { allocate } from '../call/allocate.js';
import { isShared, lengthOf, viewOf } from '../call/arrays.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { wrongValue } from '../call/errors.js';
import type { Form } from '../call/options.js';
import { ownCopy } from '../call/steps.js';
import type { NewFloat32Array } from '../call/types.js';
import { headKernels } from '../js/head/head.js';
import * as formats from './formats.js';
import type { HeadMatrix } from './matrix.js';

/** 1 / |row| of each row, 0 for a row of zeros; the sign of an int8 scale is kept. */
export function inverseLengths(matrix: HeadMatrix): NewFloat32Array {
  const { rows, cols, factors } = matrix;
  const inverse = allocate('Float32Array', rows, 'norms');
  const step = Math.max(1, Math.floor(2 ** 18 / cols));
  const out = allocate('Float32Array', step * cols, 'weights');
  for (let from = 0; from < rows; from += step) {
    const end = Math.min(rows, from + step);
    runNow(rowsCall({ ...matrix, factors: null }, matrix.weights, from, end, out));
    for (let r = from; r < end; r++) {
      const length = lengthOfRow(out, (r - from) * cols, cols);
      const sign = factors === null ? 1 : Math.sign(factors[r]!);
      inverse[r] = length === 0 ? 0 : sign / length;
    }
  }
  return inverse;
}

/** √Σ x² of n elements. */
export function lengthOfRow(x: Float32Array, at: number, n: number): number {
  let sum = 0;
  for (let i = at; i < at + n; i++) sum += x[i]! * x[i]!;
  return Math.sqrt(sum);
}

/** The rows [from, to) as arguments of kernels. */
function rowsOf(matrix: HeadMatrix, weights: Uint8Array, from: number, to: number) {
  const { cols, format, block, scales, zeroPoints, factors } = matrix;
  const bytes = formats.rowBytes(format, cols, block);
  const [each, zeros] = [formats.rowScales(format, cols, block), formats.rowZeroPoints(format, cols, block)];
  return {
    weights: viewOf(weights, from * bytes, to * bytes),
    scales: scales && viewOf(scales, from * each, to * each),
    zeroPoints: zeroPoints && viewOf(zeroPoints, from * zeros, to * zeros),
    factors: factors && viewOf(factors, from, to),
    rows: to - from,
    cols,
    block,
    format,
  };
}

/** The part of a matrix with the rows [from, to), on the same memory. */
export function partOf(matrix: HeadMatrix, from: number, to: number): HeadMatrix {
  const bias = matrix.bias && viewOf(matrix.bias, from, to);
  return { ...matrix, ...rowsOf(matrix, matrix.weights, from, to), bias };
}

/** Hidden states as kernels take them. */
export interface States {
  readonly hidden: NewFloat32Array;
  readonly count: number;
  /** Of cosines: 1 / |state| of each; else null. */
  readonly inverse: Float64Array | null;
}

/** Hidden states, and the weights that they are multiplied with. `weights` are those of `matrix`, or a copy. */
export interface Product {
  readonly matrix: HeadMatrix;
  readonly weights: Uint8Array;
  readonly states: States;
}

/** The logits of states [first, first + n) for the classes [from, to). */
export interface Part {
  readonly first: number;
  readonly n: number;
  readonly from: number;
  readonly to: number;
}

const OWN = ['hidden', 'factors', 'bias', 'weights', 'scales', 'zeroPoints'] as const;

/** The call that writes logits [n, to − from]. `isOwn`: no caller can touch `out`. */
export function logitsCall(
  { matrix, weights, states }: Product,
  part: Part,
  out: Float32Array,
  isOwn = true,
): Call<void> {
  const { cols, softcap, bias } = matrix;
  const { first, n, from, to } = part;
  return callOf(matrix.hasByteStates ? HEAD_INTEGER_LOGITS : HEAD_LOGITS, {
    backend: backend(headKernels),
    type: 'f32',
    args: {
      ...rowsOf(matrix, weights, from, to),
      hidden: viewOf(states.hidden, first * cols, (first + n) * cols),
      bias: bias && viewOf(bias, from, to),
      out,
      count: n,
      softcap,
    },
    own: isOwn ? [...OWN, 'out'] : OWN,
    work: n * (to - from) * cols,
    finish: () => undefined,
  });
}

/** The call that writes the rows [from, to) as floats. */
export const rowsCall = (
  matrix: HeadMatrix,
  weights: Uint8Array,
  from: number,
  to: number,
  out: Float32Array,
): Call<void> =>
  callOf(HEAD_ROWS, {
    backend: backend(headKernels),
    type: 'f32',
    args: { ...rowsOf(matrix, weights, from, to), out },
    own: ['factors', 'weights', 'scales', 'zeroPoints', 'out'],
    work: (to - from) * matrix.cols,
    finish: () => undefined,
  });

const copies = new WeakMap<HeadMatrix, Uint8Array>();

/**
 * Weights that no one can take away while a job reads them: the caller's if they are in shared memory; else a copy,
 * made by the first promise and kept.
 */
export function* weightsFor(form: Form, matrix: HeadMatrix): Generator<undefined, Uint8Array> {
  const { weights } = matrix;
  const bytes = matrix.rows * formats.rowBytes(matrix.format, matrix.cols, matrix.block);
  const kept = copies.get(matrix);
  if (kept !== undefined && form === 'later') return kept;
  if (lengthOf(weights) !== bytes) {
    throw wrongValue(
      `${bytes} bytes, as when the head was made,`,
      'weights',
      `${lengthOf(weights)}, as their buffer was transferred or resized`,
    );
  }
  if (form === 'now' || isShared(weights)) return weights;
  const copy = yield* ownCopy(weights, 'weights');
  copies.set(matrix, copy);
  return copy;
}
