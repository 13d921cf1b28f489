/** The kernel of route, with the results of native/routing/route.h. */
import type { Kernel } from '../../backend/operators.js';
import { ROUTE } from '../../backend/operators.js';
import { TOKEN_STATUS } from '../../routing/options.js';
import { twinOf } from '../twin.js';
import { Chooser } from './choose.js';
import { areSigmoids, OVER_LOGITS, OVER_SUM, PLAIN, Scores, SIGMOID, statusOf, topOf } from './token.js';

/** How the experts of a call are scored and weighed. */
class Weigher {
  readonly scores: Scores;
  readonly choices: Float64Array;
  /** The logits of the chosen experts. */
  readonly picked: Float64Array;

  constructor(
    readonly x: Float32Array,
    readonly experts: number,
    k: number,
    readonly score: number,
    readonly normalize: number,
  ) {
    this.scores = new Scores(experts);
    this.choices = new Float64Array(experts);
    this.picked = new Float64Array(k);
  }

  /** Writes score + bias of each expert; without a bias the logits, which have the same order. */
  writeChoices(start: number, top: number, bias: Float64Array | null): void {
    const { x, experts, scores, choices } = this;
    if (bias === null) {
      for (let i = 0; i < experts; i++) choices[i] = x[start + i]!;
      return;
    }
    const isSigmoid = this.score === SIGMOID;
    const sum = isSigmoid ? scores.sigmoids(x, start, experts) : scores.exponentials(x, start, experts, top);
    const inverse = isSigmoid || sum === 0 ? 1 : 1 / sum;
    for (let i = 0; i < experts; i++) choices[i] = scores.score[i]! * inverse + bias[i]!;
  }

  /** Returns the sum that scores are divided by, 0 for 0/0; the scores of the chosen logits are in `scores` then. */
  weigh(start: number, top: number): number {
    const { picked, scores, score, normalize } = this;
    const k = picked.length;
    const chosenTop = topOf(picked, 0, k);
    const isRelative = normalize === OVER_LOGITS || (normalize === OVER_SUM && !areSigmoids(score, chosenTop));
    if (isRelative) return scores.exponentials(picked, 0, k, chosenTop);
    if (score === SIGMOID) {
      const sum = scores.sigmoids(picked, 0, k);
      return normalize === PLAIN ? 1 : sum;
    }
    const sum = scores.exponentials(this.x, start, this.experts, top);
    scores.exponentials(picked, 0, k, top);
    return sum;
  }
}

const route: Kernel<'route', Float32Array, Float32Array> = (
  x,
  chosen,
  weights,
  counts,
  status,
  bias,
  mask,
  tokens,
  experts,
  k,
  groups,
  topGroups,
  score,
  normalize,
  scale,
) => {
  const weigher = new Weigher(x, experts, k, score, normalize);
  const chooser = new Chooser(experts, k, groups, topGroups, bias !== null);
  const { choices, picked, scores } = weigher;
  counts.fill(0);
  for (let t = 0; t < tokens; t++) {
    const start = t * experts;
    status[t] = TOKEN_STATUS.routed;
    if (mask !== null && mask[t] === 0) {
      chosen.fill(0, t * k, (t + 1) * k);
      weights.fill(0, t * k, (t + 1) * k);
      continue;
    }
    status[t] = statusOf(x, start, experts, score, normalize);
    if (status[t] !== TOKEN_STATUS.routed) continue;
    const top = topOf(x, start, experts);
    weigher.writeChoices(start, top, bias);
    const best = chooser.choose(choices);
    if (bias !== null && choices[best[k - 1]!] === -Infinity) {
      status[t] = TOKEN_STATUS.hasTooFew;
      continue;
    }
    for (let j = 0; j < k; j++) picked[j] = x[start + best[j]!]!;
    const sum = weigher.weigh(start, top);
    for (let j = 0; j < k; j++) {
      chosen[t * k + j] = best[j]!;
      counts[best[j]!]!++;
      weights[t * k + j] = sum === 0 ? scale / k : scores.score[j]! * (scale / sum);
    }
  }
};

export const routeKernels = /* @__PURE__ */ twinOf(ROUTE, route, undefined as never);
