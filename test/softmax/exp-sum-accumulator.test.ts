/** ExpSumAccumulator: chunks in any order, and its bytes. */
import { describe, expect, it } from 'vitest';
import { expSum, ExpSumAccumulator, logSumExpOfState, softmax } from '../../lib/index.js';
import { row } from '../support/cases.js';

describe('ExpSumAccumulator', () => {
  it('adds chunks in any order', () => {
    const x = row('f32', 'N(0,8)', 5000);
    const chunks = [x.subarray(0, 1200), x.subarray(1200, 1300), x.subarray(1300, 1300), x.subarray(1300)];
    const accumulator = new ExpSumAccumulator({ temperature: 0.7 });
    for (const chunk of chunks) accumulator.add(chunk);
    const far = chunks.map((chunk) => new ExpSumAccumulator({ temperature: 0.7 }).add(chunk).toBytes());
    const other = far
      .map((bytes) => ExpSumAccumulator.fromBytes(bytes))
      .reduce((a, b) => a.merge(b), new ExpSumAccumulator({ temperature: 0.7 }));
    expect(other.state).toEqual(accumulator.state);
    expect(accumulator.logSumExp()).toBeCloseTo(logSumExpOfState(expSum(x, { temperature: 0.7 }))[0]!, 8);
    const y = chunks.flatMap((chunk) => [...other.normalize(chunk)]);
    const wanted = softmax(x, { temperature: 0.7 });
    y.forEach((p, i) => expect(Math.abs(p - wanted[i]!)).toBeLessThanOrEqual(wanted[i]! * 2 ** -23));
    const out = new Float32Array(1200);
    expect(accumulator.normalize(chunks[0]!, out)).toBe(out);
    expect(accumulator.normalize(Float32Array.of(1, 1), undefined, { mask: Uint8Array.of(1, 0) })[1]).toBe(0);
  });

  it('begins with nothing', () => {
    expect(new ExpSumAccumulator().logSumExp()).toBe(-Infinity);
    expect(new ExpSumAccumulator().add(Float32Array.of(-Infinity)).logSumExp()).toBe(-Infinity);
    expect(new ExpSumAccumulator().add(Float32Array.of(3)).logSumExp()).toBeCloseTo(3, 7);
  });

  it('has these bytes', () => {
    const bytes = new ExpSumAccumulator({ temperature: 2 }).add(Float64Array.of(0, 0, 0)).toBytes();
    expect(Buffer.from(bytes).toString('hex')).toBe(
      '46534553' + '01000000' + '000000000000f83f' + '0000000000000040' + '01000000',
    );
    for (const value of [NaN, Infinity, -Infinity]) {
      const accumulator = new ExpSumAccumulator().add(Float64Array.of(value));
      expect(ExpSumAccumulator.fromBytes(accumulator.toBytes()).state).toEqual(accumulator.state);
    }
  });

  it('refuses bad bytes and bad arguments', () => {
    const good = () => new ExpSumAccumulator().add(Float64Array.of(1, 2)).toBytes();
    expect(() => ExpSumAccumulator.fromBytes('FSES' as never)).toThrow(TypeError);
    expect(() => ExpSumAccumulator.fromBytes(good().subarray(1))).toThrow(/Expected 28 bytes/);
    const change =
      (...edits: [number, number][]) =>
      () => {
        const bytes = good();
        for (const [at, value] of edits) bytes[at] = value;
        return ExpSumAccumulator.fromBytes(bytes);
      };
    expect(change()).not.toThrow();
    // magic, version, padding, mantissa below 1 and negative, temperature 0-ish (negative, NaN), exponent of a zero
    for (const edits of [
      [[0, 1]],
      [[4, 2]],
      [[6, 1]],
      [[15, 0x00]],
      [[15, 0xbf]],
      [[23, 0xbf]],
      [
        [22, 0xff],
        [23, 0x7f],
      ],
      [8, 9, 10, 11, 12, 13, 14, 15].map((i) => [i, 0]),
    ] as [number, number][][]) {
      expect(change(...edits), JSON.stringify(edits)).toThrow(RangeError);
    }
    const accumulator = new ExpSumAccumulator();
    expect(() => accumulator.merge(new ExpSumAccumulator({ temperature: 2 }))).toThrow(RangeError);
    expect(() => accumulator.merge({} as never)).toThrow(TypeError);
    expect(() => accumulator.merge(expSum(new Float32Array(4), { cols: 2 }))).toThrow(/Expected 1 rows for other/);
    expect(() => accumulator.add(new Float32Array(4), { cols: 2 } as never)).toThrow(
      /Expected only mask, maskFormat, bias, dtype for options/,
    );
    expect(() => new ExpSumAccumulator({ temperature: 0 })).toThrow(RangeError);
    expect(() => new ExpSumAccumulator({ temp: 1 } as never)).toThrow(TypeError);
  });
});
