/** What softmax() says to arguments that it cannot use, and what it does with those that look odd but are fine. */
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { softmax, type SoftmaxOptions } from '../../lib/index.js';

/** As a caller without types would. */
const call = softmax as (...args: unknown[]) => Float32Array;
const x = () => Float32Array.from([1, 2, 3, 4, 5, 6]);
const wide = () => new Float64Array(6);

function expectError(run: () => unknown, kind: typeof TypeError | typeof RangeError, code: string, message: RegExp | string): void {
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

/** Options that are refused for this x, which must be left alone, as must `out`. */
function expectRefused(options: object, kind: typeof TypeError | typeof RangeError, code: string, message: RegExp | string): void {
  const [logits, out] = [x(), new Float32Array(6).fill(-7)];
  expectError(() => call(logits, { out, ...options }), kind, code, message);
  expect([...logits]).toEqual([...x()]);
  expect([...out]).toEqual(Array(6).fill(-7));
}

const wrongType = (options: object, message: RegExp | string) => expectRefused(options, TypeError, 'ERR_INVALID_ARG_TYPE', message);
const outOfRange = (options: object, message: RegExp | string) => expectRefused(options, RangeError, 'ERR_OUT_OF_RANGE', message);
const wrongValue = (options: object, message: RegExp | string) => expectRefused(options, RangeError, 'ERR_INVALID_ARG_VALUE', message);

describe('x', () => {
  const others: [value: unknown, described: string][] = [
    [undefined, 'undefined'],
    [null, 'null'],
    [3, '3'],
    [7n, '7n'],
    ['logits', "'logits'"],
    ['a'.repeat(99), `'${'a'.repeat(40)}…'`],
    [[1, 2, 3], 'an Array'],
    [{ length: 3 }, 'an Object'],
    [() => 1, 'a function'],
    [Symbol('s'), 'Symbol(s)'],
    [new Int32Array(3), 'an Int32Array of 3'],
    [new Uint16Array(2), 'a Uint16Array of 2'],
    [new Uint8Array(4), 'a Uint8Array of 4'],
    [new ArrayBuffer(8), 'an ArrayBuffer'],
    [Object.create(Float32Array.prototype), 'an Object'],
  ];

  it('is an array of floats', () => {
    for (const [value, described] of others) {
      const expected = value instanceof Uint16Array ? "dtype 'float16' or 'bfloat16' beside a Uint16Array" : 'a Float32Array or Float64Array, a Float16Array, or a Uint16Array with a dtype';
      const message = `Expected ${expected} for x but received ${described}`;
      expectError(() => call(value), TypeError, 'ERR_INVALID_ARG_TYPE', message);
    }
  });

  it('may be empty', () => {
    expect(softmax(new Float32Array(0))).toEqual(new Float32Array(0));
    expect(softmax(new Float64Array(0), { cols: 5 })).toEqual(new Float64Array(0));
    expect(softmax(new Float64Array(0), { shape: [3, 0, 2], axis: 1 })).toEqual(new Float64Array(0));
    const out = new Float32Array(0);
    expect(softmax(new Float32Array(0), { out })).toBe(out);
  });

  it('may come from another realm', () => {
    for (const name of ['Float32Array', 'Float64Array']) {
      const foreign = runInNewContext(`new ${name}([0, 0])`);
      expect([...call(foreign)]).toEqual([0.5, 0.5]);
      expect([...call(foreign, { out: foreign })]).toEqual([0.5, 0.5]);
    }
  });

  it('may be shared, a part of a buffer, resizable', () => {
    const shared = new Float32Array(new SharedArrayBuffer(8));
    expect([...softmax(shared, { out: shared })]).toEqual([0.5, 0.5]);
    const part = new Float64Array(8).subarray(3, 5);
    expect([...softmax(part, { out: part })]).toEqual([0.5, 0.5]);
    const Resizable = ArrayBuffer as unknown as new (length: number, options: object) => ArrayBuffer & { resize(length: number): void };
    const buffer = new Resizable(8, { maxByteLength: 64 });
    const tracking = new Float32Array(buffer);
    buffer.resize(16);
    expect([...softmax(tracking)]).toEqual([0.25, 0.25, 0.25, 0.25]);
  });
});

describe('options', () => {
  it('are an object with known names', () => {
    for (const [value, described] of [[null, 'null'], [5, '5'], [[1], 'an Array'], ['cols', "'cols'"]] as const) {
      expectError(() => call(x(), value), TypeError, 'ERR_INVALID_ARG_TYPE', `Expected an object for options but received ${described}`);
    }
    wrongType({ colums: 3 }, "Expected only cols, shape, axis, temperature, mask, maskFormat, bias, out, dtype for options but received 'colums'");
    wrongType({ cols: 3, Temperature: 3 }, "received 'Temperature'");
  });

  it('may be undefined, all or each', () => {
    const wanted = softmax(x());
    expect(call(x(), undefined)).toEqual(wanted);
    expect(call(x(), { cols: undefined, temperature: undefined, mask: undefined, bias: undefined, out: undefined })).toEqual(wanted);
  });

  it('may be inherited, while what pollutes Object.prototype is nobody’s option', () => {
    expect(call(x(), Object.create({ cols: 3 }))).toEqual(softmax(x(), { cols: 3 }));
    const prototype = Object.prototype as Record<string, unknown>;
    try {
      prototype.polluted = 1;
      expect(call(x(), { cols: 3 })).toEqual(softmax(x(), { cols: 3 }));
    } finally {
      delete prototype.polluted;
    }
  });

  it('are read once each, before anything is measured', () => {
    const values = { cols: 3, temperature: 2, mask: new Uint8Array(6).fill(1), maskFormat: 'bytes', bias: new Float32Array(3), out: new Float32Array(6) };
    const reads: string[] = [];
    const options = {};
    for (const [name, value] of Object.entries(values)) {
      Object.defineProperty(options, name, { enumerable: true, get: () => (reads.push(name), value) });
    }
    call(x(), options);
    expect(reads.sort()).toEqual(Object.keys(values).sort());

    const logits = x();
    const detaching = {
      out: new Float32Array(6).fill(-7),
      get temperature() {
        structuredClone(logits, { transfer: [logits.buffer as ArrayBuffer] });
        return 1;
      },
    };
    expectError(() => call(logits, detaching), TypeError, 'ERR_INVALID_ARG_TYPE', 'Expected an array that has its memory for x but received a detached Float32Array');
    expect([...detaching.out]).toEqual(Array(6).fill(-7));
  });
});

describe('temperature', () => {
  it('is a finite number above 0', () => {
    for (const value of ['1', null, 1n, {}]) wrongType({ temperature: value }, /^Expected a number for temperature but received/);
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
    for (const cols of [0, -3, 1.5, NaN, Infinity, 2 ** 53]) outOfRange({ cols }, `Expected a positive integer for cols but received ${cols}`);
    for (const cols of [4, 5, 12]) wrongValue({ cols }, `Expected a divisor of the 6 elements of x for cols but received ${cols}`);
  });
});

describe('shape and axis', () => {
  it('describe x', () => {
    for (const shape of [6, 'abc', {}, new Int32Array(2)]) wrongType({ shape }, /^Expected an array of integers for shape but received/);
    wrongType({ shape: [2, '3'] }, "Expected integers for shape but received '3'");
    for (const n of [-2, 1.5, NaN]) outOfRange({ shape: [n, 3] }, `Expected integers from 0 for shape but received ${n}`);
    wrongValue({ shape: [] }, 'Expected at least one dimension for shape but received none');
    wrongValue({ shape: [2, 2] }, 'Expected a product of 6, the length of x, for shape but received [2, 2]');
    wrongType({ shape: [2, 3], axis: '1' }, "Expected an integer for axis but received '1'");
    for (const axis of [2, -3, 0.5, NaN]) outOfRange({ shape: [2, 3], axis }, `Expected an integer from -2 to 1 for axis but received ${axis}`);
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
    for (const mask of [[1, 0], new Float32Array(6), new Int8Array(6), null]) wrongType({ mask }, /^Expected a Uint8Array for mask but received/);
    wrongType({ mask: new Uint8Array(6), maskFormat: 1 }, "Expected 'bytes' or 'bits' for maskFormat but received 1");
    wrongValue({ mask: new Uint8Array(6), maskFormat: 'bit' }, "Expected 'bytes' or 'bits' for maskFormat but received 'bit'");
    wrongValue({ mask: new Uint8Array(5) }, 'Expected 6 bytes for mask but received 5');
    wrongValue({ mask: new Uint8Array(5), cols: 3 }, 'Expected 6 bytes, or 3 for one row, for mask but received 5');
    wrongValue({ mask: new Uint8Array(2), maskFormat: 'bits' }, 'Expected 1 byte for mask but received 2');
    wrongValue({ mask: new Uint8Array(1), maskFormat: 'bits', cols: 3 }, /^Expected maskFormat 'bytes'.* for mask but received 'bits'$/);
  });

  it('hides', () => {
    const logits = Float32Array.from([0, 9, 0, 0, NaN, 0]);
    const wanted = [0.5, 0, 0.5, 0.5, 0, 0.5];
    expect([...softmax(logits, { cols: 3, mask: Uint8Array.from([1, 0, 1]) })]).toEqual(wanted);
    expect([...softmax(logits, { cols: 3, mask: Uint8Array.from([1, 0, 9, 255, 0, 1]) })]).toEqual(wanted);
    expect([...softmax(logits, { mask: Uint8Array.from([0b101101]), maskFormat: 'bits' })]).toEqual(wanted.map((v) => v / 2));
    const rows = Float32Array.from({ length: 18 }, (_, i) => (i % 9 === 4 ? NaN : 0));
    const y = softmax(rows, { cols: 9, mask: Uint8Array.from([0b11101111, 1]), maskFormat: 'bits' });
    expect(y.every((v, i) => v === (i % 9 === 4 ? 0 : 0.125))).toBe(true);
    expect(softmax(rows, { cols: 9, mask: Uint8Array.from([0b11101111, 0b11011111, 0b11]), maskFormat: 'bits' })).toEqual(y);
  });
});

describe('bias', () => {
  it('is like x, for all elements or for one row', () => {
    wrongType({ bias: wide() }, 'Expected a Float32Array, as x is, for bias but received a Float64Array of 6');
    wrongType({ bias: [0, 0, 0] }, 'Expected a Float32Array, as x is, for bias but received an Array');
    wrongValue({ bias: new Float32Array(2), cols: 3 }, 'Expected 6 elements, or 3 for one row, for bias but received 2');
    const bias = Float32Array.from([5, 4, 3]);
    expect([...softmax(Float32Array.from([1, 2, 3, 0, 1, 2]), { cols: 3, bias })]).toEqual(Array(6).fill(Math.fround(1 / 3)));
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
        expectError(() => softmax(at(6), { out: at(offset) }), RangeError, 'ERR_INVALID_ARG_VALUE', 'Expected x itself or memory apart from it for out but received a part of x');
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
      expectError(() => softmax(x(), each), RangeError, 'ERR_INVALID_ARG_VALUE', `Expected memory apart from out for ${name} but received an overlap`);
    }
    softmax(x(), { out, mask: new Uint8Array(buffer, 24, 6).fill(1), bias: new Float32Array(buffer, 32, 6) });
  });
});
