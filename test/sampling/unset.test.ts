/**
 * Unset options of a generation_config.json, `null` and `top_k: 0`, are as if absent: in every function, for every
 * option.
 */
import { describe, expect, it } from 'vitest';
import * as sampling from '../../lib/sampling.js';
import * as promises from '../../lib/promises.js';
import { row } from '../support/cases.js';

const x = row('f32', 'N(0,1)', 300);
const p = x.map(Math.abs);
const { Sampler } = sampling;

/** Each function with a seed, so that it gives the same result twice. */
const functions: Record<string, (options: object) => unknown> = {
  argmax: (options) => sampling.argmax(x, options),
  topK: (options) => sampling.topK(x, 5, options),
  sample: (options) => sampling.sample(x, options),
  sampleMany: (options) => sampling.sampleMany(x, 4, options),
  filterLogits: (options) => sampling.filterLogits(x, options),
  logProbs: (options) => sampling.logProbs(x, 7, options),
  gumbelSoftmax: (options) => sampling.gumbelSoftmax(x, options),
  gumbelMax: (options) => sampling.gumbelMax(x, options),
  gumbelTopK: (options) => sampling.gumbelTopK(x, 3, options),
  softToken: (options) => sampling.softToken(x, options),
  dirichletResample: (options) => sampling.dirichletResample(p, options),
  penalize: (options) => sampling.penalize(x, [1, 2, 2], options),
  Sampler(options) {
    const sampler = new Sampler(options).accept([3, 4, 4]);
    return [sampler.next(x), sampler.next(x), sampler.history];
  },
  'sample of promises': (options) => promises.sample(x, options),
  'sampleMany of promises': (options) => promises.sampleMany(x, 4, options),
  'filterLogits of promises': (options) => promises.filterLogits(x, options),
  'topK of promises': (options) => promises.topK(x, 5, options),
};

/** The names of a function's options, from its error about an unknown one. */
async function namesOf(run: (options: object) => unknown): Promise<string[]> {
  const error = await (async () => run({ nothing: 1 }))().then(
    () => undefined,
    (thrown: Error) => thrown,
  );
  return /^Expected only (.*) for options/
    .exec(error!.message)![1]!
    .split(', ')
    .filter((name) => name !== 'signal');
}

describe.each(Object.keys(functions))('%s', (name) => {
  const run = functions[name]!;

  it('takes null for each option, and for all', async () => {
    const names = await namesOf(run);
    expect(names.length).toBeGreaterThan(1);
    const seeded = names.includes('seed') ? { seed: 5 } : {};
    const expected = await run(seeded);
    for (const option of names) {
      if (option === 'seed') continue;
      expect(await run({ ...seeded, [option]: null }), option).toEqual(expected);
      expect(await run({ ...seeded, [option]: undefined }), option).toEqual(expected);
    }
    expect(await run({ ...Object.fromEntries(names.map((option) => [option, null])), ...seeded })).toEqual(expected);
    await run({ ...Object.fromEntries(names.map((option) => [option, null])) }); // seed: null as well
    if (names.includes('noise')) await run({ seed: null, step: null, firstRow: null, noise: null });
  });

  it('takes topK: 0 as no value, where it has it', async () => {
    const names = await namesOf(run);
    if (!names.includes('topK')) return;
    const seeded = names.includes('seed') ? { seed: 5 } : {};
    expect(await run({ ...seeded, topK: 0 })).toEqual(await run(seeded));
  });
});

it('functions have all the options that this test is for', async () => {
  expect(await namesOf(functions['Sampler']!)).toEqual([
    'logitBias',
    'sequenceBias',
    'encoderRepetitionPenalty',
    'encoderTokens',
    'repetitionPenalty',
    'frequencyPenalty',
    'presencePenalty',
    'countedTokens',
    'penaltyWindow',
    'dry',
    'noRepeatNgram',
    'bannedSequences',
    'banned',
    'forced',
    'temperature',
    'dynamicTemperature',
    'topNSigma',
    'topH',
    'topK',
    'topP',
    'minP',
    'typicalP',
    'epsilonCutoff',
    'etaCutoff',
    'xtc',
    'minKeep',
    'order',
    'mirostat',
    'seed',
    'stop',
    'minTokens',
  ]);
  expect(await namesOf(functions['softToken']!)).toEqual([
    'cols',
    'shape',
    'axis',
    'dtype',
    'mask',
    'maskFormat',
    'bias',
    'temperature',
    'topK',
    'topP',
    'tau',
    'noiseRange',
    'noise',
    'seed',
    'step',
    'firstRow',
  ]);
});

it('the options of a generation_config.json', () => {
  const config = JSON.parse(`{ "temperature": null, "topK": 0, "topP": null, "minP": null,
    "typicalP": 1.0, "epsilonCutoff": 0.0,
    "repetitionPenalty": null, "frequencyPenalty": null, "presencePenalty": null,
    "banned": null, "forced": null }`) as object;
  expect(new Sampler({ ...config, seed: 2 }).next(x)).toBe(new Sampler({ seed: 2 }).next(x));
  const given: sampling.SoftTokenOptions = { topK: null, topP: null, noise: null, noiseRange: null, cols: null };
  expect(sampling.softToken(x, { ...given, seed: 1 })).toEqual(sampling.softToken(x, { seed: 1 }));
});

it('what has a meaning keeps it', () => {
  expect(sampling.sample(x, { temperature: 0 })).toEqual(sampling.argmax(x));
  expect(sampling.penalize(x, [1], { presencePenalty: 1, penaltyWindow: 0 })).toEqual(x);
  expect(() => sampling.topK(x, -1)).toThrow(RangeError);
  expect(() => sampling.topK(x, null as never)).toThrow(TypeError);
  expect(() => sampling.penalize(x, null as never)).toThrow(TypeError);
  expect(() => sampling.sample(x, null as never)).toThrow(TypeError);
});
