/** What softmax and its family have in common with their definitions, for any rows: on every backend. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  crossEntropy,
  expSum,
  logSoftmax,
  logSumExp,
  logSumExpOfState,
  mergeExpSums,
  normalize,
  softmax,
  softmaxBackward,
} from '../../lib/index.js';
import * as promises from '../../lib/promises.js';
import { keysFor, onEachBackend, orderOf, row, rows } from './settings.js';

const UNIT = 2 ** -23; // a unit in the last place of 1, relative
const permuted = <A extends Float32Array>(x: A, order: readonly number[]): Float32Array =>
  Float32Array.from(order, (i) => x[i]!);

/** Two results, each within 3 units in the last place of the same number. */
function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  const isOff = (each: number, i: number) => !(Math.abs(actual[i]! - each) <= 6 * UNIT * each + 2 ** -147);
  expect(Array.from(expected).findIndex(isOff)).toBe(-1);
}

onEachBackend(() => {
  it('probabilities sum to 1', () =>
    fc.assert(
      fc.property(row, (x) => {
        const sum = softmax(x).reduce((total, p) => total + p, 0);
        expect(Math.abs(sum - 1)).toBeLessThan(1e-6);
      }),
    ));

  it('a larger logit has no smaller probability', () =>
    fc.assert(
      fc.property(row, (x) => {
        const y = softmax(x);
        const order = orderOf([...x].map((each) => (each === -Infinity ? -Number.MAX_VALUE : each)));
        expect(order.findIndex((place, i) => i > 0 && !(y[place]! >= y[order[i - 1]!]!))).toBe(-1);
      }),
    ));

  it('a shift of all logits changes nothing', () =>
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -4000, max: 4000 }), { minLength: 1, maxLength: 400 }), (numbers) => {
        const x = Float32Array.from(numbers, (n) => n / 64); // sums with 2^14 are exact
        expectClose(softmax(x.map((each) => each + 16_384)), softmax(x));
      }),
    ));

  it('an order of the logits is an order of the results', () =>
    fc.assert(
      fc.property(
        row.chain((x) => fc.tuple(fc.constant(x), keysFor(x.length))),
        ([x, keys]) => {
          const order = orderOf(keys);
          expectClose(softmax(permuted(x, order)), permuted(softmax(x), order));
          expect(logSumExp(permuted(x, order))[0]).toBeCloseTo(logSumExp(x)[0]!, 9);
        },
      ),
    ));

  it('what is masked is as what is not there', () =>
    fc.assert(
      fc.property(
        row.chain((x) => fc.tuple(fc.constant(x), keysFor(x.length))),
        ([x, keys]) => {
          const mask = Uint8Array.from(keys, (key, i) => (i === 0 || key % 3 > 0 ? 1 : 0));
          const kept = orderOf(keys.map((_, i) => i)).filter((i) => mask[i] === 1);
          fc.pre(kept.some((i) => x[i]! > -Infinity));
          const y = softmax(x, { mask });
          expectClose(permuted(y, kept), softmax(permuted(x, kept)));
          expect(y.every((p, i) => mask[i] === 1 || p === 0)).toBe(true);
        },
      ),
    ));

  it('states merge in any grouping, and normalize is the softmax of the whole', () =>
    fc.assert(
      fc.property(row, fc.array(fc.nat(600), { maxLength: 5 }), fc.nat(5), (x, places, split) => {
        const cuts = [0, ...places.map((place) => place % x.length), x.length].sort((a, b) => a - b);
        const chunks = cuts
          .slice(1)
          .map((end, i) => x.subarray(cuts[i], end))
          .filter((chunk) => chunk.length > 0);
        const states = chunks.map((chunk) => expSum(chunk));
        const flat = mergeExpSums(...states);
        const at = 1 + (split % states.length);
        const [left, right] = [states.slice(0, at), states.slice(at)];
        const nested = right.length > 0 ? mergeExpSums(mergeExpSums(...left), mergeExpSums(...right)) : flat;
        expect(logSumExpOfState(nested)[0]).toBeCloseTo(logSumExpOfState(flat)[0]!, 11);
        expect(logSumExpOfState(flat)[0]).toBeCloseTo(logSumExp(x)[0]!, 5);
        expectClose(
          chunks.flatMap((chunk) => [...normalize(chunk, flat)]),
          softmax(x),
        );
      }),
    ));

  it('a batch has the bits of its rows, and a promise those of the call', async () => {
    type Options = { cols: number };
    const functions = [
      {
        now: (x: Float32Array, o: Options) => softmax(x, o),
        later: (x: Float32Array, o: Options) => promises.softmax(x, o),
      },
      {
        now: (x: Float32Array, o: Options) => logSoftmax(x, o),
        later: (x: Float32Array, o: Options) => promises.logSoftmax(x, o),
      },
      {
        now: (x: Float32Array, o: Options) => logSumExp(x, o),
        later: (x: Float32Array, o: Options) => promises.logSumExp(x, o),
      },
    ];
    await fc.assert(
      fc.asyncProperty(rows, async ({ x, cols }) => {
        const starts = Array.from({ length: x.length / cols }, (_, r) => r * cols);
        for (const { now, later } of functions) {
          const batch = now(x, { cols });
          expect(await later(x, { cols })).toEqual(batch);
          expect(starts.flatMap((start) => [...now(x.subarray(start, start + cols), { cols })])).toEqual([...batch]);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('logSoftmax and crossEntropy are the logarithm of softmax', () =>
    fc.assert(
      fc.property(rows, fc.nat(79), ({ x, cols }, column) => {
        const target = column % cols;
        const logs = logSoftmax(x, { cols });
        const losses = crossEntropy(x, new Int32Array(x.length / cols).fill(target), { cols });
        const isOff = (p: number, i: number) => !(Math.abs(Math.exp(logs[i]!) - p) < 4e-6 * p + 1e-38);
        expect(softmax(x, { cols }).findIndex(isOff)).toBe(-1);
        losses.forEach((loss, r) => expect(Math.abs(loss + logs[r * cols + target]!)).toBeLessThan(1e-6 * (1 + loss)));
      }),
    ));

  it('gradients of a row sum to 0', () =>
    fc.assert(
      fc.property(rows, ({ x, cols }) => {
        const y = softmax(x, { cols });
        const gradient = softmaxBackward(y, x, { cols });
        const ofLoss = new Float32Array(x.length);
        crossEntropy(x, new Int32Array(x.length / cols), { cols, gradient: ofLoss });
        for (let r = 0; r < x.length / cols; r++)
          for (const each of [gradient, ofLoss]) {
            const sum = each.subarray(r * cols, (r + 1) * cols).reduce((total, g) => total + g, 0);
            expect(Math.abs(sum)).toBeLessThan(2e-5);
          }
      }),
    ));
});
