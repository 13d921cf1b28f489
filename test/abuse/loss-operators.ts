/** Sound calls of flash-softmax/losses. */
import { bytes, COLS, doubles, floats, halves, integers, ROWS, SIZE } from './operator.js';
import type { Arrays, Operator, Options } from './operator.js';

const changed = ({ mask, bias, out }: Arrays): Options => ({ cols: COLS, mask, maskFormat: 'bytes', bias, out });
/** p and dp of softTopKBackward. */
const chosen = () => floats(SIZE, 36).map((v) => 1 / (1 + v * v));

export const lossOperators: Operator[] = [
  {
    name: 'taylorSoftmax',
    hasPromise: true,
    arrays: () => ({ x: floats(SIZE, 31), mask: bytes(SIZE), bias: floats(SIZE, 32), out: new Float32Array(SIZE) }),
    written: ['out'],
    options: (arrays) => ({ ...changed(arrays), order: 4, temperature: 0.7 }),
    call: (api, { x }, options) => api.taylorSoftmax!(x, options),
  },
  {
    name: 'zLoss',
    hasPromise: true,
    arrays: () => ({
      x: doubles(SIZE, 33),
      mask: bytes(SIZE),
      bias: doubles(COLS, 34),
      out: new Float64Array(ROWS),
      gradient: new Float64Array(SIZE),
    }),
    written: ['out', 'gradient'],
    options: (arrays) => ({ ...changed(arrays), gradient: arrays.gradient, a: 0.5, b: 2, ignoreIndex: -1 }),
    lists: () => ({ targets: integers(ROWS) }),
    call: (api, { x }, options, { targets }) => api.zLoss!(x, targets, options),
    results: (loss, { gradient }) => [loss, gradient],
  },
  {
    name: 'zLoss, typed targets',
    hasPromise: true,
    arrays: () => ({ x: floats(SIZE, 33), targets: Int32Array.from(integers(ROWS)) }),
    written: [],
    options: () => ({ cols: COLS }),
    call: (api, { x, targets }, options) => api.zLoss!(x, targets, options),
  },
  {
    name: 'softTopK',
    hasPromise: true,
    arrays: () => ({ x: floats(SIZE, 35), mask: bytes(COLS), bias: floats(COLS, 32), out: new Float32Array(SIZE) }),
    written: ['out'],
    options: (arrays) => ({ ...changed(arrays), alpha: 1.5 }),
    call: (api, { x }, options) => api.softTopK!(x, 7, options),
  },
  {
    name: 'softTopK, f16',
    hasPromise: true,
    arrays: () => ({ x: halves(SIZE) }),
    written: [],
    options: () => ({ cols: COLS, dtype: 'float16' }),
    call: (api, { x }, options) => api.softTopK!(x, 7, options),
  },
  {
    name: 'softTopKBackward',
    hasPromise: true,
    arrays: () => ({ p: chosen(), dp: floats(SIZE, 37), out: new Float32Array(SIZE) }),
    written: ['out'],
    options: ({ out }) => ({ cols: COLS, alpha: 1.5, out }),
    call: (api, { p, dp }, options) => api.softTopKBackward!(p, dp, options),
  },
  {
    name: 'safeStepRadius',
    hasPromise: true,
    arrays: () => ({ x: floats(SIZE, 38), mask: bytes(COLS), out: new Float64Array(ROWS) }),
    written: ['out'],
    options: ({ mask, out }) => ({ cols: COLS, mask, out, maskFormat: 'bytes' }),
    call: (api, { x }, options) => api.safeStepRadius!(x, options),
  },
  {
    name: 'safeStepRadius, two classes',
    hasPromise: true,
    arrays: () => ({ x: floats(SIZE, 38), logits: floats(SIZE, 39) }),
    written: [],
    options: ({ logits }) => ({ cols: 2, logits, reduce: 'min' }),
    call: (api, { x }, options) => api.safeStepRadius!(x, options),
  },
  {
    name: 'decoupledSoftmax',
    hasPromise: true,
    arrays: () => ({
      x: floats(SIZE, 40),
      mask: bytes(SIZE),
      bias: floats(COLS, 41),
      out: new Float64Array(ROWS),
      gradient: new Float32Array(SIZE),
    }),
    written: ['out', 'gradient'],
    options: (arrays) => ({ ...changed(arrays), gradient: arrays.gradient, temperature: 0.7 }),
    lists: () => ({
      indptr: Array.from({ length: ROWS + 1 }, (_, r) => 3 * r),
      indices: Array.from({ length: 3 * ROWS }, (_, i) => (i % 3) * 17 + 1),
      weights: Array.from({ length: 3 * ROWS }, (_, i) => 1 + (i % 4)),
    }),
    call: (api, { x }, options, { indptr, indices, weights }) =>
      api.decoupledSoftmax!(x, { indptr, indices, weights }, options),
    results: (loss, { gradient }) => [loss, gradient],
  },
  {
    name: 'elasticMargins',
    hasPromise: true,
    arrays: () => ({ cosines: floats(ROWS, 42) }),
    written: [],
    options: ({ cosines }) => ({ plus: true, cosines, seed: 3 }),
    call: (api, _, options) => api.elasticMargins!(ROWS, options),
  },
  {
    name: 'ClusteredVocabulary',
    hasPromise: false,
    arrays: () => ({ x: floats(SIZE, 43), gradient: new Float32Array(SIZE) }),
    written: ['gradient'],
    options: ({ gradient }) => ({ gradient, temperature: 0.7, ignoreIndex: -1 }),
    lists: () => ({ map: integers(2 * COLS), targets: integers(ROWS) }),
    call(api, { x }, options, { map, targets }) {
      const Kind = api.ClusteredVocabulary as unknown as new (map: unknown) => {
        probabilities(x: unknown): Float32Array;
        crossEntropy(x: unknown, targets: unknown, options: object): Float64Array;
      };
      const vocabulary = new Kind(map);
      return [vocabulary.crossEntropy(x, targets, options), vocabulary.probabilities(x)];
    },
    results: (all: never, { gradient }) => [all, gradient],
  },
];
