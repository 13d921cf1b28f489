/** Cases of flash-softmax/sampling: argmax, topK, the filters, sample, logProbs. All backends give the same bits. */
import type { Filters } from '../sampling/cases.js';
import { placed, rowsOf, type Axis, type Options } from './axis.js';
import { chain, type Maker } from './case.js';
import type { Draw } from './draw.js';
import { isNear } from './exact-row.js';
import { errorOf } from './judge.js';
import type { AnyArray } from './memory.js';
import { faultOfFiltered } from './filtered.js';
import { faultOfError, flat, rowsOfLogits } from './logits.js';
import { complain, slackOfLog } from './row-cases.js';
import { logSoftmaxOf } from './row-oracle.js';

const inOrder = (z: Float64Array) => (a: number, b: number) => (z[a] === z[b] ? a - b : z[b]! - z[a]!);
const bare = ({ mask: _, visible: __, bias: ___, biases: ____, ...axis }: Axis): Axis => {
  const { maskFormat: _____, ...plain } = axis.plain;
  return { ...axis, plain };
};

const argmax: Maker = (draw, limit) => {
  const axis = bare(flat(draw, limit));
  return {
    text: `argmax(${axis.text})`,
    elements: axis.length,
    hasPromise: false,
    isSameEverywhere: true,
    expects: 'judged',
    invoke: (api, arena) => api.argmax!(arena.input('x', axis.x), arena.options({ ...axis.plain })),
    outputs: (indices: AnyArray) => ({ indices }),
    check({ arrays, error }) {
      const rows = Array.from(rowsOfLogits(axis), ({ z }) => z);
      if (error) return axis.cols === 0 || rows.some((z) => z.some(Number.isNaN)) ? undefined : error.message;
      const wrong = rows.findIndex(
        (z, r) =>
          z.some(Number.isNaN) || arrays.indices![r] !== z.indexOf(z.reduce((a, b) => Math.max(a, b), -Infinity)),
      );
      return wrong < 0 ? undefined : `row ${wrong}: ${arrays.indices![wrong]}`;
    },
  };
};

const topK: Maker = (draw, limit) => {
  const axis = bare(flat(draw, limit));
  const k = draw.pick([1, 2, 5, 50, axis.cols, axis.cols + 3, 1 + draw.int(1 + axis.cols)]) || 1;
  return {
    text: `topK(${axis.text}, ${k})`,
    elements: axis.length,
    hasPromise: true,
    isSameEverywhere: true,
    expects: 'judged',
    invoke: (api, arena) => api.topK!(arena.input('x', axis.x), k, arena.options({ ...axis.plain })),
    outputs: ({ indices, values }: { indices: AnyArray; values: AnyArray }) => ({ indices, values }),
    check({ arrays, error }) {
      const rows = Array.from(rowsOfLogits(axis), ({ z }) => z);
      const bad = rows.some((z) => z.some(Number.isNaN));
      if (error) return bad ? undefined : error.message;
      if (bad) return 'no error for a NaN';
      const most = Math.min(k, axis.cols);
      for (const [r, z] of rows.entries()) {
        const order = Array.from(z.keys()).sort(inOrder(z)).slice(0, most);
        for (const [i, index] of order.entries()) {
          const at = r * most + i;
          if (arrays.indices![at] !== index) return `row ${r}, ${i}: index ${arrays.indices![at]}, not ${index}`;
          if (!Object.is(arrays.values![at], axis.x[r * axis.cols + index]))
            return `row ${r}, ${i}: value ${arrays.values![at]}, not ${axis.x[r * axis.cols + index]}`;
        }
      }
      return undefined;
    },
  };
};

const none: Filters = { temperature: 1, topK: 0, topP: 1, minP: 0, typicalP: 1, epsilonCutoff: 0 };

