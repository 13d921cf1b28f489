/** The values of softmax()’s options: temperature, cols, shape and axis, mask, bias, out. */
import { describe, expect, it } from 'vitest';
import { softmax, type SoftmaxOptions } from '../../lib/index.js';
import { expectError, outOfRange, wide, wrongType, wrongValue, x } from './refusals.js';

describe('temperature', () => {
  it('is a finite number above 0', () => {
    for (const value of ['1', null, 1n, {}])
      wrongType({ temperature: value }, /^Expected a number for temperature but received/);
    for (const value of [0, -0, -1, NaN, Infinity, -Infinity]) {
      outOfRange({ temperature: value }, `Expected a finite number above 0 for temperature but received ${value}`);
    }
    expect([...softmax(new Float64Array(2), { temperature: Number.MIN_VALUE })]).toEqual([0.5, 0.5]);
  });
});

describe('cols', () => {
  it('is a positive integer that divides the length', () => {
    wrongType({ cols: '3' }, "Expected a positive integer for cols but received '3'");
    wrongType({ cols: null }, 'Expected a positive integer for cols but received null');
    for (const cols of [0, -3, 1.5, NaN, Infinity, 2 ** 53])
      outOfRange({ cols }, `Expected a positive integer for cols but received ${cols}`);
    for (const cols of [4, 5, 12])
      wrongValue({ cols }, `Expected a divisor of the 6 elements of x for cols but received ${cols}`);
  });
});

describe('shape and axis', () => {
  it('describe x', () => {
    for (const shape of [6, 'abc', {}, new Int32Array(2)])
      wrongType({ shape }, /^Expected an array of integers for shape but received/);
    wrongType({ shape: [2, '3'] }, "Expected integers for shape but received '3'");
    for (const n of [-2, 1.5, NaN])
      outOfRange({ shape: [n, 3] }, `Expected integers from 0 for shape but received ${n}`);
    wrongValue({ shape: [] }, 'Expected at least one dimension for shape but received none');
    wrongValue({ shape: [2, 2] }, 'Expected a product of 6, the length of x, for shape but received [2, 2]');
    wrongType({ shape: [2, 3], axis: '1' }, "Expected an integer or an array of integers for axis but received '1'");
    for (const axis of [2, -3, 0.5, NaN])
      outOfRange({ shape: [2, 3], axis }, `Expected an integer from -2 to 1 for axis but received ${axis}`);
    wrongValue({ axis: 0 }, 'Expected no value for axis without shape but received 0');
    wrongValue({ shape: [2, 3], cols: 3 }, 'Expected no value for cols beside shape but received 3');
  });

  it('pick the rows', () => {
    const rows = softmax(x(), { cols: 3 });
    expect(softmax(x(), { shape: [2, 3] })).toEqual(rows);
    expect(softmax(x(), { shape: [2, 3], axis: 1 })).toEqual(rows);
    expect(softmax(x(), { shape: [2, 3], axis: -1 })).toEqual(rows);
    expect(softmax(x(), { shape: [1, 2, 3, 1], axis: 2 })).toEqual(rows);
    expect(softmax(x(), { shape: [6], axis: 0 })).toEqual(softmax(x()));

    const columns = softmax(Float32Array.from([1, 4, 2, 5, 3, 6]), { cols: 2 });
    const transposed = Float32Array.from([0, 2, 4, 1, 3, 5], (i) => columns[i]!);
    expect(softmax(x(), { shape: [2, 3], axis: 0 })).toEqual(transposed);
    expect(softmax(x(), { shape: [2, 3], axis: -2 })).toEqual(transposed);
  });
});

