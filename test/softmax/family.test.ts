/**
 * logSoftmax, logSumExp, crossEntropy with its gradient, softmaxBackward: every backend against the double-double oracle,
 * the native ones with one set of bits.
 */
import { describe, expect, it } from 'vitest';
import type { BackendName } from '../../lib/backend/backend.js';
import type { DD } from '../../lib/cli/oracle.js';
import { ulpError } from '../../lib/cli/oracle.js';
import { native } from '../../lib/backend/native.js';
import { backends, isNative, nativeBackends, softmaxOn } from '../support/backends.js';
import {
  firstDifference,
  floats,
  generator,
  kinds,
  longest,
  normal,
  row,
  typeNames,
  type Floats,
  type FloatsName,
  type KindName,
} from '../support/cases.js';
import { backwardOn, crossEntropyOn, logSoftmaxOn, logSumExpOn, type FamilyOptions } from '../support/family.js';
import { backwardOf, gradientOf, logRow, logSoftmaxOf } from './log-oracle.js';

const lengths = [1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 64, 100, 257, 1000, Math.min(5003, longest)];

/** What is promised, in units of the last place: of float32, of float64. */
const bounds = { log: { f32: 1, f64: 3 }, gradient: { f32: 3, f64: 4 }, sum: 1.5 };
/** Rows of float32 that are longer are summed in float32: their logarithm, where that is a double, is good to so much of min(1, S). */
const SHORT = 128;
const OF_FLOATS = 8e-8;

function near(actual: number, { hi, lo }: DD, type: FloatsName, most: number, what: string, slack = 0): void {
  if (Math.abs(actual - hi) <= slack) return;
  if (type === 'f32' && Math.abs(hi) > 3.402823567e38 && actual === (hi < 0 ? -Infinity : Infinity)) return;
  const error = ulpError(actual, hi, lo, type);
  if (!(error <= most)) expect.fail(`${what}: ${actual}, exact ${hi}: ${error} ULP`);
}

/** One row of a tensor: what the operators gave for it, against the oracle. */
function checkRow(type: FloatsName, x: Floats, temperature: number, target: number, what: string, got: { logs: Floats; sum: number; loss: number; gradient: Floats }, bias?: Floats): void {
  const exact = logRow(x, temperature, bias);
  // log(1 + S) is good to a few units of S / (1 + S), which is all there is where max / T cancels it.
  const isOfFloats = type === 'f32' && x.length > SHORT && !what.startsWith('js');
  const slack = (isOfFloats ? OF_FLOATS : 2 ** -52) * Math.min(1, exact.others.hi);
  near(got.sum, exact.logSumExp, 'f64', bounds.sum, `${what}: logSumExp`, slack);
  for (let i = 0; i < x.length; i++) {
    if (x[i] === -Infinity) expect(got.logs[i], `${what}: [${i}]`).toBe(-Infinity);
    else near(got.logs[i]!, logSoftmaxOf(exact, i), type, bounds.log[type], `${what}: logSoftmax[${i}]`);
    near(got.gradient[i]!, gradientOf(exact, i, target, temperature), type, bounds.gradient[type], `${what}: gradient[${i}]`);
  }
  if (x[target] === -Infinity) expect(got.loss).toBe(Infinity);
  else {
    const { hi, lo } = logSoftmaxOf(exact, target);
    near(got.loss, { hi: -hi, lo: -lo }, 'f64', bounds.log.f64, `${what}: loss`, isOfFloats ? slack : 0);
  }
}

function all(name: BackendName, x: Floats, targets: number[], options: FamilyOptions) {
  return { logs: logSoftmaxOn(name, x, options), sums: logSumExpOn(name, x, options), ...crossEntropyOn(name, x, targets, options) };
}

function sameBits(a: ReturnType<typeof all>, b: ReturnType<typeof all>, what: string): void {
  for (const key of ['logs', 'sums', 'loss', 'gradient'] as const) expect(firstDifference(a[key], b[key]), `${what}: ${key}`).toBe(-1);
}

