/** Checks the states of partial sums that callers give: each field is read once. */
import { outOfRange, wrongType, wrongValue } from '../call/errors.js';
import { elementsOf, isDetached, lengthOf } from '../call/arrays.js';
import { isFloat64Array, isInt32Array, isUint8Array } from '../call/types.js';
import type { NewFloat64Array, NewInt32Array, NewUint8Array } from '../call/types.js';
import { extended } from '../math/extended.js';

/**
 * Sums of exponentials, one a row: mantissa · 2^exponent, the mantissa in [1, 2). 0 (nothing to add), NaN and Infinity
 * have the exponent 0. With `unifiedMax` the mantissa has whatever size goes with the shared exponent.
 */
export interface ExpSums {
  readonly mantissa: Float64Array;
  readonly exponent: Int32Array;
  /** With `unifiedMax` only: 1 for a row that lies outside `range`, and has an exponent of its own. */
  readonly raised?: Uint8Array;
}

/** Sums in arrays of their own, as this package gives them. */
export interface NewExpSums extends ExpSums {
  readonly mantissa: NewFloat64Array;
  readonly exponent: NewInt32Array;
  readonly raised?: NewUint8Array;
}

/** The states of a call, given one by one or in one array. */
export function statesOf(given: readonly unknown[]): unknown[] {
  const states = given.length === 1 && Array.isArray(given[0]) ? elementsOf(given[0]) : [...given];
  if (states.length === 0) throw wrongValue('one state or more', 'states', 'none');
  return states;
}

/** A checked state, each field read once: arrays with an entry for each of `rows` rows. */
export function stateOf(state: unknown, name: string, rows?: number): ExpSums {
  const fields = fieldsOf(state, name);
  checkFields(fields, name, rows);
  return fields;
}

/** As {@link stateOf}, for a state that has no getters. */
export function checkState(state: unknown, name: string, rows?: number): asserts state is ExpSums {
  stateOf(state, name, rows);
}

/** The fields of a state, each read once. Take lengths after the fields of all states: a getter may do anything. */
export function fieldsOf(state: unknown, name: string): ExpSums {
  if (typeof state !== 'object' || state === null) throw wrongType('a state { mantissa, exponent }', name, state);
  const { mantissa, exponent, raised } = state as ExpSums;
  if (!isFloat64Array(mantissa)) throw wrongType('a Float64Array', `${name}.mantissa`, mantissa);
  if (!isInt32Array(exponent)) throw wrongType('an Int32Array', `${name}.exponent`, exponent);
  if (raised !== undefined && !isUint8Array(raised)) throw wrongType('a Uint8Array', `${name}.raised`, raised);
  return raised === undefined ? { mantissa, exponent } : { mantissa, exponent, raised };
}

/** Checks the lengths of a state's arrays, and its mantissas. */
export function checkFields({ mantissa, exponent, raised }: ExpSums, name: string, expected?: number): void {
  checkRows({ mantissa, exponent, raised }, name, expected);
  const rows = lengthOf(mantissa);
  for (let r = 0; r < rows; r++) {
    if (mantissa[r]! < 0) throw outOfRange('a number from 0', `${name}.mantissa[${r}]`, mantissa[r]);
  }
}

/** Checks that no array of a state is detached, and that all are as long as its mantissa, and `expected` long. */
export function checkRows(
  fields: Readonly<Record<string, ArrayBufferView | undefined>>,
  name: string,
  expected?: number,
): void {
  for (const [field, array] of Object.entries(fields)) {
    if (array && isDetached(array)) throw wrongType('an array that is not detached', `${name}.${field}`, array);
  }
  const rows = lengthOf(fields.mantissa!);
  if (expected !== undefined && rows !== expected) throw wrongValue(`${expected} rows`, name, String(rows));
  for (const [field, array] of Object.entries(fields)) {
    if (array === undefined || lengthOf(array) === rows) continue;
    throw wrongValue(`${rows} elements, as in mantissa,`, `${name}.${field}`, String(lengthOf(array)));
  }
}

/** Whether a mantissa is in [1, 2). */
export const isCanonical = (mantissa: number): boolean => mantissa >= 1 && mantissa < 2;

/** Brings the sum of row r into canonical form. */
export function settle(mantissa: Float64Array, exponent: Int32Array, r: number): void {
  if (isCanonical(mantissa[r]!)) return;
  const [m, e] = extended(mantissa[r]!, exponent[r]!);
  if (!(Math.abs(e) < 2 ** 31)) throw outOfRange('an exponent of 32 bits', `the sum of row ${r}`, e);
  mantissa[r] = m;
  exponent[r] = e;
}