describe('mask', () => {
  it('is bytes or bits, for all elements or for one row', () => {
    for (const mask of [[1, 0], new Float32Array(6), new Int8Array(6), null])
      wrongType({ mask }, /^Expected a Uint8Array, or an Int32Array of 'bits', for mask but received/);
    wrongType({ mask: new Uint8Array(6), maskFormat: 1 }, "Expected 'bytes' or 'bits' for maskFormat but received 1");
    wrongValue(
      { mask: new Uint8Array(6), maskFormat: 'bit' },
      "Expected 'bytes' or 'bits' for maskFormat but received 'bit'",
    );
    wrongValue({ mask: new Uint8Array(5) }, 'Expected 6 bytes for mask but received 5');
    wrongValue({ mask: new Uint8Array(5), cols: 3 }, 'Expected 6 bytes, or 3 for one row, for mask but received 5');
    wrongValue({ mask: new Uint8Array(2), maskFormat: 'bits' }, 'Expected 1 byte for mask but received 2');
    wrongValue(
      { mask: new Uint8Array(1), maskFormat: 'bits', cols: 3 },
      /^Expected maskFormat 'bytes'.* for mask but received 'bits'$/,
    );
  });

  it('hides', () => {
    const logits = Float32Array.from([0, 9, 0, 0, NaN, 0]);
    const wanted = [0.5, 0, 0.5, 0.5, 0, 0.5];
    expect([...softmax(logits, { cols: 3, mask: Uint8Array.from([1, 0, 1]) })]).toEqual(wanted);
    expect([...softmax(logits, { cols: 3, mask: Uint8Array.from([1, 0, 9, 255, 0, 1]) })]).toEqual(wanted);
    expect([...softmax(logits, { mask: Uint8Array.from([0b101101]), maskFormat: 'bits' })]).toEqual(
      wanted.map((v) => v / 2),
    );
    const rows = Float32Array.from({ length: 18 }, (_, i) => (i % 9 === 4 ? NaN : 0));
    const y = softmax(rows, { cols: 9, mask: Uint8Array.from([0b11101111, 1]), maskFormat: 'bits' });
    expect(y.every((v, i) => v === (i % 9 === 4 ? 0 : 0.125))).toBe(true);
    expect(
      softmax(rows, { cols: 9, mask: Uint8Array.from([0b11101111, 0b11011111, 0b11]), maskFormat: 'bits' }),
    ).toEqual(y);
  });
});

describe('bias', () => {
  it('is like x, for all elements or for one row', () => {
    wrongType({ bias: wide() }, 'Expected a Float32Array, as x is, for bias but received a Float64Array of 6');
    wrongType({ bias: [0, 0, 0] }, 'Expected a Float32Array, as x is, for bias but received an Array');
    wrongValue(
      { bias: new Float32Array(2), cols: 3 },
      'Expected 6 elements, or 3 for one row, for bias but received 2',
    );
    const bias = Float32Array.from([5, 4, 3]);
    expect([...softmax(Float32Array.from([1, 2, 3, 0, 1, 2]), { cols: 3, bias })]).toEqual(
      Array(6).fill(Math.fround(1 / 3)),
    );
  });
});

describe('out', () => {
  it('is like x', () => {
    wrongType({ out: wide() }, 'Expected a Float32Array, as x is, for out but received a Float64Array of 6');
    wrongType({ out: null }, 'Expected a Float32Array, as x is, for out but received null');
    wrongValue({ out: new Float32Array(5) }, 'Expected 6 elements, as in x, for out but received 5');
    const detached = new Float32Array(6);
    structuredClone(detached, { transfer: [detached.buffer] });
    wrongType({ out: detached }, 'Expected an array that has its memory for out but received a detached Float32Array');
  });

  it('is returned, whether it is x or not', () => {
    const wanted = softmax(x());
    const [logits, out] = [x(), new Float32Array(6)];
    expect(softmax(logits, { out })).toBe(out);
    expect(out).toEqual(wanted);
    expect([...logits]).toEqual([...x()]);
    expect(softmax(logits, { out: logits })).toBe(logits);
    expect(logits).toEqual(wanted);
  });

  it('may be another view of all of x or lie beside it, but must not overlap in part', () => {
    for (const memory of [ArrayBuffer, SharedArrayBuffer]) {
      const buffer = new memory(4 * 18);
      const at = (offset: number) => new Float32Array(buffer, 4 * offset, 6);
      const refused = (offset: number) => {
        const before = new Float32Array(buffer).fill(3).slice();
        expectError(
          () => softmax(at(6), { out: at(offset) }),
          RangeError,
          'ERR_INVALID_ARG_VALUE',
          'Expected x itself or memory apart from it for out but received a part of x',
        );
        expect(new Float32Array(buffer)).toEqual(before);
      };
      for (const offset of [1, 2, 5, 7, 11]) refused(offset);
      for (const offset of [0, 6, 12]) {
        at(6).set(x());
        expect(softmax(at(6), { out: at(offset) })).toEqual(softmax(x()));
      }
    }
  });

  it('must not overlap mask or bias', () => {
    const buffer = new ArrayBuffer(64);
    const out = new Float32Array(buffer, 0, 6);
    const options: [SoftmaxOptions<Float32Array>, string][] = [
      [{ out, bias: new Float32Array(buffer, 4, 6) }, 'bias'],
      [{ out, bias: out }, 'bias'],
      [{ out, mask: new Uint8Array(buffer, 20, 6) }, 'mask'],
    ];
    for (const [each, name] of options) {
      expectError(
        () => softmax(x(), each),
        RangeError,
        'ERR_INVALID_ARG_VALUE',
        `Expected memory apart from out for ${name} but received an overlap`,
      );
    }
    softmax(x(), { out, mask: new Uint8Array(buffer, 24, 6).fill(1), bias: new Float32Array(buffer, 32, 6) });
  });
});
