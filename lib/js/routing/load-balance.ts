/** The kernel of loadBalanceLoss, with the results of native/routing/load_balance.h. */
import type { Kernel } from '../../backend/operators.js';
import { LOAD_BALANCE_LOSS } from '../../backend/operators.js';
import { TOKEN_STATUS } from '../../routing/options.js';
import { twinOf } from '../twin.js';
import { areSigmoids, PLAIN, Scores, statusOf, topOf } from './token.js';

const loadBalanceLoss: Kernel<'load_balance_loss', Float32Array, Float32Array> = (
  x,
  shares,
  means,
  gradient,
  status,
  mask,
  tokens,
  experts,
  score,
  factor,
) => {
  const isCounted = (t: number): boolean => mask === null || mask[t] !== 0;
  for (let t = 0; t < tokens; t++) {
    status[t] = isCounted(t) ? statusOf(x, t * experts, experts, score, PLAIN) : TOKEN_STATUS.routed;
  }
  if (status.some((each) => each !== TOKEN_STATUS.routed)) return false;
  const scores = new Scores(experts);
  for (let t = 0; t < tokens; t++) {
    const start = t * experts;
    means[t] = 0;
    if (!isCounted(t)) {
      for (let i = start; gradient !== null && i < start + experts; i++) gradient[i] = 0;
      continue;
    }
    const top = topOf(x, start, experts);
    const isSigmoid = areSigmoids(score, top);
    let sum = isSigmoid ? scores.sigmoids(x, start, experts) : scores.exponentials(x, start, experts, top);
    const isUniform = sum === 0;
    if (isUniform) {
      scores.score.fill(1);
      sum = experts;
    }
    let total = 0;
    for (let i = 0; i < experts; i++) total += scores.score[i]! * shares[i]!;
    const mean = (means[t] = total / sum);
    if (gradient === null) continue;
    const steepness = isUniform ? 0 : factor / sum;
    for (let i = 0; i < experts; i++) {
      const slope = scores.score[i]! * steepness * (shares[i]! - mean);
      gradient[start + i] = isSigmoid ? slope * scores.complement[i]! : slope;
    }
  }
};

export const loadBalanceKernels = /* @__PURE__ */ twinOf(LOAD_BALANCE_LOSS, loadBalanceLoss, undefined as never);
