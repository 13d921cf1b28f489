/** loadBalanceLoss and updateSelectBias: how experts come to have equally many tokens. */
import { backendFor } from '../backend/choice.js';
import { LOAD_BALANCE_LOSS } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { lengthOf, viewOf } from '../call/arrays.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { apart, likeArray, sameOrApart } from '../call/checks.js';
import { trueLength, wrongType, wrongValue } from '../call/errors.js';
import { FORM_OPTIONS, optionsOf, type Form } from '../call/options.js';
import { isUint32Array } from '../call/types.js';
import { finite } from '../call/values.js';
import { loadBalanceKernels } from '../js/routing/load-balance.js';
import { checkSizes, checkStatus, choicesOf, floatsOf, maskOf, ROUTE_OPTIONS, routesOf, tokensOf } from './options.js';
import type { ExpertArray, RoutesLike, RoutingOptions } from './options.js';
import type { ExpertLogits } from './route.js';

export interface LoadBalanceOptions<A extends ExpertLogits = ExpertLogits> extends RoutingOptions {
  /** Where the gradient by the logits goes, if that is wanted: as the logits, themselves or apart from them. */
  gradient?: A | undefined;
  /** Whether f counts shares of all choices, not of tokens: a balanced loss is 1 then, and not k. Default: false. */
  normalizeByK?: boolean | undefined;
}

/**
 * The auxiliary loss of Switch (arXiv 2101.03961), GShard and DeepSeek: for E experts
 *
 *     E · Σᵢ fᵢ · Pᵢ      fᵢ = k · countᵢ / Σ counts, the tokens per token of expert i      Pᵢ = mean of the scores
 *
 * Scores are the softmax of a token's logits or, for sigmoids, σ(x) over their sum over all experts, as in DeepSeek-V3
 * (2412.19437, equation 20). f counts what tokens chose, whether or not it was dropped, and has no gradient. Counts may
 * be those of a larger batch, summed over processes.
 *
 * Computed in double. Largest error: 1e-14 of the loss; 0.51 ULP of a gradient, or 2⁻⁵² · k · E / tokens where its
 * terms cancel: the shares f, up to k, and their mean are doubles.
 *
 * @param routes What {@link route} returns; `counts` and `k` are used.
 * @param logits [tokens, experts], the logits of the routes. Not written, unless `gradient`.
 * @param options `gradient`, `normalizeByK`, and the options of {@link route}: `score`, `mask`, `maskFormat` and
 *   `dtype` matter here.
 * @returns The loss: k if all is balanced, 1 with `normalizeByK`; 0 without a token.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for sizes that do not fit, and for a token with a NaN
 *   or, with softmax, a +∞, which it names. Nothing was written then.
 * @example
 * import { loadBalanceLoss, route } from 'flash-softmax/routing';
 * const logits = Float32Array.of(1, 0, 0, 1), options = { experts: 2, k: 1 };
 * console.log(loadBalanceLoss(route(logits, options), logits, options)); // → 1
 */
export function loadBalanceLoss<A extends ExpertLogits>(
  routes: Pick<RoutesLike, 'counts' | 'k'>,
  logits: A,
  options?: LoadBalanceOptions<A>,
): number {
  return runNow(loadBalanceCall('now', routes, logits, options));
}

