/** OutputHead.crossEntropy with the terms of crossEntropy: against double-double, written logits and differences. */
import { describe, expect, it } from 'vitest';
import { softmaxOracle } from '../../lib/cli/oracle.js';
import { twoSum } from '../../lib/math/log.js';
import type { HeadLossOptions } from '../../lib/head.js';
import { backends, isNative } from '../support/backends.js';
import { row } from '../support/cases.js';
import { forceHead, type HeadModules } from './force-head.js';

const [WIDTH, STATES] = [6, 9];

/** The log-sum-exp and the −log p of a row of float32 logits, from double-double. */
function logsOf(x: Float32Array, temperature: number) {
  const { hi } = softmaxOracle(x, { temperature });
  const top = x.reduce((best, each, i) => (each > x[best]! ? i : best), 0);
  const lse = x[top]! / temperature - Math.log(hi[top]!);
  return { lse, minusLog: (k: number) => (hi[k]! > 0 ? -Math.log(hi[k]!) : lse - x[k]! / temperature) };
}

/**
 * What −log p of a class may be off by. Native log-sum-exps of a block of floats are within 8e-8 (the docstring of
 * logSumExp), and stay so when blocks are merged; those of JavaScript are only rounded. Merging, dividing by the
 * temperature and subtracting round five times, each by at most 2^-53 of a number below 1 + |lse| + |logit|.
 */
const boundOf = (name: string, lse: number, logit: number) =>
  (isNative(name) ? 8e-8 : 0) + 2 ** -50 * (1 + Math.abs(lse) + Math.abs(logit));

