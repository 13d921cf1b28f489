/** Cases of OutputHead: logits of every format within their bound, and what is read off them. */
import type { OutputHeadOptions } from '../../lib/head.js';
import { HEAD_FORMATS } from '../../lib/head/formats.js';
import { columnsFor, matrix, product, type Matrix } from '../head/head-oracle.js';
import type { Options } from './axis.js';
import type { Api, Maker } from './case.js';
import { mildKinds, numbersOf } from './data.js';
import type { Draw } from './draw.js';
import type { AnyArray, Arena } from './memory.js';

type Head = Readonly<Record<string, (...args: unknown[]) => unknown>>;
type HeadClass = new (weights: unknown, options: Options) => Head;

interface HeadCase {
  readonly m: Matrix;
  readonly hidden: Float32Array;
  readonly count: number;
  readonly bias: Float32Array | undefined;
  readonly softcap: number | undefined;
}

function headCase(draw: Draw, limit: number): HeadCase {
  const format = draw.pick(HEAD_FORMATS);
  const rows = Math.min(limit, draw.pick([1, 2, 15, 16, 17, 33, 40]));
  const cols = columnsFor(format, Math.min(limit, draw.pick([1, 3, 15, 16, 17, 32, 100, 511, 512, 513, 700])));
  const count = draw.pick([0, 1, 1, 2, 3, 4, 5, 8, 9]);
  const hidden = Float32Array.from(numbersOf(draw, 'f32', count * cols, draw.pick(mildKinds)));
  const bias = draw.chance(0.4) ? Float32Array.from({ length: rows }, () => draw.normal()) : undefined;
  const softcap = draw.chance(0.3) ? draw.logUniform(0.5, 100) : undefined;
  return { m: matrix(format, rows, cols, draw.int(1000)), hidden, count, bias, softcap };
}

const textOf = ({ m: { options }, count, bias, softcap }: HeadCase): string =>
  `${options.format} ${options.rows} × ${options.cols}, ${count} states${bias ? ', a bias' : ''} ${softcap ?? ''}`;

function makeHead(api: Api, arena: Arena, { m, bias, softcap }: HeadCase, more: Options = {}): Head {
  const { scales, zeroPoints, ...sizes }: OutputHeadOptions = m.options;
  const place = (name: string, x: AnyArray | undefined) => x && arena.input(name, x);
  const options = {
    ...sizes,
    scales: place('scales', scales as AnyArray | undefined),
    zeroPoints: place('zeroPoints', zeroPoints),
    bias: place('bias', bias),
    softcap,
    ...more,
  };
  const Kind = api.OutputHead as unknown as HeadClass;
  return new Kind(arena.input('weights', m.weights), arena.options(options));
}

/** The logit of a state and a class, and how far off it may be: NaN if its terms may overflow as floats. */
function logitOf({ m, hidden, bias, softcap }: HeadCase, state: number, row: number): { z: number; bound: number } {
  const { sum, size } = product(m, row, hidden, state);
  const z = sum + (bias?.[row] ?? 0);
  if (size > 2 ** 125) return { z, bound: NaN };
  const bound = (m.options.cols / 512 + 41) * 2 ** -24 * size + 2 ** -24 * Math.abs(z) + 2 ** -140;
  return softcap === undefined
    ? { z, bound }
    : { z: softcap * Math.tanh(z / softcap), bound: bound + 2 ** -23 * softcap };
}

const logits: Maker = (draw, limit) => {
  const one = headCase(draw, limit);
  const { rows, cols } = one.m.options;
  const isFault = draw.chance(0.05);
  const more = isFault
    ? draw.pick<Options>([{ rows: rows + 1 }, { softcap: -1 }, { format: 'q3' }, { colz: cols }])
    : {};
  const hasOut = draw.chance(0.5);
  return {
    text: `OutputHead.logits(${textOf(one)}) ${JSON.stringify(more)}`,
    elements: one.count * rows * cols,
    hasPromise: true,
    isSameEverywhere: false,
    expects: isFault ? 'error' : 'value',
    invoke(api, arena) {
      const head = makeHead(api, arena, one, more);
      const out = hasOut ? { out: arena.output('out', one.hidden, one.count * rows) } : {};
      return head.logits!(arena.input('hidden', one.hidden), arena.options(out));
    },
    outputs: (out: AnyArray) => ({ out }),
    check({ arrays: { out } }) {
      for (let i = 0; i < one.count; i++) {
        for (let r = 0; r < rows; r++) {
          const { z, bound } = logitOf(one, i, r);
          const actual = out![i * rows + r]!;
          const isOff = Math.abs(actual - z) > bound || (actual !== actual && bound === bound);
          if (isOff) return `logit ${r} of state ${i} is ${actual}, not ${z}`;
        }
      }
      return undefined;
    },
  };
};

