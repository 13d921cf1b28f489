/** Cases of filters in any order, of options of one a row, and of marked rows. All backends give the same bits. */
import type { FilterName, FilterOptions } from '../../lib/sampling/filter-options.js';
import { chainReference } from '../sampling/chain-reference.js';
import { placed, type Options } from './axis.js';
import { chain, type Maker } from './case.js';
import type { Draw } from './draw.js';
import { faultOfError, flat, rowsOfLogits } from './logits.js';
import type { AnyArray } from './memory.js';

type Chain = { readonly options: FilterOptions<Float32Array>; readonly order: readonly FilterName[] };

/** Some filters in some order. */
function chainOf(draw: Draw): Chain {
  const all: Partial<Record<FilterName, FilterOptions<Float32Array>>> = {
    temperature: draw.pick([
      { temperature: draw.logUniform(0.1, 10) },
      { temperature: 0.8, dynamicTemperature: { range: draw.uniform(), exponent: draw.pick([0, 1, 2]) } },
    ]),
    topNSigma: { topNSigma: 4 * draw.uniform() },
    topH: { topH: draw.uniform() },
    topK: { topK: draw.pick([1, 2, 5, 50, 300]) },
    topP: { topP: draw.uniform() },
    minP: { minP: draw.uniform() },
    typicalP: { typicalP: draw.uniform() },
    epsilonCutoff: { epsilonCutoff: draw.logUniform(1e-6, 0.5) },
    etaCutoff: { etaCutoff: draw.logUniform(1e-6, 0.5) },
    xtc: { xtc: { threshold: draw.uniform(), probability: 1 } },
  };
  const order: FilterName[] = [];
  for (const name of Object.keys(all) as FilterName[])
    if (draw.chance(0.3)) order.splice(draw.int(order.length + 1), 0, name);
  const options = Object.assign({}, ...order.map((name) => all[name])) as FilterOptions<Float32Array>;
  return { options: draw.chance(0.2) ? { ...options, minKeep: 1 + draw.int(20) } : options, order };
}

const filterChain: Maker = (draw, limit) => {
  const axis = flat(draw, Math.min(limit, 2000));
  const { options, order } = chainOf(draw);
  const given = { ...options, order } as Options;
  return {
    text: `filterLogits(${axis.text}, ${JSON.stringify(given)})`,
    elements: axis.length,
    hasPromise: true,
    isSameEverywhere: true,
    expects: 'judged',
    invoke: (api, arena) =>
      api.filterLogits!(arena.input('logits', axis.x), arena.options({ ...placed(arena, axis), ...given })),
    outputs: ({ logits, probabilities }: { logits: AnyArray; probabilities: AnyArray }) => ({ logits, probabilities }),
    check(outcome) {
      const fault = faultOfError(axis, outcome);
      if (fault !== undefined || outcome.error) return fault;
      const p = outcome.arrays.probabilities as Float32Array;
      for (const [r, { z, unit }] of Array.from(rowsOfLogits(axis)).entries()) {
        // Beyond this range the reference, in plain doubles, rounds.
        if (unit !== 1 || z.some((logit) => Math.abs(logit) > 1e6 && logit > -Infinity)) continue;
        const kept = chainReference(z, options, order);
        if (kept === undefined) continue;
        const own = p.subarray(r * axis.cols, (r + 1) * axis.cols);
        const wanted = new Map(kept.tokens.map((token, i) => [token, kept.p[i]!]));
        const wrong = own.findIndex((each, i) => Math.abs(each - (wanted.get(i) ?? 0)) > 1e-6 * each + 2 ** -60);
        if (wrong >= 0) return `row ${r}: p of ${wrong} is ${own[wrong]}, not ${wanted.get(wrong) ?? 0}`;
      }
      return undefined;
    },
  };
};

/** Marked rows have a status; the others have the tokens of a call of each row alone. */
const marked: Maker = (draw, limit) => {
  const axis = flat(draw, Math.min(limit, 2000));
  const each = <T>(value: () => T): T[] => Array.from({ length: axis.outer }, value);
  const options: Options = {
    temperature: each(() => draw.pick([0, 0.7, 1, 2])),
    topK: Uint32Array.from(each(() => draw.pick([0, 3, 40]))),
    topP: Float64Array.from(each(() => draw.pick([1, 0.9, 0.3]))),
    seed: draw.int(1000),
    step: each(() => draw.int(1000)),
    invalid: 'mark',
    ...(draw.chance(0.5) && { topNSigma: 2 }),
    ...(draw.chance(0.5) && { logProbs: draw.pick([0, 1, 4]) }),
  };
  return {
    text: `sample(${axis.text}, ${JSON.stringify(options)})`,
    elements: axis.length,
    hasPromise: true,
    isSameEverywhere: true,
    expects: 'judged',
    invoke: (api, arena) =>
      chain(
        [api.sample!(arena.input('logits', axis.x), arena.options({ ...placed(arena, axis), ...options }))],
        (got) => got[0],
      ),
    outputs: ({ tokens, status }: { tokens: AnyArray; status: AnyArray }) => ({ tokens, status }),
    check({ arrays, error }) {
      if (error) return axis.cols === 0 ? undefined : error.message;
      for (const [r, { z }] of Array.from(rowsOfLogits(axis)).entries()) {
        const top = z.reduce((a, b) => Math.max(a, b), -Infinity);
        const status = z.some(Number.isNaN) ? 1 : Math.abs(top) < Infinity ? 0 : 2;
        if (arrays.status![r] !== status) return `row ${r}: status ${arrays.status![r]}, not ${status}`;
        const token = arrays.tokens![r]!;
        if (status === 0 ? !(z[token]! > -Infinity) : token !== 2 ** 32 - 1) return `row ${r}: token ${token}`;
      }
      return undefined;
    },
  };
};

export const chainMakers: Record<string, Maker> = { filterChain, marked };
