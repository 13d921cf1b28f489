/** The options of routing, checked: what the functions of flash-softmax/routing have in common. */
import { copyOf, viewOf } from '../call/arrays.js';
import { axisCall } from '../call/axis.js';
import { count, oneOf, positive } from '../call/checks.js';
import { describe, outOfRange, trueLength, wrongType, wrongValue } from '../call/errors.js';
import { isFloat32Array, isFloat64Array, isUint8Array } from '../call/types.js';
import { isUint32Array, type LogitArray, type NewFloat32Array, type NewUint32Array } from '../call/types.js';

/** How the scores of experts come from a token's logits, in the order in which kernels number them. */
export const SCORES = ['softmax', 'sigmoid'] as const;
/** What weights are relative to, in the order in which kernels number it. */
export const NORMALIZATIONS = ['none', 'sum', 'softmax'] as const;

/** Why a token has no route, as kernels number it. */
export const TOKEN_STATUS = { routed: 0, hasNaN: 1, isInfinite: 2, hasTooFew: 3 } as const;

/** A limit to the tokens of an expert. */
export interface Capacity {
  /** An expert takes ⌈factor · tokens · k / experts⌉ tokens; masked tokens do not count. Finite and > 0. */
  factor: number;
  /**
   * Which tokens an expert keeps that has too many: the first ones, or those with the largest weights (the first of
   * equals). Default: 'order'.
   */
  drop?: 'order' | 'weight' | undefined;
}

/** What routes and their gradients depend on: the same object serves all functions of flash-softmax/routing. */
export interface RoutingOptions {
  /** The number of experts: the length of a token's logits. */
  experts?: number | undefined;
  /** How many experts each token goes to. */
  k?: number | undefined;
  /** What a logit x becomes: softmax over all experts, or 1 / (1 + exp(−x)). Default: 'softmax'. */
  score?: (typeof SCORES)[number] | undefined;
  /**
   * What weights are: the scores ('none'), the scores over their sum over the k ('sum'), or the softmax of the k logits
   * ('softmax'). Default: 'none'.
   */
  normalize?: (typeof NORMALIZATIONS)[number] | undefined;
  /**
   * Added to scores for the choice of experts, and for nothing else: one finite number an expert, or −∞ for an expert
   * that no token may choose. Default: none.
   */
  selectBias?: Float32Array | Float64Array | undefined;
  /** Experts lie in so many groups of equal size, one after the other. Default: 1. */
  groups?: number | undefined;
  /** Experts are chosen from so many groups, those worth most. Default: all of them. */
  topGroups?: number | undefined;
  /** What weights are multiplied by: finite and > 0. Default: 1. */
  scale?: number | undefined;
  /** A limit to the tokens of an expert. Default: none. */
  capacity?: Capacity | undefined;
  /** Which tokens count, one entry a token. Default: all of them. */
  mask?: Uint8Array | undefined;
  /** 'bytes': an entry is a byte, any but 0 counts. 'bits': bit i & 7 of byte i >> 3. Default: 'bytes'. */
  maskFormat?: 'bytes' | 'bits' | undefined;
  /** What the bits of a Uint16Array of logits are. For a Uint16Array only, and needed there. */
  dtype?: 'float16' | 'bfloat16' | undefined;
}

/** Where the tokens of a batch go. */
export interface Routes {
  /** For each token its k experts, the largest choice first: [tokens, k]. A masked token has 0. */
  readonly experts: NewUint32Array;
  /** The weight of each of them: [tokens, k]. 0 for a masked token, and for what an expert's capacity dropped. */
  readonly weights: NewFloat32Array;
  /** How many tokens chose each expert, those dropped later included. */
  readonly counts: NewUint32Array;
  /** Experts a token. */
  readonly k: number;
  /** How many choices were dropped, of all tokens · k. */
  readonly dropped: number;
}

/** The parts of {@link Routes} that other functions read; a caller may put them together himself. */
export interface RoutesLike {
  readonly experts: Uint32Array;
  readonly weights: Float32Array;
  readonly counts: Uint32Array;
  readonly k: number;
}

