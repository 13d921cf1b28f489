/** OutputHead.sample: the tokens of sample on written logits, for thousands of seeds and every kind of option. */
import { describe, expect, it } from 'vitest';
import { backends, isNative } from '../support/backends.js';
import { row } from '../support/cases.js';
import { isLong } from '../support/long.js';
import type { HeadSampleOptions } from '../../lib/head.js';
import { forceHead, type HeadModules } from './force-head.js';

/** Fewer than 2^14 classes are written at once. Candidates of more than 2^16 come from several blocks. */
const [CLASSES, MANY, WIDTH, STATES] = [17_001, 66_001, 4, 9];

/** Options whose filters need nothing, the first tokens, sums, or all tokens; with a number a row; in other orders. */
const table: readonly HeadSampleOptions[] = [
  {},
  { temperature: 0.7 },
  { temperature: 1e-30 },
  { temperature: 30 },
  { temperature: 0 },
  { temperature: Array.from({ length: STATES }, (_, i) => [0, 0.3, 1, 2][i % 4]!) },
  { topK: 40 },
  { topK: 1 },
  { topK: Array.from({ length: STATES }, (_, i) => 1 + i) },
  { topK: Array.from({ length: STATES }, (_, i) => i) },
  { topK: 1000, temperature: 0.8, topP: 0.9, minP: 0.01 },
  { topK: 2000 },
  { topP: 0.9 },
  { topP: 0.5, temperature: 0.5 },
  { topP: 0 },
  { topP: 0.99, temperature: 3 },
  { topP: 0.8, minKeep: 30 },
  { topP: Array.from({ length: STATES }, (_, i) => i / (STATES - 1)) },
  { minP: 0.1 },
  { minP: 1e-5, temperature: 2 },
  { minP: 0.3, minKeep: 300 },
  { epsilonCutoff: 0.01 },
  { epsilonCutoff: 0.0003, temperature: 0.5, topP: 0.9, order: ['temperature', 'epsilonCutoff', 'topP'] },
  { epsilonCutoff: 0.9, minKeep: 3 },
  { etaCutoff: 0.001 },
  { typicalP: 0.8 },
  { topNSigma: 3 },
  { topH: 0.4 },
  { topH: 0.4, minKeep: 120, topK: 110 },
  { xtc: { threshold: 0.05, probability: 0.5 } },
  { topK: 50, xtc: { threshold: 0.02, probability: 0.5 } },
  { topP: 0.9, typicalP: 0.5, etaCutoff: 0.001 },
  { dynamicTemperature: { range: 0.5 } },
  { topK: 30, temperature: 0.7, dynamicTemperature: { range: 0.5 }, order: ['topK', 'temperature'] },
  { topP: 0.9, temperature: 0.3, order: ['topP', 'temperature'] },
  { mirostat: { version: 2, tau: 3 } },
  { topK: 64, mirostat: { version: 2, tau: 3, mu: Array.from({ length: STATES }, (_, i) => 2 + i) } },
  { mirostat: { version: 1, tau: 3 } },
  { seed: Array.from({ length: STATES }, (_, i) => 7 * i), step: 3 },
  { firstRow: 5, topK: 9 },
  { logProbs: 3, temperature: 0.5 },
];