export function filtersOf(draw: Draw, n: number): Filters {
  const has = (probability: number) => draw.chance(probability);
  return {
    temperature: draw.pick([
      1,
      1,
      1,
      0.7,
      1.3,
      0.1,
      5,
      0,
      draw.logUniform(1e-6, 1e6),
      draw.pick([1e-300, 1e-39, 1e-30, 1e30, 1e300, Number.MAX_VALUE, Number.MIN_VALUE]),
    ]),
    topK: has(0.4) ? draw.pick([1, 2, 5, 50, Math.max(0, n - 1), n, n + 3]) : 0,
    topP: has(0.4) ? draw.pick([0, 0.05, 0.3, 0.5, 0.75, 0.9, 0.95, 0.999, draw.uniform()]) : 1,
    minP: has(0.3) ? draw.pick([0.001, 0.05, 0.3, 1, draw.uniform()]) : 0,
    typicalP: has(0.15) ? draw.pick([0.1, 0.5, 0.95]) : 1,
    epsilonCutoff: has(0.2) ? draw.pick([1e-6, 3e-4, 0.02, 0.3]) : 0,
  };
}

const given = (filters: Filters): Options =>
  Object.fromEntries(Object.entries(filters).filter(([name, value]) => value !== none[name as keyof Filters]));

const filterLogits: Maker = (draw, limit) => {
  const axis = flat(draw, Math.min(limit, 3000));
  const filters = filtersOf(draw, axis.cols);
  return {
    text: `filterLogits(${axis.text}, ${JSON.stringify(given(filters))})`,
    elements: axis.length,
    hasPromise: true,
    isSameEverywhere: true,
    expects: 'judged',
    invoke: (api, arena) =>
      api.filterLogits!(arena.input('logits', axis.x), arena.options({ ...placed(arena, axis), ...given(filters) })),
    outputs: ({ logits, probabilities }: { logits: AnyArray; probabilities: AnyArray }) => ({ logits, probabilities }),
    check(outcome) {
      const fault = faultOfError(axis, outcome);
      if (fault !== undefined || outcome.error) return fault;
      const { logits, probabilities } = outcome.arrays as Record<string, Float32Array>;
      for (const [r, row] of Array.from(rowsOfLogits(axis)).entries()) {
        const [kept, p] = [logits!, probabilities!].map((all) => all.subarray(r * axis.cols, (r + 1) * axis.cols)) as [
          Float32Array,
          Float32Array,
        ];
        const what = faultOfFiltered(row, filters, kept, p, axis.type === 'f64');
        if (what !== undefined) return `row ${r}: ${what}`;
      }
      return undefined;
    },
  };
};

/** sample and sampleMany find u · Σ, in order of index, in the probabilities that filterLogits gives. */
function sampleMaker(many: boolean): Maker {
  return (draw, limit) => {
    const axis = flat(draw, Math.min(limit, 3000));
    const filters = filtersOf(draw, axis.cols);
    const draws = many ? draw.pick([1, 2, 7, 40]) : 1;
    const noise = Float64Array.from({ length: axis.outer * draws }, () =>
      draw.pick([0, 1 - 2 ** -53, draw.uniform(), draw.uniform(), draw.uniform()]),
    );
    const seed = draw.chance(0.4) ? draw.pick([0, 1, 2 ** 53 - 1, 2n ** 64n - 1n, draw.word()]) : undefined;
    const more = { ...given(filters), ...(seed !== undefined && { seed, step: draw.pick([0, 5, 2 ** 32 - 1]) }) };
    return {
      text: `${many ? `sampleMany ${draws}` : 'sample'}(${axis.text}, ${JSON.stringify(given(filters))})`,
      elements: axis.length,
      hasPromise: true,
      isSameEverywhere: true,
      expects: 'judged',
      invoke(api, arena) {
        const x = arena.input('logits', axis.x);
        const options = arena.options({
          ...placed(arena, axis),
          ...more,
          ...(seed === undefined && { noise: arena.input('noise', noise) }),
        });
        const { seed: _, step: __, ...filtering } = more as Options;
        const filtered = api.filterLogits!(x, { ...placed(arena, axis), ...filtering });
        return chain(
          [filtered, many ? api.sampleMany!(x, draws, options) : api.sample!(x, options)],
          ([left, tokens]) => ({ tokens, p: (left as { probabilities: AnyArray }).probabilities }),
        );
      },
      outputs: (all: { tokens: AnyArray; p: AnyArray }) => all as unknown as Record<string, AnyArray>,
      check(outcome) {
        const fault = faultOfError(axis, outcome);
        if (fault !== undefined || outcome.error) return fault;
        const { tokens, p } = outcome.arrays as Record<string, AnyArray>;
        for (let i = 0; i < tokens!.length; i++) {
          const what = faultOfToken(
            (p as Float64Array).subarray(Math.floor(i / draws) * axis.cols, (Math.floor(i / draws) + 1) * axis.cols),
            tokens![i]!,
            seed === undefined ? noise[i]! : undefined,
          );
          if (what !== undefined) return `draw ${i}: ${what}`;
        }
        return undefined;
      },
    };
  };
}

