/**
 * Partial softmax: sums against the oracle, their addition, rows cut into shards, the unified maximum, the accumulator's
 * wire form. Sums of rows on every backend; what is made of them only once, as it is the same code.
 */
import { describe, expect, it } from 'vitest';
import {
  expSum,
  ExpSumAccumulator,
  logSumExpOfState,
  mergeExpSums,
  normalize,
  softmax,
  type ExpSums,
} from '../../lib/index.js';
import type { BackendName } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import { backends, isNative, softmaxOn } from '../support/backends.js';
import {
  firstDifference,
  kinds,
  longest,
  ordinary,
  row,
  typeNames,
  type Floats,
  type KindName,
} from '../support/cases.js';
import { oracle, worstError } from '../support/oracle.js';

const SHARD = 2 ** 18;

interface Options {
  outer?: number;
  inner?: number;
  temperature?: number;
  mask?: Uint8Array;
  maskLayout?: number;
  bias?: Floats;
}

function sumOn(name: BackendName, x: Floats, { outer = 1, inner = 1, temperature = 1, mask, maskLayout = 0, bias }: Options = {}): ExpSums {
  const state = { mantissa: new Float64Array(outer * inner), exponent: new Int32Array(outer * inner) };
  const kernel = backendNamed(name)[x instanceof Float32Array ? 'exp_sum_f32' : 'exp_sum_f64'] as (...args: unknown[]) => void;
  kernel(x, state.mantissa, state.exponent, outer, x.length / outer / inner, inner, temperature, mask ?? null, maskLayout, bias ?? null);
  return state;
}

function normalizeOn<A extends Floats>(name: BackendName, x: A, state: ExpSums, { outer = 1, inner = 1, temperature = 1, mask, maskLayout = 0, bias }: Options = {}, out?: A): A {
  const y = out ?? (x.slice() as A);
  const kernel = backendNamed(name)[x instanceof Float32Array ? 'normalize_f32' : 'normalize_f64'] as (...args: unknown[]) => void;
  kernel(x, y, state.mantissa, state.exponent, outer, x.length / outer / inner, inner, temperature, mask ?? null, maskLayout, bias ?? null);
  return y;
}

/** The sum of a row as the oracle has it: 1 / p of its largest logit, where that is 0 after a shift that is exact. */
function relativeError(x: Floats, state: ExpSums, temperature: number): number {
  const { hi } = oracle(x, temperature);
  const at = Array.from(x).reduce((best, v, i) => (v > x[best]! ? i : best), 0);
  // sum = exp(x[at] / T) / p, in logarithms
  return Math.abs(logSumExpOfState(state)[0]! - (x[at]! / temperature - Math.log(hi[at]!)));
}

const reachable = Object.keys(kinds).filter((kind) => kind !== 'up to ±3.4e38') as KindName[];

