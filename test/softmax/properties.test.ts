/** Properties of whole rows: probabilities rise with logits, equal logits have equal ones, and they sum to 1. */
import { describe, expect, it } from 'vitest';
import { backends, softmaxOn } from '../support/backends.js';
import { bits, floats, kinds, longest, normal, row, typeNames, type Floats, type KindName } from '../support/cases.js';

/** Numbers the floats of both signs in their order, to walk from one to the next. */
function consecutive(start: number, n: number): Float32Array {
  const x = new Float32Array(n).fill(start);
  const words = bits(x);
  // Away from zero, the next float has the next pattern of bits. A negative start walks down, and is reversed.
  for (let i = 0; i < n; i++) words[i]! += i;
  return start < 0 ? x.reverse() : x;
}

function expectMonotone(x: Floats, y: Floats, what: string): void {
  for (let i = 1; i < x.length; i++) {
    const right = x[i] === x[i - 1] ? y[i] === y[i - 1] : y[i]! >= y[i - 1]!;
    if (!right) expect.fail(`${what}: ${x[i - 1]} → ${y[i - 1]}, but ${x[i]} → ${y[i]}`);
  }
}

/** 10⁷ elements; under emulation as many as it can bear. */
const many = longest < 2 ** 20 ? 16 * longest : 1e7;

for (const name of backends) {
  describe(name, () => {
    for (const type of typeNames) {
      it(`${type}: never a smaller probability for a larger logit, the same for the same`, () => {
        for (const kind of Object.keys(kinds) as KindName[]) {
          for (const n of [2, 10, 300, Math.min(10_000, longest)]) {
            const x = row(type, kind, n).sort();
            // Every logit twice, in different lanes and, in the longest rows, in different blocks.
            const twice = new floats[type](2 * n);
            twice.set(x);
            twice.set(x, n);
            for (const temperature of [1, 0.7]) {
              const y = softmaxOn(name, twice, { temperature });
              expectMonotone(x, y.subarray(0, n), `${kind}, temperature ${temperature}`);
              expect(y.subarray(0, n), `${kind}: both halves`).toEqual(y.subarray(n));
            }
          }
        }
      });
    }

    it('f32: nor between neighbouring floats', () => {
      // Around the logits where exp changes its power of two (odd multiples of ln 2 / 2), and in between.
      for (const start of [
        0.3465, 1.0397, 0.01, 0.25, 0.5, 1, 2.0794, 5, 10, 20.1, 60, 87.3, -0.3466, -1.04, -8, -87.4, -100,
      ]) {
        for (const temperature of [1, 0.7, 1.3]) {
          const x = consecutive(start, Math.min(20_000, longest));
          expectMonotone(x, softmaxOn(name, x, { temperature }), `from ${start}, temperature ${temperature}`);
        }
      }
    });
  });
}

describe('a row of 10⁷', () => {
  for (const sigma of [1, 3]) {
    it(`sums to 1 within 1e-6 on every backend: N(0,${sigma})`, () => {
      const x = row('f32', (random) => sigma * normal(random), many);
      for (const name of backends) {
        let sum = 0;
        for (const v of softmaxOn(name, x)) sum += v;
        expect(Math.abs(sum - 1), name).toBeLessThan(1e-6);
      }
    }, 120_000);
  }

  it('is 10⁻⁷ throughout where all logits are equal', () => {
    const x = new Float32Array(many).fill(3);
    for (const name of backends) {
      const off = softmaxOn(name, x).find((v) => Math.abs(v * many - 1) >= 2 ** -22);
      expect(off, name).toBeUndefined();
    }
  }, 120_000);
});
