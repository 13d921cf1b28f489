/** flash-softmax/routing: tokens to the experts of a mixture of experts. */
export type { Float16ArrayLike, NewLike, Returned } from './call/types.js';
export { routeBackward, type RouteBackwardOptions } from './routing/backward.js';
export { dispatchPlan, type DispatchPlan } from './routing/dispatch.js';
export {
  loadBalanceLoss,
  updateSelectBias,
  type LoadBalanceOptions,
  type SelectBiasOptions,
} from './routing/load-balance.js';
export type { Capacity, Routes, RoutesLike, RoutingOptions } from './routing/options.js';
export { route, type ExpertLogits, type RouteOptions } from './routing/route.js';