for (const name of backends) {
  for (const type of typeNames) {
    describe(`${name}, ${type}`, () => {
      it('sums, and probabilities from them', () => {
        for (const kind of reachable) {
          for (const n of [1, 2, 7, 16, 17, 300, 4099, 40_000].filter((n) => n <= 16 * longest)) {
            for (const temperature of [1, 0.7, 40]) {
              const x = row(type, kind, n);
              const state = sumOn(name, x, { temperature });
              const what = `${kind}, ${n} elements, temperature ${temperature}`;
              // A float's term is good to 1.5 · 2^-24, and where all are equal, so is their sum.
              const bound = type === 'f64' ? 4e-16 : isNative(name) ? 9e-8 : 1e-10;
              expect(relativeError(x, state, temperature), what).toBeLessThan(bound + 4e-16 * Math.abs(logSumExpOfState(state)[0]!));
              const worst = worstError(type, normalizeOn(name, x, state, { temperature }), oracle(x, temperature));
              // A double's sum is rounded to a double itself on its way, and so is what has been taken off logits out of reach.
              if (!(worst.error <= (type === 'f64' ? 4 : isNative(name) ? 2 : 0.52))) expect.fail(`${what}: ${JSON.stringify(worst)}`);
            }
          }
        }
      }, 120_000);

      it('along an axis that is not the last, with mask and bias', () => {
        const [outer, cols, inner] = [3, 37, 21];
        for (const kind of ['N(0,8)', 'about 1e5', 'every third -∞', 'about 1e7'] as const) {
          const x = row(type, kind, outer * cols * inner);
          const mask = Uint8Array.from(row('f32', 'N(0,1)', x.length), (v) => (v > -0.5 ? 1 : 0));
          const bias = row(type, 'N(0,1)', x.length, 5);
          const temperature = 1.3;
          const options = { outer, inner, temperature, mask, maskLayout: 1, bias };
          const state = sumOn(name, x, options);
          const y = normalizeOn(name, x, state, options);
          const chosen = (a: Floats | Uint8Array, o: number, i: number) => Array.from({ length: cols }, (_, c) => a[(o * cols + c) * inner + i]!);
          const kind_ = (values: number[]) => (type === 'f32' ? Float32Array.from(values) : Float64Array.from(values));
          for (let o = 0; o < outer; o++) {
            for (let i = 0; i < inner; i++) {
              const column = { mask: Uint8Array.from(chosen(mask, o, i)), maskLayout: 1, bias: kind_(chosen(bias, o, i)), temperature };
              const alone = sumOn(name, kind_(chosen(x, o, i)), column);
              const r = o * inner + i;
              const [actual, wanted] = [logSumExpOfState(state)[r]!, logSumExpOfState(alone)[0]!];
              expect(actual === wanted || Math.abs(actual - wanted) < 1e-7 + 1e-15 * Math.abs(wanted), `${kind}, row ${r}: ${actual}, ${wanted}`).toBe(true);
              const p = normalizeOn(name, kind_(chosen(x, o, i)), alone, column);
              const all = chosen(y, o, i);
              for (let c = 0; c < cols; c++) expect(Object.is(all[c], p[c]) || Math.abs(all[c]! - p[c]!) <= 3e-7 * p[c]! + 1e-44, `${kind}, row ${r}, ${c}`).toBe(true);
            }
          }
        }
      });

      it('at the edge', () => {
        const of = (...values: number[]) => (type === 'f32' ? Float32Array.from(values) : Float64Array.from(values));
        const all = (x: Floats, options?: Options) => {
          const state = sumOn(name, x, options);
          const [m, e] = [state.mantissa[0]!, state.exponent[0]!];
          // JavaScript's exponentials for float32 are good to 2^-35, 1 included.
          const [nearM, nearE] = m > 2 - 1e-10 && m < 2 ? [1, e + 1] : [m, e];
          return [nearM, nearE, ...normalizeOn(name, x, state, options)];
        };
        expect(all(of(NaN, 1))).toEqual([NaN, 0, NaN, NaN]);
        expect(all(of(NaN, Infinity))).toEqual([NaN, 0, NaN, NaN]);
        expect(all(of(Infinity, 1))).toEqual([Infinity, 0, NaN, NaN]);
        expect(all(of(-Infinity, -Infinity))).toEqual([0, 0, NaN, NaN]);
        expect(all(of(-Infinity, 0))).toEqual([1, 0, 0, 1]);
        expect(all(of(0, 0))).toEqual([1, 1, 0.5, 0.5]);
        expect(all(of(NaN, 0), { mask: Uint8Array.of(0, 1), maskLayout: 1 })).toEqual([1, 0, 0, 1]);
        expect(all(of(NaN, 0), { mask: Uint8Array.of(0, 0), maskLayout: 1 })).toEqual([0, 0, 0, 0]);
        for (const [o, i] of [[2, 1], [1, 2]] as const) {
          expect(sumOn(name, of(Infinity, NaN, 1, 2), { outer: o, inner: i })).toEqual(
            i === 2 ? { mantissa: expect.objectContaining({ 0: Infinity, 1: NaN }), exponent: new Int32Array(2) } : { mantissa: expect.objectContaining({ 0: NaN }), exponent: expect.anything() },
          );
        }
        expect(sumOn(name, of(2e9, 2e9)).exponent[0]).toBe(-(2 ** 31));
        expect(sumOn(name, of(-2e9, -2e9)).exponent[0]).toBe(-(2 ** 31));
        expect(sumOn(name, of(1e9)).exponent[0]).toBe(1442695040);
        expect(sumOn(name, of(3e38, 3e38), { temperature: 1e38 }).exponent[0]).toBe(5);
      });

      it.runIf(longest >= 2 ** 20)('a row gives the bits of its shards', () => {
        for (const kind of ['N(0,8)', 'one peak', 'every third -∞', 'down into the subnormals', 'about 1e5'] as const) {
          const x = row(type, kind, 3 * SHARD + 1234);
          const bias = row(type, 'N(0,1)', x.length, 9);
          for (const options of [{ temperature: 1 }, { temperature: 0.7, bias }]) {
            const shards = [0, 1, 2, 3].map((i) => x.subarray(i * SHARD, (i + 1) * SHARD));
            const ofShard = (i: number) => ({ ...options, ...('bias' in options ? { bias: bias.subarray(i * SHARD, (i + 1) * SHARD) } : {}) });
            const whole = sumOn(name, x, options);
            const merged = mergeExpSums(...shards.map((shard, i) => sumOn(name, shard, ofShard(i))));
            const y = normalizeOn(name, x, whole, options);
            const parts = shards.map((shard, i) => normalizeOn(name, shard, merged, ofShard(i)));
            expect(merged, kind).toEqual(whole);
            parts.forEach((part, i) => expect(firstDifference(part, y.subarray(i * SHARD, (i + 1) * SHARD)), `${kind}, shard ${i}`).toBe(-1));
            if (type === 'f32' && isNative(name) && kind !== 'about 1e5') {
              expect(firstDifference(y, softmaxOn(name, x, options as { temperature: number; bias?: Floats })), `${kind}: softmax`).toBe(-1);
            }
          }
        }
      }, 120_000);
    });
  }
}

