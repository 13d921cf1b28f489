/** Targets of losses: a class for each row, checked and copied. */
import { describe, outOfRange, trueLength, wrongType, wrongValue } from '../call/errors.js';
import { kindOf } from '../call/arrays.js';

/** Class indices: one for each row. */
export type ClassTargets =
  Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | BigInt64Array | readonly number[];

const KINDS = ['Int8Array', 'Uint8Array', 'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array', 'BigInt64Array'];

/** Targets whose elements run no code when they are read: the elements of a list are read here, once. */
export function targetsOf(targets: unknown): ClassTargets {
  if (Array.isArray(targets)) return Array.from(targets as readonly number[]);
  if (!KINDS.includes(kindOf(targets) ?? ''))
    throw wrongType('an Int32Array, another array of integers,', 'targets', targets);
  return targets as Int32Array;
}

/** Where `ignoreIndex` stands, −1; a checked copy, private to the call: kernels read memory at these positions. */
export function positionsOf(targets: ClassTargets, rows: number, cols: number, ignoreIndex: unknown): Int32Array {
  if (!Number.isInteger(ignoreIndex)) throw wrongType('an integer', 'ignoreIndex', ignoreIndex);
  const given = Array.isArray(targets) ? targets.length : trueLength(targets as Int32Array, 'targets');
  if (given !== rows) throw wrongValue(`${rows} elements, one a row,`, 'targets', String(given));
  const positions = new Int32Array(rows);
  for (let i = 0; i < rows; i++) {
    const element: unknown = targets[i];
    const target = typeof element === 'bigint' ? Number(element) : element;
    if (target === ignoreIndex) positions[i] = -1;
    else if (typeof target !== 'number') throw wrongType('integers', 'targets', target);
    else if (Number.isInteger(target) && target >= 0 && target < Math.min(cols, 2 ** 31)) positions[i] = target;
    else throw outOfRange(`integers from 0 to ${cols - 1}`, 'targets', `${describe(element)} at ${i}`);
  }
  return positions;
}
