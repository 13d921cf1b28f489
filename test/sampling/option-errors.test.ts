/** The errors of options of one a row, of filters and of logits of other kinds: they name the argument and the row. */
import { expect, it } from 'vitest';
import { argmax, filterLogits, gumbelMax, sample, sampleMany, topK } from '../../lib/sampling.js';
import { softmax } from '../../lib/softmax/softmax.js';

const x = new Float32Array(12);
const rows = (options: object) => () => sample(x, { cols: 4, ...options } as never);

it.each<[object, string, string]>([
  [{ temperature: [1, 2] }, 'ERR_INVALID_ARG_VALUE', 'Expected 3 numbers, one a row, for temperature but received 2'],
  [{ seed: [1, 2, 3, 4] }, 'ERR_INVALID_ARG_VALUE', '3 numbers, one a row, for seed'],
  [{ step: new Uint32Array(2) }, 'ERR_INVALID_ARG_VALUE', '3 numbers, one a row, for step'],
  [{ topP: [1, 2, 1] }, 'ERR_OUT_OF_RANGE', 'for topP of row 1 but received 2'],
  [{ topP: [1, '1', 1] }, 'ERR_INVALID_ARG_TYPE', 'for topP of row 1'],
  [{ topP: [1, , 1] }, 'ERR_INVALID_ARG_TYPE', 'for topP of row 1'],
  [{ temperature: Float32Array.of(1, 1, NaN) }, 'ERR_OUT_OF_RANGE', 'for temperature of row 2'],
  [{ topK: [1.5, 1, 1] }, 'ERR_OUT_OF_RANGE', 'for topK of row 0'],
  [{ minP: { 0: 1 } }, 'ERR_INVALID_ARG_TYPE', 'for minP'],
  [{ seed: [1, -1, 2] }, 'ERR_OUT_OF_RANGE', 'for seed of row 1'],
  [{ seed: [1, null, 2] }, 'ERR_INVALID_ARG_TYPE', 'for seed of row 1'],
  [{ step: [1, 2 ** 32, 2] }, 'ERR_OUT_OF_RANGE', 'for step of row 1'],
  [{ invalid: 'skip' }, 'ERR_INVALID_ARG_VALUE', 'for invalid'],
  [{ logProbs: -1 }, 'ERR_OUT_OF_RANGE', 'for logProbs'],
  [{ logProbs: true }, 'ERR_INVALID_ARG_TYPE', 'for logProbs'],
  [{ topNSigma: NaN }, 'ERR_OUT_OF_RANGE', 'for topNSigma'],
  [{ topH: 2 }, 'ERR_OUT_OF_RANGE', 'for topH'],
  [{ minKeep: 0 }, 'ERR_OUT_OF_RANGE', 'for minKeep'],
  [{ etaCutoff: -1 }, 'ERR_OUT_OF_RANGE', 'for etaCutoff'],
  [{ xtc: 1 }, 'ERR_INVALID_ARG_TYPE', 'an object for xtc'],
  [{ xtc: { threshold: 0.1 } }, 'ERR_INVALID_ARG_TYPE', 'for xtc.probability'],
  [{ xtc: { threshold: 0.1, probability: 1, p: 1 } }, 'ERR_INVALID_ARG_TYPE', "'p'"],
  [{ xtc: { threshold: [0.1, 2, 0], probability: 1 } }, 'ERR_OUT_OF_RANGE', 'for xtc.threshold of row 1'],
  [{ dynamicTemperature: { range: -1 } }, 'ERR_OUT_OF_RANGE', 'for dynamicTemperature.range'],
  [{ dynamicTemperature: {} }, 'ERR_INVALID_ARG_TYPE', 'for dynamicTemperature.range'],
  [{ mirostat: { version: 3 } }, 'ERR_INVALID_ARG_VALUE', '1 or 2 for mirostat.version'],
  [{ mirostat: { version: 2, mu: [1] } }, 'ERR_INVALID_ARG_VALUE', '3 numbers, one a row, for mirostat.mu'],
  [{ mirostat: { version: 2, tau: 0 } }, 'ERR_OUT_OF_RANGE', 'for mirostat.tau'],
  [{ order: 'mine' }, 'ERR_INVALID_ARG_VALUE', "'llama.cpp' or 'transformers' or 'vllm' for order"],
  [{ order: 3 }, 'ERR_INVALID_ARG_TYPE', 'for order'],
  [{ order: ['top_k'] }, 'ERR_INVALID_ARG_VALUE', "for order but received 'top_k'"],
  [{ order: ['topK', 'topK'] }, 'ERR_INVALID_ARG_VALUE', "'topK' twice"],
  [{ topP: 0.5, order: ['topK'] }, 'ERR_INVALID_ARG_VALUE', "a list with 'topP'"],
  [{ typicalP: 0.5, order: 'vllm' }, 'ERR_INVALID_ARG_VALUE', "a list with 'typicalP'"],
  [{ mask: new Int32Array(3) }, 'ERR_INVALID_ARG_VALUE', "'bits' beside an Int32Array for maskFormat"],
  [{ mask: new Int32Array(2), maskFormat: 'bits' }, 'ERR_INVALID_ARG_VALUE', '3 words, or 1 for one row, for mask'],
])('%j', (options, code, message) => {
  expect(rows(options)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));
});

it('sampleMany has no logProbs, filterLogits none of the draws', () => {
  expect(() => sampleMany(x, 2, { logProbs: 1 } as never)).toThrow("'logProbs'");
  expect(() => filterLogits(x, { mirostat: { version: 1 } } as never)).toThrow("'mirostat'");
  expect(() => gumbelMax(x, { firstColumn: 2 ** 32 })).toThrow('columns below 2^32 for firstColumn');
  expect(() => gumbelMax(x, { firstColumn: 1, noise: new Float64Array(12) })).toThrow('firstColumn beside noise');
});

it('plain and integer arrays are refused with what to do', () => {
  for (const logits of [[1, 2], Int32Array.of(1, 2), new Uint8Array(2)]) {
    for (const call of [softmax, argmax, sample, (z: never) => topK(z, 1)]) {
      expect(() => (call as (z: unknown) => unknown)(logits)).toThrow(
        expect.objectContaining({
          code: 'ERR_INVALID_ARG_TYPE',
          message: expect.stringMatching(
            /\(Float32Array\.from\((x|logits)\) makes one of these numbers\) for (x|logits)/,
          ),
        }),
      );
    }
  }
  expect(() => softmax('1' as never)).toThrow(/^Expected a Float32Array.* with a dtype for x/);
});
