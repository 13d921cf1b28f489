/** A sound call of every operator. This file has the operators along an axis. */
import type { AnyArray } from '../fuzz/memory.js';
import { bytes, COLS, doubles, floats, halves, integers, ROWS, SIZE } from './operator.js';
import type { Operator } from './operator.js';

import { attentionOperators } from './attention-operators.js';
import { attentionTypeOperators } from './attention-type-operators.js';
import { composedOperators } from './composed-operators.js';
import { detectionOperators } from './detection-operators.js';
import { headOperators } from './head-operators.js';
import { routingOperators } from './routing-operators.js';
import { lossOperators } from './loss-operators.js';
import { samplingOperators } from './sampling-operators.js';

/** Operators without a temperature. */
const UNSCALED = ['stableMax', 'logStableMax'];

/** softmax and similar operators, for one element type. */
function alongAxis(name: string, label: string, x: () => AnyArray, out: () => AnyArray, dtype?: string): Operator {
  return {
    name: `${name}, ${label}`,
    hasPromise: true,
    arrays: () => ({ x: x(), mask: bytes(SIZE), bias: x(), out: out() }),
    written: ['out'],
    options: ({ mask, bias, out: results }) => ({
      ...(!UNSCALED.includes(name) && { temperature: 0.7 }),
      mask,
      maskFormat: 'bytes',
      bias,
      out: results,
      ...(dtype && { dtype }),
    }),
    lists: () => ({ shape: [ROWS, COLS] }),
    call: (api, { x: logits }, options, { shape }) =>
      api[name]!(
        logits,
        Object.defineProperty(options, 'shape', { value: shape, enumerable: true, configurable: true }),
      ),
  };
}

/** Rows over axes apart, whose arrays are copied. */
function overAxes(name: string, label: string, x: () => AnyArray, out: () => AnyArray, dtype?: string): Operator {
  const along = alongAxis(name, label, x, out, dtype);
  return {
    ...along,
    name: `${name} over axes, ${label}`,
    lists: () => ({ shape: [2, ROWS, COLS / 2], axis: [0, 2] }),
    call: (api, { x: logits }, options, lists) =>
      api[name]!(
        logits,
        Object.defineProperties(options, {
          shape: { value: lists.shape, enumerable: true, configurable: true },
          axis: { value: lists.axis, enumerable: true, configurable: true },
        }),
      ),
  };
}

