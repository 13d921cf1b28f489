/** Cases of route, dispatchPlan, loadBalanceLoss, routeBackward and updateSelectBias. */
import { routeOracle, sigmoidOf, softmaxOf, weightsOf, type Spec } from '../routing/route-oracle.js';
import { addNumber } from '../../lib/cli/oracle.js';
import { chain, type Maker } from './case.js';
import { isHalf, kindNames, logitsOf, numbersOf, type ElementType, type Logits } from './data.js';
import type { Draw } from './draw.js';
import { errorOf, type Outcome } from './judge.js';
import type { AnyArray } from './memory.js';
import { gradientMakers } from './routing-gradients.js';
import { dd } from './row-oracle.js';

type Options = Record<string, unknown>;

/** Logits of tokens, with what a call is told about them. */
export interface Tokens {
  readonly type: ElementType;
  readonly tokens: number;
  readonly experts: number;
  readonly k: number;
  readonly values: Float64Array;
  readonly x: Logits;
  readonly mask: Uint8Array | undefined;
  readonly options: Options;
  readonly text: string;
}

const SIZES = [1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 60, 63, 64, 65, 100, 128, 160, 256, 257];

export function tokensOf(draw: Draw, limit: number): Tokens {
  const type = draw.pick(['f32', 'f32', 'f32', 'f16', 'bf16'] as const);
  const experts = Math.max(1, Math.min(draw.pick(SIZES), limit));
  const tokens = draw.chance(0.02) ? 0 : draw.chance(0.03) ? 300 : draw.between(1, 6);
  const k = draw.chance(0.7) ? Math.min(experts, draw.pick([1, 2, 4, 8, 16, 17])) : draw.between(1, experts);
  const kind = draw.pick(kindNames);
  const values = numbersOf(draw, type, tokens * experts, kind);
  const mask = draw.chance(0.3) ? Uint8Array.from({ length: tokens }, () => draw.pick([0, 1, 1, 9])) : undefined;
  const options: Options = isHalf(type) ? { dtype: type === 'f16' ? 'float16' : 'bfloat16' } : {};
  const score = draw.pick([undefined, 'softmax', 'sigmoid', 'sigmoid']);
  const normalize = draw.pick([undefined, 'none', 'sum', 'softmax']);
  if (score) options.score = score;
  if (normalize) options.normalize = normalize;
  if (draw.chance(0.3)) options.scale = draw.chance(0.8) ? draw.pick([2.5, 0.5, 16]) : draw.logUniform(1e-40, 1e40);
  const text = `${type} [${tokens}, ${experts}] ${kind}${mask ? ', mask' : ''}, k ${k}`;
  return { type, tokens, experts, k, values, x: logitsOf(type, values), mask, options, text };
}

/** The mask as a call takes it, as bytes or bits. */
export function maskOptions(mask: Uint8Array | undefined, isBits: boolean): Options {
  if (mask === undefined) return {};
  if (!isBits) return { mask };
  const bits = new Uint8Array(Math.ceil(mask.length / 8));
  mask.forEach((byte, i) => (bits[i >> 3]! |= byte === 0 ? 0 : 1 << (i & 7)));
  return { mask: bits, maskFormat: 'bits' };
}

export const rowOf = ({ values, experts }: Tokens, t: number): Float64Array =>
  values.subarray(t * experts, (t + 1) * experts);

/** True if a token has a NaN, or a +∞ that has no limit. */
export const isWrong = (row: Float64Array, isBounded: boolean): boolean =>
  row.some((v) => v !== v || (v === Infinity && !isBounded));

const GROUPS = [1, 2, 3, 4, 5, 8, 16, 20, 32, 64];
function groupsOf(draw: Draw, { experts, k }: Tokens): { groups?: number; topGroups?: number } {
  if (draw.chance(0.6)) return {};
  const groups = draw.pick(GROUPS.filter((each) => experts % each === 0));
  const least = Math.ceil(k / (experts / groups));
  return { groups, topGroups: draw.between(least, groups) };
}

