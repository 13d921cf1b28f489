/** Options and lists of flash-softmax/sampling: `null` is no value, and neither is `topK: 0`. */
import { wrongType } from '../call/errors.js';
import { type FloatArray } from '../call/types.js';
import { trueLength } from '../call/errors.js';
import { checkOptions } from '../call/options.js';
import { types } from '../call/types.js';

/** Options as functions use them: without null. */
export type Given<O> = { [Name in keyof O]: Exclude<O[Name], null> };

/**
 * Checks option names; returns a copy, so that getters run once, and before any length is taken. A
 * generation_config.json holds `null` for an unset option, and `top_k: 0`: both become undefined here, for all
 * functions.
 */
export function optionsOf<O extends object>(options: O | undefined, names: readonly string[]): Given<O> {
  checkOptions(options, names);
  const given: Record<string, unknown> = { ...options };
  for (const name in given) if (given[name] === null || (name === 'topK' && given[name] === 0)) given[name] = undefined;
  return given as Given<O>;
}

/**
 * A copy of a caller's list: an array of any kind, or what has a length. Each element is read once and goes through
 * `check`, which throws for a wrong element, a hole included: a length that lies ends at the first missing element.
 */
export function listOf<T>(
  list: unknown,
  name: string,
  check: (value: unknown, index: number) => T,
  expected = 'an array',
): T[] {
  const isTyped = types.isTypedArray(list);
  if (!isTyped && !hasLength(list)) throw wrongType(expected, name, list);
  const length = isTyped ? trueLength(list, name) : list.length;
  const copy: T[] = [];
  for (let i = 0; i < length; i++) copy.push(check((list as ArrayLike<unknown>)[i], i));
  return copy;
}

/** Whether a value has a length that can be read: a proxy of a typed array refuses. */
export function hasLength(value: unknown): value is ArrayLike<unknown> {
  try {
    return typeof value === 'object' && value !== null && typeof (value as ArrayLike<unknown>).length === 'number';
  } catch {
    return false;
  }
}

/** Throws for anything but a Float32Array or Float64Array. */
export function checkFloats(value: unknown, name: string): asserts value is FloatArray {
  if (types.isFloat32Array(value) || types.isFloat64Array(value)) return;
  throw wrongType('a Float32Array or Float64Array', name, value);
}
