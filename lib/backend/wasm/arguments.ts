/** Reads the arguments of a call as the native binding does: kinds and true lengths from the engine, then numbers. */
import { kindOf, lengthOf } from '../../call/arrays.js';
import type { Parameter } from './parameters.js';

/** The most arguments of a call: Arguments::kMost of native/host/arguments.h. */
export const MOST = 24;
const MOST_SLABS = 64;

/** The arguments of the call that runs. No code of a caller runs before it ends, so that there is one at a time. */
export const call = {
  /** The true length of each array, of null −1; of slabs their number. */
  lengths: new Float64Array(MOST),
  /** The true length of each slab, by the position of its parameter. */
  slabs: new Map<number, number[]>(),
};

const refuse = (error: Error, code: string): never => {
  throw Object.assign(error, { code });
};
const article = (kind: string): string => `${kind === 'Int8Array' || kind === 'Int32Array' ? 'an' : 'a'} ${kind}`;

function lengthOfArray(value: unknown, kind: string): number {
  if (value === null) return -1;
  if (kindOf(value) === kind) return lengthOf(value as ArrayBufferView);
  const message = `Expected ${article(kind)} or null for a kernel's array but received something else`;
  return refuse(new TypeError(message), 'ERR_INVALID_ARG_TYPE');
}

function lengthsOfSlabs(value: unknown, kind: string): number[] {
  if (!Array.isArray(value) || value.length > MOST_SLABS)
    return refuse(new TypeError(`Expected an array of ${article(kind)} for a kernel's slabs`), 'ERR_INVALID_ARG_TYPE');
  return Array.from(value, (each) => Math.max(0, lengthOfArray(each, kind)));
}

/** Fills `call`. Throws the errors of the native binding for values that no kernel takes. */
export function read(parameters: readonly Parameter[], values: readonly unknown[]): void {
  const { lengths } = call;
  for (let i = 0; i < parameters.length; i++) {
    const { form, kind } = parameters[i]!;
    const value = values[i];
    if (form === 'array') lengths[i] = lengthOfArray(value, kind);
    else if (form === 'slabs') {
      const slabs = lengthsOfSlabs(value, kind);
      call.slabs.set(i, slabs);
      lengths[i] = slabs.length;
    } else {
      if (typeof value !== 'number')
        refuse(new TypeError("Expected a number for a kernel's parameter"), 'ERR_INVALID_ARG_TYPE');
      if (form === 'size' && !(Number.isSafeInteger(value) && (value as number) >= 0))
        refuse(new RangeError("Expected a size for a kernel's parameter"), 'ERR_INVALID_ARG_VALUE');
    }
  }
}