function faultOfToken(p: Float64Array, token: number, u: number | undefined): string | undefined {
  if (!(p[token]! > 0)) return `token ${token} has probability ${p[token]}`;
  if (u === undefined) return undefined;
  const before = p.subarray(0, token).reduce((a, b) => a + b, 0);
  const slack = 1e-6 + p.length * 2 ** -24;
  return u >= before - slack && u <= before + p[token]! + slack
    ? undefined
    : `token ${token}, [${before}, ${before + p[token]!}], for u = ${u}`;
}

const logProbs: Maker = (draw, limit) => {
  const axis = flat(draw, Math.min(limit, 3000), { hasTemperature: true });
  const tokens = Uint32Array.from({ length: axis.outer }, () => draw.int(Math.max(1, axis.cols)));
  const top = draw.pick([0, 0, 1, 5, axis.cols + 2]);
  return {
    text: `logProbs(${axis.text}, top ${top})`,
    elements: axis.length,
    hasPromise: false,
    isSameEverywhere: false,
    expects: 'judged',
    invoke: (api, arena) =>
      api.logProbs!(
        arena.input('logits', axis.x),
        arena.input('tokens', tokens),
        arena.options({ ...placed(arena, axis), top }),
      ),
    outputs: (got: { logProbs: AnyArray; top: { indices: AnyArray; logProbs: AnyArray } }) => ({
      logs: got.logProbs,
      indices: got.top.indices,
      topLogs: got.top.logProbs,
    }),
    check(outcome, isNative) {
      const fault = faultOfError(axis, outcome);
      if (fault !== undefined || outcome.error) return fault;
      const { logs, indices, topLogs } = outcome.arrays as Record<string, AnyArray>;
      const n = axis.outer === 0 ? 0 : indices!.length / axis.outer;
      let r = 0;
      for (const { exact, integers } of rowsOf(axis, true)) {
        const check = (token: number, got: number, what: string) => {
          const wanted = logSoftmaxOf(exact, token);
          const slack = slackOfLog(axis, isNative, exact.others.hi);
          const error = errorOf('f64', got, wanted, slack);
          return error <= 3 || (Number.isFinite(wanted.hi) && isNear('f64', got, integers.logSoftmax(token), 3, slack))
            ? undefined
            : complain(`${isNative ? 'native' : 'js'} ${what} of row ${r}`, got, wanted.hi, error);
        };
        const all = [
          check(tokens[r]!, logs![r]!, 'ln p'),
          ...Array.from({ length: n }, (_, i) => check(indices![r * n + i]!, topLogs![r * n + i]!, `top ${i}`)),
        ];
        const wrong = all.find((each) => each !== undefined);
        if (wrong !== undefined) return wrong;
        r++;
      }
      return undefined;
    },
  };
};

export const samplingMakers: Record<string, Maker> = {
  argmax,
  topK,
  filterLogits,
  sample: sampleMaker(false),
  sampleMany: sampleMaker(true),
  logProbs,
};
