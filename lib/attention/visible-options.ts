/** Options about which keys a query sees by its position: their types and checks. The kernels apply the rule. */
import { allocate } from '../call/allocate.js';
import { elementsOf } from '../call/arrays.js';
import { describe, outOfRange, trueLength, wrongType, wrongValue } from '../call/errors.js';
import { types } from '../call/types.js';

/** Whether a query sees keys behind its position, and which position that is: see `causal` of attention. */
export type Causal = boolean | 'bottomRight' | 'topLeft';

/** How far a query sees: see `window` of attention. */
export type Window = number | readonly [left: number, right: number];

/** The value of kernels: 0 if queries see keys behind them, 1 for bottom right, 2 for top left. */
export function causalOf(causal: unknown): 0 | 1 | 2 {
  const expected = "a boolean, 'bottomRight' or 'topLeft'";
  if (typeof causal === 'boolean') return causal ? 1 : 0;
  if (typeof causal !== 'string') throw wrongType(expected, 'causal', causal);
  if (causal === 'bottomRight') return 1;
  if (causal === 'topLeft') return 2;
  throw wrongValue(expected, 'causal', describe(causal));
}

/** The keys of a window on each side, a query's own counted on both; 0: no bound. */
export interface WindowSizes {
  readonly windowLeft: number;
  readonly windowRight: number;
}

/** Checks a window. It reads each element of a pair once. */
export function windowOf(window: unknown): WindowSizes {
  if (window === undefined) return { windowLeft: 0, windowRight: 0 };
  if (typeof window === 'number') {
    const size = boundOf(window, 1, 'a positive integer, or Infinity for no bound,', 'window');
    return { windowLeft: size, windowRight: size };
  }
  if (!Array.isArray(window)) throw wrongType('a positive integer, Infinity or [left, right]', 'window', window);
  const sides = elementsOf(window);
  if (sides.length !== 2) throw wrongValue('two numbers, [left, right],', 'window', String(sides.length));
  return { windowLeft: sideOf(sides[0], 'window[0]'), windowRight: sideOf(sides[1], 'window[1]') };
}

/** The keys of a side, the query's own included; 0: no bound. */
function sideOf(side: unknown, name: string): number {
  const expected = 'an integer from 0, or Infinity for no bound,';
  if (typeof side !== 'number') throw wrongType(expected, name, side);
  const bound = boundOf(side, 0, expected, name);
  return side === Infinity ? 0 : bound + 1;
}

/** Checks an integer from `least` on; 0 for Infinity. */
function boundOf(size: number, least: 0 | 1, expected: string, name: string): number {
  if (size === Infinity) return 0;
  if (!(Number.isSafeInteger(size) && size >= least)) throw outOfRange(expected, name, size);
  return size;
}

/** The key lengths of a call, read and copied. Call it before any array's length is taken. */
export function listOfLengths(keyLengths: unknown): unknown[] | undefined {
  if (keyLengths === undefined) return undefined;
  if (types.isInt32Array(keyLengths) || types.isUint32Array(keyLengths)) trueLength(keyLengths, 'keyLengths');
  else if (!Array.isArray(keyLengths)) {
    throw wrongType('an Int32Array, a Uint32Array or an array of integers', 'keyLengths', keyLengths);
  }
  return elementsOf(keyLengths as number[]);
}

/** Kernels take lengths as 32-bit integers. */
const MOST = 2 ** 31 - 1;

/** Checks that there is a length from 0 to `keys` for each sequence; null without lengths. */
export function keyLengthsOf(lengths: readonly unknown[] | undefined, batch: number, keys: number): Int32Array | null {
  if (lengths === undefined) return null;
  if (lengths.length !== batch) {
    throw wrongValue(`${batch} lengths, one a sequence,`, 'keyLengths', String(lengths.length));
  }
  const most = Math.min(keys, MOST);
  const checked = allocate('Int32Array', batch, 'keyLengths');
  lengths.forEach((length, b) => {
    const [expected, name] = [`an integer from 0 to keys = ${most}`, `keyLengths[${b}]`];
    if (typeof length !== 'number') throw wrongType(expected, name, length);
    if (!(Number.isInteger(length) && length >= 0 && length <= most)) throw outOfRange(expected, name, length);
    checked[b] = length;
  });
  return checked;
}
