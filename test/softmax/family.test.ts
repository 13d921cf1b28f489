/**
 * logSoftmax, logSumExp, crossEntropy with its gradient, softmaxBackward: every backend against the double-double
 * oracle, native backends with the same bits.
 */
import { describe, expect, it } from 'vitest';
import type { BackendName } from '../../lib/backend/backend.js';
import { native } from '../../lib/backend/native.js';
import { backends, isNative, sameBitBackends, softmaxOn } from '../support/backends.js';
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
import { expectNear } from './expect-near.js';
import { packedBits } from '../support/cases.js';

const lengths = [1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 64, 100, 257, 1000, Math.min(5003, longest)];

/** The promised bounds in ULP, for float32 and float64. */
const bounds = { log: { f32: 1, f64: 3 }, gradient: { f32: 3, f64: 4 }, sum: 1.5 };
/**
 * Native backends sum longer float32 rows in float32. Their logarithm, as a double, is exact to this share of min(1,
 * S).
 */
const SHORT = 128;
const OF_FLOATS = 8e-8;

/** Compares the operators' results for one row of a tensor with the oracle. */
function checkRow(
  type: FloatsName,
  x: Floats,
  temperature: number,
  target: number,
  what: string,
  got: { logs: Floats; sum: number; loss: number; gradient: Floats },
  bias?: Floats,
): void {
  const exact = logRow(x, temperature, bias);
  // log(1 + S) has an error of a few units of S / (1 + S), which is the whole result where max / T cancels.
  const isOfFloats = type === 'f32' && x.length > SHORT && !what.startsWith('js');
  const slack = (isOfFloats ? OF_FLOATS : 2 ** -52) * Math.min(1, exact.others.hi);
  expectNear(got.sum, exact.logSumExp, 'f64', bounds.sum, `${what}: logSumExp`, slack);
  for (let i = 0; i < x.length; i++) {
    if (x[i] === -Infinity) expect(got.logs[i], `${what}: [${i}]`).toBe(-Infinity);
    else expectNear(got.logs[i]!, logSoftmaxOf(exact, i), type, bounds.log[type], `${what}: logSoftmax[${i}]`);
    expectNear(
      got.gradient[i]!,
      gradientOf(exact, i, target, temperature),
      type,
      bounds.gradient[type],
      `${what}: gradient[${i}]`,
    );
  }
  if (x[target] === -Infinity) expect(got.loss).toBe(Infinity);
  else {
    const { hi, lo } = logSoftmaxOf(exact, target);
    expectNear(got.loss, { hi: -hi, lo: -lo }, 'f64', bounds.log.f64, `${what}: loss`, isOfFloats ? slack : 0);
  }
}

function all(name: BackendName, x: Floats, targets: number[], options: FamilyOptions) {
  return {
    logs: logSoftmaxOn(name, x, options),
    sums: logSumExpOn(name, x, options),
    ...crossEntropyOn(name, x, targets, options),
  };
}

function sameBits(a: ReturnType<typeof all>, b: ReturnType<typeof all>, what: string): void {
  for (const key of ['logs', 'sums', 'loss', 'gradient'] as const)
    expect(firstDifference(a[key], b[key]), `${what}: ${key}`).toBe(-1);
}