describe.each(backends)('%s', (name) => {
  let lib: HeadModules['lib'];
  let root: HeadModules['root'];
  let later: HeadModules['later'];
  forceHead(name, (modules) => ({ lib, root, later } = modules));

  const hidden = row('f32', 'N(0,1)', STATES * WIDTH, 4);
  const modelOf = (rows: number) => {
    const weights = row('f32', 'N(0,1)', rows * WIDTH, 3);
    const targets = [0, rows - 1, -100, 5, 17, rows >> 1, 7, 8, 9];
    const soft = Float32Array.from({ length: STATES * rows }, (_, i) =>
      i % 7 === 3 ? 0 : ((i * 31) % 11) / (5 * rows),
    );
    const weight = Float64Array.from({ length: rows }, (_, k) => (k % 5) / 2);
    return { weights, targets, soft, weight };
  };

  const cases: readonly [string, boolean, HeadLossOptions][] = [
    ['plain', false, {}],
    ['class weights', false, { weight: [] }],
    ['label smoothing', false, { labelSmoothing: 0.1 }],
    ['all terms', false, { weight: [], labelSmoothing: 0.3, lsePenalty: 0.01, scale: -2, temperature: 0.5 }],
    ['smoothing alone', false, { labelSmoothing: 1, weight: [] }],
    ['soft targets', true, {}],
    ['soft targets, all terms', true, { weight: [], labelSmoothing: 0.2, lsePenalty: 0.02, temperature: 3, scale: 3 }],
  ];

  it.each(cases)('has the losses of double-double within the derived bound: %s', (_, isSoft, options) => {
    for (const rows of [300, 66_000]) {
      const m = modelOf(rows);
      const given = { ...options, ...(options.weight && { weight: m.weight }) };
      const head = new lib.OutputHead(m.weights, { rows, cols: WIDTH });
      const logits = head.logits(hidden);
      const { loss, lse } = head.crossEntropy(hidden, isSoft ? m.soft : m.targets, given);
      const { labelSmoothing: e = 0, lsePenalty = 0, scale = 1, temperature = 1 } = given;
      const losses = loss as Float64Array;
      for (let i = 0; i < STATES; i++) {
        const logs = logsOf(logits.subarray(i * rows, (i + 1) * rows), temperature);
        let [sum, bound] = [lsePenalty * logs.lse ** 2, lsePenalty * 2 ** -21 * (1 + Math.abs(logs.lse)) ** 2];
        let low = 0; // of the expected sum: a sum of 66,000 doubles would be off by more than the bound
        for (let k = 0; k < rows; k++) {
          const share = (1 - e) * (isSoft ? m.soft[i * rows + k]! : Number(k === m.targets[i])) + e / rows;
          const a = share * (given.weight ? m.weight[k]! : 1);
          if (a === 0) continue;
          const [next, lost] = twoSum(sum, a * logs.minusLog(k));
          sum = next;
          low += lost;
          bound += a * boundOf(name, logs.lse, logits[i * rows + k]! / temperature);
        }
        sum += low;
        if (!isSoft && m.targets[i]! < 0) [sum, bound] = [0, 0];
        expect(Math.abs(losses[i]! - scale * sum)).toBeLessThanOrEqual(
          Math.abs(scale) * (bound + 2 ** -48 * Math.abs(sum)),
        );
        expect(Math.abs(lse[i]! - logs.lse)).toBeLessThanOrEqual(boundOf(name, logs.lse, 0));
      }
    }
  });

  it.each(cases)('has the losses and gradients of written logits: %s', async (_, isSoft, options) => {
    const rows = 300;
    const m = modelOf(rows);
    for (const reduction of ['none', 'mean', 'sum'] as const) {
      const given = { ...options, reduction, ...(options.weight && { weight: m.weight }) };
      const targets = isSoft ? m.soft : m.targets;
      const head = new lib.OutputHead(m.weights, { rows, cols: WIDTH });
      const logits = head.logits(hidden);
      const gradient = new Float32Array(logits.length);
      const expected = root.crossEntropy(logits, targets as never, {
        ...(given as object),
        cols: rows,
        gradient,
      });
      const result = head.crossEntropy(hidden, targets, { ...given, gradient: 'both' });
      const listOf = (each: number | Float64Array) => (typeof each === 'number' ? [each] : Array.from(each));
      const wanted = listOf(expected);
      listOf(result.loss).forEach((each, i) => expect(each).toBeCloseTo(wanted[i]!, 5));
      // A gradient by a logit has 2^-24 of the larger of its terms on either side; the sums have 66 · 2^-24.
      const check = (actual: number, n: number, term: (j: number) => readonly [number, number]) => {
        let [sum, size] = [0, 0];
        for (let j = 0; j < n; j++) {
          const [slope, factor] = term(j);
          sum += slope * factor;
          size += (Math.abs(slope) + 1e-2) * Math.abs(factor);
        }
        expect(Math.abs(actual - sum)).toBeLessThanOrEqual(70 * 2 ** -24 * size);
      };
      for (let i = 0; i < STATES * WIDTH; i++) {
        const [state, c] = [Math.floor(i / WIDTH), i % WIDTH];
        check(result.hidden[i]!, rows, (k) => [gradient[state * rows + k]!, m.weights[k * WIDTH + c]!]);
      }
      for (let k = 0; k < rows; k += 13) {
        check(result.weights[k * WIDTH + 1]!, STATES, (i) => [gradient[i * rows + k]!, hidden[i * WIDTH + 1]!]);
      }
      const same = new later.OutputHead(m.weights, { rows, cols: WIDTH });
      expect(await same.crossEntropy(hidden, targets, { ...given, gradient: 'both' })).toEqual(result);
    }
  });

  it('has infinite losses and finite gradients where a class of the target is impossible', () => {
    const weights = Float32Array.of(1, -Infinity, 2);
    const head = new lib.OutputHead(weights, { rows: 3, cols: 1 });
    const one = Float32Array.of(1);
    for (const [targets, options] of [
      [[1], {}],
      [[0], { labelSmoothing: 0.1 }],
      [Float32Array.of(0.5, 0.5, 0), {}],
      [Float32Array.of(0.5, 0, 0.5), {}],
    ] as const) {
      const logits = head.logits(one);
      const gradient = new Float32Array(3);
      const expected = root.crossEntropy(logits, targets as never, { ...options, gradient });
      const result = head.crossEntropy(one, targets as never, { ...options, gradient: 'hidden' });
      expect(result.loss[0]).toBe(expected[0] === Infinity ? Infinity : result.loss[0]);
      if (expected[0]! < Infinity) expect(result.loss[0]).toBeCloseTo(expected[0]!, 6);
    }
  });

  it('refuses soft targets of another length', () => {
    const head = new lib.OutputHead(new Float32Array(6), { rows: 3, cols: 2 });
    expect(() => head.crossEntropy(new Float32Array(4), new Float32Array(5))).toThrow(/6 elements.*targets/);
    expect(() => head.crossEntropy(new Float32Array(4), new Float64Array(6) as never)).toThrow(/targets/);
  });
});
