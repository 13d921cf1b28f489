/** The first argument of softmax() and the object of options: accepted kinds, and errors. */
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { softmax } from '../../lib/index.js';
import { call, expectError, wrongType, x } from './refusals.js';

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
      const isNumbers = [Array, Int32Array, Uint8Array].some((Kind) => value instanceof Kind);
      const hint = isNumbers ? ' (Float32Array.from(x) makes one of these numbers)' : '';
      const expected =
        value instanceof Uint16Array
          ? "dtype 'float16' or 'bfloat16' beside a Uint16Array"
          : `a Float32Array or Float64Array, a Float16Array, or a Uint16Array with a dtype${hint}`;
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
    const Resizable = ArrayBuffer as unknown as new (
      length: number,
      options: object,
    ) => ArrayBuffer & { resize(length: number): void };
    const buffer = new Resizable(8, { maxByteLength: 64 });
    const tracking = new Float32Array(buffer);
    buffer.resize(16);
    expect([...softmax(tracking)]).toEqual([0.25, 0.25, 0.25, 0.25]);
  });
});

describe('options', () => {
  it('are an object with known names', () => {
    for (const [value, described] of [
      [null, 'null'],
      [5, '5'],
      [[1], 'an Array'],
      ['cols', "'cols'"],
    ] as const) {
      expectError(
        () => call(x(), value),
        TypeError,
        'ERR_INVALID_ARG_TYPE',
        `Expected an object for options but received ${described}`,
      );
    }
    wrongType(
      { colums: 3 },
      'Expected only cols, shape, axis, temperature, mask, maskFormat, bias, out, dtype for options ' +
        "but received 'colums'",
    );
    wrongType({ cols: 3, Temperature: 3 }, "received 'Temperature'");
  });

  it('may be undefined, all or each', () => {
    const wanted = softmax(x());
    expect(call(x(), undefined)).toEqual(wanted);
    expect(
      call(x(), { cols: undefined, temperature: undefined, mask: undefined, bias: undefined, out: undefined }),
    ).toEqual(wanted);
  });

  it('may be inherited, but not from Object.prototype', () => {
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
    const values = {
      cols: 3,
      temperature: 2,
      mask: new Uint8Array(6).fill(1),
      maskFormat: 'bytes',
      bias: new Float32Array(3),
      out: new Float32Array(6),
    };
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
    expectError(
      () => call(logits, detaching),
      TypeError,
      'ERR_INVALID_ARG_TYPE',
      'Expected an array that has its memory for x but received a detached Float32Array',
    );
    expect([...detaching.out]).toEqual(Array(6).fill(-7));
  });
});
