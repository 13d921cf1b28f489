/** Sums of exponentials by the public functions: their addition, their options and errors, and the unified maximum. */
import { describe, expect, it } from 'vitest';
import { expSum, logSumExpOfState, mergeExpSums, normalize, softmax, type ExpSums } from '../../lib/index.js';
import { row } from '../support/cases.js';

describe('mergeExpSums', () => {
  const states = [
    row('f64', 'N(0,100)', 900),
    row('f64', 'about -1e6', 300),
    new Float64Array(1),
    row('f64', 'N(0,8)', 50),
  ].map((x) => expSum(x));
  const value = (state: ExpSums) => [state.mantissa[0]!, state.exponent[0]!];

  it('adds as doubles are added', () => {
    const of = (mantissa: number, exponent: number): ExpSums => ({
      mantissa: Float64Array.of(mantissa),
      exponent: Int32Array.of(exponent),
    });
    for (const [a, b] of [
      [1, 1],
      [1.9, 1.7],
      [1 + 2 ** -52, 1],
      [1, 1.5],
    ] as const) {
      for (let apart = -60; apart <= 60; apart++) {
        const sum = a + b * 2 ** apart;
        expect(value(mergeExpSums(of(a, 0), of(b, apart)))).toEqual(value(mergeExpSums(of(sum, 0))));
        expect(value(mergeExpSums(of(b, apart + 2e9), of(a, 2e9)))[0]).toBe(value(mergeExpSums(of(sum, 0)))[0]);
      }
    }
    expect(value(mergeExpSums(of(1, 2 ** 31 - 1), of(1, -(2 ** 31))))).toEqual([1, 2 ** 31 - 1]);
    expect(() => mergeExpSums(of(1, 2 ** 31 - 1), of(1, 2 ** 31 - 1))).toThrow(RangeError);
  });

  it('two sums commute; many sums differ by rounding alone, in any order and grouping', () => {
    const random = row('f64', 'N(0,8)', 64).map((v) => v - 8);
    const parts = Array.from(random, (v) => expSum(Float64Array.of(v)));
    for (let i = 1; i < parts.length; i++)
      expect(mergeExpSums(parts[i]!, parts[i - 1]!)).toEqual(mergeExpSums(parts[i - 1]!, parts[i]!));
    const exact = mergeExpSums(...parts);
    const scaled = (s: ExpSums) => s.mantissa[0]! * 2 ** (s.exponent[0]! - exact.exponent[0]!);
    const tree = (from: number, to: number): ExpSums =>
      to - from === 1 ? parts[from]! : mergeExpSums(tree(from, (from + to) >> 1), tree((from + to) >> 1, to));
    for (const other of [
      mergeExpSums(...[...parts].reverse()),
      tree(0, 64),
      mergeExpSums(mergeExpSums(...parts.slice(40)), mergeExpSums(...parts.slice(0, 40))),
    ]) {
      expect(Math.abs(scaled(other) / exact.mantissa[0]! - 1)).toBeLessThanOrEqual(2 * 63 * 2 ** -53);
    }
  });

  it('0 is neutral, NaN and Infinity stay', () => {
    const special = (mantissa: number): ExpSums => ({
      mantissa: Float64Array.of(mantissa),
      exponent: new Int32Array(1),
    });
    for (const state of states) {
      expect(mergeExpSums(special(0), state, special(0))).toEqual(mergeExpSums(state));
      expect(value(mergeExpSums(state, special(NaN)))).toEqual([NaN, 0]);
      expect(value(mergeExpSums(special(Infinity), state))).toEqual([Infinity, 0]);
      expect(value(mergeExpSums(special(Infinity), special(NaN), state))).toEqual([NaN, 0]);
    }
  });

  it('refuses arguments that are no states', () => {
    const bad = (value: unknown) => () => mergeExpSums(value as ExpSums);
    expect(() => mergeExpSums()).toThrow(RangeError);
    for (const value of [null, 3, {}, { mantissa: [1], exponent: [0] }]) expect(bad(value)).toThrow(TypeError);
    expect(bad({ mantissa: new Float64Array(2), exponent: new Int32Array(1) })).toThrow(RangeError);
    expect(bad({ mantissa: Float64Array.of(-1), exponent: new Int32Array(1) })).toThrow(/Expected a number from 0/);
    expect(() => mergeExpSums(expSum(new Float64Array(2)), expSum(new Float64Array(2), { cols: 1 }))).toThrow(
      /Expected 1 rows for states\[1\]/,
    );
  });
});

