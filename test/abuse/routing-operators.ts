/** Sound calls of flash-softmax/routing. */
import { bytes, COLS, floats, halves, ROWS, SIZE } from './operator.js';
import type { Arrays, Operator, Options } from './operator.js';

const K = 4;
const sizes = { experts: COLS, k: K };
const chosen = () => Uint32Array.from({ length: ROWS * K }, (_, i) => (i * 37) % COLS);
const counts = () => Uint32Array.from({ length: COLS }, (_, i) => i % 5);
const ones = (n: number) => new Float32Array(n).fill(0.25);
const routes = ({ experts, weights, counts: each }: Arrays) => ({ experts, weights, counts: each, k: K });

/** The properties of a result that are arrays. */
const arraysOf = (result: never): unknown => Object.values(result as Record<string, unknown>);

export const routingOperators: Operator[] = [
  {
    name: 'route',
    hasPromise: true,
    arrays: () => ({ x: floats(SIZE, 31), selectBias: floats(COLS, 32, 0.1), mask: bytes(ROWS) }),
    written: [],
    options: ({ selectBias, mask }): Options => ({
      ...sizes,
      score: 'sigmoid',
      normalize: 'sum',
      groups: 8,
      topGroups: 3,
      scale: 2.5,
      selectBias,
      mask,
      maskFormat: 'bytes',
      capacity: { factor: 2, drop: 'weight' },
    }),
    call: (api, { x }, options) => api.route!(x, options),
    results: arraysOf,
  },
  {
    name: 'route, f16',
    hasPromise: true,
    arrays: () => ({ x: halves(SIZE), selectBias: new Float64Array(COLS) }),
    written: [],
    options: ({ selectBias }) => ({ ...sizes, selectBias, dtype: 'float16' }),
    call: (api, { x }, options) => api.route!(x, options),
    results: arraysOf,
  },
  {
    name: 'dispatchPlan',
    hasPromise: false,
    arrays: () => ({ experts: chosen(), weights: ones(ROWS * K), counts: counts() }),
    written: [],
    options: () => ({}),
    call: (api, arrays) => api.dispatchPlan!(routes(arrays)),
    results: arraysOf,
  },
  {
    name: 'loadBalanceLoss',
    hasPromise: true,
    arrays: () => ({ x: floats(SIZE, 33), counts: counts(), mask: bytes(ROWS), gradient: new Float32Array(SIZE) }),
    written: ['gradient'],
    options: ({ mask, gradient }) => ({ ...sizes, mask, gradient, score: 'softmax', normalizeByK: true }),
    call: (api, { x, counts: each }, options) => api.loadBalanceLoss!({ counts: each, k: K }, x, options),
    results: (loss, { gradient }) => [Float64Array.of(loss), gradient],
  },
  {
    name: 'routeBackward',
    hasPromise: true,
    arrays: () => ({
      x: floats(SIZE, 34),
      experts: chosen(),
      weights: ones(ROWS * K),
      counts: counts(),
      dWeights: floats(ROWS * K, 35),
      out: new Float32Array(SIZE),
    }),
    written: ['out'],
    options: ({ out }) => ({ ...sizes, out, score: 'softmax', normalize: 'none', scale: 2 }),
    call: (api, arrays, options) => api.routeBackward!(routes(arrays), arrays.dWeights, arrays.x, options),
  },
  {
    name: 'updateSelectBias',
    hasPromise: false,
    arrays: () => ({ bias: floats(COLS, 36), counts: counts() }),
    written: ['bias'],
    options: () => ({ rate: 0.01 }),
    call: (api, { bias, counts: each }, options) => api.updateSelectBias!(bias, each, options),
  },
];
