/**
 * Edges that the table of edge values lacks: subnormal gradients, rows beside rows of another size, equal terms in many
 * columns, sums with a bias at the end of the range of doubles. Every backend against exact arithmetic
 * (edge-oracle.ts).
 */
import { describe, expect, it } from 'vitest';
import { expSum } from '../../lib/index.js';
import { backends, softmaxOn } from '../support/backends.js';
import { generator } from '../support/cases.js';
import { runAll } from './edge-kernels.js';
import { backward, exactRow, gradient, near, probability, type Interval } from './edge-oracle.js';
import { fixed } from '../support/exact.js';
import { backwardOn, crossEntropyOn, logSoftmaxOn, logSumExpOn } from '../support/family.js';

const { MAX_VALUE: MAX, MIN_VALUE: TINY } = Number;

const expectNear = (got: number, { low, high }: Interval, what: string): void => {
  if (!(got >= low && got <= high)) expect.fail(`Expected ${low} to ${high} for ${what} but received ${got}`);
};
/** Rows side by side, [cols, rows.length]. */
const beside = (...rows: (readonly number[])[]): Float64Array =>
  Float64Array.from(rows[0]!.flatMap((_, c) => rows.map((row) => row[c]!)));
/** Element c of row r among them. */
const lane = (all: ArrayLike<number>, rows: number, r: number, c: number): number => all[c * rows + r]!;
const uniform = (random: () => number) => random() / 2 ** 32;

