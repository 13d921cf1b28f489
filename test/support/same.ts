/** `toEqual` walks arrays element by element, which takes seconds for a million: equal bytes are found sooner. */
import { expect } from 'vitest';

type Results = Record<string, NodeJS.TypedArray | null>;

const bytesOf = ({ buffer, byteOffset, byteLength }: NodeJS.TypedArray) => Buffer.from(buffer, byteOffset, byteLength);

/** Expects two records of arrays to be equal. */
export function expectSame(actual: Results, expected: Results, what?: string): void {
  const names = Object.keys(expected);
  const isSame = (a: NodeJS.TypedArray | null | undefined, b: NodeJS.TypedArray | null) =>
    a === b || (!!a && !!b && a.constructor === b.constructor && bytesOf(a).equals(bytesOf(b)));
  if (Object.keys(actual).length === names.length && names.every((name) => isSame(actual[name], expected[name]!)))
    return;
  expect(actual, what).toEqual(expected);
}
