/**
 * softmax: every backend of this machine × kinds of rows × lengths × places in memory. The double-double oracle judges
 * each result, and native backends have the same bits.
 */
import { describe, expect, it } from 'vitest';
import { softmax } from '../../lib/index.js';
import { backends, isNative, sameBitBackends, softmaxOn, type SoftmaxOptions } from '../support/backends.js';
import {
  extreme,
  firstDifference,
  generator,
  guarded,
  longest,
  longLengths,
  normal,
  ordinary,
  row,
  shortLengths,
  temperatures,
  typeNames,
  type Floats,
  type FloatsName,
  type KindName,
} from '../support/cases.js';
import { isLong, sample } from '../support/long.js';
import { bound, oracle, worstError } from '../support/oracle.js';

/** Tests one row on backends: within its bound of the exact result, with the same bits on the native ones. */
function check(
  type: FloatsName,
  x: Floats,
  what: string,
  options: Pick<SoftmaxOptions<Floats>, 'temperature'> = {},
  names = backends,
): void {
  const expected = oracle(x, options.temperature);
  let native: Floats | undefined;
  for (const name of names) {
    const y = softmaxOn(name, x, options);
    const worst = worstError(type, y, expected);
    if (!(worst.error <= bound(name, type, x.length))) {
      expect.fail(`${name}, ${what}: [${worst.index}] is ${worst.actual}, exact ${worst.exact}: ${worst.error} ULP`);
    }
    if (!isNative(name)) continue;
    native ??= y;
    const different = firstDifference(native, y);
    if (different >= 0) expect.fail(`${name} and ${sameBitBackends[0]} differ, ${what}: 32-bit word ${different}`);
  }
}

