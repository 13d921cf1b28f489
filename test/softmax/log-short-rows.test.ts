/**
 * The logarithmic operators on many short rows: a row has the same bits alone, in a batch and in place, on all native
 * backends, whatever its neighbours are. (family.test.ts compares single rows with the oracle.)
 */
import { describe, expect, it } from 'vitest';
import { logRow, logSoftmaxOf } from './log-oracle.js';
import { expectNear } from './expect-near.js';
import { sameBitBackends } from '../support/backends.js';
import { firstDifference, floats, generator, row, typeNames, type Floats, type FloatsName } from '../support/cases.js';
import { crossEntropyOn, logSoftmaxOn, logSumExpOn, type FamilyOptions } from '../support/family.js';

const ROWS = 37;
const lengths = [1, 2, 3, 7, 8, 9, 10, 15, 16, 17, 23, 24, 25, 31, 33, 64, 65, 100, 128, 129, 300, 511, 512, 513];

/** Rows of many kinds: ordinary ones, and ones that need more care, among each other. */
function mixed(type: FloatsName, cols: number): Floats {
  const x = row(type, 'N(0,8)', ROWS * cols, cols);
  const fill = (r: number, v: number) => x.fill(v, r * cols, (r + 1) * cols);
  x[3 * cols] = NaN;
  x[9 * cols] = Infinity;
  x[10 * cols + (cols >> 1)] = -Infinity;
  fill(14, -Infinity);
  fill(17, 2.5);
  for (const r of [20, 21]) for (let c = 0; c < cols; c++) x[r * cols + c]! *= r === 20 ? 1e-9 : 1e7;
  if (cols > 1) x.set([167.3, 1.7654321e-6], 23 * cols);
  fill(29, 0);
  x.set(row(type, 'one peak', cols), 30 * cols);
  return x;
}

function all(name: (typeof sameBitBackends)[number], x: Floats, targets: readonly number[], options: FamilyOptions) {
  const copy = x.slice();
  const inPlace = x.slice();
  logSoftmaxOn(name, copy, options, copy);
  const { loss } = crossEntropyOn(name, inPlace, targets, options, inPlace);
  return { logs: copy, sums: logSumExpOn(name, x, options), loss, gradient: inPlace };
}

describe.each(typeNames)('short rows of %s', (type) => {
  it.each([
    [1, false],
    [0.7, true],
  ])('have the same bits in a batch as alone, at temperature %d, with a mask: %s', (temperature, isMasked) => {
    for (const cols of lengths) {
      const x = mixed(type, cols);
      const random = generator(cols);
      const mask = isMasked ? Uint8Array.from(x, () => (random() % 4 ? 1 : 0)) : null;
      const targets = Array.from({ length: ROWS }, (_, r) => (r % 7 === 5 ? -1 : random() % cols));
      const options = (from: number, to: number): FamilyOptions => ({
        outer: to - from,
        cols,
        temperature,
        ...(mask && { mask: mask.slice(from * cols, to * cols), maskLayout: 1 }),
      });
      let first: ReturnType<typeof all> | undefined;
      for (const name of sameBitBackends) {
        const batch = all(name, x, targets, options(0, ROWS));
        first ??= batch;
        for (const key of ['logs', 'sums', 'loss', 'gradient'] as const)
          expect(firstDifference(first[key], batch[key]), `${name}, ${cols}: ${key}`).toBe(-1);
        const { loss, gradient } = crossEntropyOn(name, x, targets, options(0, ROWS));
        expect([firstDifference(loss, batch.loss), firstDifference(gradient, batch.gradient)]).toEqual([-1, -1]);
        if (name === 'scalar') continue;
        for (const [from, to] of [...x.keys()]
          .slice(0, ROWS)
          .map((r) => [r, r + 1])
          .concat([[5, 11]]) as [number, number][]) {
          const some = all(name, x.slice(from * cols, to * cols), targets.slice(from, to), options(from, to));
          const what = `${name}, rows ${from} to ${to} of ${cols}`;
          for (const key of ['logs', 'gradient'] as const)
            expect(firstDifference(batch[key].slice(from * cols, to * cols), some[key]), `${what}: ${key}`).toBe(-1);
          for (const key of ['sums', 'loss'] as const)
            expect(firstDifference(batch[key].slice(from, to), some[key]), `${what}: ${key}`).toBe(-1);
        }
      }
    }
  });

  it('keep the digits of S where max / T cancels', () => {
    for (const cols of [2, 10, 16, 24, 40, 128, 512]) {
      const x = new floats[type](ROWS * cols);
      for (let r = 0; r < ROWS; r++)
        x.set(row(type, (random) => (random() / 2 ** 32) * -r, cols, r + 1).fill(0, 0, 1), r * cols);
      for (const name of sameBitBackends) {
        const sums = logSumExpOn(name, x, { cols });
        for (let r = 0; r < ROWS; r++) {
          const exact = logRow(x.slice(r * cols, (r + 1) * cols));
          const share = type === 'f32' && cols > 128 ? 2 ** -34 : 2 ** -52;
          const what = `${name}, row ${r} of ${cols}`;
          expectNear(sums[r]!, exact.logSumExp, 'f64', 1.5, what, share * Math.min(1, exact.others.hi));
        }
      }
    }
  });
});

describe('logSoftmax of float rows of 25 to 512 elements', () => {
  const kinds: Record<string, (random: () => number, i: number) => number> = {
    'a peak over copies': (random, i) => (i === 7 ? 9 + (random() % 20) : 0.3712),
    'a peak over copies far below': (_random, i) => (i === 11 ? 60.25 : 0.1),
    'three values': (random) => [0.123, -0.77, 1.31][random() % 3]!,
    'copies above noise': (random) => (random() % 9 ? -6 + (random() / 2 ** 32) * 4 : 1.234),
    'every second -1e4': (random, i) => (i % 2 ? -1e4 : (random() / 2 ** 32) * 3),
    'some -Infinity': (random) => (random() % 5 ? (random() / 2 ** 32) * 12 : -Infinity),
    'far from 0': (random) => 2e4 + (random() / 2 ** 32) * 5,
    'beyond the reduction': (random) => 3e5 + (random() / 2 ** 32) * 5,
    'an only logit': (_random, i) => (i === 5 ? 1.5 : -Infinity),
    'equal ones': () => 0.7321,
  };
  it.each(Object.entries(kinds))('is within 0.6 ULP of exact: %s', (kind, fill) => {
    for (const cols of [25, 32, 63, 64, 65, 100, 128, 300, 512]) {
      for (const temperature of [1, 0.37, 50]) {
        const random = generator(cols);
        const x = Float32Array.from({ length: 5 * cols }, (_, i) => fill(random, i % cols));
        for (const name of sameBitBackends) {
          const y = logSoftmaxOn(name, x, { outer: 5, cols, temperature });
          for (let r = 0; r < 5; r++) {
            const exact = logRow(x.subarray(r * cols, (r + 1) * cols), temperature);
            for (let c = 0; c < cols; c++) {
              const what = `${name}, ${kind}, row ${r} of ${cols}, ${c}, T ${temperature}`;
              if (x[r * cols + c] === -Infinity) expect(y[r * cols + c], what).toBe(-Infinity);
              else expectNear(y[r * cols + c]!, logSoftmaxOf(exact, c), 'f32', 0.6, what);
            }
          }
        }
      }
    }
  });
});
