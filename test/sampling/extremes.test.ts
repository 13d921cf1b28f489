/** Logits, temperatures and concentrations far out, against exact values: on every backend. */
import { describe, expect, it } from 'vitest';
import { softmaxOracle } from '../../lib/cli/oracle.js';
import { Stream } from '../../lib/sampling/random.js';
import { backends } from '../support/backends.js';
import { row, typeNames, type Floats } from '../support/cases.js';
import { logRow, logSoftmaxOf } from '../softmax/log-oracle.js';
import { forceBackend } from '../support/force-backend.js';

type Sampling = typeof import('../../lib/sampling.js');

/** |actual − exact| ≤ bound · |exact|, and 0 where exact is 0. */
function near(actual: number, exact: number, bound: number, about = ''): void {
  if (!(Math.abs(actual - exact) <= bound * Math.abs(exact) || actual === exact)) expect(actual, about).toBe(exact);
}
const fill = (type: 'f32' | 'f64', n: number, value: number): Floats =>
  (type === 'f32' ? new Float32Array(n) : new Float64Array(n)).fill(value);

for (const name of backends) {
  describe(name, () => {
    let s: Sampling;
    forceBackend(name, async () => {
      s = await import('../../lib/sampling.js');
    });

    it('gumbelSoftmax keeps the noise beside logits of any size', () => {
      const soft = s.gumbelSoftmax(Float32Array.of(1e8, 1e8, 1e8), { seed: 1, tau: 0.1 });
      [0.0006, 0.9989, 0.0005].forEach((p, i) => expect(soft[i]).toBeCloseTo(p, 4));
      const stream = new Stream([1, 0], 0, 0);
      for (const n of [3, 100, 1000]) {
        const noise = Float64Array.from({ length: n }, (_, i) => stream.gumbelAt(0, i));
        for (const type of typeNames) {
          for (const [size, tau] of [
            [0, 1],
            [-1e6, 1],
            [1e6, 0.1],
            [1e8, 0.1],
            [type === 'f32' ? 3e38 : 1e16, 0.5],
            [type === 'f32' ? -3e38 : 1.7e308, 2],
          ] as const) {
            const x = fill(type, n, size);
            const { hi } = softmaxOracle(noise, { temperature: tau });
            const options = { seed: 1, tau };
            const y = s.gumbelSoftmax(x as Float32Array, options);
            y.forEach((p, i) =>
              near(
                p,
                type === 'f32' ? Math.fround(hi[i]!) : hi[i]!,
                type === 'f32' ? 2 ** -23 : 1e-14,
                `${type}, ${size}`,
              ),
            );
            expect(s.gumbelSoftmax(x as Float32Array, { ...options, noise, seed: undefined })).toEqual(y);
          }
        }
      }
    });

    it('gumbelSoftmax of float32 is the exact one, rounded once', () => {
      for (const kind of ['N(0,8)', 'about 1e7'] as const) {
        const x = row('f32', kind, 500) as Float32Array;
        const noise = row('f64', 'N(0,1)', 500, 9) as Float64Array;
        const top = Math.max(...x);
        const { hi } = softmaxOracle(
          noise.map((g, i) => x[i]! - top + g),
          { temperature: 0.3 },
        );
        s.gumbelSoftmax(x, { noise, tau: 0.3 }).forEach((p, i) => near(p, Math.fround(hi[i]!), 2 ** -23, kind));
      }
    });

    it('the Gumbel functions agree on the largest', () => {
      for (const type of typeNames) {
        for (const size of [0, 1e6, 1e8, type === 'f32' ? 3e38 : 1e17]) {
          const x = fill(type, 40 * 25, size) as Float32Array;
          for (let i = 0; i < x.length; i += 3) x[i] = -x[i]!;
          const options = { cols: 25, seed: 3 };
          const tokens = s.gumbelMax(x, options);
          expect(new Set(tokens).size, 'all sorts of them').toBeGreaterThan(5);
          expect(s.gumbelTopK(x, 4, options).indices.filter((_, i) => i % 4 === 0)).toEqual(tokens);
          const [hard, soft] = [
            s.gumbelSoftmax(x, { ...options, hard: true }),
            s.gumbelSoftmax(x, { ...options, tau: 0.5 }),
          ];
          tokens.forEach((token, r) => {
            expect(hard.subarray(25 * r, 25 * r + 25).indexOf(1)).toBe(token);
            expect(s.argmax(soft.subarray(25 * r, 25 * r + 25) as Float32Array)[0]).toBe(token);
          });
        }
      }
      // A bias is added exactly, and extreme temperatures leave logits finite.
      const noise = [0, 0, 0];
      expect(s.gumbelMax(Float64Array.of(1e16, 1e16, 1e16), { bias: Float64Array.of(0, 1, 0), noise })[0]).toBe(1);
      expect(s.gumbelTopK(Float64Array.of(-1e300, 1e300, 0), 3, { temperature: 1e-300, noise }).indices[0]).toBe(1);
      expect([
        ...s.gumbelTopK(Float64Array.of(-1.7e308, 1.7e308, 0), 3, { temperature: 1e308, noise }).indices,
      ]).toEqual([1, 2, 0]);
    });

    it('noise that leaves nothing to draw is an error that names the row', () => {
      const x = new Float64Array(4);
      const noise = [0, 1, -Infinity, -Infinity];
      for (const call of [
        () => s.gumbelSoftmax(x, { noise, cols: 2 }),
        () => s.gumbelMax(x, { noise, cols: 2 }),
        () => s.gumbelTopK(x, 1, { noise, cols: 2 }),
      ]) {
        expect(call).toThrow('Expected a finite number beside a finite logit for row 1 of noise but received none');
      }
      expect(() => s.gumbelSoftmax(x, { noise: [0, 0, 0, Infinity] })).toThrow(
        'Expected numbers below Infinity for noise but received',
      );
      expect(s.gumbelSoftmax(x, { noise: [0, -Infinity, 0, -Infinity] })).toEqual(Float64Array.of(0.5, 0, 0.5, 0));
      expect(() => s.dirichletResample(x.fill(1), { noise, cols: 2 })).toThrow(
        'a finite number beside a positive one of p for row 1 of noise',
      );
    });

    it('logProbs do not cancel', () => {
      for (const type of typeNames) {
        const of = (...x: number[]) => (type === 'f32' ? Float32Array.from(x) : Float64Array.from(x)) as Float32Array;
        for (const top of [0, 1, 2]) {
          const chosen = (x: Float32Array, token = 0, options = {}) =>
            s.logProbs(x, token, { top, ...options }).logProbs[0]!;
          near(chosen(of(1e8, 1e8)), -Math.LN2, 1e-15);
          near(chosen(of(30, 0, 0, 0)), -2.807286890651659e-13, 1e-9);
          near(chosen(of(40, 0, 0, 0)), -1.2745062765874767e-17, 1e-9);
          near(chosen(of(40, 0, 0, 0), 1), -40, 1e-15);
          near(chosen(of(1e16, 1e16)), -Math.LN2, 1e-15);
          near(chosen(of(40, 0, NaN, 0), 0, { mask: Uint8Array.of(1, 1, 0, 1) }), -8.496708510583178e-18, 1e-9);
          near(chosen(of(0, 40, 0, 0), 0, { bias: of(40, -40, 0, 0) }), -1.2745062765874767e-17, 1e-9);
          near(chosen(of(20, 0, 0, 0), 0, { temperature: 0.5 }), -1.2745062765874767e-17, 1e-9);
          expect(chosen(of(7))).toBe(0);
          expect(chosen(of(1, 2), 0, { mask: Uint8Array.of(0, 1) })).toBe(-Infinity);
        }
      }
      const { logProbs, top } = s.logProbs(Float64Array.of(1e16, 1e16), 0, { bias: Float64Array.of(0, 1), top: 2 });
      expect([...top.indices]).toEqual([1, 0]);
      near(top.logProbs[0]!, -0.31326168751822286, 1e-15);
      near(logProbs[0]!, -1.3132616875182228, 1e-15);
    });

    it('logProbs agree with exact arithmetic, for the chosen tokens and the top ones', () => {
      for (const type of typeNames) {
        for (const n of name === 'scalar' ? [5, 100] : [5, 100, 3000]) {
          for (const kind of ['N(0,8)', 'about 1e7', 'one peak', 'equal', 'N(0,100)'] as const) {
            for (const temperature of [1, 0.7]) {
              const x = row(type, kind, n, 3) as Float32Array;
              const bias = row(type, 'N(0,1)', n, 5) as Float32Array;
              for (const shift of [undefined, bias]) {
                const exact = logRow(x, temperature, shift);
                const bound = type === 'f32' && n > 128 ? 1e-7 : 1e-15; // long float32 rows are summed in float32
                const check = (actual: number, i: number) => {
                  const { hi } = logSoftmaxOf(exact, i);
                  near(actual, hi, bound, `${type}, ${n}, ${kind}, ${i}`);
                };
                const token = n >> 1;
                check(s.logProbs(x, token, { temperature, bias: shift }).logProbs[0]!, token);
                const { logProbs, top } = s.logProbs(x, token, { temperature, bias: shift, top: 20 });
                check(logProbs[0]!, token);
                top.indices.forEach((index, i) => check(top.logProbs[i]!, index));
                expect([...top.logProbs].every((log, i) => i === 0 || log <= top.logProbs[i - 1]!)).toBe(true);
              }
            }
          }
        }
      }
    });

    it('softmax of filtered logits is their probabilities at temperatures of any size', () => {
      for (const type of typeNames) {
        for (const temperature of [1e-300, 1e-39, 1e-38, 1e-30, 1e-3, 1, 1e39, 1e300]) {
          for (const values of [
            [1, 2, 2, 1],
            [-3, -1, -1, -1],
            [0, -1, 0, 0],
            [3e38, -3e38, 3e38, 1],
            [5, 5, 5, 5],
          ]) {
            for (const n of [4, 300]) {
              const x = fill(type, n, -4).map((_, i) => values[i % 4]!) as Float32Array;
              for (const options of [
                { temperature },
                { temperature, topK: 3 },
                { temperature, topP: 0.9 },
                { temperature, bias: x.slice().fill(1) },
              ]) {
                const { logits, probabilities } = s.filterLogits(x, options);
                const about = `${type}, ${temperature}, ${values}, ${Object.keys(options)}`;
                expect(
                  logits.every((z) => z < Infinity),
                  about,
                ).toBe(true);
                const { hi } = softmaxOracle(logits);
                probabilities.forEach((p, i) =>
                  near(p, hi[i]! < 1e-19 ? 0 : hi[i]!, type === 'f32' ? 1e-4 : 1e-11, about),
                );
              }
            }
          }
        }
      }
      expect(s.filterLogits(Float32Array.of(1, 2, 3), { temperature: 0.5 }).logits).toEqual(Float32Array.of(2, 4, 6));
      expect(s.filterLogits(Float32Array.of(-2, -2, -3), { temperature: 1e-39 }).logits).toEqual(
        Float32Array.of(0, 0, -Infinity),
      );
      expect(s.filterLogits(Float32Array.of(1e38, 1e-3), { temperature: 1e-39 }).probabilities).toEqual(
        Float32Array.of(1, 0),
      );
      const half = Uint16Array.of(0x3c00, 0x4000, 0x4000);
      expect(s.filterLogits(half, { dtype: 'float16', temperature: 1e-300 }).logits).toEqual(
        Float32Array.of(-Infinity, 0, 0),
      );
    });

    it('each error names the row', () => {
      const bad = [
        [NaN, 'no NaN for row 2'],
        [Infinity, 'a finite largest logit for row 2'],
        [-Infinity, 'a finite largest logit for row 2'],
      ] as const;
      const calls: Record<string, (x: Float32Array, options: { cols: number; bias?: Float32Array }) => unknown> = {
        sample: (x, o) => s.sample(x, o),
        sampleMany: (x, o) => s.sampleMany(x, 2, o),
        filterLogits: (x, o) => s.filterLogits(x, o),
        gumbelSoftmax: (x, o) => s.gumbelSoftmax(x, o),
        gumbelMax: (x, o) => s.gumbelMax(x, o),
        gumbelTopK: (x, o) => s.gumbelTopK(x, 2, o),
        logProbs: (x, o) => s.logProbs(x, [0, 0, 0], o),
        'logProbs, top': (x, o) => s.logProbs(x, [0, 0, 0], { ...o, top: 3 }),
        softToken: (x, o) => s.softToken(x, o),
      };
      for (const type of typeNames) {
        for (const cols of [5, 700]) {
          for (const [value, message] of bad) {
            const x = fill(type, 3 * cols, 1) as Float32Array;
            const bias = fill(type, 3 * cols, 1) as Float32Array;
            const from = value === -Infinity ? 2 * cols : 3 * cols - 2;
            x.fill(value, from);
            for (const [which, call] of Object.entries(calls)) {
              const expected = expect.objectContaining({
                name: 'RangeError',
                code: 'ERR_INVALID_ARG_VALUE',
                message: expect.stringContaining(message) as string,
              }) as Error;
              expect(() => call(x, { cols }), `${which}, ${value}, ${cols}`).toThrow(expected);
              expect(() => call(x, { cols, bias }), `${which} with a bias`).toThrow(expected);
              expect(() => call(bias, { cols, bias: x }), `${which}, of a bias`).toThrow(expected);
            }
          }
        }
      }
      const x = new Float32Array(9).fill(NaN, 6);
      expect(() => s.argmax(x, { cols: 3 })).toThrow('row 2');
      expect(() => s.topK(x, 2, { cols: 3 })).toThrow('row 2');
      expect(() => s.dirichletResample(x.fill(1, 0, 6), { cols: 3 })).toThrow('row 2');
    });

    it('Dirichlet draws of shapes that no double holds', () => {
      const sumOf = (y: Float64Array) => y.reduce((a, b) => a + b, 0);
      const sums = (y: Float64Array, cols: number) =>
        Array.from({ length: y.length / cols }, (_, r) => sumOf(y.subarray(r * cols, (r + 1) * cols)));
      for (const [p, alpha] of [
        [[5e-324, 5e-324], 1],
        [[1e300, 1e300], 1e10],
        [[1e300, 1e299, 1, 0], 1e300],
        [[1e-300, 1e-300, 3e-300], 1e-300],
        [[1.7e308, 5e-324, 1], 1],
        [[1e-310, 1], 1e-10],
        [[1, 1, 1], 5e-324],
        [[1.7e308, 1.7e308], 1.7e308],
      ] as const) {
        const many = Float64Array.from({ length: 2000 * p.length }, (_, i) => p[i % p.length]!);
        const y = s.dirichletResample(many, { cols: p.length, alpha, seed: 7 });
        for (const sum of sums(y, p.length)) expect(Math.abs(sum - 1), `${p}, ${alpha}`).toBeLessThan(1e-14);
      }
      // Without noise the result is p, normalised. With nearly no shape it is a corner, drawn with the probabilities p.
      const large = s.dirichletResample(Float64Array.of(3e300, 1e300), { alpha: 1e10 });
      near(large[0]!, 0.75, 1e-12);
      for (const [weight, alpha] of [
        [5e-324, 1],
        [1e-300, 1e-300],
        [1, 5e-324],
      ] as const) {
        const draws = 4000;
        const corners = s.dirichletResample(
          Float64Array.from({ length: 2 * draws }, (_, i) => (i % 2 ? 3 * weight : weight)),
          { cols: 2, alpha, seed: 5 },
        );
        expect(corners.every((each) => each === 0 || each === 1)).toBe(true);
        const share = corners.filter((_, i) => i % 2).reduce((a, b) => a + b, 0) / draws;
        expect(Math.abs(share - 0.75), `${weight}, ${alpha}`).toBeLessThan(4 * Math.sqrt(0.1875 / draws));
      }
      expect(s.dirichletResample(Float32Array.of(1e-45, 0), { seed: 1 })).toEqual(Float32Array.of(1, 0));
      expect(s.dirichletResample(new Float32Array(0), { seed: 1 })).toEqual(new Float32Array(0));
    });
  });
}
