/** Sound calls of flash-softmax/sampling. */
import { bytes, COLS, floats, halves, integers, ROWS, SIZE, uniforms } from './operator.js';
import type { Arrays, Operator, Options } from './operator.js';

const filters = { temperature: 0.8, topK: 50, topP: 0.9, minP: 0.01, typicalP: 0.99, epsilonCutoff: 1e-6 };
const logits = () => ({ x: floats(SIZE, 21), mask: bytes(COLS), bias: floats(SIZE, 22) });
const masked = ({ mask, bias }: Arrays): Options => ({ cols: COLS, mask, bias, maskFormat: 'bytes' });

export const samplingOperators: Operator[] = [
  {
    name: 'argmax',
    hasPromise: false,
    arrays: () => ({ x: floats(SIZE, 21) }),
    written: [],
    options: () => ({ cols: COLS }),
    call: (api, { x }, options) => api.argmax!(x, options),
  },
  {
    name: 'topK',
    hasPromise: true,
    arrays: () => ({ x: floats(SIZE, 21) }),
    written: [],
    options: () => ({ cols: COLS }),
    call: (api, { x }, options) => api.topK!(x, 50, options),
  },
  {
    name: 'topK, f16',
    hasPromise: true,
    arrays: () => ({ x: halves(SIZE) }),
    written: [],
    options: () => ({ cols: COLS, dtype: 'float16' }),
    call: (api, { x }, options) => api.topK!(x, 50, options),
  },
  {
    name: 'sample',
    hasPromise: true,
    arrays: logits,
    written: [],
    options: (arrays) => ({ ...masked(arrays), ...filters }),
    lists: () => ({ noise: uniforms(ROWS) }),
    call: (api, { x }, options, { noise }) =>
      api.sample!(x, Object.defineProperty(options, 'noise', { value: noise, enumerable: true })),
  },
  {
    name: 'sample, options a row',
    hasPromise: true,
    arrays: () => ({ ...logits(), topP: Float32Array.from({ length: ROWS }, () => 0.9) }),
    written: [],
    options: (arrays) => ({ ...masked(arrays), topK: 50, topP: arrays.topP, invalid: 'mark', logProbs: 3 }),
    lists: () => ({ seed: integers(ROWS), temperature: uniforms(ROWS) }),
    call: (api, { x }, options, { seed, temperature }) =>
      api.sample!(
        x,
        Object.defineProperties(options, {
          seed: { value: seed, enumerable: true },
          temperature: { value: temperature, enumerable: true },
        }),
      ),
  },
  {
    name: 'sample, filters in an order',
    hasPromise: true,
    arrays: logits,
    written: [],
    options: (arrays) => ({
      ...masked(arrays),
      topNSigma: 2,
      topK: 50,
      xtc: { threshold: 0.1, probability: 0.5 },
      dynamicTemperature: { range: 0.5 },
      mirostat: { version: 2 },
      seed: 1,
    }),
    lists: () => ({ order: ['topNSigma', 'topK', 'xtc', 'temperature', 'mirostat'] }),
    call: (api, { x }, options, { order }) =>
      api.sample!(x, Object.defineProperty(options, 'order', { value: order, enumerable: true })),
  },
  {
    name: 'sample, words of a grammar',
    hasPromise: true,
    arrays: () => ({ x: floats(SIZE, 21), mask: new Int32Array(ROWS * Math.ceil(COLS / 32)).fill(-1) }),
    written: [],
    options: ({ mask }) => ({ cols: COLS, mask, maskFormat: 'bits', topK: 20, seed: 1 }),
    call: (api, { x }, options) => api.sample!(x, options),
  },
  {
    name: 'topK of an inner axis, smallest',
    hasPromise: true,
    arrays: () => ({ x: floats(SIZE, 21) }),
    written: [],
    options: () => ({ axis: 0, largest: false }),
    lists: () => ({ shape: [COLS, ROWS] }),
    call: (api, { x }, options, { shape }) =>
      api.topK!(x, 5, Object.defineProperty(options, 'shape', { value: shape, enumerable: true })),
  },
  {
    name: 'sampleMany, typed noise',
    hasPromise: true,
    arrays: () => ({ ...logits(), noise: Float64Array.from(uniforms(3 * ROWS)) }),
    written: [],
    options: (arrays) => ({ ...masked(arrays), ...filters, noise: arrays.noise }),
    call: (api, { x }, options) => api.sampleMany!(x, 3, options),
  },
  {
    name: 'filterLogits',
    hasPromise: true,
    arrays: logits,
    written: [],
    options: (arrays) => ({ ...masked(arrays), ...filters }),
    call: (api, { x }, options) => api.filterLogits!(x, options),
  },
  {
    name: 'logProbs',
    hasPromise: false,
    arrays: logits,
    written: [],
    options: (arrays) => ({ ...masked(arrays), temperature: 0.8, top: 5 }),
    lists: () => ({ tokens: integers(ROWS) }),
    call: (api, { x }, options, { tokens }) => api.logProbs!(x, tokens, options),
  },
  ...['gumbelSoftmax', 'gumbelMax', 'gumbelTopK'].map((name): Operator => ({
    name,
    hasPromise: false,
    arrays: () => ({ ...logits(), noise: Float64Array.from(uniforms(SIZE)) }),
    written: [],
    options: (arrays) => ({ ...masked(arrays), noise: arrays.noise }),
    call: (api, { x }, options) => (name === 'gumbelTopK' ? api.gumbelTopK!(x, 5, options) : api[name]!(x, options)),
  })),
  {
    name: 'softToken',
    hasPromise: false,
    arrays: logits,
    written: [],
    options: (arrays) => ({ ...masked(arrays), temperature: 0.8, topK: 5, tau: 0.5, seed: 1 }),
    lists: () => ({ noiseRange: [-1, 2] }),
    call: (api, { x }, options, { noiseRange }) =>
      api.softToken!(x, Object.defineProperty(options, 'noiseRange', { value: noiseRange, enumerable: true })),
  },
  {
    name: 'dirichletResample',
    hasPromise: false,
    arrays: () => ({ x: Float32Array.from(uniforms(SIZE)) }),
    written: [],
    options: () => ({ cols: COLS, alpha: 2, seed: 1, step: 0, firstRow: 0 }),
    call: (api, { x }, options) => api.dirichletResample!(x, options),
  },
  {
    name: 'penalize',
    hasPromise: false,
    arrays: () => ({ x: floats(COLS * 8, 21), out: new Float32Array(COLS * 8) }),
    written: ['out'],
    options: ({ out }) => ({
      out,
      repetitionPenalty: 1.1,
      frequencyPenalty: 0.5,
      presencePenalty: 0.1,
      penaltyWindow: 30,
    }),
    lists: () => ({ history: integers(50), banned: integers(5) }),
    call: (api, { x }, options, { history, banned }) =>
      api.penalize!(x, history, Object.defineProperty(options, 'banned', { value: banned, enumerable: true })),
  },
  {
    name: 'Sampler',
    hasPromise: false,
    arrays: () => ({ x: floats(COLS * 8, 21), prompt: Int32Array.from(integers(50)) }),
    written: [],
    options: () => ({ ...filters, repetitionPenalty: 1.1, seed: 1 }),
    lists: () => ({ banned: integers(5) }),
    call(api, { x, prompt }, options, { banned }) {
      const Kind = api.Sampler as unknown as new (options: object) => {
        accept(tokens: unknown): unknown;
        next(x: unknown): number;
      };
      const sampler = new Kind(Object.defineProperty(options, 'banned', { value: banned, enumerable: true }));
      sampler.accept(prompt);
      return [sampler.next(x), sampler.next(x), sampler.next(x)];
    },
  },
  {
    name: 'verifyDraft',
    hasPromise: true,
    arrays: () => ({ draft: floats(COLS * 3, 21), target: floats(COLS * 4, 23), mask: bytes(COLS) }),
    written: [],
    options: ({ mask }) => ({ ...filters, cols: COLS, mask, maskFormat: 'bytes', seed: 1, step: 2, firstRow: 3 }),
    lists: () => ({ tokens: integers(3), parents: [-1, 0, 0] }),
    call: (api, { draft, target }, options, { tokens, parents }) =>
      api.verifyDraft!(
        draft,
        target,
        tokens,
        Object.defineProperty(options, 'parents', { value: parents, enumerable: true }),
      ),
  },
  {
    name: 'beamStep',
    hasPromise: true,
    arrays: () => ({ ...logits(), scores: new Float64Array(ROWS) }),
    written: [],
    options: (arrays) => ({ ...masked(arrays), temperature: 0.8, beams: ROWS }),
    call: (api, { x, scores }, options) => api.beamStep!(x, scores, 4, options),
  },
  {
    name: 'Sampler, sequences',
    hasPromise: false,
    arrays: () => ({ x: floats(COLS * 8, 21), prompt: Int32Array.from(integers(50)) }),
    written: [],
    options: () => ({ ...filters, noRepeatNgram: 2, encoderRepetitionPenalty: 1.2, minTokens: 1, seed: 1 }),
    lists: () => ({ stop: integers(5) }),
    call(api, { x, prompt }, options, { stop }) {
      const Kind = api.Sampler as unknown as SamplerKind;
      const sampler = new Kind(Object.defineProperty(options, 'stop', { value: stop, enumerable: true }));
      sampler.accept(prompt, { prompt: true });
      return [sampler.next(x), Kind.sampleAll([sampler], x)];
    },
  },
  {
    name: 'sampleAll',
    hasPromise: true,
    arrays: () => ({ x: floats(SIZE, 21) }),
    written: [],
    options: () => ({ cols: COLS }),
    lists: () => ({ seeds: integers(ROWS) }),
    call(api, { x }, options, { seeds }) {
      const Kind = api.Sampler as unknown as SamplerKind;
      const samplers = integers(ROWS).map((seed) => samplerOf(Kind, seed, {}));
      // A list whose elements are read where those of `seeds` are.
      const list = samplers.slice();
      samplers.forEach((each, i) => Object.defineProperty(list, i, { get: () => (void seeds![i], each) }));
      return api.sampleAll ? api.sampleAll(list, x, options) : Kind.sampleAll(list, x, options);
    },
  },
  ...[{}, { topNSigma: 2 }].map((filter): Operator => ({
    name: `sampleNext ${Object.keys(filter).join(' ')}`.trim(),
    hasPromise: true,
    arrays: () => ({ x: floats(COLS * 8, 21) }),
    written: [],
    options: () => ({}),
    call(api, { x }, options) {
      const sampler = samplerOf(api.Sampler as unknown as SamplerKind, 1, filter);
      return api.sampleNext ? api.sampleNext(sampler, x, options) : sampler.next(x);
    },
  })),
];

interface Drawer {
  accept(tokens: unknown, options: object): unknown;
  next(x: unknown): number;
}

interface SamplerKind {
  new (options: object): Drawer;
  sampleAll(all: Drawer[], x: unknown, options?: object): unknown;
}

function samplerOf(Kind: SamplerKind, seed: number, filter: Options): Drawer {
  const sampler = new Kind({ ...filters, ...filter, repetitionPenalty: 1.1, seed });
  sampler.accept(integers(50), { prompt: true });
  return sampler;
}
