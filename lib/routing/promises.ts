/** The functions of flash-softmax/routing, off the event loop, for flash-softmax/promises. */
import { later } from '../call/off-loop.js';
import { routeBackwardCall } from './backward.js';
import { loadBalanceCall } from './load-balance.js';
import { routeCall } from './route.js';

/** As route of flash-softmax/routing. Tokens beyond a capacity are dropped when the job has ended, on this thread. */
export const route = /* @__PURE__ */ later(routeCall, 1);

/** As loadBalanceLoss of flash-softmax/routing. `gradient` is written when the job has ended. */
export const loadBalanceLoss = /* @__PURE__ */ later(loadBalanceCall, 2);

/** As routeBackward of flash-softmax/routing. */
export const routeBackward = /* @__PURE__ */ later(routeBackwardCall, 3);

// These take less time than a job takes to start.
export { dispatchPlan } from './dispatch.js';
export { updateSelectBias } from './load-balance.js';
