/** Cases of what reads routes: dispatchPlan, loadBalanceLoss, routeBackward and updateSelectBias. */
import { add, addNumber, divide, multiply, multiplyNumber, type DD } from '../../lib/cli/oracle.js';
import { sigmoidOf, softmaxOf } from '../routing/route-oracle.js';
import { chain, type Maker } from './case.js';
import { numbersOf } from './data.js';
import type { Draw } from './draw.js';
import { errorOfElement, type Outcome } from './judge.js';
import type { AnyArray } from './memory.js';
import { isWrong, maskOptions, rowOf, tokensOf, type Tokens } from './routing-cases.js';
import { dd, negative, ZERO } from './row-oracle.js';

type Options = Record<string, unknown>;

interface Routes {
  readonly experts: Uint32Array;
  readonly weights: Float32Array;
  readonly counts: Uint32Array;
  readonly k: number;
}

/** Routes that no function made: different experts of each token, some of them dropped. */
function routesOf(draw: Draw, { tokens, experts, k }: Tokens): Routes {
  const chosen = new Uint32Array(tokens * k);
  const weights = new Float32Array(tokens * k);
  const counts = new Uint32Array(experts);
  const share = draw.pick([0, 0.2, 1]);
  for (let t = 0; t < tokens; t++) {
    const left = Array.from({ length: experts }, (_, e) => e);
    for (let j = 0; j < k; j++) {
      const [expert] = left.splice(draw.int(left.length), 1) as [number];
      chosen[t * k + j] = expert;
      counts[expert]!++;
      weights[t * k + j] = draw.chance(share) ? 0 : draw.uniform() + 2 ** -149;
    }
  }
  return { experts: chosen, weights, counts, k };
}

const dispatchPlan: Maker = (draw, limit) => {
  const given = tokensOf(draw, limit);
  const { tokens, experts, k } = given;
  const routes = routesOf(draw, given);
  const isFault = draw.chance(0.1) && tokens > 0;
  if (isFault) routes.experts[draw.int(tokens * k)] = experts + draw.int(9);
  return {
    text: `dispatchPlan([${tokens}, ${k}] of ${experts} experts)`,
    elements: tokens * k,
    hasPromise: false,
    isSameEverywhere: true,
    expects: isFault ? 'error' : 'value',
    invoke: (api, arena) =>
      api.dispatchPlan!({
        experts: arena.input('experts', routes.experts),
        weights: arena.input('weights', routes.weights),
        counts: arena.input('counts', routes.counts),
        k,
      }),
    outputs: ({ offsets, order }: { offsets: AnyArray; order: AnyArray }) => ({ offsets, order }),
    check({ arrays: { offsets, order } }) {
      const wanted: number[] = [];
      for (let e = 0; e < experts; e++) {
        if (offsets![e] !== wanted.length) return `expert ${e} begins at ${offsets![e]}, not ${wanted.length}`;
        routes.experts.forEach((expert, p) => expert === e && routes.weights[p] !== 0 && wanted.push(p));
      }
      const at = wanted.findIndex((p, i) => p !== order![i]);
      if (at >= 0) return `position ${at} is ${order![at]}, not ${wanted[at]}`;
      return order!.length === wanted.length && offsets![experts] === wanted.length ? undefined : 'positions too many';
    },
  };
};

