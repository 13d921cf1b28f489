/** dispatchPlan: the choices of all tokens, sorted by expert. */
import type { NewUint32Array } from '../call/types.js';
import { copyRoutes, routesOf, type RoutesLike } from './options.js';

export interface DispatchPlan {
  /** Expert e has the entries offsets[e] … offsets[e + 1] − 1 of `order`: experts + 1 numbers. */
  readonly offsets: NewUint32Array;
  /** Positions in `routes.experts` and `routes.weights`: position p is a choice of token ⌊p / k⌋. */
  readonly order: NewUint32Array;
}

/**
 * Sorts the choices of all tokens by expert, those of a token in order: a counting sort, so that an expert reads its
 * tokens as one run, and adds weight · result to each.
 *
 * Choices of weight 0 are left out: masked tokens, what a capacity dropped, and weights below the smallest float.
 *
 * @param routes What {@link route} returns.
 * @returns The offsets of experts, and the positions of their choices.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for routes of another kind.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for lengths that do not fit, and for an expert that does
 *   not exist.
 * @example
 * import { dispatchPlan, route } from 'flash-softmax/routing';
 * const routes = route(Float32Array.of(1, 3, 0, 2, 0, 1), { experts: 3, k: 1 }); // two tokens
 * const { offsets, order } = dispatchPlan(routes); // expert e has order[offsets[e]] to order[offsets[e + 1] - 1]
 * console.log(offsets.join(' '), order.join(' ')); // → 0 1 2 2 1 0
 */
export function dispatchPlan(routes: RoutesLike): DispatchPlan {
  const { chosen, weights, experts } = copyRoutes(routesOf(routes));
  return positionsByExpert(chosen, experts, (position) => weights[position] !== 0);
}

/** The positions that count, by expert and in order. */
export function positionsByExpert(
  chosen: Uint32Array,
  experts: number,
  isCounted: (position: number) => boolean,
): DispatchPlan {
  const offsets = new Uint32Array(experts + 1);
  for (let p = 0; p < chosen.length; p++) if (isCounted(p)) offsets[chosen[p]! + 1]!++;
  for (let e = 0; e < experts; e++) offsets[e + 1]! += offsets[e]!;
  const next = offsets.slice(0, experts);
  const order = new Uint32Array(offsets[experts]!);
  for (let p = 0; p < chosen.length; p++) if (isCounted(p)) order[next[chosen[p]!]!++] = p;
  return { offsets, order };
}
