/**
 * Short float32 rows whose maximum differs so much in size from the other logits that no double holds a distance:
 * losses and logSumExp keep their bounds. Every backend against exact arithmetic (edge-oracle.ts).
 */
import { describe, expect, it } from 'vitest';
import { logProbs } from '../../lib/sampling.js';
import { backendNamed } from '../../lib/backend/named.js';
import { backends } from '../support/backends.js';
import { generator } from '../support/cases.js';
import { exactRow, near } from './edge-oracle.js';
import { fixed } from '../support/exact.js';
import { crossEntropyOn, logSumExpOn } from '../support/family.js';

const UNITS = 1.5;

/** A row and its temperature; the maximum is its first logit. */
type Rounded = readonly [what: string, row: readonly number[], temperature: number];
const rounded: readonly Rounded[] = [
  ['a maximum of the smallest size that counts', [1e-14, -545.3], 1],
  ['a small maximum', [1.2345678e-10, -545.3], 1],
  ['a small maximum, and a temperature', [-3.3333333e-9, -12.6], 0.023092504145470205],
  ['a small maximum and a sum of like size', [1.2345e-12, -24.3], 1],
  ['a small maximum below many', [7.7777e-9, ...new Array<number>(127).fill(-31.4)], 1],
  ['a small logit', [167.3, 1.7654321e-6], 1],
  ['small logits, and larger ones', [71.3, ...new Array<number>(20).fill(1.1e-8), -1, 2.5], 1],
  ['many small logits', [6.3, ...new Array<number>(127).fill(1.2345e-12)], 1],
  ['a small logit, below it large ones', [8.1e20, 3.3e10, -1e25], 1.2e18],
  ['small logits of both signs', [44.1, 3.1e-8, -3.1e-8, 0], 1],
];
const ordinary = [5.5, 3.25, -1e-20, 0, 1];

const f32 = (row: readonly number[]): number[] => Array.from(row, Math.fround);
const expectNear = (got: number, exact: bigint, slack: bigint, what: string): void => {
  const { low, high } = near(exact, 'f64', UNITS, slack);
  if (!(got >= low && got <= high)) expect.fail(`Expected ${low} to ${high} for ${what} but received ${got}`);
};
const oracle = (row: readonly number[], temperature: number) => exactRow(row, null, () => true, temperature)!;
/** The bound of log(1 + S) where max / T cancels: 2⁻⁵² · min(1, S). */
const slackOf = (others: bigint): bigint => {
  const one = fixed(1);
  return (others < one ? others : one) >> 52n;
};

describe.each(backends)('on %s', (name) => {
  it.each(rounded)('%s', (_, given, temperature) => {
    const row = f32(given);
    const x = Float32Array.from(row);
    const exact = oracle(row, temperature);
    const options = { cols: row.length, temperature };
    expectNear(logSumExpOn(name, x, options)[0]!, exact.logSumExp, slackOf(exact.others), 'logSumExp');
    const { loss } = crossEntropyOn(name, x, [0], options);
    expectNear(loss[0]!, exact.log, 0n, 'the loss');
  });

  it.each(rounded)('%s, beside rows that are ordinary, which keep their bits', (_, given, temperature) => {
    const row = f32(given);
    const other = f32(row.map((_each, c) => ordinary[c % ordinary.length]! * temperature));
    const options = { outer: 1, cols: row.length, inner: 17, temperature };
    const tensor = (at: number) =>
      Float32Array.from(row.flatMap((x, c) => Array.from({ length: 17 }, (_each, r) => (r === at ? x : other[c]!))));
    const exact = oracle(row, temperature);
    const targets = new Int32Array(17);
    const alone = [logSumExpOn(name, tensor(-1), options), crossEntropyOn(name, tensor(-1), targets, options)] as const;
    for (const at of [0, 7, 15, 16]) {
      const sums = logSumExpOn(name, tensor(at), options);
      const { loss } = crossEntropyOn(name, tensor(at), targets, options);
      expectNear(sums[at]!, exact.logSumExp, slackOf(exact.others), 'logSumExp');
      expectNear(loss[at]!, exact.log, 0n, 'the loss');
      for (let r = 0; r < 17; r++) {
        if (r !== at) expect([sums[r], loss[r]]).toEqual([alone[0][r], alone[1].loss[r]]);
      }
    }
  });

  it('logits of any size', () => {
    const random = generator(5);
    const uniform = () => random() / 2 ** 32;
    for (let i = 0; i < 300; i++) {
      const temperature = i % 3 === 0 ? 1 : 2 ** (8 * uniform() - 6);
      const n = 2 + (random() % 6);
      const any = () => (uniform() < 0.5 ? -1 : 1) * temperature * 2 ** (55 * uniform() - 45);
      const row = f32(Array.from({ length: n }, any));
      const exact = oracle(row, temperature);
      const at = row.indexOf(Math.max(...row));
      const options = { cols: n, temperature };
      const what = `[${row.join(', ')}] at T ${temperature}`;
      const { loss } = crossEntropyOn(name, Float32Array.from(row), [at], options);
      expectNear(loss[0]!, exact.log, slackOf(exact.others), `the loss of ${what}`);
      const sum = logSumExpOn(name, Float32Array.from(row), options);
      expectNear(sum[0]!, exact.logSumExp, slackOf(exact.others), `logSumExp of ${what}`);
    }
  });
});

it('logProbs has these digits too', () => {
  expect(backendNamed(backends[0]!)).toBeDefined();
  for (const [, given, temperature] of rounded) {
    const row = f32(given);
    const exact = oracle(row, temperature);
    const got = logProbs(Float32Array.from(row), 0, { temperature, top: 1 });
    expectNear(-got.logProbs[0]!, exact.log, 0n, 'ln p');
    expectNear(-got.top.logProbs[0]!, exact.log, 0n, 'ln p of the top');
  }
});
