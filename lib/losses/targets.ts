/** The targets of losses: a class index for each row. */
import { kindOf } from '../call/arrays.js';
import { describe, outOfRange, trueLength, wrongType, wrongValue } from '../call/errors.js';
import { isInt16Array, isInt32Array, isInt8Array, isUint16Array, isUint32Array, isUint8Array } from '../call/types.js';

/** Class indices: one for each row. */
export type Targets =
  Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | BigInt64Array | readonly number[];

const isIndices = (x: unknown): boolean =>
  isInt32Array(x) || isUint32Array(x) || isUint8Array(x) || isUint16Array(x) || isInt8Array(x) || isInt16Array(x);
const isBigInt64Array = (x: unknown): x is BigInt64Array => kindOf(x) === 'BigInt64Array';

/** Targets whose elements run no code when they are read: the elements of a list are read here, once. */
export function indicesOf(targets: Targets): Targets {
  if (Array.isArray(targets)) return Array.from(targets as readonly number[]);
  if (!isIndices(targets) && !isBigInt64Array(targets))
    throw wrongType('an Int32Array, another array of integers,', 'targets', targets);
  return targets;
}

/** Copies targets that are all positions of a row. Returns false at the first other one. */
function copyPlain(targets: Int32Array, positions: Int32Array, cols: number): boolean {
  for (let i = 0; i < positions.length; i++) {
    const target = targets[i]!;
    if (!(target >= 0 && target < cols)) return false;
    positions[i] = target;
  }
  return true;
}

/** A checked copy, private to the call: kernels read memory at these positions. −1 stands for `ignoreIndex`. */
export function positionsOf(targets: Targets, rows: number, cols: number, ignoreIndex: unknown): Int32Array {
  if (!Number.isInteger(ignoreIndex)) throw wrongType('an integer', 'ignoreIndex', ignoreIndex);
  const length = Array.isArray(targets) ? targets.length : trueLength(targets as Int32Array, 'targets');
  if (length !== rows) throw wrongValue(`${rows} elements, one a row,`, 'targets', String(length));
  const positions = new Int32Array(rows);
  if (isInt32Array(targets) && copyPlain(targets, positions, cols)) return positions;
  for (let i = 0; i < rows; i++) {
    const given: unknown = targets[i];
    const target = typeof given === 'bigint' ? Number(given) : given;
    if (target === ignoreIndex) positions[i] = -1;
    else if (typeof target !== 'number') throw wrongType('integers', 'targets', target);
    else if (Number.isInteger(target) && target >= 0 && target < Math.min(cols, 2 ** 31)) positions[i] = target;
    else throw outOfRange(`integers from 0 to ${cols - 1}`, 'targets', `${describe(target)} at ${i}`);
  }
  return positions;
}
