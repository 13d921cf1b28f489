/** route: the experts of each token of a mixture of experts. */
import { backendFor } from '../backend/choice.js';
import { ROUTE } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { count } from '../call/checks.js';
import { FORM_OPTIONS, optionsOf, type Form } from '../call/options.js';
import type { Float16ArrayLike } from '../call/types.js';
import { routeKernels } from '../js/routing/route.js';
import { positionsByExpert } from './dispatch.js';
import {
  biasOf,
  capacityOf,
  checkStatus,
  choicesOf,
  groupsOf,
  maskOf,
  ROUTE_OPTIONS,
  tokensOf,
  type Capacity,
  type Routes,
  type RoutingOptions,
} from './options.js';

/** The logits of experts: float32, or halves. */
export type ExpertLogits = Float32Array | Uint16Array | Float16ArrayLike;

export interface RouteOptions extends RoutingOptions {
  experts: number;
  k: number;
}

/**
 * Routes each token to its k best experts.
 *
 *     score    softmax(x) over all experts, or σ(x) = 1 / (1 + exp(−x))
 *     choice   score + selectBias; the lower index first among equals
 *     groups   the `topGroups` groups worth most are kept: a group is worth its largest choice or, with a selectBias,
 *              the sum of its two largest
 *     weight   scale · score, over the sum of the k scores ('sum'), or scale · softmax of the k logits ('softmax')
 *
 * Without a selectBias, scores are compared as the logits are: exactly. With one they are compared in double, with an
 * error of 4 · 2⁻⁵³. Weights are computed in double and rounded once. Largest error: 0.51 ULP; natively 2 ULP for
 * normalize 'none' of a softmax, whose exponentials of all experts are added as floats (2.4 ULP of a weight just below
 * 1 that is rounded above it).
 *
 * Logits of −∞ have score 0. Where scores are 0/0, weights are 1/k: all k scores are 0 with 'sum', all k logits are −∞
 * with 'softmax', or all logits of the token are −∞ with softmax scores. +∞ has the score 1 of a sigmoid; otherwise it
 * is an error. A masked token has experts 0 and weights 0, and does not count.
 *
 * With a `capacity`, an expert takes ⌈factor · tokens · k / experts⌉ tokens. A choice beyond that gets weight 0 and is
 * counted in `dropped`; weights are normalised before, and `counts` are the choices of all tokens.
 *
 * Sources: Shazeer et al. (arXiv 1701.06538); Switch (2101.03961): k 1 and a capacity; Mixtral (2401.04088): normalize
 * 'softmax'; DeepSeek-V3 (2412.19437): sigmoid, selectBias, groups, 'sum' and a scale. Dropped groups are −∞ there, not
 * 0 as in much copied code, which lets a dropped group win where choices are negative.
 *
 * @param logits [tokens, experts], row-major. Not written.
 * @param options `experts` and `k`, and see {@link RoutingOptions}.
 * @returns The experts, weights and counts.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for numbers and lengths that do not fit, for fewer
 *   experts left than k, and for a token with a NaN or a +∞ without a limit, which it names.
 * @example
 * import { route } from 'flash-softmax/routing';
 * const { experts, weights } = route(Float32Array.of(1, 3, 2, 0), { experts: 4, k: 2, normalize: 'softmax' });
 * console.log(experts.join(' '), weights[0].toFixed(4)); // → 1 2 0.7311
 */
export function route(logits: ExpertLogits, options: RouteOptions): Routes {
  return runNow(routeCall('now', logits, options));
}

export function routeCall(form: Form, logits: ExpertLogits, options: RouteOptions & AsyncOptions): Call<Routes> {
  const given = optionsOf<RouteOptions>(options, [...ROUTE_OPTIONS, ...FORM_OPTIONS[form]]);
  // All that could run a caller's code is read before lengths are taken.
  const experts = count(given.experts, 'experts');
  const k = count(given.k, 'k');
  const choices = choicesOf(given);
  const groups = groupsOf(given, experts, k);
  const capacity = capacityOf(given.capacity);
  const { x, type, tokens } = tokensOf(logits, experts, given.dtype);
  const mask = maskOf(given.mask, given.maskFormat, tokens);
  const bias = biasOf(given.selectBias, experts);
  const chosen = new Uint32Array(tokens * k);
  const weights = new Float32Array(tokens * k);
  const counts = new Uint32Array(experts);
  const status = new Int32Array(tokens);
  return callOf(ROUTE, {
    backend: backendFor(tokens * experts, routeKernels),
    type,
    args: { x, chosen, weights, counts, status, bias, mask, tokens, experts, k, ...groups, ...choices },
    own: ['chosen', 'weights', 'counts', 'status', 'bias', 'mask'],
    names: { x: 'logits' },
    work: tokens * experts,
    finish() {
      checkStatus(status, k);
      const dropped = capacity === undefined ? 0 : dropBeyond(capacity, { chosen, weights, counts, mask, k });
      return { experts: chosen, weights, counts, k, dropped };
    },
  });
}

interface Batch {
  readonly chosen: Uint32Array;
  readonly weights: Float32Array;
  readonly counts: Uint32Array;
  readonly mask: Uint8Array | null;
  readonly k: number;
}

/** Gives weight 0 to all that experts have no room for; returns how many choices these are. */
function dropBeyond({ factor, drop }: Required<Capacity>, { chosen, weights, counts, mask, k }: Batch): number {
  const isCounted = (position: number): boolean => mask === null || mask[Math.floor(position / k)] !== 0;
  const { offsets, order } = positionsByExpert(chosen, counts.length, isCounted);
  const room = Math.ceil((factor * order.length) / counts.length);
  let dropped = 0;
  for (let expert = 0; expert < counts.length; expert++) {
    if (counts[expert]! <= room) continue;
    const own = order.subarray(offsets[expert]!, offsets[expert + 1]!);
    if (drop === 'weight') own.sort((a, b) => weights[b]! - weights[a]! || a - b);
    for (let i = room; i < own.length; i++) weights[own[i]!] = 0;
    dropped += own.length - room;
  }
  return dropped;
}
