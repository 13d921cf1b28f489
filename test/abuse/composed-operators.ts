/** Sound calls of functions that are composed of kernels and loops: forms of attention, losses, flash-softmax/ood. */
import type { Api } from '../fuzz/case.js';
import type { AnyArray } from '../fuzz/memory.js';
import { bytes, COLS, doubles, floats, halves, integers, ROWS, SIZE } from './operator.js';
import type { Operator, Options } from './operator.js';

const [HEADS, POSITIONS, DIM] = [2, 80, 32];
const ATTENTION = HEADS * POSITIONS * DIM;
const DIMS = 16;
const SAMPLES = SIZE / DIMS;

/** Options with a list whose elements may be getters. */
const withList = (options: Options, name: string, value: unknown): Options =>
  Object.defineProperty(options, name, { value, enumerable: true, configurable: true });

function attentionForm(name: string, more: Options = {}): Operator {
  return {
    name: `${name} ${Object.keys(more).join(' ')}`.trim(),
    hasPromise: true,
    arrays: () => ({
      q: floats(ATTENTION, 51),
      k: floats(ATTENTION, 52),
      v: floats(ATTENTION, 53),
      out: new Float32Array(ATTENTION),
    }),
    written: ['out'],
    options: ({ out }) => ({ batch: 1, heads: HEADS, kvHeads: HEADS, headDim: DIM, out, ...more }),
    call: (api, { q, k, v }, options) => api[name]!(q, k, v, options),
  };
}

const softmaxFree: Operator[] = [
  {
    name: 'softmaxFreeAttention',
    hasPromise: true,
    arrays: () => ({ q: floats(ATTENTION, 51), v: floats(ATTENTION, 53), out: new Float32Array(ATTENTION) }),
    written: ['out'],
    options: ({ out }) => ({ batch: 1, heads: HEADS, headDim: DIM, out, ridge: 0.1 }),
    lists: () => ({ landmarks: [0, 9, 31, 64] }),
    call: (api, { q, v }, options, { landmarks }) =>
      api.softmaxFreeAttention!(q, v, withList(options, 'landmarks', landmarks)),
  },
];

interface Cache {
  create(): number;
  appendPreconditioned(...args: unknown[]): number;
  read(id: number): unknown;
}

const preconditioned = (dtype: string): Operator => ({
  name: `KVCache.appendPreconditioned, ${dtype}`,
  hasPromise: false,
  arrays: () => ({ k: floats(ATTENTION, 54), v: floats(ATTENTION, 55) }),
  written: [],
  options: () => ({ layout: 'hsd' }),
  call(api, { k, v }, options) {
    const Kind = api.KVCache as unknown as new (options: object) => Cache;
    const cache = new Kind({ kvHeads: HEADS, headDim: DIM, dtype });
    const id = cache.create();
    cache.appendPreconditioned(id, floats(5 * HEADS * DIM, 56), floats(5 * HEADS * DIM, 57));
    cache.appendPreconditioned(id, k, v, options);
    return cache.read(id);
  },
});

const losses: Operator[] = [
  {
    name: 'marginCrossEntropy',
    hasPromise: true,
    arrays: () => ({
      x: floats(SIZE, 61, 0.3),
      margin: floats(ROWS, 62, 0.1).map(Math.abs),
      out: new Float64Array(ROWS),
      gradient: new Float32Array(SIZE),
    }),
    written: ['out', 'gradient'],
    options: ({ margin, out, gradient }) => ({
      cols: COLS,
      kind: 'arc',
      scale: 16,
      guard: 'linear',
      margin,
      out,
      gradient,
    }),
    lists: () => ({ targets: integers(ROWS) }),
    call: (api, { x }, options, { targets }) => api.marginCrossEntropy!(x, targets, options),
    results: (loss, { gradient }) => [loss, gradient],
  },
  {
    name: 'marginCrossEntropy, a list of margins',
    hasPromise: true,
    arrays: () => ({ x: halves(SIZE), targets: Int32Array.from(integers(ROWS)) }),
    written: [],
    options: () => ({ cols: COLS, kind: 'cos', dtype: 'float16', ignoreIndex: 3 }),
    lists: () => ({ margin: Array.from({ length: ROWS }, (_, i) => i / 20) }),
    call: (api, { x, targets }, options, { margin }) =>
      api.marginCrossEntropy!(x, targets, withList(options, 'margin', margin)),
  },
  {
    name: 'stableMaxCrossEntropy',
    hasPromise: true,
    arrays: () => ({
      x: floats(SIZE, 63),
      mask: bytes(SIZE),
      bias: floats(COLS, 64),
      out: new Float64Array(ROWS),
      gradient: new Float32Array(SIZE),
    }),
    written: ['out', 'gradient'],
    options: (arrays) => ({ cols: COLS, ignoreIndex: -1, maskFormat: 'bytes', ...withoutX(arrays) }),
    lists: () => ({ targets: integers(ROWS) }),
    call: (api, { x }, options, { targets }) => api.stableMaxCrossEntropy!(x, targets, options),
    results: (loss, { gradient }) => [loss, gradient],
  },
  {
    name: 'logSoftmaxBackward',
    hasPromise: true,
    arrays: () => ({
      y: floats(SIZE, 65).map((v) => -Math.abs(v)),
      dy: floats(SIZE, 66),
      mask: bytes(COLS),
      out: new Float32Array(SIZE),
    }),
    written: ['out'],
    options: ({ mask, out }) => ({ cols: COLS, temperature: 0.7, mask, maskFormat: 'bytes', out }),
    call: (api, { y, dy }, options) => api.logSoftmaxBackward!(y, dy, options),
  },
  {
    name: 'logSumExp, weighted',
    hasPromise: true,
    arrays: () => ({
      x: floats(SIZE, 67),
      weights: doubles(SIZE, 68),
      mask: bytes(SIZE),
      bias: floats(COLS, 69),
      out: new Float64Array(ROWS),
    }),
    written: ['out'],
    options: (arrays) => ({ cols: COLS, sign: true, temperature: 0.7, maskFormat: 'bytes', ...withoutX(arrays) }),
    call: (api, { x }, options) => api.logSumExp!(x, options),
  },
  {
    name: 'logSumExp, a list of weights',
    hasPromise: true,
    arrays: () => ({ x: halves(SIZE) }),
    written: [],
    options: () => ({ cols: COLS, dtype: 'bfloat16' }),
    lists: () => ({ weights: Array.from({ length: COLS }, (_, i) => 1 + (i % 3)) }),
    call: (api, { x }, options, { weights }) => api.logSumExp!(x, withList(options, 'weights', weights)),
  },
];