const losses: Maker = (draw, limit) => {
  const one = headCase(draw, limit);
  const { rows, cols } = one.m.options;
  const targets = Array.from({ length: one.count }, () => (draw.chance(0.1) ? -100 : draw.int(rows)));
  const weight = draw.chance(0.4) ? Array.from({ length: rows }, () => draw.int(4) / 2) : undefined;
  const smoothing = draw.chance(0.3) ? draw.uniform() : 0;
  const temperature = draw.chance(0.3) ? draw.logUniform(0.5, 4) : 1;
  const terms = { weight, labelSmoothing: smoothing, temperature };
  return {
    text: `OutputHead.crossEntropy(${textOf(one)}, [${targets.join()}]) ${JSON.stringify(terms)}`,
    elements: one.count * rows * cols,
    hasPromise: true,
    isSameEverywhere: false,
    expects: 'value',
    invoke(api, arena) {
      const head = makeHead(api, arena, one);
      const options = arena.options({ gradient: 'hidden', ...terms });
      return head.crossEntropy!(arena.input('hidden', one.hidden), targets, options);
    },
    outputs: ({ loss, lse, hidden }: Record<string, AnyArray>) => ({ loss: loss!, lse: lse!, hidden: hidden! }),
    check({ arrays: { loss } }) {
      for (const [i, target] of targets.entries()) {
        const all = Array.from({ length: rows }, (_, r) => logitOf(one, i, r));
        const z = all.map((each) => each.z / temperature);
        const top = Math.max(...z);
        const lse = top + Math.log(z.reduce((sum, each) => sum + Math.exp(each - top), 0));
        const partOf = (r: number) => (weight?.[r] ?? 1) * ((r === target ? 1 - smoothing : 0) + smoothing / rows);
        const parts = z.map((each, r) => (partOf(r) === 0 ? 0 : partOf(r) * (lse - each)));
        const expected = target < 0 ? 0 : parts.reduce((sum, part) => sum + part, 0);
        const worst = Math.max(...all.map(({ bound }) => bound)) / temperature;
        const off = 4 * (2 * worst + 1e-7) + 1e-9 * Math.abs(lse);
        if (off === off && !(Math.abs(loss![i]! - expected) <= off)) return `loss ${i} is ${loss![i]}, not ${expected}`;
      }
      return undefined;
    },
  };
};

/** The logits of candidates are those that they have among all classes, and topK their largest. */
const candidates: Maker = (draw, limit) => {
  const one = headCase(draw, limit);
  const { rows, cols } = one.m.options;
  const n = draw.pick([1, 2, 7, 20]);
  const listOf = () => {
    const list = Array.from({ length: n }, () => draw.int(rows));
    return draw.chance(0.5) ? Uint32Array.from(list) : Int32Array.from(list);
  };
  const lists = draw.chance(0.5) ? [listOf()] : Array.from({ length: one.count }, listOf);
  const isShared = lists.length !== one.count || (one.count === 1 && draw.chance(0.5));
  const isFault = draw.chance(0.1);
  if (isFault && lists.length > 0) lists[0]![n - 1] = rows;
  return {
    text: `OutputHead.logits(${textOf(one)}) of ${lists.length} × ${n} candidates`,
    elements: one.count * n * cols,
    hasPromise: true,
    isSameEverywhere: false,
    expects: isFault && lists.length > 0 ? 'error' : 'value',
    invoke(api, arena) {
      const head = makeHead(api, arena, one);
      const own = lists.map((list, i) => arena.input(`list ${i}`, list));
      const options = arena.options({ candidates: isShared ? own[0] : own });
      return head.logits!(arena.input('hidden', one.hidden), options);
    },
    outputs: (out: AnyArray) => ({ out }),
    check({ arrays: { out } }) {
      for (let i = 0; i < one.count * n; i++) {
        const state = Math.floor(i / n);
        const { z, bound } = logitOf(one, state, lists[isShared ? 0 : state]![i % n]!);
        if (Math.abs(out![i]! - z) > bound || (out![i] !== out![i] && bound === bound)) {
          return `candidate ${i % n} of state ${state} has ${out![i]}, not ${z}`;
        }
      }
      return undefined;
    },
  };
};

export const headMakers: Record<string, Maker> = {
  outputHead: logits,
  outputHeadLoss: losses,
  outputHeadCandidates: candidates,
};
