/** Checks of options that calls beside the operators along an axis have in common. */
import { outOfRange, wrongType } from './arguments.js';

/** Unknown names are errors. */
export function checkOptions(options: unknown, names: readonly string[], isNeeded = false): void {
  if (options === undefined && !isNeeded) return;
  if (typeof options !== 'object' || options === null || Array.isArray(options)) throw wrongType('an object', 'options', options);
  for (const name of Object.keys(options)) if (!names.includes(name)) throw wrongType(`only ${names.join(', ')}`, 'options', name);
}

/** The same, and a copy: each option is read once, and first of all. */
export function optionsOf<O extends object>(options: O | undefined, names: readonly string[]): O {
  checkOptions(options, names);
  return { ...options } as O;
}

/** Options to take some of before they are checked: what is no object has none. */
export const readable = <O extends object>(options: O | undefined): Partial<O> => (typeof options === 'object' && options !== null ? options : {});

/** A size or a count: a positive integer, or an integer from 0 on. */
export function count(value: unknown, name: string, least: 0 | 1 = 1): number {
  const expected = least ? 'a positive integer' : 'an integer from 0';
  if (typeof value !== 'number') throw wrongType(expected, name, value);
  if (!(Number.isSafeInteger(value) && value >= least)) throw outOfRange(expected, name, value);
  return value;
}

/** A finite number above 0, or 0 as well. */
export function positive(value: unknown, name: string, orZero = false): number {
  if (typeof value !== 'number') throw wrongType('a number', name, value);
  if (!((value > 0 || (orZero && value === 0)) && value < Infinity)) throw outOfRange(`a finite number ${orZero ? 'from' : 'above'} 0`, name, value);
  return value;
}