describe.each(backends)('%s', (name) => {
  let lib: HeadModules['lib'];
  let sampling: HeadModules['sampling'];
  let later: HeadModules['later'];
  forceHead(name, (modules) => ({ lib, sampling, later } = modules));

  /** A head of few columns: logits of a size that makes nuclei of some to thousands of tokens. */
  const headOf = (rows: number, size: number) =>
    [row('f32', 'N(0,1)', rows * WIDTH, 3).map((x) => size * x), { rows, cols: WIDTH }] as const;
  const hidden = row('f32', 'N(0,1)', STATES * WIDTH, 4).map((x, i) => x * [0.3, 1, 4][Math.floor(i / WIDTH) % 3]!);

  describe('options', () => {
    let made: ReturnType<typeof makeHeads> | undefined;
    const makeHeads = () => {
      const head = new lib.OutputHead(...headOf(CLASSES, 1.5));
      const same = new later.OutputHead(...headOf(CLASSES, 1.5));
      return { head, same, logits: head.logits(hidden) };
    };
    const heads = () => (made ??= makeHeads());

    it.each(table)('has the tokens of written logits: %o', async (options) => {
      const { head, same, logits } = heads();
      for (let seed = 0; seed < (isLong ? 9 : 1); seed++) {
        const given = { seed, ...options };
        expect(head.sample(hidden, given)).toEqual(sampling.sample(logits, { ...given, cols: CLASSES }));
      }
      const given = { seed: 77, ...options };
      expect(await same.sample(hidden, given)).toEqual(sampling.sample(logits, { ...given, cols: CLASSES }));
    });

    it('has the tokens of written logits with a mask and a bias', () => {
      const { head, logits } = heads();
      const shared = new Uint8Array(CLASSES).map((_, i) => Number(i % 3 !== 0));
      const own = new Uint8Array(CLASSES * STATES).map((_, i) => Number(i % 5 !== 0));
      const bias = row('f32', 'N(0,1)', CLASSES * STATES, 6);
      for (const options of [
        { mask: shared },
        { mask: own },
        { bias },
        { bias: bias.slice(0, CLASSES), topP: 0.9 },
        { mask: own, bias: bias.slice(0, CLASSES), topK: 7, order: ['topK'] as const },
      ]) {
        const given = { seed: 5, ...options };
        expect(head.sample(hidden, given)).toEqual(sampling.sample(logits, { ...given, cols: CLASSES }));
      }
    });

    it('has the tokens of written logits at the very edges of tokens', () => {
      const { head, logits } = heads();
      const { probabilities } = sampling.filterLogits(new Float64Array(logits.subarray(0, CLASSES)), { seed: 1 });
      let sum = 0;
      const edges = Array.from(probabilities, (p) => (sum += p));
      for (let i = 1; i <= 40; i++) {
        const edge = edges[Math.floor((i * CLASSES) / 41)]! / sum;
        for (const u of [edge - 2 ** -52, edge, edge + 2 ** -52]) {
          const noise = [Math.min(1 - 2 ** -53, Math.max(0, u))];
          const expected = sampling.sample(logits.subarray(0, CLASSES), { noise });
          expect(head.sample(hidden.subarray(0, WIDTH), { noise })).toEqual(expected);
        }
      }
      for (const u of [0, 2 ** -60, 1 - 2 ** -53]) {
        const noise = new Float64Array(STATES).fill(u);
        expect(head.sample(hidden, { noise })).toEqual(sampling.sample(logits, { noise, cols: CLASSES }));
      }
    });
  });

  const seeds = (n: number, options: HeadSampleOptions) => {
    for (const size of [0.5, 2]) {
      const head = new lib.OutputHead(...headOf(CLASSES, size));
      const logits = head.logits(hidden);
      for (let seed = 0; seed < n; seed++) {
        const given = { ...options, seed };
        const [found, expected] = [head.sample(hidden, given), sampling.sample(logits, { ...given, cols: CLASSES })];
        if (String(found) !== String(expected)) expect.fail(`seed ${seed}: ${String(found)}, not ${String(expected)}`);
      }
    }
  };
  const options: readonly HeadSampleOptions[] = [{}, { temperature: 0.6 }, { topP: 0.9 }, { topK: 40, minP: 0.05 }];
  it.each(options)('has the tokens of written logits for many seeds: %o', (each) =>
    seeds(isLong ? 4000 : isNative(name) ? 120 : 12, each),
  );

  const several: readonly HeadSampleOptions[] = [
    {},
    { temperature: 0 },
    { topP: 0.9, temperature: 0.7 },
    { topP: 0.5 },
    { topP: 0.99, temperature: 3 },
    { minP: 0.1 },
    { epsilonCutoff: 0.01 },
    { topK: 70 },
  ];
  it.each(several)('has the tokens of several blocks: %o', (each) => {
    const head = new lib.OutputHead(...headOf(MANY, 3));
    const expected = sampling.sample(head.logits(hidden), { ...each, seed: 8, cols: MANY });
    expect(head.sample(hidden, { ...each, seed: 8 })).toEqual(expected);
  });

  it('says which states have no token', () => {
    const weights = row('f32', 'N(0,1)', CLASSES, 5);
    weights[16_500] = NaN;
    weights[3] = 1e30;
    const head = new lib.OutputHead(weights, { rows: CLASSES, cols: 1 });
    const tokens = new lib.OutputHead(weights.fill(1, 16_500, 16_501), { rows: CLASSES, cols: 1 });
    const states = Float32Array.of(1, 1e30, 0, -1e30, NaN);
    for (const options of [{}, { topK: 4 }, { topP: 0.5 }, { temperature: 0 }, { typicalP: 0.5 }] as const) {
      const given = { seed: 2, ...options, invalid: 'mark' } as const;
      const result = tokens.sample(states, given);
      expect(result).toEqual(sampling.sample(tokens.logits(states), { ...given, cols: CLASSES }));
      expect(Array.from(result.status)).toEqual([0, 2, 0, 0, 1]);
      expect(() => tokens.sample(states, { seed: 2, ...options })).toThrow(/row 1 of logits/);
    }
    weights[16_500] = NaN;
    expect(() => head.sample(Float32Array.of(1))).toThrow(/NaN.*row 0 of logits/);
    const none = new lib.OutputHead(new Float32Array(CLASSES).fill(-Infinity), { rows: CLASSES, cols: 1 });
    expect(none.sample(Float32Array.of(1), { invalid: 'mark' }).status[0]).toBe(2);
  });
});