const ROUTING_OPTIONS = [
  'experts',
  'k',
  'score',
  'normalize',
  'selectBias',
  'groups',
  'topGroups',
  'scale',
  'capacity',
  'mask',
  'maskFormat',
  'dtype',
] as const satisfies readonly (keyof RoutingOptions)[];
export const ROUTE_OPTIONS: readonly string[] = ROUTING_OPTIONS;

/** Options of which each has been read once. */
export interface Choices {
  readonly score: number;
  readonly normalize: number;
  readonly scale: number;
}

export function choicesOf({ score = 'softmax', normalize = 'none', scale = 1 }: RoutingOptions): Choices {
  return {
    score: SCORES.indexOf(oneOf(score, SCORES, 'score')),
    normalize: NORMALIZATIONS.indexOf(oneOf(normalize, NORMALIZATIONS, 'normalize')),
    scale: positive(scale, 'scale'),
  };
}

/** Sizes of groups; all experts are one group by default. */
export function groupsOf({ groups = 1, topGroups = groups }: RoutingOptions, experts: number, k: number) {
  count(groups, 'groups');
  count(topGroups, 'topGroups');
  if (experts % groups !== 0) throw wrongValue(`a divisor of the ${experts} experts`, 'groups', String(groups));
  if (topGroups > groups) throw outOfRange(`an integer from 1 to groups, ${groups},`, 'topGroups', topGroups);
  const left = (experts / groups) * topGroups;
  if (k > left) throw outOfRange(`an integer from 1 to ${left}, the experts that a token chooses from,`, 'k', k);
  return { groups, topGroups };
}

/** A copy of a capacity, each property read once. */
export function capacityOf(capacity: unknown): Required<Capacity> | undefined {
  if (capacity === undefined) return undefined;
  if (typeof capacity !== 'object' || capacity === null || Array.isArray(capacity)) {
    throw wrongType('an object with a factor', 'capacity', capacity);
  }
  const { factor, drop = 'order', ...others } = capacity as Capacity;
  const [other] = Object.keys(others);
  if (other !== undefined) throw wrongType('only factor, drop', 'capacity', other);
  positive(factor, 'capacity.factor');
  return { factor, drop: oneOf(drop, ['order', 'weight'], 'capacity.drop') };
}

/** Logits of experts, as kernels take them. */
export type ExpertArray = Float32Array | Uint16Array;

export interface Tokens {
  readonly x: ExpertArray;
  readonly type: 'f32' | 'f16' | 'bf16';
  readonly tokens: number;
  readonly experts: number;
}

/** Checks logits [tokens, experts]. Lengths are taken here: read all options before. */
export function tokensOf(logits: LogitArray, experts: number, dtype: RoutingOptions['dtype']): Tokens {
  if (isFloat64Array(logits)) {
    throw wrongType('a Float32Array or Float16Array, or a Uint16Array with a dtype,', 'logits', logits);
  }
  if (experts >= 2 ** 31) throw outOfRange('less than 2^31 experts', 'experts', experts);
  const { args, type } = axisCall({ logits: 'logits', result: 'state' }, 'now', logits, { cols: experts, dtype });
  return { x: args.x as ExpertArray, type: type as Tokens['type'], tokens: args.outer, experts };
}

/** A private copy of a mask of tokens, as bytes; null without one. */
export function maskOf(mask: unknown, maskFormat: unknown, tokens: number): Uint8Array | null {
  const isBits = oneOf(maskFormat ?? 'bytes', ['bytes', 'bits'], 'maskFormat') === 'bits';
  if (mask === undefined) return null;
  if (!isUint8Array(mask)) throw wrongType('a Uint8Array', 'mask', mask);
  const wanted = isBits ? Math.ceil(tokens / 8) : tokens;
  const given = trueLength(mask, 'mask');
  if (given !== wanted) {
    throw wrongValue(`${wanted} bytes for ${tokens} tokens`, 'mask', String(given));
  }
  const view = viewOf(mask);
  const own = new Uint8Array(tokens);
  for (let i = 0; i < tokens; i++) own[i] = isBits ? (view[i >>> 3]! >> (i & 7)) & 1 : Number(view[i] !== 0);
  return own;
}