for (const type of typeNames) {
  describe(`the logarithmic operators, ${type}, on ${backends.join(', ')}`, () => {
    for (const kind of Object.keys(kinds) as KindName[]) {
      it(kind, () => {
        for (const temperature of [1, 0.7, 40]) {
          for (const n of lengths) {
            const x = row(type, kind, n);
            if (!x.some(Number.isFinite)) continue;
            let first: ReturnType<typeof all> | undefined;
            for (const name of backends) {
              const got = all(name, x, [n >> 1], { temperature });
              checkRow(type, x, temperature, n >> 1, `${name}, ${n} elements, temperature ${temperature}`, { ...got, sum: got.sums[0]!, loss: got.loss[0]! });
              if (isNative(name)) sameBits((first ??= got), got, `${name}, ${n}`);
            }
          }
        }
      }, 120_000);
    }

    it('any axis, masks and biases', () => {
      for (const [outer, cols, inner] of [[3, 10, 1], [1, 40, 1], [2, 7, 5], [1, 33, 16], [2, 9, 37], [4, 1, 20]] as const) {
        const size = outer * cols * inner;
        const x = row(type, 'N(0,8)', size);
        const random = generator(size);
        for (const isMasked of [false, true]) {
          for (const shared of [undefined, false, true]) {
            const mask = isMasked ? Uint8Array.from({ length: size }, (_, i) => (i < inner || random() % 3 ? 1 : 0)) : undefined;
            const bias = shared === undefined ? undefined : row(type, (r) => 3 * normal(r), shared ? cols : size, 9);
            const options: FamilyOptions = { outer, cols, inner, temperature: 1.3, ...(mask && { mask, maskLayout: 1 }), ...(bias && { bias }) };
            const targets = Array.from({ length: outer * inner }, (_, r) => (r % 4 === 3 ? -1 : random() % cols));
            let first: ReturnType<typeof all> | undefined;
            for (const name of backends) {
              const got = all(name, x, targets, options);
              if (isNative(name)) sameBits((first ??= got), got, name);
              for (let o = 0; o < outer; o++) {
                for (let i = 0; i < inner; i++) {
                  const at = (c: number) => (o * cols + c) * inner + i;
                  const pick = (a: Floats, masked: number) => new floats[type](cols).map((_, c) => (mask && !mask[at(c)] ? masked : a[at(c)]!));
                  const r = o * inner + i;
                  const what = `${name}, [${outer}, ${cols}, ${inner}], row ${r}, mask ${isMasked}, shared bias ${shared}`;
                  const z = pick(x, -Infinity);
                  const b = bias && (shared ? bias : pick(bias, 0));
                  if (!z.some(Number.isFinite)) {
                    expect(got.sums[r], what).toBe(-Infinity);
                    expect(pick(got.logs, -Infinity).every((v) => v === -Infinity), what).toBe(true);
                    continue;
                  }
                  const target = targets[r]!;
                  if (target < 0) {
                    expect([got.loss[r], ...pick(got.gradient, 0)].every((v) => v === 0), what).toBe(true);
                    continue;
                  }
                  if (z[target] === -Infinity) { // masked: the loss is infinite, the gradient 0 there
                    expect(got.loss[r], what).toBe(Infinity);
                    expect(got.gradient[at(target)], what).toBe(0);
                    continue;
                  }
                  checkRow(type, z, 1.3, target, what, { logs: pick(got.logs, -Infinity), sum: got.sums[r]!, loss: got.loss[r]!, gradient: pick(got.gradient, 0) }, b);
                }
              }
            }
          }
        }
      }
    });

    it('softmaxBackward', () => {
      for (const [outer, cols, inner] of [[1, 1, 1], [1, 17, 1], [5, 33, 1], [2, 1000, 1], [2, 7, 5], [1, 9, 37]] as const) {
        for (const temperature of [1, 0.7]) {
          const options = { outer, cols, inner, temperature };
          const y = logSoftmaxOn(backends[0]!, row(type, 'N(0,8)', outer * cols * inner), options).map((v) => 2 ** Math.max(v, -1000));
          const dy = row(type, 'N(0,1)', y.length);
          let first: Floats | undefined;
          for (const name of backends) {
            const dx = backwardOn(name, y, dy, options);
            if (isNative(name)) expect(firstDifference((first ??= dx), dx), name).toBe(-1);
            for (let r = 0; r < outer * inner; r++) {
              const pick = (a: Floats) => new floats[type](cols).map((_, c) => a[(Math.floor(r / inner) * cols + c) * inner + (r % inner)]!);
              const got = pick(dx);
              backwardOf(pick(y), pick(dy), temperature).forEach((exact, c) => near(got[c]!, exact, type, 3, `${name}, row ${r} of [${outer}, ${cols}, ${inner}], [${c}]`));
            }
            const inPlace = dy.slice();
            backwardOn(name, y, inPlace, options, inPlace);
            expect(firstDifference(inPlace, dx), `${name}, in place`).toBe(-1);
          }
        }
      }
    });

    for (const name of backends) {
      const make = (...values: number[]) => new floats[type](values);
      it(`${name}: what others lose`, () => {
        expect(logSumExpOn(name, make(0, -92))[0]).toBeCloseTo(1.1089390193121365e-40, 50);
        expect(logSoftmaxOn(name, make(0, -92))[0]! / -1.1089390193121365e-40).toBeCloseTo(1, 4);
        expect(logSoftmaxOn(name, make(20, 0))[0]! / -2.061153620314381e-9).toBeCloseTo(1, 7);
        for (const big of [1e4, 1e8, -1e8]) {
          for (const v of logSoftmaxOn(name, make(big, big, big))) near(v, { hi: -1.0986122886681098, lo: 0 }, type, 1, `three times ${big}`);
        }
        expect(crossEntropyOn(name, make(0, 40, 0), [1]).loss[0]! / (2 * Math.exp(-40))).toBeCloseTo(1, 12);
      });

      it(`${name}: numbers at the edge`, () => {
        for (const n of [1, 2, 9, 17, 300]) {
          for (const at of [0, n >> 1, n - 1]) {
            const one = (v: number) => row(type, 'N(0,8)', n).fill(v, at, at + 1);
            expect(logSoftmaxOn(name, one(NaN)).every(Number.isNaN)).toBe(true);
            expect(logSumExpOn(name, one(NaN))[0]).toBeNaN();
            expect(logSoftmaxOn(name, one(Infinity)).every(Number.isNaN)).toBe(true);
            expect(logSumExpOn(name, one(Infinity))[0]).toBe(Infinity);
            const { loss, gradient } = crossEntropyOn(name, one(Infinity), [0]);
            expect([loss[0], ...gradient].every(Number.isNaN)).toBe(true);
            if (n > 1) expect(logSumExpOn(name, one(Infinity).fill(NaN, (at + 1) % n, ((at + 1) % n) + 1))[0], 'NaN beside +∞').toBeNaN();
          }
          const low = new floats[type](n).fill(-Infinity);
          expect(logSoftmaxOn(name, low).every(Number.isNaN)).toBe(true);
          expect(logSumExpOn(name, low)[0]).toBe(-Infinity);
          expect(logSumExpOn(name, low.slice().fill(NaN, n - 1))[0]).toBeNaN();
          // Some visible, all −∞: no fault, as in softmax.
          const open = { mask: new Uint8Array(n).fill(1, n >> 1), maskLayout: 1 };
          expect(logSoftmaxOn(name, low, open).every((v) => v === -Infinity), 'nothing but −∞, and a mask').toBe(true);
          const nothing = crossEntropyOn(name, low, [n - 1], open);
          expect([...nothing.loss, ...nothing.gradient]).toEqual([Infinity, ...new Array<number>(n).fill(0)]);
          const hidden = { mask: new Uint8Array(n), maskLayout: 1 };
          for (const inside of [NaN, Infinity, 3]) {
            const x = new floats[type](n).fill(inside);
            expect(logSoftmaxOn(name, x, hidden).every((v) => v === -Infinity), 'nothing visible').toBe(true);
            expect(logSumExpOn(name, x, hidden)[0]).toBe(-Infinity);
            const { loss, gradient } = crossEntropyOn(name, x, [0], hidden);
            expect(loss[0]).toBe(Infinity);
            expect(gradient.every((v) => v === 0)).toBe(true);
          }
        }
        for (const temperature of [Number.MIN_VALUE, 1e-300, 1e-30, 1e30, 1e300, Number.MAX_VALUE]) {
          const logs = logSoftmaxOn(name, make(1, 1, 1), { temperature });
          for (const v of logs) near(v, { hi: -1.0986122886681098, lo: 0 }, type, 1, `temperature ${temperature}`);
          expect(logSoftmaxOn(name, make(3, 2, -1), { temperature }).some(Number.isNaN)).toBe(false);
          const { gradient } = crossEntropyOn(name, make(3, 2, -1), [1], { temperature });
          expect(gradient.some(Number.isNaN), `temperature ${temperature}`).toBe(false);
        }
      });

      it(`${name}: in place, and a mask in bits`, () => {
        for (const n of [5, 16, 100, 1000]) {
          const x = row(type, 'N(0,8)', n);
          const logs = logSoftmaxOn(name, x);
          const copy = x.slice();
          expect(firstDifference(logSoftmaxOn(name, copy, {}, copy), logs)).toBe(-1);
          const { gradient } = crossEntropyOn(name, x, [n >> 1]);
          const other = x.slice();
          crossEntropyOn(name, other, [n >> 1], {}, other);
          expect(firstDifference(other, gradient)).toBe(-1);
          const mask = Uint8Array.from({ length: n }, (_, i) => (i % 3 ? 1 : 0));
          const bits = new Uint8Array((n + 7) >> 3);
          mask.forEach((keep, i) => (bits[i >> 3]! |= keep << (i & 7)));
          expect(firstDifference(logSoftmaxOn(name, x, { mask: bits, maskLayout: 3 }), logSoftmaxOn(name, x, { mask, maskLayout: 1 }))).toBe(-1);
        }
      });
    }

    it('long rows have the same bits on one thread and on many', () => {
      const addon = native().addon as { threads?(n?: number): number } | null;
      if (!addon?.threads || longest < 2 ** 20) return;
      const x = row(type, 'N(0,8)', 2 ** 20 + 7);
      const run = (name: BackendName) => ({ ...all(name, x, [5], {}), back: backwardOn(name, softmaxOn(name, x), x) });
      const before = addon.threads();
      try {
        addon.threads(1);
        const wanted = run(nativeBackends[0]!);
        addon.threads(4);
        for (const name of nativeBackends) {
          const got = run(name);
          sameBits(wanted, got, name);
          expect(firstDifference(wanted.back, got.back)).toBe(-1);
        }
        near(wanted.sums[0]!, logRow(x).logSumExp, 'f64', bounds.sum, 'a long row', type === 'f32' ? OF_FLOATS : 0);
      } finally {
        addon.threads(before);
      }
    });
  });
}