function biasOf(draw: Draw, experts: number): Float64Array | undefined {
  if (draw.chance(0.6)) return undefined;
  const kind = draw.pick(['normal', 'N(0,1)', 'zeros', 'constant', 'integers', '−∞ between', 'lowest as a mask']);
  return numbersOf(draw, draw.pick(['f32', 'f64']), experts, kind);
}

const route: Maker = (draw, limit) => {
  const given = tokensOf(draw, limit);
  const { tokens, experts, k, values, mask } = given;
  const isNarrow = values.every((v) => v === Infinity || !(Math.abs(v) > 1e200));
  const groups = groupsOf(draw, given);
  const selectBias = biasOf(draw, experts);
  const isFloat = selectBias?.every((b) => Math.fround(b) === b) === true && draw.chance(0.5);
  const capacity = draw.chance(0.3)
    ? { factor: draw.pick([1, 1.25, 0.5, 2, draw.logUniform(0.01, 10)]), drop: draw.pick(['order', 'weight']) }
    : undefined;
  const options: Options = { ...given.options, experts, k, ...groups, ...maskOptions(mask, draw.chance(0.3)) };
  const spoiling = draw.chance(0.04) ? draw.pick([{ k: experts + 1 }, { scale: 0 }, { groups: 7919 }, { top: 1 }]) : {};
  const isFault = Object.keys(spoiling).length > 0;
  return {
    text: `route(${given.text}) ${JSON.stringify({ ...given.options, ...groups, capacity })}`,
    elements: tokens * experts,
    hasPromise: true,
    isSameEverywhere: false,
    expects: isFault ? 'error' : 'judged',
    invoke(api, arena) {
      const bias = selectBias && (isFloat ? Float32Array.from(selectBias) : selectBias);
      const all: Options = { ...options, ...(bias && { selectBias: arena.input('selectBias', bias) }), ...spoiling };
      if (options.mask) all.mask = arena.input('mask', options.mask as Uint8Array);
      const x = arena.input('logits', given.x);
      const calls = [api.route!(x, arena.options({ ...all }))];
      if (capacity) calls.push(api.route!(x, arena.options({ ...all, capacity })));
      return chain(calls, (results) => results);
    },
    outputs([all, kept]: [Routed, Routed?]) {
      const { experts: chosen, weights, counts } = all;
      return {
        chosen,
        weights,
        counts,
        ...(kept && { kept: kept.weights, keptCounts: kept.counts, dropped: Uint32Array.of(kept.dropped) }),
      };
    },
    check(outcome, isNative) {
      if (!isNarrow) return undefined;
      const spec = { ...given.options, experts, k, ...groups, ...(selectBias && { selectBias }) } as unknown as Spec;
      return checkRoutes(given, spec, outcome, isNative) ?? (capacity && checkCapacity(given, capacity, outcome));
    },
  };
};

interface Routed {
  readonly experts: AnyArray;
  readonly weights: AnyArray;
  readonly counts: AnyArray;
  readonly dropped: number;
}

/** True if choices are so near each other that the rounding of score + bias may decide. */
function isClose(row: Float64Array, { score, selectBias, groups = 1 }: Spec): boolean {
  if (!selectBias) return false;
  const x = Array.from(row, dd);
  const scores = score === 'sigmoid' ? x.map(sigmoidOf) : softmaxOf(x);
  const choices = scores.map((s, i) => addNumber(s, selectBias[i]!));
  const size = Math.max(1, ...Array.from(selectBias, (b) => (b === -Infinity ? 0 : Math.abs(b))));
  const near = (each: readonly { hi: number; lo: number }[]) => {
    const sorted = [...each].sort((a, b) => a.hi - b.hi || a.lo - b.lo);
    return sorted.some((a, i) => i > 0 && Math.abs(a.hi - sorted[i - 1]!.hi) < 2 ** -48 * size);
  };
  return near(choices) || groups > 1;
}