describe('the same bits', () => {
  it('on all native backends, in place or not', () => {
    const [first, ...others] = backends.filter(isNative);
    if (first === undefined) return;
    for (const type of typeNames) {
      for (const kind of reachable) {
        for (const n of [5, 100, 4099, 70_001].filter((n) => n <= longest)) {
          const x = row(type, kind, n);
          const state = sumOn(first, x);
          const y = normalizeOn(first, x, state);
          for (const name of others) {
            expect(sumOn(name, x), `${kind}, ${n}`).toEqual(state);
            const copy = x.slice();
            expect(firstDifference(normalizeOn(name, copy, state, {}, copy), y), `${kind}, ${n}`).toBe(-1);
          }
          if (type === 'f32' && n > 256 && kind in ordinary) expect(firstDifference(softmaxOn(first, x), y), `softmax, ${kind}, ${n}`).toBe(-1);
        }
      }
    }
  }, 60_000);
});

describe('mergeExpSums', () => {
  const states = [row('f64', 'N(0,100)', 900), row('f64', 'about -1e6', 300), new Float64Array(1), row('f64', 'N(0,8)', 50)].map((x) => expSum(x));
  const value = (state: ExpSums) => [state.mantissa[0]!, state.exponent[0]!];

  it('adds as doubles are added', () => {
    const of = (mantissa: number, exponent: number): ExpSums => ({ mantissa: Float64Array.of(mantissa), exponent: Int32Array.of(exponent) });
    for (const [a, b] of [[1, 1], [1.9, 1.7], [1 + 2 ** -52, 1], [1, 1.5]] as const) {
      for (let apart = -60; apart <= 60; apart++) {
        const sum = a + b * 2 ** apart;
        expect(value(mergeExpSums(of(a, 0), of(b, apart)))).toEqual(value(mergeExpSums(of(sum, 0))));
        expect(value(mergeExpSums(of(b, apart + 2e9), of(a, 2e9)))[0]).toBe(value(mergeExpSums(of(sum, 0)))[0]);
      }
    }
    expect(value(mergeExpSums(of(1, 2 ** 31 - 1), of(1, -(2 ** 31))))).toEqual([1, 2 ** 31 - 1]);
    expect(() => mergeExpSums(of(1, 2 ** 31 - 1), of(1, 2 ** 31 - 1))).toThrow(RangeError);
  });

  it('two: the same either way round; more: any order and grouping within the roundings', () => {
    const random = row('f64', 'N(0,8)', 64).map((v) => v - 8);
    const parts = Array.from(random, (v) => expSum(Float64Array.of(v)));
    for (let i = 1; i < parts.length; i++) expect(mergeExpSums(parts[i]!, parts[i - 1]!)).toEqual(mergeExpSums(parts[i - 1]!, parts[i]!));
    const exact = mergeExpSums(...parts);
    const scaled = (s: ExpSums) => s.mantissa[0]! * 2 ** (s.exponent[0]! - exact.exponent[0]!);
    const tree = (from: number, to: number): ExpSums => (to - from === 1 ? parts[from]! : mergeExpSums(tree(from, (from + to) >> 1), tree((from + to) >> 1, to)));
    for (const other of [mergeExpSums(...[...parts].reverse()), tree(0, 64), mergeExpSums(mergeExpSums(...parts.slice(40)), mergeExpSums(...parts.slice(0, 40)))]) {
      expect(Math.abs(scaled(other) / exact.mantissa[0]! - 1)).toBeLessThanOrEqual(2 * 63 * 2 ** -53);
    }
  });

  it('0 is neutral, NaN and Infinity stay', () => {
    const special = (mantissa: number): ExpSums => ({ mantissa: Float64Array.of(mantissa), exponent: new Int32Array(1) });
    for (const state of states) {
      expect(mergeExpSums(special(0), state, special(0))).toEqual(mergeExpSums(state));
      expect(value(mergeExpSums(state, special(NaN)))).toEqual([NaN, 0]);
      expect(value(mergeExpSums(special(Infinity), state))).toEqual([Infinity, 0]);
      expect(value(mergeExpSums(special(Infinity), special(NaN), state))).toEqual([NaN, 0]);
    }
  });

  it('refuses what is no state', () => {
    const bad = (value: unknown) => () => mergeExpSums(value as ExpSums);
    expect(() => mergeExpSums()).toThrow(RangeError);
    for (const value of [null, 3, {}, { mantissa: [1], exponent: [0] }]) expect(bad(value)).toThrow(TypeError);
    expect(bad({ mantissa: new Float64Array(2), exponent: new Int32Array(1) })).toThrow(RangeError);
    expect(bad({ mantissa: Float64Array.of(-1), exponent: new Int32Array(1) })).toThrow(/Expected a number from 0/);
    expect(() => mergeExpSums(expSum(new Float64Array(2)), expSum(new Float64Array(2), { cols: 1 }))).toThrow(/Expected 1 rows for states\[1\]/);
  });
});

