/** The double-double oracle against BigInt arithmetic, with which it shares nothing. */
import { describe, expect, it } from 'vitest';
import { softmaxOracle, ulpError } from '../../lib/cli/oracle.js';
import { floats, kinds, row, typeNames, type KindName } from './cases.js';
import { exactSoftmax, exactUlpError, fixed } from './exact.js';

const magnitude = (v: bigint): bigint => (v < 0n ? -v : v);

/** log2 |a / b|, for b ≠ 0 */
function log2Ratio(a: bigint, b: bigint): number {
  return a === 0n ? -Infinity : magnitude(a).toString(2).length - magnitude(b).toString(2).length;
}

describe('the oracle', () => {
  for (const kind of Object.keys(kinds) as KindName[]) {
    for (const type of typeNames) {
      it(`is right to 2^-95: ${kind}, ${type}`, () => {
        for (const [n, temperature] of [
          [1, 1],
          [2, 1],
          [17, 0.7],
          [60, 1],
          [60, 1.3],
          [60, 40],
          [60, 0.001],
        ] as const) {
          const x = row(type, kind, n);
          const { hi, lo } = softmaxOracle(x, { temperature });
          exactSoftmax(x, temperature).forEach((exact, i) => {
            const difference = fixed(hi[i]!) + fixed(lo[i]!) - exact;
            // Where lo has underflowed, hi is still the nearest double or its neighbour.
            if (hi[i]! < 1e-280) expect(exactUlpError('f64', hi[i]!, exact)).toBeLessThan(1.001);
            else expect(log2Ratio(difference, exact), `${kind}[${i}] of ${n}`).toBeLessThan(-95);
          });
        }
      });
    }
  }

  it('knows extreme temperatures', () => {
    for (const temperature of [1e-300, 1e-30, 1e30, 1e300]) {
      const x = row('f64', 'N(0,8)', 20);
      const { hi } = softmaxOracle(x, { temperature });
      exactSoftmax(x, temperature).forEach((exact, i) =>
        expect(exactUlpError('f64', hi[i]!, exact)).toBeLessThan(1.001),
      );
    }
  });
});

describe('ulpError', () => {
  for (const type of typeNames) {
    it(`counts units of the last place as BigInt does: ${type}`, () => {
      const x = row(type, (_, i) => -i, type === 'f32' ? 104 : 650);
      const { hi, lo } = softmaxOracle(x);
      exactSoftmax(x).forEach((exact, i) => {
        for (const factor of [1, 1 + 2 ** -22, 1 - 2 ** -20, 1.5]) {
          const actual = new floats[type]([hi[i]! * factor])[0]!;
          const wanted = exactUlpError(type, actual, exact);
          expect(Math.abs(ulpError(actual, hi[i]!, lo[i]!, type) - wanted)).toBeLessThanOrEqual(1e-6 + wanted * 1e-12);
        }
      });
    });
  }

  it('treats NaN, infinities and 0', () => {
    expect(ulpError(NaN, NaN, 0, 'f32')).toBe(0);
    expect(ulpError(NaN, 0.5, 0, 'f32')).toBe(Infinity);
    expect(ulpError(0.5, NaN, 0, 'f32')).toBe(Infinity);
    expect(ulpError(0, 0, 0, 'f64')).toBe(0);
  });
});
