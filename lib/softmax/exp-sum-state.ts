/** States of partial sums as callers give them: each field is read once, and checked. */
import { outOfRange, wrongType, wrongValue } from '../call/arguments.js';
import { elementsOf, isDetached, lengthOf } from '../call/arrays.js';
import { types } from '../call/types.js';
import type { NewFloat64Array, NewInt32Array, NewUint8Array } from '../call/types.js';

const { isFloat64Array, isInt32Array, isUint8Array } = types;

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

/** The states that were given one by one, or in one array. */
export function statesOf(given: readonly unknown[]): unknown[] {
  const states = given.length === 1 && Array.isArray(given[0]) ? elementsOf(given[0]) : [...given];
  if (states.length === 0) throw wrongValue('one state or more', 'states', 'none');
  return states;
}

/** A checked state: each field was read once, and is an array with an entry for each row, of which there are `rows`. */
export function stateOf(state: unknown, name: string, rows?: number): ExpSums {
  const fields = fieldsOf(state, name);
  checkFields(fields, name, rows);
  return fields;
}

/** As {@link stateOf}, for a state that has no getters. */
export function checkState(state: unknown, name: string, rows?: number): asserts state is ExpSums {
  stateOf(state, name, rows);
}

/** The fields of a state, each read once. A getter may do anything: take lengths when those of all states have run. */
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

/** Checks that the arrays of a state are there, and as long as its mantissa, which is `expected` long. */
export function checkRows(
  fields: Readonly<Record<string, ArrayBufferView | undefined>>, name: string, expected?: number,
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
