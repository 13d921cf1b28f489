/** Sound calls of OutputHead. */
import type { Api } from '../fuzz/case.js';
import type { AnyArray } from '../fuzz/memory.js';
import { floats, integers } from './operator.js';
import type { Operator, Options } from './operator.js';

const [CLASSES, WIDTH, STATES] = [300, 64, 5];
/** So many classes are sampled in blocks. */
const MANY = 16_400;

type Method = (...args: unknown[]) => unknown;
type Head = Readonly<Record<string, Method>>;

const headOf = (api: Api, weights: AnyArray, options: Options): Head =>
  new (api.OutputHead as unknown as new (weights: unknown, options: Options) => Head)(weights, {
    rows: CLASSES,
    cols: WIDTH,
    ...options,
  });

const int8 = () =>
  Int8Array.from(floats(CLASSES * WIDTH, 71), (x) => Math.max(-127, Math.min(127, Math.round(40 * x))));

export const headOperators: Operator[] = [
  {
    name: 'OutputHead.logits',
    hasPromise: true,
    arrays: () => ({
      hidden: floats(STATES * WIDTH, 72),
      weights: floats(CLASSES * WIDTH, 73),
      out: new Float32Array(STATES * CLASSES),
    }),
    written: ['out'],
    options: ({ out }) => ({ out }),
    call: (api, { hidden, weights }, options) => headOf(api, weights!, {}).logits!(hidden, options),
  },
  {
    name: 'new OutputHead',
    hasPromise: true,
    arrays: () => ({
      weights: int8(),
      scales: floats(CLASSES, 74),
      bias: floats(CLASSES, 75),
      hidden: floats(STATES * WIDTH, 72),
    }),
    written: [],
    options: ({ scales, bias }) => ({ rows: CLASSES, cols: WIDTH, format: 'int8', scales, bias, softcap: 9 }),
    call: (api, { weights, hidden }, options) => headOf(api, weights!, options).logits!(hidden),
  },
  {
    name: 'OutputHead.logits of states in bytes',
    hasPromise: true,
    arrays: () => ({
      hidden: floats(STATES * WIDTH, 72),
      weights: int8(),
      out: new Float32Array(STATES * CLASSES),
    }),
    written: ['out'],
    options: ({ out }) => ({ out }),
    call: (api, { hidden, weights }, options) =>
      headOf(api, weights!, { format: 'int8', activations: 'int8' }).logits!(hidden, options),
  },
  {
    name: 'OutputHead.expSum',
    hasPromise: true,
    arrays: () => ({ hidden: floats(STATES * WIDTH, 72), weights: int8() }),
    written: [],
    options: () => ({ temperature: 0.7 }),
    call: (api, { hidden, weights }, options) => headOf(api, weights!, { format: 'int8' }).expSum!(hidden, options),
  },
  {
    name: 'OutputHead.crossEntropy',
    hasPromise: true,
    arrays: () => ({ hidden: floats(STATES * WIDTH, 72), weights: floats(CLASSES * WIDTH, 73) }),
    written: [],
    options: () => ({ gradient: 'both', reduction: 'none', lsePenalty: 0.1 }),
    lists: () => ({ targets: integers(STATES) }),
    call: (api, { hidden, weights }, options, { targets }) =>
      headOf(api, weights!, {}).crossEntropy!(hidden, targets, options),
  },
  {
    name: 'OutputHead.sample',
    hasPromise: true,
    arrays: () => ({
      hidden: floats(STATES * WIDTH, 72),
      weights: floats(CLASSES * WIDTH, 73),
      bias: floats(CLASSES, 8),
    }),
    written: [],
    options: ({ bias }) => ({ seed: 3, topP: 0.9, bias }),
    call: (api, { hidden, weights }, options) => headOf(api, weights!, {}).sample!(hidden, options),
  },
  {
    name: 'OutputHead.logProbs',
    hasPromise: true,
    arrays: () => ({ hidden: floats(STATES * WIDTH, 72), weights: floats(CLASSES * WIDTH, 73) }),
    written: [],
    options: () => ({ top: 3, temperature: 2 }),
    lists: () => ({ tokens: integers(STATES) }),
    call: (api, { hidden, weights }, options, { tokens }) =>
      headOf(api, weights!, {}).logProbs!(hidden, tokens, options),
  },
  {
    name: 'OutputHead.topK',
    hasPromise: true,
    arrays: () => ({ hidden: floats(STATES * WIDTH, 72), weights: floats(CLASSES * WIDTH, 73) }),
    written: [],
    options: () => ({ dtype: undefined }),
    call: (api, { hidden, weights }, options) => headOf(api, weights!, {}).topK!(hidden, 7, options),
  },
  {
    name: 'OutputHead.crossEntropy of soft targets',
    hasPromise: true,
    arrays: () => ({
      hidden: floats(STATES * WIDTH, 72),
      weights: floats(CLASSES * WIDTH, 73),
      soft: floats(STATES * CLASSES, 76).map((x) => Math.abs(x) / CLASSES),
    }),
    written: [],
    options: () => ({ gradient: 'both', labelSmoothing: 0.1, temperature: 2 }),
    lists: () => ({ weight: Array.from({ length: CLASSES }, (_, i) => i % 3) }),
    call: (api, { hidden, weights, soft }, options, { weight }) =>
      headOf(api, weights!, {}).crossEntropy!(hidden, soft, { ...options, weight }),
  },
  {
    name: 'OutputHead.crossEntropy of candidates',
    hasPromise: true,
    arrays: () => ({
      hidden: floats(STATES * WIDTH, 72),
      weights: int8(),
      candidates: Uint32Array.from({ length: 20 }, (_, i) => 7 * i),
    }),
    written: [],
    options: ({ candidates }) => ({ gradient: 'both', candidates }),
    lists: () => ({
      targets: integers(STATES),
      logCounts: Array.from({ length: 20 }, (_, i) => -i),
      targetLogCounts: Array.from({ length: STATES }, () => 0),
    }),
    call: (api, { hidden, weights }, options, { targets, ...counts }) =>
      headOf(api, weights!, { format: 'int8' }).crossEntropy!(hidden, targets, { ...options, ...counts }),
  },
  {
    name: 'OutputHead.logits of candidates',
    hasPromise: true,
    arrays: () => ({
      hidden: floats(2 * WIDTH, 72),
      weights: floats(CLASSES * WIDTH, 73),
      first: Int32Array.of(1, 299, 1),
      second: Int32Array.of(4, 5, 6),
      out: new Float32Array(6),
    }),
    written: ['out'],
    options: ({ out, first, second }) => ({ out, candidates: [first, second] }),
    call: (api, { hidden, weights }, options) => headOf(api, weights!, {}).logits!(hidden, options),
  },
  {
    name: 'OutputHead.topK of candidates',
    hasPromise: true,
    arrays: () => ({
      hidden: floats(STATES * WIDTH, 72),
      weights: floats(CLASSES * WIDTH, 73),
      candidates: Int32Array.from({ length: 40 }, (_, i) => 299 - i),
    }),
    written: [],
    options: ({ candidates }) => ({ candidates }),
    call: (api, { hidden, weights }, options) => headOf(api, weights!, {}).topK!(hidden, 7, options),
  },
  {
    name: 'OutputHead.sample in blocks',
    hasPromise: true,
    arrays: () => ({ hidden: floats(STATES * 2, 72), weights: floats(2 * MANY, 77) }),
    written: [],
    options: () => ({ seed: 3, temperature: 0.8 }),
    call: (api, { hidden, weights }, options) =>
      headOf(api, weights!, { rows: MANY, cols: 2 }).sample!(hidden, options),
  },
];
