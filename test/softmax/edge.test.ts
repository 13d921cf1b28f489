/** NaN, infinite, huge, tiny and subnormal numbers, on every backend of this machine. */
import { describe, expect, it } from 'vitest';
import { backends, sameBitBackends, softmaxOn } from '../support/backends.js';
import {
  bits,
  extreme,
  firstDifference,
  floats,
  longest,
  row,
  typeNames,
  type Floats,
  type FloatsName,
  type KindName,
} from '../support/cases.js';
import { bound, oracle, worstError } from '../support/oracle.js';

const make = (type: FloatsName, values: Iterable<number>): Floats => floats[type].from(values);

/** Lengths with tails, whole vectors, blocks, and more than one flush of a chain of floats. */
const lengths = [1, 2, 3, 15, 16, 17, 31, 33, 63, 64, 65, 127, 257, 1000, 20_000].filter((n) => n <= longest);

/** Positions for an exceptional value: all of a short row, positions of different kinds in a long one. */
const positions = (n: number): number[] =>
  n <= 65
    ? Array.from({ length: n }, (_, i) => i)
    : [0, 1, 15, 16, 63, 64, n >> 1, n - 65, n - 17, n - 16, n - 2, n - 1];

const canonicalNaN: Record<FloatsName, Floats> = { f32: make('f32', [NaN]), f64: make('f64', [NaN]) };

function expectAllNaN(type: FloatsName, y: Floats, what: string): void {
  const wanted = canonicalNaN[type];
  const filled = new floats[type](y.length).fill(wanted[0]!);
  if (firstDifference(y, filled) >= 0) expect.fail(`Expected NaN throughout for ${what}: ${y.slice(0, 20)}…`);
}

function expectRight(name: string, type: FloatsName, y: Floats, x: Floats, temperature: number, what: string): void {
  const worst = worstError(type, y, oracle(x, temperature));
  if (!(worst.error <= bound(name, type))) {
    expect.fail(
      `${what}: [${worst.index}] of ${x.length} is ${worst.actual}, exact ${worst.exact}: ${worst.error} ULP`,
    );
  }
}

/** Largest finite value, smallest normal, smallest subnormal. */
const limits = {
  f32: { max: 3.4028234663852886e38, normal: 2 ** -126, tiny: 2 ** -149, bottom: 104 },
  f64: { max: Number.MAX_VALUE, normal: 2 ** -1022, tiny: Number.MIN_VALUE, bottom: 746 },
};

