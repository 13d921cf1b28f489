/** A right call of each operator of routing, on float32, and what makes one wrong (contract.test.ts). */
import type { OperatorArguments } from '../../lib/backend/operators.js';

const [tokens, experts, k] = [6, 5, 2];
const floats = (n: number) => new Float32Array(n).fill(0.5);

export const routingCalls: Pick<OperatorArguments, 'route' | 'load_balance_loss' | 'route_backward'> = {
  route: {
    x: floats(tokens * experts),
    chosen: new Uint32Array(12),
    weights: floats(12),
    counts: new Uint32Array(5),
    status: new Int32Array(6),
    bias: new Float64Array(5),
    mask: new Uint8Array(6).fill(1),
    tokens,
    experts,
    k,
    groups: 1,
    topGroups: 1,
    score: 0,
    normalize: 0,
    scale: 1,
  },
  load_balance_loss: {
    x: floats(tokens * experts),
    shares: new Float64Array(5),
    means: new Float64Array(6),
    gradient: floats(tokens * experts),
    status: new Int32Array(6),
    mask: new Uint8Array(6).fill(1),
    tokens,
    experts,
    score: 0,
    factor: 1,
  },
  route_backward: {
    x: floats(tokens * experts),
    chosen: new Uint32Array(12),
    weights: floats(12),
    slopes: floats(12),
    out: floats(tokens * experts),
    status: new Int32Array(6),
    tokens,
    experts,
    k,
    score: 0,
    normalize: 0,
    scale: 1,
  },
};

/** Calls that do not fit, each with the name that the error's message must have. */
export function* brokenRoutes(
  args: Record<string, unknown>,
): Generator<[what: string, name: string, args: Record<string, unknown>]> {
  if ('slopes' in args)
    for (const expert of [5, 2 ** 32 - 1])
      yield [`expert ${expert} of 5`, 'chosen experts', { ...args, chosen: new Uint32Array(12).fill(expert) }];
  if (!('groups' in args)) return;
  yield ['groups of unequal size', 'route', { ...args, groups: 2 }];
  yield ['no group', 'route', { ...args, groups: 0 }];
  yield ['more groups than there are', 'route', { ...args, topGroups: 2 }];
  yield ['no kept group', 'route', { ...args, topGroups: 0 }];
  yield ['k above the experts left', 'k', { ...args, k: 6, chosen: new Uint32Array(36), weights: floats(36) }];
  for (const bias of [NaN, Infinity])
    yield [`a bias of ${bias}`, 'biases', { ...args, bias: Float64Array.of(0, 0, bias, 0, 0) }];
}