const withoutX = ({ x: _, ...others }: Record<string, AnyArray>): Options => others;

type Method = 'probabilities' | 'logProbs' | 'sample' | 'expand' | 'crossEntropy';

function vocabularyMethod(method: Method, options: Options, x: () => AnyArray): Operator {
  return {
    name: `ClusteredVocabulary.${method}`,
    hasPromise: false,
    arrays: () => ({
      x: x(),
      map: Uint32Array.from(integers(2 * COLS)),
      ...(method === 'crossEntropy' && { targets: Int32Array.from(integers(ROWS)) }),
    }),
    written: [],
    options: () => ({ ...options }),
    call(api, { x: logits, map, targets }, given) {
      const Kind = api.ClusteredVocabulary as unknown as new (
        map: unknown,
      ) => Record<Method, (...args: unknown[]) => unknown>;
      const vocabulary = new Kind(map);
      return method === 'crossEntropy'
        ? vocabulary.crossEntropy(logits, targets, given)
        : vocabulary[method](logits, given);
    },
  };
}

const CLASSES = 3;
const labels = () => Array.from({ length: SAMPLES }, (_, i) => i % CLASSES);
const square = (diagonal: number) =>
  Float64Array.from({ length: DIMS * DIMS }, (_, i) => (i % (DIMS + 1) === 0 ? diagonal : 0.01));

const ood: Operator[] = [
  {
    name: 'fitGaussians',
    hasPromise: true,
    arrays: () => ({ x: floats(SIZE, 71) }),
    written: [],
    options: () => ({ classes: CLASSES, shrinkage: 0.1 }),
    lists: () => ({ labels: labels() }),
    call: (api, { x }, options, { labels: list }) => api.fitGaussians!(x, list, options),
  },
  {
    name: 'fitGaussians, typed labels',
    hasPromise: true,
    arrays: () => ({ x: doubles(SIZE, 71), labels: Int32Array.from(labels()) }),
    written: [],
    options: () => ({}),
    call: (api, { x, labels: list }, options) => api.fitGaussians!(x, list, options),
  },
  ...[true, false].map((hasFactor): Operator => ({
    name: hasFactor ? 'mahalanobis' : 'mahalanobis, bare',
    hasPromise: true,
    arrays: () => ({
      x: hasFactor ? floats(SIZE, 72) : doubles(SIZE, 72),
      means: doubles(CLASSES * DIMS, 73),
      covariance: square(2),
      ...(hasFactor && { cholesky: square(1.4).map((v, i) => (i % DIMS > Math.floor(i / DIMS) ? 0 : v)) }),
    }),
    written: [],
    options: (): Options => (hasFactor ? { scale: 0.5 } : {}),
    call: (api: Api, { x, ...model }, options) => api.mahalanobis!(x, model, options),
  })),
];

export const composedOperators: Operator[] = [
  attentionForm('l2NormalizedAttention', { scale: 0.2, causal: true }),
  attentionForm('taylorAttention', { order: 4 }),
  attentionForm('softplusAttention', { sharpen: 3 }),
  attentionForm('lucidAttention', { scale: 0.2 }),
  ...softmaxFree,
  preconditioned('float32'),
  preconditioned('int8'),
  ...losses,
  vocabularyMethod('probabilities', { temperature: 0.7 }, () => doubles(SIZE, 43)),
  vocabularyMethod('logProbs', { dtype: 'float16' }, () => halves(SIZE)),
  vocabularyMethod('sample', { temperature: 0.7, seed: 3, step: 1 }, () => floats(SIZE, 43)),
  vocabularyMethod('expand', { dtype: 'bfloat16' }, () => halves(SIZE)),
  vocabularyMethod('crossEntropy', { ignoreIndex: 5 }, () => floats(SIZE, 43)),
  ...ood,
];