describe('expSum and normalize', () => {
  it('of rows, shapes and options, as softmax', () => {
    const x = row('f32', 'N(0,8)', 2 * 40 * 30);
    for (const options of [{}, { cols: 40 }, { shape: [2, 40, 30], axis: 1 }, { shape: [2, 40, 30], axis: 0, temperature: 3 }]) {
      const y = normalize(x, expSum(x, options), options);
      const wanted = softmax(x, options);
      for (let i = 0; i < x.length; i++) expect(Math.abs(y[i]! - wanted[i]!)).toBeLessThanOrEqual(wanted[i]! * 2 ** -22);
    }
    const out = new Float32Array(x.length);
    expect(normalize(x, expSum(x), { out })).toBe(out);
    expect(expSum(new Float32Array(0))).toEqual({ mantissa: Float64Array.of(0), exponent: Int32Array.of(0) });
  });

  it('names the row whose exponent does not fit', () => {
    expect(() => expSum(Float32Array.of(0, 1, 3e9, 1), { cols: 2 })).toThrow(/for row 1 of x/);
    expect(() => expSum(Float32Array.of(-3e9))).toThrow(RangeError);
  });

  it('refuses what it does not know', () => {
    const x = new Float32Array(4);
    const bad = (options: object) => () => expSum(x, options);
    expect(bad({ out: x })).toThrow(/Expected only .*unifiedMax, range for options but received 'out'/);
    expect(bad({ range: [0, 1] })).toThrow(/range without unifiedMax/);
    expect(bad({ unifiedMax: '1' })).toThrow(TypeError);
    for (const unifiedMax of [NaN, Infinity, 2e9]) expect(bad({ unifiedMax })).toThrow(RangeError);
    for (const range of [3, [0], ['a', 1]]) expect(bad({ unifiedMax: 0, range })).toThrow(/for range/);
    for (const range of [[1, 0], [-601, 0], [0, NaN]]) expect(bad({ unifiedMax: 0, range })).toThrow(RangeError);
    expect(() => normalize(x, expSum(x), { cols: 2 })).toThrow(/Expected 2 rows for state/);
    expect(() => expSum(x, null as never)).toThrow(TypeError);
  });
});

