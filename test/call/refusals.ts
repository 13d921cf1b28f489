/** Calls of softmax() that must be refused, with the same array and options in all tests of arguments. */
import { expect } from 'vitest';
import { softmax } from '../../lib/index.js';

/** Calls softmax as JavaScript without types does. */
export const call = softmax as (...args: unknown[]) => Float32Array;
export const x = () => Float32Array.from([1, 2, 3, 4, 5, 6]);
export const wide = () => new Float64Array(6);

export function expectError(
  run: () => unknown,
  kind: typeof TypeError | typeof RangeError,
  code: string,
  message: RegExp | string,
): void {
  let error: unknown;
  try {
    run();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(kind);
  expect(error).toMatchObject({ code });
  expect((error as Error).message).toMatch(message);
}

/** Options that are refused for this x. x and `out` stay as they are. */
function expectRefused(
  options: object,
  kind: typeof TypeError | typeof RangeError,
  code: string,
  message: RegExp | string,
): void {
  const [logits, out] = [x(), new Float32Array(6).fill(-7)];
  expectError(() => call(logits, { out, ...options }), kind, code, message);
  expect([...logits]).toEqual([...x()]);
  expect([...out]).toEqual(Array(6).fill(-7));
}

export const wrongType = (options: object, message: RegExp | string) =>
  expectRefused(options, TypeError, 'ERR_INVALID_ARG_TYPE', message);
export const outOfRange = (options: object, message: RegExp | string) =>
  expectRefused(options, RangeError, 'ERR_OUT_OF_RANGE', message);
export const wrongValue = (options: object, message: RegExp | string) =>
  expectRefused(options, RangeError, 'ERR_INVALID_ARG_VALUE', message);
