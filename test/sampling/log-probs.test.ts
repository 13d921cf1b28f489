/** logProbs: the logarithms of softmax, of a token and of the most probable ones. */
import { describe, expect, it } from 'vitest';
import { filterLogits, logProbs, topK } from '../../lib/sampling.js';
import { softmax } from '../../lib/softmax/softmax.js';
import { packedBits, row, typeNames } from '../support/cases.js';

describe('logProbs', () => {
  it('are the logarithms of softmax, and the top ones in order', () => {
    // As exact as logSumExp of float32 rows.
    const near = (value: number, wanted: number) => expect(Math.abs(value - wanted)).toBeLessThan(1e-7);
    for (const type of typeNames) {
      const x = row(type, 'N(0,8)', 3 * 700);
      const p = softmax(Float64Array.from(x), { cols: 700, temperature: 0.8 });
      const { logProbs: chosen, top } = logProbs(x, [5, 699, 0], { cols: 700, temperature: 0.8, top: 4 });
      [5, 699, 0].forEach((token, r) => near(chosen[r]!, Math.log(p[r * 700 + token]!)));
      expect(top.indices).toEqual(topK(x, 4, { cols: 700 }).indices);
      top.logProbs.forEach((log, i) => near(log, Math.log(p[Math.floor(i / 4) * 700 + top.indices[i]!]!)));
    }
    expect(logProbs(Float32Array.of(0, 0), 1).logProbs[0]).toBeCloseTo(-Math.LN2, 7);
    expect(logProbs(Float32Array.of(0, -Infinity), 1, { top: 9 })).toEqual({
      logProbs: Float64Array.of(-Infinity),
      ranks: Uint32Array.of(2),
      top: { indices: Uint32Array.of(0, 1), logProbs: Float64Array.of(0, -Infinity), n: 2 },
    });
    expect(logProbs(Uint16Array.of(0x3c00, 0x3c00), 0, { dtype: 'float16' }).logProbs[0]).toBeCloseTo(-Math.LN2, 7);
  });

  it('take a mask and a bias, as filterLogits does', () => {
    for (const type of typeNames) {
      const [x, bias] = [row(type, 'N(0,8)', 2 * 900), row(type, 'N(0,1)', 900, 5)];
      const mask = Uint8Array.from({ length: 900 }, (_, i) => i % 4);
      x[904] = NaN; // hidden
      const { probabilities } = filterLogits(x as Float64Array, {
        cols: 900,
        temperature: 0.8,
        mask,
        bias: bias as Float64Array,
      });
      const {
        logProbs: chosen,
        ranks,
        top,
      } = logProbs(x as Float64Array, [7, 8], {
        cols: 900,
        temperature: 0.8,
        top: 700,
        mask,
        bias: bias as Float64Array,
      });
      expect(chosen[0]).toBeCloseTo(Math.log(probabilities[7]!), 5);
      expect(chosen[1]).toBe(-Infinity);
      top.indices.forEach((token, i) => {
        const p = probabilities[Math.floor(i / 700) * 900 + token]!;
        if (p > 1e-30 || token % 4 === 0)
          expect(Math.abs(top.logProbs[i]! - Math.log(p)) < 1e-5 || top.logProbs[i] === Math.log(p)).toBe(true);
      });
      const bits = packedBits(mask);
      expect(
        logProbs(x as Float64Array, [7, 8], {
          cols: 900,
          temperature: 0.8,
          top: 700,
          mask: bits,
          maskFormat: 'bits',
          bias: bias as Float64Array,
        }),
      ).toEqual({ logProbs: chosen, ranks, top });
    }
    expect(() => logProbs(new Float32Array(3), 0, { mask: new Uint8Array(3) })).toThrow('row 0');
    expect(() => logProbs(new Float32Array(3), 0, { mask: new Uint8Array(2) })).toThrow('for mask but received 2');
  });

  it('want a token of each row', () => {
    const x = new Float32Array(6);
    expect(() => logProbs(x, [0], { cols: 3 })).toThrow('2 tokens, one a row,');
    expect(() => logProbs(x, [0, 3], { cols: 3 })).toThrow('integers from 0 to 2');
    expect(() => logProbs(Float32Array.of(0, NaN), 0)).toThrow('row 0');
    expect(() => logProbs(x.fill(-Infinity), 0)).toThrow('row 0');
  });
});
