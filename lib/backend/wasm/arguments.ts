/** Reads the arguments of a call as the native binding does: kinds and true lengths from the engine, then numbers. */
import { kindOf, lengthOf } from '../../call/arrays.js';

const MOST_SLABS = 64;

const refuse = (error: Error, code: string): never => {
  throw Object.assign(error, { code });
};
const article = (kind: string): string => `${kind === 'Int8Array' || kind === 'Int32Array' ? 'an' : 'a'} ${kind}`;

/** The true length of an array that is not null. */
export function lengthOfArray(value: unknown, kind: string): number {
  if (kindOf(value) === kind) return lengthOf(value as ArrayBufferView);
  const message = `Expected ${article(kind)} or null for a kernel's array but received something else`;
  return refuse(new TypeError(message), 'ERR_INVALID_ARG_TYPE');
}

/** The slabs of a list, each read once. A null is none of them: its length is 0. */
export function slabsOf(value: unknown, kind: string): { view: ArrayBufferView | null; length: number }[] {
  if (!Array.isArray(value) || value.length > MOST_SLABS)
    return refuse(new TypeError(`Expected an array of ${article(kind)} for a kernel's slabs`), 'ERR_INVALID_ARG_TYPE');
  return Array.from(value, (view: ArrayBufferView | null) => ({
    view,
    length: view === null ? 0 : lengthOfArray(view, kind),
  }));
}

export function numberOf(value: unknown, isSize: boolean): number {
  if (typeof value !== 'number')
    return refuse(new TypeError("Expected a number for a kernel's parameter"), 'ERR_INVALID_ARG_TYPE');
  if (isSize && !(Number.isSafeInteger(value) && value >= 0))
    return refuse(new RangeError("Expected a size for a kernel's parameter"), 'ERR_INVALID_ARG_VALUE');
  return value;
}
