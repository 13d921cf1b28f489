/** What the tests of routing share: kernels by backend, and routes from them. */
import { backendNamed } from '../../lib/backend/named.js';
import type { Positional } from '../../lib/backend/operators.js';
import { countedError, type DD } from '../../lib/cli/oracle.js';
import { NORMALIZATIONS, SCORES } from '../../lib/routing/options.js';
import type { backends } from '../support/backends.js';
import { generator, normal } from '../support/cases.js';
import type { Spec } from './route-oracle.js';

export type Name = (typeof backends)[number];

export function normals(n: number, seed: number, size = 1): Float32Array {
  const random = generator(seed);
  return Float32Array.from({ length: n }, () => size * normal(random));
}

const kernel = (backend: Name, name: string) => (backendNamed(backend) as unknown as Record<string, Positional>)[name]!;
const codes = ({ score = 'softmax', normalize = 'none' }: Spec) => [
  SCORES.indexOf(score),
  NORMALIZATIONS.indexOf(normalize),
];

export interface Routed {
  experts: Uint32Array;
  weights: Float32Array;
  counts: Uint32Array;
  status: Int32Array;
}

/** Calls a route kernel as the library does. */
export function routeOn(
  backend: Name,
  x: Float32Array | Uint16Array,
  spec: Spec,
  { mask = null, type = 'f32' }: { mask?: Uint8Array | null; type?: string } = {},
): Routed {
  const { experts, k, groups = 1, topGroups = groups, scale = 1, selectBias } = spec;
  const tokens = x.length / experts;
  const chosen = new Uint32Array(tokens * k);
  const weights = new Float32Array(tokens * k);
  const counts = new Uint32Array(experts);
  const status = new Int32Array(tokens);
  const bias = selectBias ? Float64Array.from(selectBias) : null;
  const sizes = [tokens, experts, k, groups, topGroups];
  kernel(backend, `route_${type}`)(x, chosen, weights, counts, status, bias, mask, ...sizes, ...codes(spec), scale);
  return { experts: chosen, weights, counts, status };
}

export function balanceOn(
  backend: Name,
  x: Float32Array,
  shares: Float64Array,
  {
    score = 'softmax',
    mask = null,
    factor = 1,
  }: { score?: 'softmax' | 'sigmoid'; mask?: Uint8Array | null; factor?: number } = {},
): { means: Float64Array; gradient: Float32Array; status: Int32Array } {
  const experts = shares.length;
  const tokens = x.length / experts;
  const means = new Float64Array(tokens);
  const gradient = new Float32Array(x.length);
  const status = new Int32Array(tokens);
  const run = kernel(backend, 'load_balance_loss_f32');
  run(x, shares, means, gradient, status, mask, tokens, experts, SCORES.indexOf(score), factor);
  return { means, gradient, status };
}

export function backwardOn(
  backend: Name,
  x: Float32Array,
  { experts: chosen, weights }: Pick<Routed, 'experts' | 'weights'>,
  slopes: Float32Array,
  spec: Spec,
): { out: Float32Array; status: Int32Array } {
  const { experts, k, scale = 1 } = spec;
  const tokens = x.length / experts;
  const out = new Float32Array(x.length).fill(7);
  const status = new Int32Array(tokens);
  const run = kernel(backend, 'route_backward_f32');
  run(x, chosen, weights, slopes, out, status, tokens, experts, k, ...codes(spec), scale);
  return { out, status };
}

/** The error of a float32 result in units of its last place. */
export const ulps = (actual: number, exact: DD): number => countedError(actual, exact.hi, exact.lo, 'f32');