const rowOperators: Operator[] = [
  overAxes(
    'softmax',
    'f32',
    () => floats(SIZE, 1),
    () => new Float32Array(SIZE),
  ),
  overAxes(
    'softmax',
    'bf16 to f32',
    () => halves(SIZE),
    () => new Float32Array(SIZE),
    'bfloat16',
  ),
  overAxes(
    'logSoftmax',
    'f64',
    () => doubles(SIZE, 1),
    () => new Float64Array(SIZE),
  ),
  overAxes(
    'logSumExp',
    'f32',
    () => floats(SIZE, 3),
    () => new Float64Array(ROWS),
  ),
  alongAxis(
    'softmax',
    'f32',
    () => floats(SIZE, 1),
    () => new Float32Array(SIZE),
  ),
  alongAxis(
    'softmax',
    'f64',
    () => doubles(SIZE, 1),
    () => new Float64Array(SIZE),
  ),
  alongAxis(
    'softmax',
    'f16',
    () => halves(SIZE),
    () => new Uint16Array(SIZE),
    'float16',
  ),
  alongAxis(
    'softmax',
    'bf16 to f32',
    () => halves(SIZE),
    () => new Float32Array(SIZE),
    'bfloat16',
  ),
  alongAxis(
    'logSoftmax',
    'f32',
    () => floats(SIZE, 1),
    () => new Float32Array(SIZE),
  ),
  ...UNSCALED.flatMap((name) => [
    alongAxis(
      name,
      'f32',
      () => floats(SIZE, 1),
      () => new Float32Array(SIZE),
    ),
    alongAxis(
      name,
      'f64',
      () => doubles(SIZE, 1),
      () => new Float64Array(SIZE),
    ),
    alongAxis(
      name,
      'bf16 to f32',
      () => halves(SIZE),
      () => new Float32Array(SIZE),
      'bfloat16',
    ),
  ]),
  ...['softmax', 'logSoftmax', ...UNSCALED].map((name): Operator => ({
    name: `${name}, bare`,
    hasPromise: true,
    arrays: () => ({ x: floats(SIZE, 2) }),
    written: [],
    options: () => ({}),
    call: (api, { x }) => api[name]!(x),
  })),
  {
    name: 'softmax, bare f16',
    hasPromise: true,
    arrays: () => ({ x: halves(SIZE) }),
    written: [],
    options: () => ({ dtype: 'float16' }),
    call: (api, { x }, options) => api.softmax!(x, options),
  },
  alongAxis(
    'logSumExp',
    'f32',
    () => floats(SIZE, 3),
    () => new Float64Array(ROWS),
  ),
  {
    name: 'crossEntropy',
    hasPromise: true,
    arrays: () => ({
      x: floats(SIZE, 4),
      mask: bytes(SIZE),
      bias: floats(COLS, 5),
      out: new Float64Array(ROWS),
      gradient: new Float32Array(SIZE),
    }),
    written: ['out', 'gradient'],
    options: ({ mask, bias, out, gradient }) => ({
      cols: COLS,
      temperature: 0.7,
      mask,
      bias,
      out,
      gradient,
      ignoreIndex: -1,
    }),
    lists: () => ({ targets: integers(ROWS) }),
    call: (api, { x }, options, { targets }) => api.crossEntropy!(x, targets, options),
    results: (loss, { gradient }) => [loss, gradient],
  },
  {
    name: 'crossEntropy, typed targets',
    hasPromise: true,
    arrays: () => ({ x: floats(SIZE, 4), targets: Int32Array.from(integers(ROWS)) }),
    written: [],
    options: () => ({ cols: COLS, ignoreIndex: -1, temperature: 1 }),
    call: (api, { x, targets }, options) => api.crossEntropy!(x, targets, options),
  },
  {
    name: 'crossEntropy, soft targets and class weights',
    hasPromise: true,
    arrays: () => ({
      x: floats(SIZE, 4),
      soft: floats(SIZE, 5),
      weight: new Float64Array(COLS).fill(2),
      mask: bytes(SIZE),
      out: new Float64Array(ROWS),
      gradient: new Float32Array(SIZE),
    }),
    written: ['out', 'gradient'],
    options: ({ weight, mask, out, gradient }) => ({
      cols: COLS,
      weight,
      mask,
      out,
      gradient,
      labelSmoothing: 0.1,
      lsePenalty: 0.01,
      scale: 2,
      reduction: 'none',
    }),
    call: (api, { x, soft }, options) => api.crossEntropy!(x, soft, options),
    results: (loss, { gradient }) => [loss, gradient],
  },
  {
    name: 'softmaxBackward',
    hasPromise: true,
    arrays: () => ({ y: floats(SIZE, 6), dy: floats(SIZE, 7), mask: bytes(COLS), out: new Float32Array(SIZE) }),
    written: ['out'],
    options: ({ mask, out }) => ({ cols: COLS, temperature: 0.7, mask, out, maskFormat: 'bytes' }),
    call: (api, { y, dy }, options) => api.softmaxBackward!(y, dy, options),
  },
  {
    name: 'expSum',
    hasPromise: true,
    arrays: () => ({ x: floats(SIZE, 8), mask: bytes(SIZE), bias: floats(SIZE, 9) }),
    written: [],
    options: ({ mask, bias }) => ({ cols: COLS, temperature: 0.7, mask, bias, unifiedMax: 3 }),
    lists: () => ({ range: [-20, 20] }),
    call: (api, { x }, options, { range }) =>
      api.expSum!(x, Object.defineProperty(options, 'range', { value: range, enumerable: true })),
  },
  {
    name: 'normalize',
    hasPromise: true,
    arrays: () => ({
      x: floats(SIZE, 8),
      bias: floats(COLS, 9),
      out: new Float32Array(SIZE),
      mantissa: new Float64Array(ROWS).fill(1.5),
      exponent: new Int32Array(ROWS).fill(11),
    }),
    written: ['out'],
    options: ({ bias, out }) => ({ cols: COLS, temperature: 0.7, bias, out }),
    call: (api, { x, mantissa, exponent }, options) => api.normalize!(x, { mantissa, exponent }, options),
  },
  {
    name: 'mergeExpSums',
    hasPromise: false,
    arrays: () => ({
      m1: new Float64Array(ROWS).fill(1.5),
      e1: new Int32Array(ROWS),
      m2: new Float64Array(ROWS).fill(1.25),
      e2: new Int32Array(ROWS).fill(1),
    }),
    written: [],
    options: () => ({}),
    call: (api, { m1, e1, m2, e2 }) =>
      api.mergeExpSums!({ mantissa: m1, exponent: e1 }, { mantissa: m2, exponent: e2 }),
  },
  {
    name: 'logSumExp of a state',
    hasPromise: false,
    arrays: () => ({ mantissa: new Float64Array(ROWS).fill(1.5), exponent: new Int32Array(ROWS) }),
    written: [],
    options: () => ({}),
    call: (api, state) => api.logSumExp!(state),
  },
  {
    name: 'ExpSumAccumulator',
    hasPromise: false,
    arrays: () => ({ x: floats(SIZE, 8), mask: bytes(SIZE), bias: floats(SIZE, 9), out: new Float32Array(SIZE) }),
    written: ['out'],
    options: ({ mask, bias }) => ({ mask, bias, maskFormat: 'bytes' }),
    call(api, { x, out }, options) {
      const sum = new (
        api.ExpSumAccumulator as unknown as new () => {
          add(x: unknown, o: unknown): { normalize(...args: unknown[]): unknown };
        }
      )();
      return sum.add(x, options).normalize(x, out, options);
    },
  },
];

export const operators: readonly Operator[] = [
  ...rowOperators,
  ...attentionOperators,
  ...attentionTypeOperators,
  ...detectionOperators,
  ...headOperators,
  ...routingOperators,
  ...lossOperators,
  ...composedOperators,
  ...samplingOperators,
];
