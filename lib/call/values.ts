/** Checks of option values: numbers of a range. */
import { outOfRange, wrongType } from './errors.js';

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
