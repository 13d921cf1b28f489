/**
 * What the tests of properties share: how many cases, and the logits that they draw. Cases are the same in every run;
 * FLASH_SOFTMAX_PROPERTY_RUNS and FLASH_SOFTMAX_PROPERTY_SEED ask for more and for others.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe } from 'vitest';
import { chosenBackend, inForce, runOn } from '../../lib/backend/choice.js';
import { backends } from '../support/backends.js';

fc.configureGlobal({
  numRuns: Number(process.env.FLASH_SOFTMAX_PROPERTY_RUNS ?? 150),
  seed: Number(process.env.FLASH_SOFTMAX_PROPERTY_SEED ?? 1),
});

/** The tests, on each backend of this machine. */
export function onEachBackend(tests: () => void): void {
  describe.each(backends)('%s', (name) => {
    const before = inForce();
    beforeAll(() => runOn(chosenBackend(name)));
    afterAll(() => runOn(before));
    tests();
  });
}

const logit = fc.oneof(
  { weight: 6, arbitrary: fc.float({ min: -20, max: 20, noNaN: true }) },
  { weight: 2, arbitrary: fc.integer({ min: -3, max: 3 }) }, // equal ones
  { weight: 1, arbitrary: fc.float({ min: -60_000, max: 60_000, noNaN: true }) },
  { weight: 1, arbitrary: fc.constant(-Infinity) },
);

/** A row of up to 600 float32 logits, of which one at least is finite. */
export const row = fc
  .array(logit, { minLength: 1, maxLength: 600, size: 'max' })
  .map((numbers) => Float32Array.from(numbers.some(Number.isFinite) ? numbers : [0, ...numbers]));

/** So many rows of finite logits, one behind the other. */
export const rows = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 80 })).chain(([count, cols]) =>
  fc.record({
    cols: fc.constant(cols),
    x: fc
      .array(fc.float({ min: -20, max: 20, noNaN: true }), {
        minLength: count * cols,
        maxLength: count * cols,
        size: 'max',
      })
      .map((numbers) => Float32Array.from(numbers)),
  }),
);

/** An order of n things, from one number a thing. */
export const orderOf = (keys: readonly number[]): number[] =>
  keys.map((_, i) => i).sort((a, b) => keys[a]! - keys[b]! || a - b);

/** One number for each place of a row, which `orderOf` makes an order of. */
export const keysFor = (length: number): fc.Arbitrary<number[]> =>
  fc.array(fc.nat(1000), { minLength: length, maxLength: length, size: 'max' });
