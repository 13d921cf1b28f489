/** sinCos against BigInt arithmetic: angles of margins, all quadrants, near multiples of π/2, large angles. */
import { describe, expect, it } from 'vitest';
import { ulpError } from '../../lib/cli/oracle.js';
import { LARGEST_ANGLE, sinCos } from '../../lib/math/sin-cos.js';
import { sinCosOracle } from './fixed-point.js';

describe('sinCos', () => {
  it('is within 0.8 ULP', () => {
    let most = 0;
    const angles: number[] = [0, 0.05, 0.35, 0.5, 0.56, 1, 2, 3, 4, 5, 6, LARGEST_ANGLE];
    for (let i = 0; i < 3000; i++) angles.push(i / 500, i / 7, i * 331.7);
    for (let k = 1; k < 2000; k++) angles.push((k * Math.PI) / 2, (k * Math.PI) / 2 + 2 ** -30, (k * Math.PI) / 4);
    for (const x of angles) {
      const { sin, cos } = sinCosOracle(x);
      const [s, c] = sinCos(x);
      most = Math.max(most, ulpError(s, sin.hi, sin.lo, 'f64'), ulpError(c, cos.hi, cos.lo, 'f64'));
    }
    expect(most).toBeLessThan(0.8);
    expect(sinCos(-0.5)).toEqual([-sinCos(0.5)[0], sinCos(0.5)[1]]);
  });
});
