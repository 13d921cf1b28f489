/** The kernel of routeBackward, with the results of native/routing/route_backward.h. */
import type { Kernel } from '../../backend/operators.js';
import { ROUTE_BACKWARD } from '../../backend/operators.js';
import { TOKEN_STATUS } from '../../routing/options.js';
import { twinOf } from '../twin.js';
import { areSigmoids, OVER_LOGITS, PLAIN, Scores, SIGMOID, SOFTMAX, statusOf, topOf } from './token.js';

/** What the gradient of a call is computed from. */
interface Call {
  readonly x: Float32Array;
  readonly chosen: Uint32Array;
  readonly weights: Float32Array;
  readonly slopes: Float32Array;
  readonly experts: number;
  readonly k: number;
  readonly score: number;
  readonly normalize: number;
  readonly scale: number;
}

/** The gradient by the logits of one token after the other. */
class Gradients {
  readonly gradients: Float64Array;
  readonly #call: Call;
  readonly #scores: Scores;
  readonly #picked: Float64Array;

  constructor(call: Call) {
    this.#call = call;
    this.#scores = new Scores(Math.max(call.experts, call.k));
    this.gradients = new Float64Array(call.experts);
    this.#picked = new Float64Array(call.k);
  }

  hasWeight(t: number): boolean {
    const { weights, k } = this.#call;
    for (let at = t * k; at < (t + 1) * k; at++) if (weights[at] !== 0) return true;
    return false;
  }

  /** The gradient by a weight; a dropped one has none. */
  #slopeOf(at: number): number {
    return this.#call.weights[at] === 0 ? 0 : this.#call.slopes[at]!;
  }

  /** The gradient of weights that depend on all logits, a softmax. */
  spread(t: number): void {
    const { x, chosen, experts, k, scale } = this.#call;
    const { gradients } = this;
    const { score } = this.#scores;
    const start = t * experts;
    const sum = this.#scores.exponentials(x, start, experts, topOf(x, start, experts));
    gradients.fill(0);
    let mean = 0;
    for (let at = t * k; at < (t + 1) * k; at++) {
      gradients[chosen[at]!]! += this.#slopeOf(at);
      if (sum !== 0) mean += this.#slopeOf(at) * (score[chosen[at]!]! / sum);
    }
    const steepness = sum === 0 ? 0 : scale / sum;
    for (let i = 0; i < experts; i++) gradients[i] = score[i]! * steepness * (gradients[i]! - mean);
  }

  /** The gradient of weights that depend on the chosen logits alone. */
  sparse(t: number): void {
    const { x, chosen, experts, k, score, normalize, scale } = this.#call;
    const picked = this.#picked;
    const scores = this.#scores;
    this.gradients.fill(0);
    for (let j = 0; j < k; j++) picked[j] = x[t * experts + chosen[t * k + j]!]!;
    const top = topOf(picked, 0, k);
    const isPlain = normalize === PLAIN;
    const isSigmoid = score === SIGMOID && normalize !== OVER_LOGITS && (isPlain || areSigmoids(score, top));
    const total = isSigmoid ? scores.sigmoids(picked, 0, k) : scores.exponentials(picked, 0, k, top);
    if (total === 0) return;
    const sum = isPlain ? 1 : total;
    let mean = 0;
    for (let j = 0; j < k && !isPlain; j++) mean += this.#slopeOf(t * k + j) * (scores.score[j]! / sum);
    for (let j = 0; j < k; j++) {
      const slope = scale * (scores.score[j]! / sum) * (this.#slopeOf(t * k + j) - mean);
      this.gradients[chosen[t * k + j]!]! += isSigmoid ? slope * scores.complement[j]! : slope;
    }
  }
}

const routeBackward: Kernel<'route_backward', Float32Array, Float32Array> = (
  x,
  chosen,
  weights,
  slopes,
  out,
  status,
  tokens,
  experts,
  k,
  score,
  normalize,
  scale,
) => {
  const own = new Gradients({ x, chosen, weights, slopes, experts, k, score, normalize, scale });
  for (let t = 0; t < tokens; t++) {
    status[t] = own.hasWeight(t) ? statusOf(x, t * experts, experts, score, normalize) : TOKEN_STATUS.routed;
  }
  if (status.some((each) => each !== TOKEN_STATUS.routed)) return false;
  for (let t = 0; t < tokens; t++) {
    if (!own.hasWeight(t)) own.gradients.fill(0);
    else if (score === SOFTMAX && normalize === PLAIN) own.spread(t);
    else own.sparse(t);
    for (let i = 0; i < experts; i++) out[t * experts + i] = own.gradients[i]!;
  }
};

export const routeBackwardKernels = /* @__PURE__ */ twinOf(ROUTE_BACKWARD, routeBackward, undefined as never);
