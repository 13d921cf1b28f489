/** A head's logits, a block of states and classes at a time: no more of them are ever in memory. */
import { allocate } from '../call/allocate.js';
import { viewOf } from '../call/arrays.js';
import type { Form } from '../call/options.js';
import type { Steps } from '../call/steps.js';
import { keptMatrix } from './kept.js';
import { logitsCall, weightsFor, type Part, type Product, type States } from './matrix-calls.js';
import type { HeadMatrix } from './matrix.js';

/** States that are multiplied together. */
export const STATES = 8;

/** Classes of a block: what expSum sums on one exponent, so that its sums have the bits of a whole row's. */
export const CLASSES = 2 ** 16;

const scratch = new WeakMap<HeadMatrix, Float32Array>();

/** Memory for so many logits, with any content. A call that runs at once uses the memory of the call before. */
export function memoryFor(form: Form, matrix: HeadMatrix, length: number): Float32Array {
  const kept = scratch.get(matrix);
  if (form === 'now' && kept !== undefined && kept.length >= length) return kept;
  const made = allocate('Float32Array', length, 'logits');
  if (form === 'now') scratch.set(matrix, made);
  return made;
}

/** The weights and states of a call. `hasLists`: it reads rows of the weights alone, which are copied together. */
export function* productOf(
  form: Form,
  matrix: HeadMatrix,
  states: States,
  hasLists = false,
): Generator<undefined, Product> {
  const weights = yield* weightsFor(form, matrix);
  if (form === 'later' || hasLists) return { matrix, weights, states };
  const kept = keptMatrix(matrix);
  return { matrix: kept, weights: kept.weights, states };
}

/** Logits [n, to − from] of a part. They are overwritten by the next block. */
export interface Block extends Part {
  readonly logits: Float32Array;
}

/** Does the steps of `use` with each block: of a group of states all classes, then those of the next group. */
export function* eachBlock(
  form: Form,
  product: Product,
  classes: number,
  use: (block: Block) => Steps<void>,
): Steps<void> {
  const { matrix, states } = product;
  const widest = Math.min(classes, matrix.rows);
  const memory = memoryFor(form, matrix, Math.min(STATES, states.count) * widest);
  for (let first = 0; first < states.count; first += STATES) {
    const n = Math.min(STATES, states.count - first);
    for (let from = 0; from < matrix.rows; from += widest) {
      const to = Math.min(matrix.rows, from + widest);
      const part = { first, n, from, to };
      const logits = viewOf(memory, 0, n * (to - from));
      yield logitsCall(product, part, logits);
      yield* use({ ...part, logits });
    }
  }
}