export function loadBalanceCall<A extends ExpertLogits>(
  form: Form,
  routes: Pick<RoutesLike, 'counts' | 'k'>,
  logits: A,
  options?: LoadBalanceOptions<A> & AsyncOptions,
): Call<number> {
  const names = [...ROUTE_OPTIONS, 'gradient', 'normalizeByK', ...FORM_OPTIONS[form]];
  const given = optionsOf<LoadBalanceOptions<A>>(options, names);
  const { gradient, normalizeByK = false } = given;
  if (typeof normalizeByK !== 'boolean') throw wrongType('a boolean', 'normalizeByK', normalizeByK);
  const { score } = choicesOf(given);
  const { counts, k } = routesOf({ experts: NO_EXPERTS, weights: NO_WEIGHTS, ...routes });
  checkSizes(given, { counts, k });
  const experts = trueLength(counts, 'routes.counts');
  if (experts === 0) throw wrongValue('at least one expert', 'routes.counts', 'none');
  const { x, type, tokens } = tokensOf(logits, experts, given.dtype);
  const mask = maskOf(given.mask, given.maskFormat, tokens);
  const slopes = gradient === undefined ? null : gradientOf(gradient, logits, x);
  const shares = sharesOf(counts, normalizeByK ? 1 : k);
  const counted = mask === null ? tokens : mask.reduce((sum, each) => sum + each, 0);
  const factor = counted === 0 ? 0 : experts / counted;
  const means = new Float64Array(tokens);
  const status = new Int32Array(tokens);
  return callOf(LOAD_BALANCE_LOSS, {
    backend: backendFor(tokens * experts, loadBalanceKernels),
    type,
    args: { x, shares, means, gradient: slopes, status, mask, tokens, experts, score, factor },
    own: ['shares', 'means', 'status', 'mask'],
    names: { x: 'logits' },
    work: tokens * experts,
    check: () => void checkStatus(status),
    finish: () => means.reduce((sum, mean) => sum + mean, 0) * factor,
  });
}

const NO_EXPERTS = /* @__PURE__ */ new Uint32Array(0);
const NO_WEIGHTS = /* @__PURE__ */ new Float32Array(0);

function gradientOf(gradient: ExpertLogits, logits: ExpertLogits, x: ExpertArray): ExpertArray {
  const slopes = likeArray(gradient, logits, 'gradient', 'logits') as ExpertArray;
  sameOrApart(slopes, 'gradient', x, 'logits');
  return slopes;
}

/** k · count / Σ counts of each expert; 0 without a count. */
function sharesOf(counts: Uint32Array, k: number): Float64Array {
  const shares = new Float64Array(viewOf(counts));
  const sum = shares.reduce((total, each) => total + each, 0);
  return shares.map((each) => (sum === 0 ? 0 : (k * each) / sum));
}

export interface SelectBiasOptions {
  /** What a bias changes by: finite and from 0. Default: 0.001, as DeepSeek-V3 was trained. */
  rate?: number | undefined;
}

/**
 * The balance without an auxiliary loss of DeepSeek-V3 (arXiv 2408.15664): after a step,
 *
 *     biasᵢ += rate · sign(mean of counts − countᵢ)
 *
 * @param bias The `selectBias` of {@link route}, one number an expert. Written.
 * @param counts `counts` of the routes, or their sum over processes.
 * @param options `rate`.
 * @returns `bias`.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for lengths that differ, arrays that overlap, and a
 *   wrong rate. Nothing was written then.
 * @example
 * import { route, updateSelectBias } from 'flash-softmax/routing';
 * const selectBias = new Float64Array(2);
 * const { counts } = route(Float32Array.of(1, 0, 1, 0), { experts: 2, k: 1 }); // both tokens to expert 0
 * updateSelectBias(selectBias, counts, { rate: 0.001 });
 * console.log(selectBias.join(' ')); // → -0.001 0.001
 */
export function updateSelectBias<A extends Float32Array | Float64Array>(
  bias: A,
  counts: Uint32Array,
  options?: SelectBiasOptions,
): A {
  const { rate = 0.001 } = optionsOf<SelectBiasOptions>(options, ['rate']);
  finite(rate, 'rate');
  if (rate < 0) throw wrongValue('a number from 0', 'rate', String(rate));
  floatsOf(bias, 'bias');
  if (!isUint32Array(counts)) throw wrongType('a Uint32Array', 'counts', counts);
  const experts = trueLength(counts, 'counts');
  if (lengthOf(bias) !== experts) {
    throw wrongValue(`${experts} elements, as in counts,`, 'bias', String(lengthOf(bias)));
  }
  apart(bias, 'bias', counts, 'counts');
  let sum = 0;
  for (let e = 0; e < experts; e++) sum += counts[e]!;
  for (let e = 0; e < experts; e++) bias[e]! += rate * Math.sign(sum - counts[e]! * experts);
  return bias;
}
