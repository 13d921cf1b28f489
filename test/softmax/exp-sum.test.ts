/** Partial softmax on every backend: sums against the oracle, probabilities from them, and rows cut into shards. */
import { describe, expect, it } from 'vitest';
import { logSumExpOfState, mergeExpSums, type ExpSums } from '../../lib/index.js';
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
import { sample } from '../support/long.js';
import { oracle, worstError } from '../support/oracle.js';
import { expSumOn, normalizeOn, type FamilyOptions } from '../support/family.js';

const SHARD = 2 ** 16;

/** Exact results, which backends share. */
const known = new Map<string, ReturnType<typeof oracle>>();
function exact(key: string, x: Floats, temperature: number): ReturnType<typeof oracle> {
  if (!known.has(key)) known.set(key, oracle(x, temperature));
  return known.get(key)!;
}

/** The exact sum of a row: 1 / p of its largest logit, for logits whose largest is 0 after an exact shift. */
function relativeError(x: Floats, { hi }: ReturnType<typeof oracle>, state: ExpSums, temperature: number): number {
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
              const state = expSumOn(name, x, { temperature });
              const what = `${kind}, ${n} elements, temperature ${temperature}`;
              // A float's term is exact to 1.5 · 2^-24; the sum of equal terms has the same error.
              const bound = type === 'f64' ? 4e-16 : isNative(name) ? 9e-8 : 1e-10;
              const right = exact(`${type}, ${what}`, x, temperature);
              expect(relativeError(x, right, state, temperature), what).toBeLessThan(
                bound + 4e-16 * Math.abs(logSumExpOfState(state)[0]!),
              );
              const worst = worstError(type, normalizeOn(name, x, state, { temperature }), right);
              // A sum of doubles is rounded to a double, and so are logits from which a shift was taken.
              if (!(worst.error <= (type === 'f64' ? 4 : isNative(name) ? 2 : 0.52)))
                expect.fail(`${what}: ${JSON.stringify(worst)}`);
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
          const state = expSumOn(name, x, options);
          const y = normalizeOn(name, x, state, options);
          const chosen = (a: Floats | Uint8Array, o: number, i: number) =>
            Array.from({ length: cols }, (_, c) => a[(o * cols + c) * inner + i]!);
          const kind_ = (values: number[]) => (type === 'f32' ? Float32Array.from(values) : Float64Array.from(values));
          for (let o = 0; o < outer; o++) {
            for (let i = 0; i < inner; i++) {
              const column = {
                mask: Uint8Array.from(chosen(mask, o, i)),
                maskLayout: 1,
                bias: kind_(chosen(bias, o, i)),
                temperature,
              };
              const alone = expSumOn(name, kind_(chosen(x, o, i)), column);
              const r = o * inner + i;
              const [actual, wanted] = [logSumExpOfState(state)[r]!, logSumExpOfState(alone)[0]!];
              expect(
                actual === wanted || Math.abs(actual - wanted) < 1e-7 + 1e-15 * Math.abs(wanted),
                `${kind}, row ${r}: ${actual}, ${wanted}`,
              ).toBe(true);
              const p = normalizeOn(name, kind_(chosen(x, o, i)), alone, column);
              const all = chosen(y, o, i);
              for (let c = 0; c < cols; c++)
                expect(
                  Object.is(all[c], p[c]) || Math.abs(all[c]! - p[c]!) <= 3e-7 * p[c]! + 1e-44,
                  `${kind}, row ${r}, ${c}`,
                ).toBe(true);
            }
          }
        }
      });

      it('at the edge', () => {
        const of = (...values: number[]) => (type === 'f32' ? Float32Array.from(values) : Float64Array.from(values));
        const all = (x: Floats, options?: FamilyOptions) => {
          const state = expSumOn(name, x, options);
          const [m, e] = [state.mantissa[0]!, state.exponent[0]!];
          // JavaScript's exponentials for float32 are exact to 2^-35, 1 included.
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
        for (const [o, i] of [
          [2, 1],
          [1, 2],
        ] as const) {
          expect(expSumOn(name, of(Infinity, NaN, 1, 2), { outer: o, inner: i })).toEqual(
            i === 2
              ? { mantissa: expect.objectContaining({ 0: Infinity, 1: NaN }), exponent: new Int32Array(2) }
              : { mantissa: expect.objectContaining({ 0: NaN }), exponent: expect.anything() },
          );
        }
        expect(expSumOn(name, of(2e9, 2e9)).exponent[0]).toBe(-(2 ** 31));
        expect(expSumOn(name, of(-2e9, -2e9)).exponent[0]).toBe(-(2 ** 31));
        expect(expSumOn(name, of(1e9)).exponent[0]).toBe(1442695040);
        expect(expSumOn(name, of(3e38, 3e38), { temperature: 1e38 }).exponent[0]).toBe(5);
      });

      it.runIf(longest >= 2 ** 20)(
        'a row gives the bits of its shards',
        () => {
          let turn = 0; // kinds of rows have a bias in turn
          for (const kind of [
            'N(0,8)',
            'one peak',
            'every third -∞',
            'down into the subnormals',
            'about 1e5',
          ] as const) {
            const x = row(type, kind, 3 * SHARD + 1234);
            const bias = row(type, 'N(0,1)', x.length, 9);
            for (const options of sample([{ temperature: 1 }, { temperature: 0.7, bias }], 2, turn++)) {
              const shards = [0, 1, 2, 3].map((i) => x.subarray(i * SHARD, (i + 1) * SHARD));
              const ofShard = (i: number) => ({
                ...options,
                ...('bias' in options ? { bias: bias.subarray(i * SHARD, (i + 1) * SHARD) } : {}),
              });
              const whole = expSumOn(name, x, options);
              const merged = mergeExpSums(...shards.map((shard, i) => expSumOn(name, shard, ofShard(i))));
              const y = normalizeOn(name, x, whole, options);
              const parts = shards.map((shard, i) => normalizeOn(name, shard, merged, ofShard(i)));
              expect(merged, kind).toEqual(whole);
              parts.forEach((part, i) =>
                expect(firstDifference(part, y.subarray(i * SHARD, (i + 1) * SHARD)), `${kind}, shard ${i}`).toBe(-1),
              );
              if (type === 'f32' && isNative(name) && kind !== 'about 1e5') {
                expect(
                  firstDifference(y, softmaxOn(name, x, options as { temperature: number; bias?: Floats })),
                  `${kind}: softmax`,
                ).toBe(-1);
              }
            }
          }
        },
        120_000,
      );
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
          const state = expSumOn(first, x);
          const y = normalizeOn(first, x, state);
          for (const name of others) {
            expect(expSumOn(name, x), `${kind}, ${n}`).toEqual(state);
            const copy = x.slice();
            expect(firstDifference(normalizeOn(name, copy, state, {}, copy), y), `${kind}, ${n}`).toBe(-1);
          }
          if (type === 'f32' && n > 1024 && kind in ordinary)
            expect(firstDifference(softmaxOn(first, x), y), `softmax, ${kind}, ${n}`).toBe(-1);
        }
      }
    }
  }, 60_000);
});
