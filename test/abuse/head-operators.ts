/** Sound calls of OutputHead. */
import type { Api } from '../fuzz/case.js';
import type { AnyArray } from '../fuzz/memory.js';
import { floats, integers } from './operator.js';
import type { Operator, Options } from './operator.js';

const [CLASSES, WIDTH, STATES] = [300, 64, 5];

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
];