for (const type of typeNames) {
  describe(`softmax_${type} on ${backends.join(', ')}`, () => {
    for (const [turn, kind] of ([...Object.keys(ordinary), ...Object.keys(extreme)] as KindName[]).entries()) {
      it(`every length from 0 to 300: ${kind}`, () => {
        for (const n of shortLengths) check(type, row(type, kind, n), `${kind}, ${n} elements`);
      });

      // Doubles and extreme rows repeat the tests of ordinary float rows, so that their lengths stay within the caches.
      const limit = Math.min(longest, kind in ordinary && type === 'f32' ? 2 ** 20 : 2 ** 15);
      it(`2^k, 3·2^k and their neighbours up to ${limit}: ${kind}`, () => {
        // Together, five kinds of rows have every length.
        for (const n of sample(longLengths(limit), 5, turn)) check(type, row(type, kind, n), `${kind}, ${n} elements`);
      }, 120_000);
    }

    it('long rows', () => {
      for (const n of [longest - 1, longest, longest + 1]) check(type, row(type, 'N(0,100)', n), `${n} elements`);
    }, 120_000);

    it('rows full of copies of a few values, whose errors do not average out', () => {
      for (const n of [65, 257, 300, 1000, 4099, 20_000]) {
        for (let seed = 1; seed <= Math.min(40, 40_000 / n); seed++) {
          const draw = generator(seed * n);
          const [a, b, c] = [16, 6, 3].map((most) => (draw() / 2 ** 32) * most) as [number, number, number];
          const fillings: Record<string, (random: () => number, i: number) => number> = {
            'one in ten': (random) => (random() % 10 ? a - b : a),
            'one in twenty above many': (random) => (random() % 20 ? a - 5.2 + normal(random) / 2 : a),
            'all but one': (_, i) => (i === n >> 1 ? a - b : a),
            integers: (random) => random() % 4,
            clamped: (random) => Math.min(a - c, a + 3 * normal(random)),
            'pieces of two': (_, i) => ((i >> 8) & 1 ? a : a - c),
          };
          for (const [what, filling] of Object.entries(fillings))
            check(type, row(type, filling, n, seed), `${what}, ${n} elements, seed ${seed}`);
        }
      }
    }, 120_000);

    if (type === 'f32') {
      it('rows with a few dozen large copies, which a sample seldom meets', () => {
        const seeds = Array.from({ length: 30 }, (_, i) => i + 1);
        const rows = [
          {
            n: 65_536,
            many: -6.765575408935547,
            few: { 2.192603349685669: 22, 6.289164066314697: 23, '-5.6876420974731445': 17 },
          },
          {
            n: 65_536,
            many: -7.586978912353516,
            few: { 1.1548620462417603: 39, 7.7062273025512695: 35, 0.4329413175582886: 38 },
          },
          {
            n: 65_536,
            many: -5.9314494132995605,
            few: { 3.007005214691162: 231, '-5.399141788482666': 224, 7.802800178527832: 246 },
          },
          {
            n: 4000,
            many: -4.323668003082275,
            few: { 5.710361957550049: 23, '-1.8691015243530273': 21, '-1.7539865970611572': 20 },
          },
          { n: 2000, many: -7.337985992431641, few: { 3.8118648529052734: 20 } },
          { n: 1000, many: -6.24252462387085, few: { 4.208522319793701: 17 } },
        ];
        for (const { n, many, few } of rows) {
          for (const seed of sample(seeds, 5, n)) {
            const x = new Float32Array(n).fill(many);
            const draw = generator(seed);
            for (const [value, copies] of Object.entries(few))
              for (let i = 0; i < copies; i++) x[draw() % n] = Number(value);
            check(type, x, `${JSON.stringify(few)} among ${n}, seed ${seed}`);
          }
        }
      }, 120_000);
    }

    it('temperatures', () => {
      for (const temperature of temperatures) {
        for (const kind of ['N(0,1)', 'N(0,100)', 'about 1e5', 'every third -∞', 'about 1e7'] as const) {
          for (const n of [1, 2, 10, 33, 300, 1000, 4099]) {
            check(type, row(type, kind, n), `${kind}, ${n} elements, temperature ${temperature}`, { temperature });
          }
        }
      }
    });

    for (const name of backends) {
      it(`${name}: the same bits at 0 … 15 elements into the buffer, nothing written around out`, () => {
        for (const n of [...shortLengths, 1000, Math.min(65_537, longest + 1)]) {
          const source = row(type, 'N(0,8)', n);
          const wanted = softmaxOn(name, source);
          for (let offset = 0; offset < 16; offset++) {
            const x = guarded(type, n, offset);
            const out = guarded(type, n, (5 * offset + 3) % 16);
            x.view.set(source);
            softmaxOn<Floats>(name, x.view, { out: out.view });
            expect(firstDifference(out.view, wanted), `${n} elements, offset ${offset}`).toBe(-1);
            expect(out.untouched() && x.untouched(), `${n} elements, offset ${offset}`).toBe(true);
            expect(firstDifference(x.view, source), 'the input is only read').toBe(-1);
          }
        }
      }, 120_000);

      it(`${name}: the same bits in place`, () => {
        for (const n of [...shortLengths, 1000, longest]) {
          const x = row(type, 'N(0,8)', n);
          const wanted = softmaxOn(name, x);
          softmaxOn(name, x, { out: x });
          expect(firstDifference(x, wanted), `${n} elements`).toBe(-1);
        }
      });

      it(`${name}: many rows have the bits of each row alone`, () => {
        for (const [rows, cols] of [
          [300, 1],
          [1000, 2],
          [1000, 10],
          [67, 11],
          [67, 12],
          [77, 13],
          [77, 16],
          [77, 17],
          [33, 127],
          [9, 1000],
          [3, 5003],
        ] as const) {
          const x = row(type, 'N(0,8)', rows * cols);
          const y = softmaxOn(name, x, { cols });
          for (let r = 0; r < rows; r++) {
            const alone = softmaxOn(name, x.slice(r * cols, (r + 1) * cols));
            expect(firstDifference(y.subarray(r * cols, (r + 1) * cols), alone), `row ${r} of ${rows}×${cols}`).toBe(
              -1,
            );
          }
        }
      });

      it(`${name}: a row that is not ordinary changes no bit of its neighbours, in place either`, () => {
        for (const cols of [1, 3, 10, 12, 13]) {
          for (const special of [NaN, Infinity, -Infinity, -3e38, 3e38]) {
            const x = row(type, 'N(0,8)', 50 * cols);
            for (let c = 0; c < cols; c++) x[21 * cols + c] = c === 0 || special < 0 ? special : x[c]!;
            const y = softmaxOn(name, x, { cols });
            for (let r = 0; r < 50; r++) {
              const alone = softmaxOn(name, x.slice(r * cols, (r + 1) * cols));
              expect(firstDifference(y.subarray(r * cols, (r + 1) * cols), alone), `row ${r}, ${special}`).toBe(-1);
            }
            softmaxOn(name, x, { cols, out: x });
            expect(firstDifference(x, y), `${special}, in place`).toBe(-1);
          }
        }
      });
    }

    it('the public function, on the backend of its choice', () => {
      for (const n of [...shortLengths, 1000, 65_537]) {
        const x = row(type, 'N(0,8)', n);
        const out = guarded(type, n, 3);
        const expected = oracle(x, 0.7);
        const y =
          type === 'f32'
            ? softmax(x as Float32Array, { out: out.view as Float32Array, temperature: 0.7 })
            : softmax(x as Float64Array, { out: out.view as Float64Array, temperature: 0.7 });
        expect(y, 'out is returned').toBe(out.view);
        expect(out.untouched()).toBe(true);
        expect(worstError(type, y, expected).error).toBeLessThanOrEqual(2);
      }
    });
  });
}

describe('a row far beyond every cache', () => {
  const n = 16 * longest + 3;

  it('has the same bits on every native backend, at any alignment and in place', () => {
    const [first, ...others] = sameBitBackends;
    if (first === undefined) return;
    const x = row('f32', 'N(0,8)', n);
    const wanted = softmaxOn(first, x);
    for (const name of [first, ...others]) {
      const out = guarded('f32', n, 7);
      softmaxOn(name, x, { out: out.view });
      expect(firstDifference(out.view, wanted), name).toBe(-1);
      expect(out.untouched()).toBe(true);
      const copy = x.slice();
      softmaxOn(name, copy, { out: copy });
      expect(firstDifference(copy, wanted), `${name}, in place`).toBe(-1);
    }
  }, 120_000);

  it('is within its bound', () => {
    const x = row('f32', (random) => 3 * normal(random), n);
    // The other instruction sets have the bits of the best one, as the test above shows.
    check('f32', x, `${n} elements`, {}, isLong ? backends : sameBitBackends.slice(0, 1));
    check('f32', x.subarray(0, n >> 3), `${n >> 3} elements`);
  }, 120_000);
});