for (const name of backends) {
  for (const type of typeNames) {
    const { max, normal, tiny, bottom } = limits[type];
    const run = (x: Floats, temperature = 1) => softmaxOn(name, x, { temperature });

    describe(`${name}, ${type}`, () => {
      it('a NaN anywhere makes the row NaN', () => {
        for (const n of lengths) {
          for (const kind of ['N(0,8)', 'every third -∞', 'up to ±3.4e38', 'about 1e7'] as const) {
            for (const i of positions(n)) {
              const x = row(type, kind, n);
              x[i] = NaN;
              expectAllNaN(type, run(x), `${kind} with NaN at ${i} of ${n}`);
            }
          }
        }
      });

      it('so does a NaN of any sign and payload, quiet or signalling', () => {
        // High words of float32 and float64 NaNs.
        const words =
          type === 'f32'
            ? [0x7fc00001, 0xffc00000, 0xffffffff, 0x7f800001, 0xff800001]
            : [0x7ff80001, 0xfff80000, 0xffffffff, 0x7ff00001, 0xfff00001];
        for (const word of words) {
          for (const n of [1, 17, 64, 300]) {
            const x = row(type, 'N(0,1)', n);
            const view = bits(x);
            view[type === 'f32' ? n >> 1 : 2 * (n >> 1) + 1] = word;
            expectAllNaN(type, run(x), `NaN ${word.toString(16)}, ${n} elements`);
          }
        }
      });

      it('a +∞ anywhere makes the row NaN', () => {
        for (const n of lengths) {
          for (const kind of ['N(0,8)', 'every third -∞', 'up to ±3.4e38'] as const) {
            for (const i of positions(n)) {
              const x = row(type, kind, n);
              x[i] = Infinity;
              expectAllNaN(type, run(x), `${kind} with +∞ at ${i} of ${n}`);
            }
          }
          expectAllNaN(type, run(new floats[type](n).fill(Infinity)), `${n} times +∞`);
        }
      });

      it('-∞ gives exactly 0, and the others are right', () => {
        for (const n of lengths.filter((n) => n > 1)) {
          for (const i of positions(n)) {
            const x = row(type, 'N(0,8)', n);
            x[i] = -Infinity;
            const y = run(x);
            if (!Object.is(y[i], 0)) expect.fail(`Expected 0 for -∞ at ${i} of ${n} but received ${y[i]}`);
            if (n <= 300 || i === 0) expectRight(name, type, y, x, 1, `-∞ at ${i}`);
            // Masks all but one.
            const z = run(new floats[type](n).fill(-Infinity).fill(-3, i, i + 1));
            if (!z.every((v, j) => Object.is(v, j === i ? 1 : 0)))
              expect.fail(`Expected a single 1 at ${i} of ${n}: ${z}`);
          }
        }
      });

      it('-∞ throughout gives NaN', () => {
        for (const n of lengths) expectAllNaN(type, run(new floats[type](n).fill(-Infinity)), `${n} times -∞`);
      });

      it('a row with NaN or infinity leaves its neighbours alone', () => {
        for (const exceptional of [NaN, Infinity, -Infinity, max, -max]) {
          for (const cols of [1, 7, 10, 16, 33, 100]) {
            const x = row(type, 'N(0,1)', 9 * cols);
            const wanted = softmaxOn(name, x, { cols });
            for (const r of [0, 4, 8]) x.fill(exceptional, r * cols, (r + 1) * cols);
            const y = softmaxOn(name, x, { cols });
            for (const r of [1, 2, 3, 5, 6, 7]) {
              const part = (a: Floats) => a.subarray(r * cols, (r + 1) * cols);
              expect(firstDifference(part(y), part(wanted)), `${cols} columns, rows of ${exceptional}`).toBe(-1);
            }
          }
        }
      });

      it('finite values, however large, give no NaN', () => {
        const values = [max, -max, max / 2, 0, 1e30, -1e30, normal, -tiny];
        for (const n of [1, 2, 3, 10, 16, 17, 64, 65, 300, 5000]) {
          for (const big of [max, -max, max / 3, 1e5, -1e6, 1e7, 1e8, -3e9, 1e30, type === 'f64' ? 1e300 : 1e37]) {
            const equal = new floats[type](n).fill(big);
            expectRight(name, type, run(equal), equal, 1, `${n} times ${big}`);
            const mixed = make(
              type,
              Array.from({ length: n }, (_, i) => (i % 3 ? values[i % values.length]! : big)),
            );
            expectRight(name, type, run(mixed), mixed, 1, `mixture with ${big}`);
            // Two neighbours of a huge value are one ULP apart, which is a large distance.
            const apart = make(
              type,
              Array.from({ length: n }, (_, i) => big * (1 - (i % 5) * (type === 'f32' ? 2 ** -23 : 2 ** -52))),
            );
            expectRight(name, type, run(apart), apart, 1, `neighbours of ${big}`);
          }
        }
      });

      it('exceptional rows at extreme temperatures', () => {
        for (const kind of Object.keys(extreme) as KindName[]) {
          for (const temperature of [
            1e-3,
            0.3,
            3,
            1e3,
            1e6,
            1e-30,
            1e30,
            1e-300,
            1e300,
            Number.MIN_VALUE,
            Number.MAX_VALUE,
          ]) {
            for (const n of [1, 10, 100, 1025]) {
              const x = row(type, kind, n);
              expectRight(name, type, run(x, temperature), x, temperature, `${kind} at temperature ${temperature}`);
            }
          }
        }
      });

      it('where rows change from one method to the other', () => {
        // |x|·log₂e passes 2^20 near 726,817: rows below, rows above, and rows that begin below and end above.
        for (const edge of [726_816, 726_817, 726_818, 2 ** 20, 1_453_635, 2 ** 24]) {
          for (const sign of [1, -1]) {
            for (const n of [1, 17, 100, 1000]) {
              const x = make(
                type,
                Array.from({ length: n }, (_, i) => sign * edge + (i - n / 2) / 8),
              );
              expectRight(name, type, run(x), x, 1, `about ${sign * edge}`);
              x[n - 1] = -sign * edge;
              expectRight(name, type, run(x), x, 1, `about ${sign * edge}, ending with its opposite`);
            }
          }
        }
      });

      it('results below the normal range are rounded once, not flushed', () => {
        for (const n of [2, 17, 100, 1000]) {
          const x = make(
            type,
            Array.from({ length: n }, (_, i) => (i === 0 ? 0 : -bottom + (16 * i) / n)),
          );
          const y = run(x);
          const { hi, lo } = oracle(x);
          let subnormal = 0;
          y.forEach((v, i) => {
            // Ten bits below the smallest normal number, rounding hides the row's own error.
            if (hi[i]! >= normal / 1024) return;
            const error = Math.abs(v / tiny - hi[i]! / tiny - lo[i]! / tiny);
            if (!(error <= 0.502)) expect.fail(`${x[i]} in a row of ${n} gives ${v}, exact ${hi[i]}`);
            if (v !== 0) subnormal++;
          });
          expect(subnormal).toBeGreaterThan(n / 8);
        }
      });

      it('a row of one is 1, a row of two zeros a half each, an empty row writes nothing', () => {
        for (const v of [0, -0, 1, -1, 0.1, 88, -104, 1e5, -1e6, 1e7, 1e20, max, -max, tiny, -tiny]) {
          expect([...run(make(type, [v]))], `softmax([${v}])`).toEqual([1]);
          expect([...run(make(type, [v, v]))]).toEqual([0.5, 0.5]);
        }
        expect(run(new floats[type](0))).toHaveLength(0);
      });
    });
  }
}

describe('the native backends', () => {
  it('have the same bits on all these rows', () => {
    const [first, ...others] = sameBitBackends;
    if (first === undefined) return;
    for (const type of typeNames) {
      for (const kind of Object.keys(extreme) as KindName[]) {
        for (const temperature of [1, 0.7, 1e-3, 1e3, 1e-30, 1e30]) {
          for (const n of lengths) {
            const x = row(type, kind, n);
            const wanted = softmaxOn(first, x, { temperature });
            for (const name of others)
              expect(firstDifference(softmaxOn(name, x, { temperature }), wanted), `${name}, ${kind}, ${n}`).toBe(-1);
          }
        }
      }
    }
  });
});