const loadBalanceLoss: Maker = (draw, limit) => {
  const given = tokensOf(draw, limit);
  const { tokens, experts, k, mask, type } = given;
  const counts = routesOf(draw, given).counts.map((n) => (draw.chance(0.1) ? draw.int(2 ** 31) : n));
  const normalizeByK = draw.chance(0.3);
  const gradient = draw.pick(['none', 'apart', 'in place'] as const);
  const options: Options = {
    ...given.options,
    ...maskOptions(mask, draw.chance(0.3)),
    ...(normalizeByK && { normalizeByK }),
  };
  const score = options.score === 'sigmoid' ? 'sigmoid' : 'softmax';
  const rows = Array.from({ length: tokens }, (_, t) => t).filter((t) => mask?.[t] !== 0);
  const wrong = rows.find((t) => isWrong(rowOf(given, t), score === 'sigmoid'));
  return {
    text: `loadBalanceLoss(${given.text}) ${JSON.stringify(given.options)} gradient ${gradient}`,
    elements: tokens * experts,
    hasPromise: true,
    isSameEverywhere: false,
    expects: wrong === undefined ? 'value' : 'error',
    invoke(api, arena) {
      const x = gradient === 'in place' ? arena.inOut('logits', given.x) : arena.input('logits', given.x);
      const slopes = gradient === 'apart' ? arena.output('gradient', given.x, given.x.length) : x;
      const all: Options = { ...options, ...(gradient !== 'none' && { gradient: slopes }) };
      if (options.mask) all.mask = arena.input('mask', options.mask as Uint8Array);
      const routes = { counts: arena.input('counts', counts), k };
      return chain([api.loadBalanceLoss!(routes, x, arena.options(all))], ([loss]) => ({ loss, slopes }));
    },
    outputs: ({ loss, slopes }: { loss: number; slopes: AnyArray }) => ({
      loss: Float64Array.of(loss),
      ...(gradient !== 'none' && { slopes }),
    }),
    check({ arrays: { loss, slopes } }) {
      const total = counts.reduce((a, b) => a + b, 0);
      if (rows.length === 0 || total === 0) return loss![0] === 0 ? undefined : `the loss is ${loss![0]}, not 0`;
      const shares = Array.from(counts, (c) => divide(dd(c * (normalizeByK ? 1 : k)), dd(total)));
      const parts = rows.flatMap((t) => {
        const x = Array.from(rowOf(given, t), dd);
        return probabilitiesOf(x, score).map((p, e) => multiply(p, shares[e]!));
      });
      const wanted = (sumOf(parts).hi * experts) / rows.length;
      if (!(Math.abs(loss![0]! - wanted) <= 1e-14 * wanted)) return `the loss is ${loss![0]}, exactly ${wanted}`;
      for (let t = 0; slopes && t < tokens; t++) {
        const isCounted = mask?.[t] !== 0;
        const own = isCounted ? balanceSlopes(Array.from(rowOf(given, t), dd), shares, score) : undefined;
        for (let e = 0; e < experts; e++) {
          const slope = own ? divide(multiplyNumber(own[e]!, experts), dd(rows.length)) : ZERO;
          const error = errorOfElement(
            type,
            slopes,
            t * experts + e,
            slope,
            0.51,
            (2 ** -52 * k * experts) / rows.length,
          );
          if (!(error <= 0.51)) return `token ${t}, expert ${e}: ${slopes[t * experts + e]}, exactly ${slope.hi}`;
        }
      }
      return undefined;
    },
  };
};

const minus = (a: DD, b: DD): DD => add(a, negative(b));
const sumOf = (terms: readonly DD[]): DD => terms.reduce(add, ZERO);

/** Whether scores are exponentials: σ(x) is e^x to 130 digits. */
const areExps = (x: readonly DD[], score: string): boolean =>
  score === 'softmax' || Math.max(...x.map(({ hi }) => hi)) < -300;

/** The scores of a token over their sum; all the same if the sum is 0. */
function probabilitiesOf(x: readonly DD[], score: string): DD[] {
  if (x.every(({ hi }) => hi === -Infinity)) return x.map(() => divide(dd(1), dd(x.length)));
  if (areExps(x, score)) return softmaxOf(x);
  const sigmoids = x.map(sigmoidOf);
  const all = sumOf(sigmoids);
  return sigmoids.map((s) => divide(s, all));
}

/** The gradient of Σ share · P by a token's logits. */
function balanceSlopes(x: readonly DD[], shares: readonly DD[], score: string): DD[] {
  if (x.every(({ hi }) => hi === -Infinity)) return x.map(() => ZERO);
  const p = probabilitiesOf(x, score);
  const mean = sumOf(p.map((each, e) => multiply(each, shares[e]!)));
  return p.map((each, e) => {
    const slope = multiply(each, minus(shares[e]!, mean));
    return score === 'softmax' ? slope : multiply(slope, sigmoidOf(negative(x[e]!)));
  });
}

const routeBackward: Maker = (draw, limit) => {
  const given = tokensOf(draw, limit);
  const { tokens, experts, k, type } = given;
  const routes = routesOf(draw, given);
  const slopes = numbersOf(draw, 'f32', tokens * k, draw.pick(['normal', 'N(0,1)', 'integers', 'zeros', 'one peak']));
  const way = draw.pick(['new', 'apart', 'in place'] as const);
  const isBounded = given.options.score === 'sigmoid' && given.options.normalize !== 'softmax';
  const isRead = (t: number) => routes.weights.subarray(t * k, (t + 1) * k).some((w) => w !== 0);
  const rows = Array.from({ length: tokens }, (_, t) => t).filter(isRead);
  const hasWrong = rows.some((t) => isWrong(rowOf(given, t), isBounded));
  return {
    text: `routeBackward(${given.text}) ${JSON.stringify(given.options)} ${way}`,
    elements: tokens * experts,
    hasPromise: true,
    isSameEverywhere: false,
    expects: hasWrong ? 'error' : 'value',
    invoke(api, arena) {
      const x = way === 'in place' ? arena.inOut('logits', given.x) : arena.input('logits', given.x);
      const out = way === 'apart' ? arena.output('out', given.x, given.x.length) : x;
      const own = {
        experts: arena.input('experts', routes.experts),
        weights: arena.input('weights', routes.weights),
        counts: arena.input('counts', routes.counts),
        k,
      };
      const dWeights = arena.input('dWeights', Float32Array.from(slopes));
      const options = arena.options({ ...given.options, ...(way !== 'new' && { out }) });
      return api.routeBackward!(own, dWeights, x, options);
    },
    outputs: (dx: AnyArray) => ({ dx }),
    check({ arrays: { dx } }: Outcome) {
      const scale = (given.options.scale as number | undefined) ?? 1;
      for (let t = 0; t < tokens; t++) {
        const [from, end] = [t * k, (t + 1) * k];
        const g = Array.from(slopes.subarray(from, end), (slope, j) => (routes.weights[from + j] === 0 ? 0 : slope));
        const x = Array.from(rowOf(given, t), dd);
        const chosen = Array.from(routes.experts.subarray(from, end));
        const wanted = isRead(t) ? weightSlopes(x, chosen, g, given.options) : x.map(() => ZERO);
        const slack = 1e-15 * Math.max(...g.map(Math.abs)) * scale;
        for (let e = 0; e < experts; e++) {
          const slope = multiplyNumber(wanted[e]!, scale);
          const error = errorOfElement(type, dx!, t * experts + e, slope, 0.51, slack);
          if (!(error <= 0.51)) return `token ${t}, expert ${e}: ${dx![t * experts + e]}, exactly ${slope.hi}`;
        }
      }
      return undefined;
    },
  };
};

