/** Checks of option values: numbers of a range, and names. */
import { describe, outOfRange, wrongType, wrongValue } from './errors.js';

/** A finite number. */
export function finite(value: unknown, name: string): number {
  if (typeof value !== 'number') throw wrongType('a number', name, value);
  if (!Number.isFinite(value)) throw outOfRange('a finite number', name, value);
  return value;
}

/** A number from 0 to 1. */
export function fraction(value: unknown, name: string): number {
  if (typeof value !== 'number') throw wrongType('a number from 0 to 1', name, value);
  if (!(value >= 0 && value <= 1)) throw outOfRange('a number from 0 to 1', name, value);
  return value;
}

/** One of two or more names. */
export function oneOf<Name extends string>(value: unknown, names: readonly Name[], option: string): Name {
  const quoted = names.map((name) => `'${name}'`);
  const expected = `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`;
  if (typeof value !== 'string') throw wrongType(expected, option, value);
  if (!(names as readonly string[]).includes(value)) throw wrongValue(expected, option, describe(value));
  return value as Name;
}