function checkRoutes(given: Tokens, spec: Spec, { arrays, error }: Outcome, isNative: boolean): string | undefined {
  const { tokens, experts, k, mask } = given;
  const isBounded = spec.score === 'sigmoid' && spec.normalize !== 'softmax';
  const counted = Array.from({ length: tokens }, (_, t) => t).filter((t) => !mask || mask[t] !== 0);
  const open = Array.from({ length: experts }, (_, i) => spec.selectBias?.[i] !== -Infinity);
  const hasTooFew = spec.selectBias !== undefined && open.filter(Boolean).length < k;
  const wrong = counted.find((t) => isWrong(rowOf(given, t), isBounded));
  if (error) {
    if (wrong !== undefined && error.message.includes(`token ${wrong} `)) return undefined;
    return /at least \d+ experts/.test(error.message) && spec.selectBias ? undefined : `an error: ${error.message}`;
  }
  if (wrong !== undefined) return `token ${wrong} has a route`;
  if (hasTooFew && counted.length > 0) return 'too few experts have a route';
  const isSummed = isNative && spec.score !== 'sigmoid' && (spec.normalize ?? 'none') === 'none';
  const bound = isSummed ? 2.4 : 0.51; // 2, and more where a weight just below 1 is rounded above it
  const counts = new Uint32Array(experts);
  for (let t = 0; t < tokens; t++) {
    const chosen = Array.from(arrays.chosen!.subarray(t * k, (t + 1) * k));
    const weights = arrays.weights!.subarray(t * k, (t + 1) * k);
    if (mask?.[t] === 0) {
      if (chosen.some(Boolean) || weights.some((w) => !Object.is(w, 0))) return `masked token ${t} has a route`;
      continue;
    }
    const row = rowOf(given, t);
    const oracle = routeOracle(row, spec);
    const isSame = oracle.experts.every((expert, j) => expert === chosen[j]);
    if (!isSame && !isClose(row, spec)) return `token ${t} has experts ${chosen.join()}, not ${oracle.experts.join()}`;
    const wanted = isSame ? oracle.weights : weightsOf(Array.from(row, dd), chosen, spec);
    for (const [j, exact] of wanted.entries()) {
      const off = errorOf('f32', weights[j]!, exact);
      if (!(off <= bound)) return `token ${t}: weight ${j} is ${weights[j]}, exactly ${exact.hi}: ${off} ULP`;
    }
    for (const expert of chosen) counts[expert]!++;
  }
  const at = counts.findIndex((count, e) => count !== arrays.counts![e]);
  return at < 0 ? undefined : `expert ${at} has ${arrays.counts![at]} tokens, not ${counts[at]}`;
}

/** The weights that a capacity leaves, by a loop over the choices of each expert. */
function checkCapacity(
  { tokens, experts, k, mask }: Tokens,
  { factor, drop }: { factor: number; drop: string },
  { arrays: { chosen, weights, kept, keptCounts, counts, dropped }, error }: Outcome,
): string | undefined {
  if (error) return undefined;
  const positions = Array.from({ length: tokens * k }, (_, p) => p).filter((p) => mask?.[Math.floor(p / k)] !== 0);
  const room = Math.ceil((factor * positions.length) / experts);
  const wanted = weights!.slice();
  let lost = 0;
  for (let e = 0; e < experts; e++) {
    const own = positions.filter((p) => chosen![p] === e);
    const order = drop === 'order' ? own : [...own].sort((a, b) => weights![b]! - weights![a]! || a - b);
    for (const p of order.slice(room)) {
      wanted[p] = 0;
      lost++;
    }
    if (counts![e] !== keptCounts![e]) return `expert ${e} has other counts with a capacity`;
  }
  const at = wanted.findIndex((w, p) => w !== kept![p]);
  if (at >= 0) return `with a capacity weight ${at} is ${kept![at]}, not ${wanted[at]}`;
  return dropped![0] === lost ? undefined : `${dropped![0]} choices dropped, not ${lost}`;
}

export const routingMakers: Record<string, Maker> = { route, ...gradientMakers };