/** Σ g · weight by the logits, for scale 1. */
function weightSlopes(x: readonly DD[], chosen: number[], g: number[], { score, normalize }: Tokens['options']): DD[] {
  const to = x.map(() => ZERO);
  const isSigmoid = score === 'sigmoid';
  const over = (normalize as string | undefined) ?? 'none';
  if (isSigmoid && over === 'none') {
    for (const [j, e] of chosen.entries())
      to[e] = multiplyNumber(multiply(sigmoidOf(x[e]!), sigmoidOf(negative(x[e]!))), g[j]!);
    return to;
  }
  const isAll = !isSigmoid && over === 'none';
  const indices = isAll ? x.map((_, e) => e) : chosen;
  const slopes = isAll ? indices.map((e) => (chosen.includes(e) ? g[chosen.indexOf(e)]! : 0)) : g;
  const z = indices.map((e) => x[e]!);
  if (z.every(({ hi }) => hi === -Infinity)) return to;
  const isOfSigmoids = isSigmoid && over === 'sum';
  const sigmoids = z.map(sigmoidOf);
  const isTiny = Math.max(...z.map(({ hi }) => hi)) < -300;
  const all = sumOf(sigmoids);
  const u = isOfSigmoids && !isTiny ? sigmoids.map((s) => divide(s, all)) : softmaxOf(z);
  const mean = sumOf(u.map((each, j) => multiplyNumber(each, slopes[j]!)));
  for (const [j, e] of indices.entries()) {
    const slope = multiply(u[j]!, addNumber(negative(mean), slopes[j]!));
    to[e] = isOfSigmoids ? multiply(slope, sigmoidOf(negative(x[e]!))) : slope;
  }
  return to;
}

const updateSelectBias: Maker = (draw, limit) => {
  const experts = 1 + draw.int(Math.min(limit, 300));
  const type = draw.pick(['f32', 'f64'] as const);
  const bias = numbersOf(draw, type, experts, 'N(0,1)');
  const counts = Uint32Array.from({ length: experts }, () => draw.int(draw.pick([1, 3, 2 ** 32])));
  const rate = draw.pick([undefined, 0.001, 0, 0.5]);
  const isFault = draw.chance(0.05);
  return {
    text: `updateSelectBias(${type} [${experts}]) rate ${rate}`,
    elements: experts,
    hasPromise: false,
    isSameEverywhere: true,
    expects: isFault ? 'error' : 'value',
    invoke(api, arena) {
      const given = arena.inOut('bias', type === 'f32' ? Float32Array.from(bias) : bias);
      const options = { ...(rate !== undefined && { rate }), ...(isFault && { rate: -1 }) };
      return api.updateSelectBias!(given, arena.input('counts', counts), arena.options(options));
    },
    outputs: (result: AnyArray) => ({ result }),
    check({ arrays: { result } }) {
      const total = counts.reduce((sum, n) => sum + BigInt(n), 0n);
      for (let e = 0; e < experts; e++) {
        const side = total - BigInt(counts[e]!) * BigInt(experts);
        const wanted = bias[e]! + (rate ?? 0.001) * Number(side > 0n ? 1 : side < 0n ? -1 : 0);
        if (result![e] !== (type === 'f32' ? Math.fround(wanted) : wanted)) return `bias ${e} is ${result![e]}`;
      }
      return undefined;
    },
  };
};

export const gradientMakers: Record<string, Maker> = { dispatchPlan, loadBalanceLoss, routeBackward, updateSelectBias };
