/** mergeAttentionPartials: adds the states of partial attention. */
import { outOfRange } from '../call/errors.js';
import { copyOf } from '../call/arrays.js';
import { extended, isOrdinary, powerOfTwo } from '../math/extended.js';
import { statesOf } from '../softmax/exp-sum-state.js';
import { isWithin, type Unified } from '../softmax/unified-max.js';
import { AttentionPartial } from './state.js';
import { checkFields, fieldsOf } from './state-fields.js';
import type { AttentionParts } from './state-types.js';

/**
 * Adds states over different keys, row by row: the state over all of these keys.
 *
 * Powers of two are applied exactly, so that each addition of two states rounds each number once (2^-53). Two states
 * give the same bits in either order; n of them, in any order and grouping, agree within n − 1 such roundings. A state
 * over no keys changes nothing. If all states have the same `unifiedMax`, rows that none has raised are added without a
 * look at exponents.
 *
 * @param states One or more, with the same numbers of rows and of elements; or one array of them, of any length.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for anything but a state, and for detached arrays.
 * @throws RangeError (ERR_INVALID_ARG_VALUE) for no states, or ones that do not fit.
 * @example
 * import { attentionPartial, mergeAttentionPartials } from 'flash-softmax/attention';
 * const q = Float32Array.of(1, 0), sizes = { heads: 1, headDim: 2 };
 * const here = attentionPartial(q, Float32Array.of(1, 0), Float32Array.of(1, 2), sizes);
 * const there = attentionPartial(q, Float32Array.of(0, 1), Float32Array.of(3, 4), sizes);
 * console.log(mergeAttentionPartials([here, there]).finish()[0].toFixed(4)); // → 1.6605
 */
export function mergeAttentionPartials(states: readonly AttentionParts[]): AttentionPartial;
export function mergeAttentionPartials(...states: readonly AttentionParts[]): AttentionPartial;
export function mergeAttentionPartials(
  ...states: readonly (AttentionParts | readonly AttentionParts[])[]
): AttentionPartial {
  const all = statesOf(states).map((state, i) => fieldsOf(state, `states[${i}]`));
  const [first, ...others] = all as [AttentionParts, ...AttentionParts[]];
  all.forEach((state, i) => checkFields(state, `states[${i}]`, i === 0 ? undefined : first));
  const isUnified = all.every((state) => state.raised !== undefined);
  const raised = isUnified ? copyOf(first.raised!) : undefined;
  const total = new AttentionPartial(copyOf(first.out), copyOf(first.mantissa), copyOf(first.exponent), raised);
  const rows = total.mantissa.length;
  for (const other of others) {
    for (let r = 0; r < rows; r++) {
      if (isUnified && hasSharedExponent(total, other, r)) addRow(total, other, r, { own: 1, other: 1 });
      else {
        if (isUnified) total.raised![r] = 1;
        mergeRow(total, other, r);
      }
    }
  }
  for (let r = 0; r < rows; r++) if (!isUnified || total.raised![r] === 1) canonicalize(total, r);
  return total;
}

/** Whether neither state has raised a row, and both have the exponent of one unifiedMax. */
function hasSharedExponent(total: AttentionPartial, other: AttentionParts, r: number): boolean {
  return total.exponent[r] === other.exponent[r] && (total.raised![r]! | other.raised![r]!) === 0;
}

/** Powers of two, or 0, that bring the rows of two states to one exponent. */
interface Factors {
  readonly own: number;
  readonly other: number;
}

function addRow(total: AttentionPartial, other: AttentionParts, r: number, factors: Factors): void {
  const valueDim = total.out.length / total.mantissa.length;
  total.mantissa[r] = total.mantissa[r]! * factors.own + other.mantissa[r]! * factors.other;
  for (let d = r * valueDim; d < (r + 1) * valueDim; d++) {
    total.out[d] = total.out[d]! * factors.own + other.out[d]! * factors.other;
  }
}

/** Adds a row of any exponent. */
function mergeRow(total: AttentionPartial, other: AttentionParts, r: number): void {
  const [m, n] = [total.mantissa[r]!, other.mantissa[r]!];
  if (n === 0) return;
  if (m === 0) {
    total.exponent[r] = other.exponent[r]!;
    addRow(total, other, r, { own: 0, other: 1 });
  } else if (!isOrdinary(m) || !isOrdinary(n)) addRow(total, other, r, { own: 1, other: 1 });
  else {
    canonicalize(total, r);
    const [canonical, e] = extended(n, other.exponent[r]!);
    const exponent = total.exponent[r]!;
    const top = Math.max(exponent, e);
    addRow(total, other, r, { own: powerOfTwo(exponent - top), other: (canonical / n) * powerOfTwo(e - top) });
    total.exponent[r] = top;
  }
  canonicalize(total, r);
}

/** Brings a row into canonical form: its mantissa into [1, 2). */
function canonicalize(state: AttentionPartial, r: number): void {
  const m = state.mantissa[r]!;
  const [canonical, e] = extended(m, state.exponent[r]!);
  if (!(Math.abs(e) < 2 ** 31)) throw outOfRange('an exponent of 32 bits', `the sum of row ${r}`, e);
  if (isOrdinary(m) && canonical !== m) scaleRow(state, r, canonical / m);
  state.exponent[r] = e;
}

/** Multiplies the mantissa and the sums of a row by a power of two. */
function scaleRow({ out, mantissa }: AttentionPartial, r: number, factor: number): void {
  const valueDim = out.length / mantissa.length;
  mantissa[r]! *= factor;
  for (let d = r * valueDim; d < (r + 1) * valueDim; d++) out[d]! *= factor;
}

/** Gives the rows of a state the exponent of unifiedMax, where they lie in its range. */
export function unifyPartial(state: AttentionPartial, unified: Unified): AttentionPartial {
  const { out, mantissa, exponent } = state;
  const rows = mantissa.length;
  const raised = new Uint8Array(rows);
  for (let r = 0; r < rows; r++) {
    const m = mantissa[r]!;
    if (isOrdinary(m)) {
      if (!isWithin(unified, m, exponent[r]!)) {
        raised[r] = 1;
        continue;
      }
      scaleRow(state, r, powerOfTwo(exponent[r]! - unified.exponent));
    }
    exponent[r] = unified.exponent;
  }
  return new AttentionPartial(out, mantissa, exponent, raised);
}
