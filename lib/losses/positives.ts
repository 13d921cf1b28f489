/** The positives of decoupledSoftmax: compressed rows and their checks. */
import { counts } from '../backend/masks.js';
import { elementsOf, isDetached, kindOf, lengthOf } from '../call/arrays.js';
import type { AxisCall } from '../call/axis.js';
import { describe, outOfRange, wrongType, wrongValue } from '../call/errors.js';
import { readerOf } from '../math/read.js';

/** The positives of all rows, in compressed rows (CSR): those of row r are entries indptr[r] … indptr[r + 1] − 1. */
export interface Positives {
  /** An entry more than there are rows: from 0 on, never falling, the last one the number of indices. */
  indptr: ArrayLike<number>;
  /** Positions within a row, none twice in a row. */
  indices: ArrayLike<number>;
  /** A weight of each positive: finite, from 0 on. Default: 1 for all. */
  weights?: ArrayLike<number> | undefined;
}

export interface Numbers {
  readonly indptr: readonly number[];
  readonly indices: readonly number[];
  readonly weights: readonly number[] | undefined;
}

/** Copies of the positives' arrays, each element read once. */
export function numbersOf(positives: Positives): Numbers {
  if (typeof positives !== 'object' || positives === null) {
    throw wrongType('an object { indptr, indices }', 'positives', positives);
  }
  const { indptr, indices, weights } = positives;
  return {
    indptr: listOf(indptr, 'positives.indptr'),
    indices: listOf(indices, 'positives.indices'),
    weights: weights === undefined ? undefined : listOf(weights, 'positives.weights'),
  };
}

function listOf(list: unknown, name: string): number[] {
  const isTyped = kindOf(list) !== undefined;
  if (!isTyped && !Array.isArray(list)) throw wrongType('an array of numbers', name, list);
  if (isTyped && isDetached(list as Float64Array)) throw wrongType('an array that has its memory', name, list);
  const numbers = elementsOf(list as ArrayLike<unknown>);
  numbers.forEach((value) => {
    if (typeof value !== 'number') throw wrongType('numbers', name, value);
  });
  return numbers as number[];
}

/** The place of a masked positive, whose gradient is 0. */
export const HIDDEN = -1;

/** The positives of all rows, checked: where they lie among the elements, what they weigh, and their logits. */
export interface PositiveRows {
  readonly indptr: readonly number[];
  readonly places: Float64Array;
  readonly weights: Float64Array;
  /** (x + bias) / temperature; −∞ where it is masked. */
  readonly scores: Float64Array;
}

export function rowsOf({ indptr, indices, weights }: Numbers, { args, type }: AxisCall): PositiveRows {
  const { x, outer, cols, inner, mask, maskLayout, bias, temperature } = args;
  const count = outer * inner;
  if (indptr.length !== count + 1) {
    throw wrongValue(`${count + 1} elements, one more than rows,`, 'positives.indptr', String(indptr.length));
  }
  indptr.forEach((at, r) => {
    const least = r === 0 ? 0 : indptr[r - 1]!;
    const most = r === 0 ? 0 : indices.length;
    if (Number.isInteger(at) && at >= least && at <= most && (r < count || at === indices.length)) return;
    throw outOfRange('integers from 0 to the number of indices that never fall', 'positives.indptr', `${at} at ${r}`);
  });
  if (weights !== undefined && weights.length !== indices.length) {
    throw wrongValue(`${indices.length} elements, as in indices,`, 'positives.weights', String(weights.length));
  }
  weights?.forEach((w, i) => {
    if (!(w >= 0 && w < Infinity)) throw outOfRange('finite numbers from 0', 'positives.weights', `${w} at ${i}`);
  });
  const places = new Float64Array(indices.length);
  const scores = new Float64Array(indices.length);
  const read = readerOf(x, type);
  const biasAt = bias === null ? () => 0 : readerOf(bias, type);
  const isShared = bias !== null && lengthOf(bias) === cols;
  for (let r = 0; r < count; r++) {
    const start = Math.floor(r / inner) * cols * inner + (r % inner);
    const seen = new Set<number>();
    for (let j = indptr[r]!; j < indptr[r + 1]!; j++) {
      const c = indices[j]!;
      if (!(Number.isInteger(c) && c >= 0 && c < cols)) {
        throw outOfRange(`integers from 0 to ${cols - 1}`, 'positives.indices', `${describe(c)} at ${j}`);
      }
      const at = start + c * inner;
      if (seen.has(c)) throw wrongValue('each position once a row', 'positives.indices', `${c} again at ${j}`);
      seen.add(c);
      const isVisible = mask === null || counts(mask, maskLayout, at, c);
      places[j] = isVisible ? at : HIDDEN;
      scores[j] = isVisible ? scoreOf(read(at) + biasAt(isShared ? c : at), temperature) : -Infinity;
    }
  }
  return {
    indptr,
    places,
    scores,
    weights: Float64Array.from(weights ?? indices, (w) => (weights ? w : 1)),
  };
}

/** A logit over the temperature. What overflows is large, and not the +∞ that spoils a row. */
function scoreOf(logit: number, temperature: number): number {
  const score = logit / temperature;
  return score === Infinity && logit < Infinity ? Number.MAX_VALUE : score;
}