describe.each(backends)('on %s', (name) => {
  describe('softmaxBackward of float64', () => {
    const temperatures = [1, 0.17, 0.0128, 4, 2 ** -20, 2 ** -21, 1e-10, 1e-39, 1e-300, 1e-308, TINY];
    const dys: Record<string, (random: () => number) => number> = {
      'some multiples of the smallest number': (random) => ((random() % 2000) - 1000) * TINY,
      'below the normal range': (random) => (uniform(random) - 0.5) * 2 ** -1022,
      'just above it': (random) => (uniform(random) - 0.5) * 2 ** -1000,
      ordinary: (random) => uniform(random) - 0.5,
    };
    const scales = { ordinary: 1, small: 2 ** -60, 'so small that results are subnormal': 2 ** -1050 };
    const check = (
      y: readonly number[],
      dy: readonly number[],
      got: (c: number) => number,
      T: number,
      what: string,
    ) => {
      const exact = backward(y, dy, () => true, T);
      const size = y.reduce((sum, v, c) => sum + Math.abs(v * dy[c]!), 0);
      // Terms of dy − Σ y dy that cancel leave their rounding.
      y.forEach((v, c) => {
        const slack = (fixed(v) * fixed(2 ** -50 * (size + Math.abs(dy[c]!)))) / fixed(T);
        expectNear(got(c), near(exact[c]!, 'f64', 3, slack), `dx[${c}], ${what}, T ${T}`);
      });
    };
    for (const [kind, of] of Object.entries(dys)) {
      it(`dy ${kind}`, () => {
        for (const n of [1, 2, 7, 24])
          for (const [scaleName, scale] of Object.entries(scales))
            for (const T of temperatures) {
              if (scale < 2 ** -100 && kind !== 'ordinary') continue; // exact arithmetic has too few digits
              const random = generator(n);
              const y = Array.from({ length: n }, () => (uniform(random) ** 4 / Math.sqrt(n)) * scale);
              const dy = Array.from({ length: n }, () => of(random));
              const what = `y ${scaleName}, dy ${kind}`;
              const alone = backwardOn(name, Float64Array.from(y), Float64Array.from(dy), { temperature: T });
              check(y, dy, (c) => alone[c]!, T, what);
              // Rows of other sizes beside it change nothing.
              const [large, zero] = [y.map((_, c) => (c % 2 ? -1e300 : 1e300)), y.map(() => 0)];
              const all = backwardOn(name, beside(y, y, zero, y), beside(dy, large, large, zero), {
                cols: n,
                inner: 4,
                temperature: T,
              });
              check(y, dy, (c) => lane(all, 4, 0, c), T, `${what}, beside others`);
              for (let c = 0; c < n; c++) for (const r of [2, 3]) expect(Math.abs(lane(all, 4, r, c))).toBe(0);
            }
      });
    }
  });

  it('crossEntropy gives gradients of float64 that are subnormal', () => {
    for (const T of [1, 0.0146, 0.0255, 0.5, 3, 2 ** -21, 1e-39, 2 ** 21])
      for (const depth of [690, 700, 708, 720, 735, 744, 746]) {
        const x = [0, -depth * T, -(depth + 1.3) * T, -(depth - 0.4) * T, -depth * T];
        const exact = exactRow(x, null, () => true, T)!;
        for (const target of [0, 2]) {
          const { gradient: got } = crossEntropyOn(name, Float64Array.from(x), [target], { temperature: T });
          got.forEach((v, c) =>
            expectNear(
              v,
              near(gradient(exact, c, target, T), 'f64', 4),
              `gradient[${c}], ${depth} deep, T ${T}, target ${target}`,
            ),
          );
        }
      }
  });

  it('logSumExp of float32 across rows is within an ULP, also of many equal terms', () => {
    const rows = [
      [66, 1.0295307636260986, -6.969493865966797, 4, 25.1],
      [64, 2.0718626976013184, -6.317079544067383, 5, 25.1],
      [62, 0.8436222672462463, -4.877089500427246, 1, 25.1],
      [257, 0.9766339659690857, -2.0920932292938232, 16, 25.1],
      [1000, 1, 1, 1000, 0.7],
    ] as const;
    for (const [n, a, b, count, temperature] of rows) {
      const x = Array.from({ length: n }, (_, c) => ((c * 7) % n < count ? a : b));
      const sums = logSumExpOn(name, Float32Array.from(x.flatMap((v) => [v, 1])), { cols: n, inner: 2, temperature });
      const { logSumExp } = exactRow(x, null, () => true, temperature)!;
      expectNear(sums[0]!, near(logSumExp, 'f64', 1), `${n} of ${a} and ${b}, T ${temperature}`);
    }
  });

  it('logarithms of float64 rows do not depend on rows beside them that are beyond the doubles', () => {
    for (const temperature of [1, 2, 1e-308, 1e300])
      for (const n of [2, 5, 10]) {
        const x = Array.from({ length: n }, (_, c) => (c % 5 === 1 ? -MAX : (c % 5) * 0.37 - 1.1));
        const bias = x.map((_, c) => (c % 5 === 1 ? -MAX : (c % 3) * temperature * 0.4));
        const exact = exactRow(x, bias, () => true, temperature)!;
        const [far, low] = [x.map((_, c) => (c % 2 ? -MAX : MAX)), x.map(() => -MAX)];
        for (const [otherX, otherBias] of [
          [x, bias],
          [far, far],
          [far, low],
          [low, low],
          [low, bias],
        ] as const) {
          const options = { cols: n, inner: 2, temperature, bias: beside(bias, otherBias) };
          const what = `beside [${otherX.slice(0, 2)}] + [${otherBias.slice(0, 2)}], T ${temperature}`;
          const [sums, logs] = [
            logSumExpOn(name, beside(x, otherX), options),
            logSoftmaxOn(name, beside(x, otherX), options),
          ];
          expectNear(sums[0]!, near(exact.logSumExp, 'f64', 1, fixed(2 ** -52)), `logSumExp ${what}`);
          for (let c = 0; c < n; c++)
            expectNear(lane(logs, 2, 0, c), near(exact.distance(c)! - exact.log, 'f64', 3), `log y[${c}] ${what}`);
        }
      }
  });

  it('normalize of float64 across rows is within 3 ULP', () => {
    const rows = [
      [28, -336.4, 1.94, 0.7],
      [28, -292.6, 2.78, 2.6],
      [3, -359.5, 2.69, 2.5],
      [30, -144.7, 2.4, 3.6],
      [23, -357.6, 0.58, 3.1],
    ] as const;
    for (const [n, from, step, temperature] of rows) {
      const row = (r: number) => Array.from({ length: n }, (_, c) => from - c * step - r / 7);
      const x = beside(...[0, 1, 2, 3, 4].map(row));
      const call = { type: 'f64', x, shape: [1, n, 5], temperature, mask: null, layout: 0, bias: null } as const;
      const { normalize } = runAll(name, call, 0, (operator) => expect.fail(`${operator} in place`));
      for (let r = 0; r < 5; r++) {
        const exact = exactRow(row(r), null, () => true, temperature)!;
        for (let c = 0; c < n; c++)
          expectNear(
            lane(normalize as Float64Array, 5, r, c),
            near(probability(exact, c), 'f64', 2),
            `y[${c}] of row ${r}, T ${temperature}`,
          );
      }
    }
  });

  it('softmax and its logarithms at a bias that takes sums beyond the doubles, or next to their end', () => {
    const ends = [
      MAX,
      -MAX,
      MAX / 2,
      -MAX / 2,
      2 ** 1023,
      -(2 ** 1023),
      -1.3e308,
      1.57e308,
      7.168872852324655e307,
      0.76,
    ];
    for (const a of ends)
      for (const b of ends)
        for (const c of ends)
          for (const temperature of [1, 1e300, 1.7e308]) {
            const [x, bias] = [
              [a, b],
              [c, -MAX],
            ];
            const exact = exactRow(x, bias, () => true, temperature)!;
            const options = { temperature, bias: Float64Array.from(bias) };
            const what = `[${x}] + [${bias}], T ${temperature}`;
            softmaxOn(name, Float64Array.from(x), options).forEach((v, i) =>
              expectNear(v, near(probability(exact, i), 'f64', 2), `y[${i}] of ${what}`),
            );
            logSoftmaxOn(name, Float64Array.from(x), options).forEach((v, i) =>
              expectNear(v, near(exact.distance(i)! - exact.log, 'f64', 3), `log y[${i}] of ${what}`),
            );
          }
  });
});

it('expSum takes no range that is infinite', () => {
  for (const range of [
    [-Infinity, 1],
    [-1, Infinity],
    [-Infinity, Infinity],
  ] as const)
    for (const temperature of [1, MAX])
      expect(() => expSum(Float64Array.of(1), { unifiedMax: 0, range, temperature })).toThrow(
        /^Expected two rising numbers/,
      );
});
