/** routeBackward: the gradient of routes by the logits. */
import { backendFor } from '../backend/choice.js';
import { ROUTE_BACKWARD } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { newLike } from '../call/axis.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { apart, bitsOf, likeArray, sameOrApart } from '../call/checks.js';
import { trueLength, wrongType, wrongValue } from '../call/errors.js';
import { FORM_OPTIONS, optionsOf, type Form } from '../call/options.js';
import { isFloat32Array, type NewLike, type Returned } from '../call/types.js';
import { routeBackwardKernels } from '../js/routing/route-backward.js';
import { checkSizes, checkStatus, choicesOf, copyRoutes, ROUTE_OPTIONS, routesOf, tokensOf } from './options.js';
import type { ExpertArray, RoutesLike, RoutingOptions } from './options.js';
import type { ExpertLogits } from './route.js';

export interface RouteBackwardOptions<Out = ExpertLogits> extends RoutingOptions {
  /** Where the gradient goes: an array as the logits, themselves or apart from them. Default: a new array. */
  out?: Out | undefined;
}

/**
 * The gradient by the logits, from the gradient g by the weights of {@link route}. The choice of experts has none. With
 * u = weight / scale and G = Σ g · u over the k experts of a token:
 *
 *     normalize 'softmax', or 'sum' of a softmax    scale · u · (g − G)
 *     normalize 'sum' of sigmoids                   scale · u · σ(−x) · (g − G)
 *     'none' of sigmoids                            scale · σ(x) · σ(−x) · g
 *     'none' of a softmax                           scale · p · (g − G) for all experts; g is 0 for the others
 *
 * Other experts have gradient 0, as have tokens without a weight other than 0: masked ones, and those that a capacity
 * dropped. A dropped choice counts as g = 0. Where scores are 0/0 the gradient is 0.
 *
 * Computed in double from the logits and rounded once. Largest error: 0.51 ULP, or 1e-15 · |g| · scale where terms
 * cancel.
 *
 * @param routes What {@link route} returned for these logits.
 * @param dWeights The gradient by `routes.weights`: [tokens, k].
 * @param logits [tokens, experts], the logits of the routes. Not written, unless `out`.
 * @param options The options that {@link route} had, of which `score`, `normalize`, `scale` and `dtype` matter, and
 *   `out`.
 * @returns `out`, or a new array as the logits.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for sizes that do not fit, and for a token with a NaN or
 *   a +∞ without a limit, which it names. Nothing was written then.
 * @example
 * import { route, routeBackward } from 'flash-softmax/routing';
 * const logits = Float32Array.of(1, 3, 2, 0), options = { experts: 4, k: 2, normalize: 'softmax' };
 * const routes = route(logits, options);
 * console.log(routeBackward(routes, Float32Array.of(1, 0), logits, options)[1].toFixed(4)); // → 0.1966
 */
export function routeBackward<A extends ExpertLogits, Out extends ExpertLogits = NewLike<A, ExpertLogits>>(
  routes: RoutesLike,
  dWeights: Float32Array,
  logits: A,
  options?: RouteBackwardOptions<Out>,
): Returned<Out> {
  return runNow(routeBackwardCall('now', routes, dWeights, logits, options));
}

export function routeBackwardCall<A extends ExpertLogits, Out extends ExpertLogits = NewLike<A, ExpertLogits>>(
  form: Form,
  routes: RoutesLike,
  dWeights: Float32Array,
  logits: A,
  options?: RouteBackwardOptions<Out> & AsyncOptions,
): Call<Returned<Out>> {
  const given = optionsOf<RouteBackwardOptions<Out>>(options, [...ROUTE_OPTIONS, 'out', ...FORM_OPTIONS[form]]);
  const choices = choicesOf(given);
  const arrays = routesOf(routes);
  checkSizes(given, arrays);
  const { chosen, weights, tokens, experts, k } = copyRoutes(arrays);
  if (experts === 0) throw wrongValue('at least one expert', 'routes.counts', 'none');
  const { x, type, tokens: rows } = tokensOf(logits, experts, given.dtype);
  if (rows !== tokens) throw wrongValue(`${tokens} tokens, as in routes,`, 'logits', String(rows));
  if (!isFloat32Array(dWeights)) throw wrongType('a Float32Array', 'dWeights', dWeights);
  const slopes = trueLength(dWeights, 'dWeights');
  if (slopes !== tokens * k) throw wrongValue(`${tokens * k} elements, as weights,`, 'dWeights', String(slopes));
  const { out } = given;
  if (out !== undefined) {
    const bits = likeArray(out, logits, 'out', 'logits');
    sameOrApart(bits, 'out', x, 'logits');
    apart(bits, 'out', dWeights, 'dWeights');
  }
  const results = (out ?? newLike(logits, tokens * experts)) as ExpertLogits;
  const status = new Int32Array(tokens);
  return callOf(ROUTE_BACKWARD, {
    backend: backendFor(tokens * experts, routeBackwardKernels),
    type,
    args: {
      x,
      chosen,
      weights,
      slopes: dWeights,
      out: bitsOf(results) as ExpertArray,
      status,
      tokens,
      experts,
      k,
      ...choices,
    },
    own: out === undefined ? ['chosen', 'weights', 'out', 'status'] : ['chosen', 'weights', 'status'],
    names: { x: 'logits', slopes: 'dWeights' },
    work: tokens * experts,
    check: () => void checkStatus(status),
    finish: () => results as Returned<Out>,
  });
}
