/** The fields of a partial attention's state: checks of states that callers give, and new arrays. */
import { allocate } from '../call/allocate.js';
import { outOfRange, wrongType, wrongValue } from '../call/errors.js';
import { isDetached, lengthOf } from '../call/arrays.js';
import { types, type NewFloat64Array, type NewInt32Array } from '../call/types.js';
import { checkRows } from '../softmax/exp-sum-state.js';
import type { AttentionParts } from './state-types.js';

const { isFloat64Array, isInt32Array, isUint8Array } = types;

/** Checks a state; reads each of its fields once. */
export function checkedParts(state: unknown, name: string): AttentionParts {
  const fields = fieldsOf(state, name);
  checkFields(fields, name);
  return fields;
}

/** Reads each field of a state once. A getter may do anything: take lengths when the getters of all states have run. */
export function fieldsOf(state: unknown, name: string): AttentionParts {
  if (typeof state !== 'object' || state === null) throw wrongType('a state { out, mantissa, exponent }', name, state);
  const { out, mantissa, exponent, raised } = state as AttentionParts;
  if (!isFloat64Array(out)) throw wrongType('a Float64Array', `${name}.out`, out);
  if (!isFloat64Array(mantissa)) throw wrongType('a Float64Array', `${name}.mantissa`, mantissa);
  if (!isInt32Array(exponent)) throw wrongType('an Int32Array', `${name}.exponent`, exponent);
  if (raised !== undefined && !isUint8Array(raised)) throw wrongType('a Uint8Array', `${name}.raised`, raised);
  return raised === undefined ? { out, mantissa, exponent } : { out, mantissa, exponent, raised };
}

/** Checks the lengths of a state's arrays, by those of the state `like` if it is given, and the mantissas. */
export function checkFields(
  { out, mantissa, exponent, raised }: AttentionParts,
  name: string,
  like?: AttentionParts,
): void {
  if (isDetached(out)) throw wrongType('an array that is not detached', `${name}.out`, out);
  checkRows({ mantissa, exponent, raised }, name, like && lengthOf(like.mantissa));
  const [rows, elements] = [lengthOf(mantissa), lengthOf(out)];
  const expected = like && lengthOf(like.out);
  if (expected !== undefined && elements !== expected) {
    throw wrongValue(`${expected} elements`, `${name}.out`, String(elements));
  }
  if (rows === 0 ? elements > 0 : elements % rows !== 0) {
    throw wrongValue(`a multiple of ${rows} elements`, `${name}.out`, String(elements));
  }
  for (let r = 0; r < rows; r++) {
    if (mantissa[r]! < 0) throw outOfRange('a number from 0', `${name}.mantissa[${r}]`, mantissa[r]);
  }
}

/** The arrays of a state over no keys, by the names that kernels have for them. */
export interface StateArrays {
  /** Σ weight · value, not divided. */
  readonly sums: NewFloat64Array;
  readonly mantissa: NewFloat64Array;
  readonly exponent: NewInt32Array;
}

export function newState(rows: number, valueDim: number): StateArrays {
  return {
    sums: allocate('Float64Array', rows * valueDim, 'out'),
    mantissa: allocate('Float64Array', rows, 'mantissa'),
    exponent: allocate('Int32Array', rows, 'exponent'),
  };
}