for (const type of typeNames) {
  describe(`the logarithmic operators, ${type}, on ${backends.join(', ')}`, () => {
    for (const kind of Object.keys(kinds) as KindName[]) {
      it(
        kind,
        () => {
          for (const temperature of [1, 0.7, 40]) {
            for (const n of lengths) {
              const x = row(type, kind, n);
              if (!x.some(Number.isFinite)) continue;
              let first: ReturnType<typeof all> | undefined;
              for (const name of backends) {
                const got = all(name, x, [n >> 1], { temperature });
                checkRow(type, x, temperature, n >> 1, `${name}, ${n} elements, temperature ${temperature}`, {
                  ...got,
                  sum: got.sums[0]!,
                  loss: got.loss[0]!,
                });
                if (isNative(name)) sameBits((first ??= got), got, `${name}, ${n}`);
              }
            }
          }
        },
        120_000,
      );
    }

    it('any axis, masks and biases', () => {
      for (const [outer, cols, inner] of [
        [3, 10, 1],
        [1, 40, 1],
        [2, 7, 5],
        [1, 33, 16],
        [2, 9, 37],
        [4, 1, 20],
      ] as const) {
        const size = outer * cols * inner;
        const x = row(type, 'N(0,8)', size);
        const random = generator(size);
        for (const isMasked of [false, true]) {
          for (const shared of [undefined, false, true]) {
            const mask = isMasked
              ? Uint8Array.from({ length: size }, (_, i) => (i < inner || random() % 3 ? 1 : 0))
              : undefined;
            const bias = shared === undefined ? undefined : row(type, (r) => 3 * normal(r), shared ? cols : size, 9);
            const options: FamilyOptions = {
              outer,
              cols,
              inner,
              temperature: 1.3,
              ...(mask && { mask, maskLayout: 1 }),
              ...(bias && { bias }),
            };
            const targets = Array.from({ length: outer * inner }, (_, r) => (r % 4 === 3 ? -1 : random() % cols));
            let first: ReturnType<typeof all> | undefined;
            for (const name of backends) {
              const got = all(name, x, targets, options);
              if (isNative(name)) sameBits((first ??= got), got, name);
              for (let o = 0; o < outer; o++) {
                for (let i = 0; i < inner; i++) {
                  const at = (c: number) => (o * cols + c) * inner + i;
                  const pick = (a: Floats, masked: number) =>
                    new floats[type](cols).map((_, c) => (mask && !mask[at(c)] ? masked : a[at(c)]!));
                  const r = o * inner + i;
                  const dress = `mask ${isMasked}, shared bias ${shared}`;
                  const what = `${name}, [${outer}, ${cols}, ${inner}], row ${r}, ${dress}`;
                  const z = pick(x, -Infinity);
                  const b = bias && (shared ? bias : pick(bias, 0));
                  if (!z.some(Number.isFinite)) {
                    expect(got.sums[r], what).toBe(-Infinity);
                    expect(
                      pick(got.logs, -Infinity).every((v) => v === -Infinity),
                      what,
                    ).toBe(true);
                    continue;
                  }
                  const target = targets[r]!;
                  if (target < 0) {
                    expect(
                      [got.loss[r], ...pick(got.gradient, 0)].every((v) => v === 0),
                      what,
                    ).toBe(true);
                    continue;
                  }
                  if (z[target] === -Infinity) {
                    // masked: the loss is infinite, the gradient there is 0
                    expect(got.loss[r], what).toBe(Infinity);
                    expect(got.gradient[at(target)], what).toBe(0);
                    continue;
                  }
                  checkRow(
                    type,
                    z,
                    1.3,
                    target,
                    what,
                    {
                      logs: pick(got.logs, -Infinity),
                      sum: got.sums[r]!,
                      loss: got.loss[r]!,
                      gradient: pick(got.gradient, 0),
                    },
                    b,
                  );
                }
              }
            }
          }
        }
      }
    });

    it('softmaxBackward', () => {
      for (const [outer, cols, inner] of [
        [1, 1, 1],
        [1, 17, 1],
        [5, 33, 1],
        [2, 1000, 1],
        [2, 7, 5],
        [1, 9, 37],
      ] as const) {
        for (const temperature of [1, 0.7]) {
          const options = { outer, cols, inner, temperature };
          const y = logSoftmaxOn(backends[0]!, row(type, 'N(0,8)', outer * cols * inner), options).map(
            (v) => 2 ** Math.max(v, -1000),
          );
          const dy = row(type, 'N(0,1)', y.length);
          let first: Floats | undefined;
          for (const name of backends) {
            const dx = backwardOn(name, y, dy, options);
            if (isNative(name)) expect(firstDifference((first ??= dx), dx), name).toBe(-1);
            for (let r = 0; r < outer * inner; r++) {
              const pick = (a: Floats) =>
                new floats[type](cols).map((_, c) => a[(Math.floor(r / inner) * cols + c) * inner + (r % inner)]!);
              const got = pick(dx);
              backwardOf(pick(y), pick(dy), temperature).forEach((exact, c) =>
                expectNear(got[c]!, exact, type, 3, `${name}, row ${r} of [${outer}, ${cols}, ${inner}], [${c}]`),
              );
            }
            const inPlace = dy.slice();
            backwardOn(name, y, inPlace, options, inPlace);
            expect(firstDifference(inPlace, dx), `${name}, in place`).toBe(-1);
          }
        }
      }
    });

    for (const name of backends) {
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
          expect(
            firstDifference(
              logSoftmaxOn(name, x, { mask: packedBits(mask), maskLayout: 3 }),
              logSoftmaxOn(name, x, { mask, maskLayout: 1 }),
            ),
          ).toBe(-1);
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
        const wanted = run(sameBitBackends[0]!);
        addon.threads(4);
        for (const name of sameBitBackends) {
          const got = run(name);
          sameBits(wanted, got, name);
          expect(firstDifference(wanted.back, got.back)).toBe(-1);
        }
        expectNear(
          wanted.sums[0]!,
          logRow(x).logSumExp,
          'f64',
          bounds.sum,
          'a long row',
          type === 'f32' ? OF_FLOATS : 0,
        );
      } finally {
        addon.threads(before);
      }
    });
  });
}
