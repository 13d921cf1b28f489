/** Compares results: with exact ones in ULP, and with other backends bit for bit. */
import { countedError, type DD } from '../../lib/cli/oracle.js';
import { halvesOf, valueOf } from '../support/halves.js';
import { isHalf, type ElementType } from './data.js';
import { isNear } from './exact-row.js';
import type { AnyArray } from './memory.js';

/** The result of a call: arrays, or an error. */
export interface Outcome {
  readonly arrays: Readonly<Record<string, AnyArray>>;
  readonly error?: { readonly name: string; readonly code: unknown; readonly message: string };
}

const prototype = Object.getPrototypeOf(Uint8Array.prototype) as object;
const getterOf = (name: PropertyKey) =>
  Object.getOwnPropertyDescriptor(prototype, name)!.get as (this: unknown) => unknown;
const [kindOf, lengthOf, offsetOf, bufferOf] = [Symbol.toStringTag, 'length', 'byteOffset', 'buffer'].map(getterOf) as [
  (this: unknown) => string,
  (this: unknown) => number,
  (this: unknown) => number,
  (this: unknown) => ArrayBuffer,
];
const KINDS = { Float32Array, Float64Array, Uint16Array, Uint8Array, Int32Array, Uint32Array, Int8Array, Int16Array };

/** A copy as an ordinary array, whatever the array claims about itself. */
export function plain<A extends AnyArray>(x: A): A {
  const Kind = KINDS[kindOf.call(x) as keyof typeof KINDS];
  return new Kind(bufferOf.call(x), offsetOf.call(x), lengthOf.call(x)).slice() as A;
}

export const isArray = (x: unknown): x is AnyArray => ArrayBuffer.isView(x);

const CODES: Record<string, readonly unknown[]> = {
  TypeError: ['ERR_INVALID_ARG_TYPE'],
  RangeError: ['ERR_INVALID_ARG_VALUE', 'ERR_OUT_OF_RANGE'],
};

/** The fault of an error itself. */
export function faultOfError({ name, code, message }: NonNullable<Outcome['error']>): string | undefined {
  if (!CODES[name]?.includes(code)) return `an error that is not coded: ${name} ${String(code)} ${message}`;
  return /^Expected .+ for .+ but received .+/s.test(message) ? undefined : `a message of another form: ${message}`;
}

/**
 * The difference of two outcomes. Any NaN equals any NaN unless `hasNaNBits`: JavaScript engines choose the bits anew.
 */
export function differenceOf(a: Outcome, b: Outcome, hasNaNBits: boolean): string | undefined {
  if (a.error || b.error) {
    const [left, right] = [a, b].map(({ error }) =>
      error
        ? `${error.name} ${String(error.code)} ${error.message.replace(', signal for options', ' for options')}`
        : 'a result',
    );
    return left === right ? undefined : `${left} against ${right}`;
  }
  for (const [name, left] of Object.entries(a.arrays)) {
    const right = b.arrays[name];
    if (right === undefined || right.constructor !== left.constructor)
      return `${name}: ${left.constructor.name} against ${right?.constructor.name}`;
    if (left.length !== right.length) return `${name}: ${left.length} elements against ${right.length}`;
    const [p, q] = [bytes(left), bytes(right)];
    if (Buffer.compare(p, q) === 0) continue;
    const size = left.BYTES_PER_ELEMENT;
    const at = left.findIndex(
      (x: number, i: number) =>
        Buffer.compare(p.subarray(i * size, (i + 1) * size), q.subarray(i * size, (i + 1) * size)) !== 0 &&
        (hasNaNBits || x === x || right[i] === right[i]),
    );
    if (at < 0) continue;
    const ofBits = left[at] !== left[at] ? ` (bits ${hex(left, at)} against ${hex(right, at)})` : '';
    return `${name}[${at}]: ${left[at]} against ${right[at]}${ofBits}`;
  }
  return undefined;
}

const bytes = (x: AnyArray) => Buffer.from(x.buffer, x.byteOffset, x.byteLength);
const hex = (x: AnyArray, i: number) =>
  bytes(x)
    .subarray(i * x.BYTES_PER_ELEMENT, (i + 1) * x.BYTES_PER_ELEMENT)
    .toString('hex');

const MOST = { f32: 3.4028234663852886e38, f64: Number.MAX_VALUE };

/** The error of a number in ULP; 0 if it is within `slack` of the exact value. */
export function errorOf(type: 'f32' | 'f64', actual: number, { hi, lo }: DD, slack = 0): number {
  if (actual === hi || (actual !== actual && hi !== hi)) return 0;
  if (Math.abs(actual - hi) <= slack) return 0;
  // Within a rounding of the end of the range, and beyond it, both infinity and the largest number are right.
  if (
    Math.abs(hi) >= MOST[type] * (1 - 2 ** -20) &&
    Math.abs(actual) >= MOST[type] * (1 - 2 ** -20) &&
    Math.sign(hi) === Math.sign(actual)
  )
    return 0;
  return countedError(actual, hi, lo, type);
}

/** The error of an element, but 0 if integers find it small enough. `exactly` is called only if doubles do not. */
export function confirmed(
  type: ElementType,
  array: AnyArray,
  i: number,
  exact: DD,
  bound: number,
  exactly: () => bigint,
  slack = 0,
): number {
  const error = errorOfElement(type, array, i, exact, bound, slack);
  if (error <= bound || array instanceof Uint16Array || !Number.isFinite(exact.hi)) return error;
  return isNear(array instanceof Float64Array ? 'f64' : 'f32', array[i]!, exactly(), bound, slack) ? 0 : error;
}

/** One ULP of a float32 at x. */
const ulpOfFloat = (x: number): number => 2 ** (Math.max(-126, Math.floor(Math.log2(Math.abs(x)))) - 23);

/**
 * 0 if a half type's result lies between the roundings of exact − bound and exact + bound, else Infinity: it is the
 * float32 result, rounded once.
 */
export function errorOfHalf(type: 'f16' | 'bf16', bits: number, exact: DD, bound: number, slack = 0): number {
  const actual = valueOf(type, bits);
  if (actual === exact.hi || (actual !== actual && exact.hi !== exact.hi)) return 0;
  const by = exact.hi === 0 || Math.abs(exact.hi) === Infinity ? slack : bound * ulpOfFloat(exact.hi) + slack;
  const [least, most] = halvesOf(type, Float64Array.of(exact.hi - by, exact.hi + by)).map((each) => each);
  return actual >= valueOf(type, least!) && actual <= valueOf(type, most!) ? 0 : Infinity;
}

/** The error of one element. Half types may have float32 results, which are judged as floats. */
export function errorOfElement(
  type: ElementType,
  array: AnyArray,
  i: number,
  exact: DD,
  bound: number,
  slack = 0,
): number {
  if (isHalf(type) && array instanceof Uint16Array) return errorOfHalf(type, array[i]!, exact, bound, slack);
  return errorOf(array instanceof Float64Array ? 'f64' : 'f32', array[i]!, exact, slack);
}