describe('expSum and normalize', () => {
  it('of rows, shapes and options, as softmax', () => {
    const x = row('f32', 'N(0,8)', 2 * 40 * 30);
    for (const options of [
      {},
      { cols: 40 },
      { shape: [2, 40, 30], axis: 1 },
      { shape: [2, 40, 30], axis: 0, temperature: 3 },
    ]) {
      const y = normalize(x, expSum(x, options), options);
      const wanted = softmax(x, options);
      for (let i = 0; i < x.length; i++)
        expect(Math.abs(y[i]! - wanted[i]!)).toBeLessThanOrEqual(wanted[i]! * 2 ** -22);
    }
    const out = new Float32Array(x.length);
    expect(normalize(x, expSum(x), { out })).toBe(out);
    expect(expSum(new Float32Array(0))).toEqual({ mantissa: Float64Array.of(0), exponent: Int32Array.of(0) });
  });

  it('names the row whose exponent does not fit', () => {
    expect(() => expSum(Float32Array.of(0, 1, 3e9, 1), { cols: 2 })).toThrow(/for row 1 of x/);
    expect(() => expSum(Float32Array.of(-3e9))).toThrow(RangeError);
  });

  it('refuses unknown options and bad values', () => {
    const x = new Float32Array(4);
    const bad = (options: object) => () => expSum(x, options);
    expect(bad({ out: x })).toThrow(/Expected only .*unifiedMax, range for options but received 'out'/);
    expect(bad({ range: [0, 1] })).toThrow(/range without unifiedMax/);
    expect(bad({ unifiedMax: '1' })).toThrow(TypeError);
    for (const unifiedMax of [NaN, Infinity, 2e9]) expect(bad({ unifiedMax })).toThrow(RangeError);
    for (const range of [3, [0], ['a', 1]]) expect(bad({ unifiedMax: 0, range })).toThrow(/for range/);
    for (const range of [
      [1, 0],
      [-601, 0],
      [0, NaN],
    ])
      expect(bad({ unifiedMax: 0, range })).toThrow(RangeError);
    expect(() => normalize(x, expSum(x), { cols: 2 })).toThrow(/Expected 2 rows for state/);
    expect(() => expSum(x, null as never)).toThrow(TypeError);
  });
});

describe('unifiedMax', () => {
  const phi = 6;
  it('gives all rows one exponent, and equal sums', () => {
    const x = row('f32', 'N(0,8)', 40 * 100);
    const general = expSum(x, { cols: 100 });
    const unified = expSum(x, { cols: 100, unifiedMax: phi });
    expect(new Set(unified.exponent)).toEqual(new Set([Math.round(phi * Math.LOG2E)]));
    expect(unified.raised).toEqual(new Uint8Array(40));
    const { mantissa, exponent } = mergeExpSums({ mantissa: unified.mantissa, exponent: unified.exponent });
    expect({ mantissa, exponent }).toEqual(general);
    expect(normalize(x, unified, { cols: 100 })).toEqual(normalize(x, general, { cols: 100 }));
    expect(logSumExpOfState(unified)).toEqual(logSumExpOfState(general));
  });

  it('raises and reports the exponent of a row outside the range, and merging still works', () => {
    const rows = Float32Array.of(6, 5, 16.5, 0, -20, -21, 700, 2, 6, 6);
    const mask = Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 1, 0, 0);
    const options = { cols: 2, mask, unifiedMax: phi, range: [-20, 10] } as const;
    const state = expSum(rows, options);
    expect([...state.raised!]).toEqual([0, 1, 1, 1, 0]);
    const doubled = mergeExpSums(state, state);
    expect([...doubled.raised!]).toEqual([0, 1, 1, 1, 0]);
    const log = logSumExpOfState(expSum(rows, { cols: 2, mask }));
    logSumExpOfState(doubled).forEach((each, r) =>
      expect(each === log[r] || Math.abs(each - log[r]! - Math.LN2) < 1e-13).toBe(true),
    );
    expect(doubled.raised).not.toBe(state.raised);
  });

  it('merges raised rows with others, and unified states with general ones', () => {
    const [low, high] = [Float64Array.of(1, 2), Float64Array.of(900, 2)];
    const [a, b] = [low, high].map((x) => expSum(x, { unifiedMax: phi }));
    const both = mergeExpSums(a!, b!);
    expect([...both.raised!]).toEqual([1]);
    const general = mergeExpSums(expSum(low), expSum(high));
    expect([both.mantissa, both.exponent]).toEqual([general.mantissa, general.exponent]);
    expect(mergeExpSums(a!, expSum(high))).toEqual(general);
    expect(mergeExpSums(b!, a!).mantissa).toEqual(general.mantissa);
  });
});