/** A private copy of the biases of experts in double; null without one. */
export function biasOf(bias: unknown, experts: number, name = 'selectBias'): Float64Array | null {
  if (bias === undefined) return null;
  const own = new Float64Array(viewOf(floatsOf(bias, name)));
  if (own.length !== experts) throw wrongValue(`${experts} elements, one an expert,`, name, String(own.length));
  const wrong = own.findIndex((b) => !(b < Infinity));
  if (wrong >= 0) throw outOfRange('finite numbers or −∞', name, `${own[wrong]} for expert ${wrong}`);
  return own;
}

export function floatsOf(value: unknown, name: string): Float32Array | Float64Array {
  if (!isFloat32Array(value) && !isFloat64Array(value)) throw wrongType('a Float32Array or Float64Array', name, value);
  trueLength(value, name);
  return value;
}

/** The arrays of routes, each property read once. */
export function routesOf(routes: unknown): {
  experts: Uint32Array;
  weights: Float32Array;
  counts: Uint32Array;
  k: number;
} {
  if (typeof routes !== 'object' || routes === null) throw wrongType('what route returns', 'routes', routes);
  const { experts, weights, counts, k } = routes as RoutesLike;
  if (!isUint32Array(experts)) throw wrongType('a Uint32Array', 'routes.experts', experts);
  if (!isFloat32Array(weights)) throw wrongType('a Float32Array', 'routes.weights', weights);
  if (!isUint32Array(counts)) throw wrongType('a Uint32Array', 'routes.counts', counts);
  return { experts, weights, counts, k: count(k, 'routes.k') };
}

/** Private copies of the experts and weights of routes, whose experts all exist. */
export function copyRoutes(routes: { experts: Uint32Array; weights: Float32Array; counts: Uint32Array; k: number }) {
  const { experts, weights, counts, k } = routes;
  const [given, others, known] = [
    trueLength(experts, 'routes.experts'),
    trueLength(weights, 'routes.weights'),
    trueLength(counts, 'routes.counts'),
  ];
  if (given % k !== 0) throw wrongValue(`a multiple of k, ${k},`, 'the length of routes.experts', String(given));
  if (others !== given) throw wrongValue(`${given} elements, as in routes.experts,`, 'routes.weights', String(others));
  const chosen = copyOf(experts);
  const wrong = chosen.findIndex((expert) => expert >= known);
  if (wrong >= 0) {
    throw outOfRange(`integers from 0 to ${known - 1}`, 'routes.experts', `${chosen[wrong]} at ${wrong}`);
  }
  return { chosen, weights: copyOf(weights), tokens: given / k, experts: known, k };
}

/** Refuses sizes in options that are not the sizes of the routes. */
export function checkSizes({ experts, k }: RoutingOptions, routes: { counts: Uint32Array; k: number }): void {
  const known = trueLength(routes.counts, 'routes.counts');
  if (experts !== undefined && experts !== known)
    throw wrongValue(`${known}, as in routes,`, 'experts', describe(experts));
  if (k !== undefined && k !== routes.k) throw wrongValue(`${routes.k}, as in routes,`, 'k', describe(k));
}

/** Throws for the first token that no kernel could route. */
export function checkStatus(status: Int32Array, left?: number): void {
  let token = 0;
  while (token < status.length && status[token] === TOKEN_STATUS.routed) token++;
  if (token === status.length) return;
  const what = `token ${token} of logits`;
  if (status[token] === TOKEN_STATUS.hasNaN) throw wrongValue('no NaN', what, 'one');
  if (status[token] === TOKEN_STATUS.isInfinite) throw wrongValue('finite logits or −∞', what, 'Infinity');
  throw wrongValue(`at least ${left} experts without a selectBias of −∞`, `token ${token}`, 'fewer');
}
