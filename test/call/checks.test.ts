/** Checks of single arguments, one by one: where each ends, and what its errors say. */
import { describe, expect, it } from 'vitest';
import { axesOf } from '../../lib/call/axes.js';
import { count, oneOf, positive, sameOrApart } from '../../lib/call/checks.js';
import { expectError } from './refusals.js';

const [TYPE, RANGE, VALUE] = ['ERR_INVALID_ARG_TYPE', 'ERR_OUT_OF_RANGE', 'ERR_INVALID_ARG_VALUE'];

describe('count', () => {
  it('takes integers from 1, or from 0', () => {
    expect([count(1, 'k'), count(0, 'k', 0), count(2 ** 53 - 1, 'k')]).toEqual([1, 0, 2 ** 53 - 1]);
  });
  it('refuses others', () => {
    expectError(() => count(0, 'k'), RangeError, RANGE, /^Expected a positive integer for k but received 0/);
    expectError(() => count(-1, 'k', 0), RangeError, RANGE, /^Expected an integer from 0 for k but received -1/);
    expectError(() => count('1', 'k', 0), TypeError, TYPE, /^Expected an integer from 0 for k but received '1'/);
  });
});

describe('positive', () => {
  it('takes finite numbers above 0, or from 0', () => {
    expect([positive(5e-324, 'T'), positive(0, 'T', true), positive(1e308, 'T', true)]).toEqual([5e-324, 0, 1e308]);
  });
  it('refuses others', () => {
    for (const value of [0, -1, Infinity, NaN])
      expectError(() => positive(value, 'T'), RangeError, RANGE, /^Expected a finite number above 0 for T/);
    for (const value of [-1, Infinity, NaN])
      expectError(() => positive(value, 'T', true), RangeError, RANGE, /^Expected a finite number from 0 for T/);
  });
});

describe('oneOf', () => {
  const words = ['mean', 'sum', 'none'] as const;
  it('takes a word', () => {
    for (const word of words) expect(oneOf(word, words, 'reduction')).toBe(word);
  });
  it('names all words of which it expected one', () => {
    const message = /^Expected 'mean', 'sum' or 'none' for reduction but received/;
    expectError(() => oneOf('avg', words, 'reduction'), RangeError, VALUE, message);
    expectError(() => oneOf(1, words, 'reduction'), TypeError, TYPE, message);
  });
});

describe('sameOrApart', () => {
  const memory = new ArrayBuffer(64);
  const part = (from: number, length: number) => new Float32Array(memory, from, length);
  it('takes the same elements, and others', () => {
    sameOrApart(part(0, 8), 'out', part(0, 8), 'x');
    sameOrApart(part(0, 8), 'out', part(32, 8), 'x');
  });
  it('refuses an overlap, from the same element on too', () => {
    for (const written of [part(0, 4), part(4, 8)])
      expectError(
        () => sameOrApart(written, 'out', part(0, 8), 'x'),
        RangeError,
        VALUE,
        /^Expected memory apart from x/,
      );
  });
});

describe('axesOf', () => {
  it('says what an empty list lacks', () => {
    expectError(() => axesOf([], 2, true), RangeError, VALUE, /^Expected one axis at least, or no value for the last/);
  });
});