describe('unifiedMax', () => {
  const phi = 6;
  it('gives all rows one exponent, and the same sums', () => {
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

  it('raises the exponent of a row outside the range, says so, and merging goes on', () => {
    const rows = Float32Array.of(6, 5, 16.5, 0, -20, -21, 700, 2, 6, 6);
    const mask = Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 1, 0, 0);
    const options = { cols: 2, mask, unifiedMax: phi, range: [-20, 10] } as const;
    const state = expSum(rows, options);
    expect([...state.raised!]).toEqual([0, 1, 1, 1, 0]);
    const doubled = mergeExpSums(state, state);
    expect([...doubled.raised!]).toEqual([0, 1, 1, 1, 0]);
    const log = logSumExpOfState(expSum(rows, { cols: 2, mask }));
    logSumExpOfState(doubled).forEach((each, r) => expect(each === log[r] || Math.abs(each - log[r]! - Math.LN2) < 1e-13).toBe(true));
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

describe('ExpSumAccumulator', () => {
  it('adds chunks from anywhere', () => {
    const x = row('f32', 'N(0,8)', 5000);
    const chunks = [x.subarray(0, 1200), x.subarray(1200, 1300), x.subarray(1300, 1300), x.subarray(1300)];
    const one = new ExpSumAccumulator({ temperature: 0.7 });
    for (const chunk of chunks) one.add(chunk);
    const far = chunks.map((chunk) => new ExpSumAccumulator({ temperature: 0.7 }).add(chunk).toBytes());
    const other = far.map((bytes) => ExpSumAccumulator.fromBytes(bytes)).reduce((a, b) => a.merge(b), new ExpSumAccumulator({ temperature: 0.7 }));
    expect(other.state).toEqual(one.state);
    expect(one.logSumExp()).toBeCloseTo(logSumExpOfState(expSum(x, { temperature: 0.7 }))[0]!, 8);
    const y = chunks.flatMap((chunk) => [...other.normalize(chunk)]);
    const wanted = softmax(x, { temperature: 0.7 });
    y.forEach((p, i) => expect(Math.abs(p - wanted[i]!)).toBeLessThanOrEqual(wanted[i]! * 2 ** -23));
    const out = new Float32Array(1200);
    expect(one.normalize(chunks[0]!, out)).toBe(out);
    expect(one.normalize(Float32Array.of(1, 1), undefined, { mask: Uint8Array.of(1, 0) })[1]).toBe(0);
  });

  it('begins with nothing', () => {
    expect(new ExpSumAccumulator().logSumExp()).toBe(-Infinity);
    expect(new ExpSumAccumulator().add(Float32Array.of(-Infinity)).logSumExp()).toBe(-Infinity);
    expect(new ExpSumAccumulator().add(Float32Array.of(3)).logSumExp()).toBeCloseTo(3, 7);
  });

  it('has these bytes', () => {
    const bytes = new ExpSumAccumulator({ temperature: 2 }).add(Float64Array.of(0, 0, 0)).toBytes();
    expect(Buffer.from(bytes).toString('hex')).toBe('46534553' + '01000000' + '000000000000f83f' + '0000000000000040' + '01000000');
    for (const value of [NaN, Infinity, -Infinity]) {
      const accumulator = new ExpSumAccumulator().add(Float64Array.of(value));
      expect(ExpSumAccumulator.fromBytes(accumulator.toBytes()).state).toEqual(accumulator.state);
    }
  });

  it('refuses other bytes, and other things', () => {
    const good = () => new ExpSumAccumulator().add(Float64Array.of(1, 2)).toBytes();
    expect(() => ExpSumAccumulator.fromBytes('FSES' as never)).toThrow(TypeError);
    expect(() => ExpSumAccumulator.fromBytes(good().subarray(1))).toThrow(/Expected 28 bytes/);
    const change = (...edits: [number, number][]) => () => {
      const bytes = good();
      for (const [at, value] of edits) bytes[at] = value;
      return ExpSumAccumulator.fromBytes(bytes);
    };
    expect(change()).not.toThrow();
    // magic, version, padding, mantissa below 1 and negative, temperature 0-ish (negative, NaN), exponent of a zero
    for (const edits of [[[0, 1]], [[4, 2]], [[6, 1]], [[15, 0x00]], [[15, 0xbf]], [[23, 0xbf]], [[22, 0xff], [23, 0x7f]], [8, 9, 10, 11, 12, 13, 14, 15].map((i) => [i, 0])] as [number, number][][]) {
      expect(change(...edits), JSON.stringify(edits)).toThrow(RangeError);
    }
    const one = new ExpSumAccumulator();
    expect(() => one.merge(new ExpSumAccumulator({ temperature: 2 }))).toThrow(RangeError);
    expect(() => one.merge({} as never)).toThrow(TypeError);
    expect(() => one.merge(expSum(new Float32Array(4), { cols: 2 }))).toThrow(/Expected 1 rows for other/);
    expect(() => one.add(new Float32Array(4), { cols: 2 } as never)).toThrow(/Expected only mask, maskFormat, bias, dtype for options/);
    expect(() => new ExpSumAccumulator({ temperature: 0 })).toThrow(RangeError);
    expect(() => new ExpSumAccumulator({ temp: 1 } as never)).toThrow(TypeError);
  });
});
