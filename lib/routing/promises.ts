/** The functions of flash-softmax/routing, off the event loop, for flash-softmax/promises. */
import { later } from '../call/off-loop.js';
import { routeBackwardCall } from './backward.js';
import { loadBalanceCall } from './load-balance.js';
import { routeCall } from './route.js';

/**
 * As route of flash-softmax/routing. Tokens beyond a capacity are dropped when the job has ended, on this thread.
 *
 * @example
 * import { route } from 'flash-softmax/promises';
 * console.log((await route(Float32Array.of(1, 3, 2, 0), { experts: 4, k: 2 })).experts.join(' ')); // → 1 2
 */
export const route = /* @__PURE__ */ later(routeCall, 1);

/**
 * As loadBalanceLoss of flash-softmax/routing. `gradient` is written when the job has ended.
 *
 * @example
 * import { loadBalanceLoss, route } from 'flash-softmax/promises';
 * const logits = Float32Array.of(1, 0, 0, 1), options = { experts: 2, k: 1 };
 * console.log(await loadBalanceLoss(await route(logits, options), logits, options)); // → 1
 */
export const loadBalanceLoss = /* @__PURE__ */ later(loadBalanceCall, 2);

/**
 * As routeBackward of flash-softmax/routing.
 *
 * @example
 * import { route, routeBackward } from 'flash-softmax/promises';
 * const logits = Float32Array.of(1, 3, 2, 0), options = { experts: 4, k: 2, normalize: 'softmax' };
 * const gradient = await routeBackward(await route(logits, options), Float32Array.of(1, 0), logits, options);
 * console.log(gradient[1].toFixed(4)); // → 0.1966
 */
export const routeBackward = /* @__PURE__ */ later(routeBackwardCall, 3);

// These take less time than a job takes to start.
export { dispatchPlan } from './dispatch.js';
export { updateSelectBias } from './load-balance.js';
