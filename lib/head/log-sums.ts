/** The log-sum-exps and targets' logits of all states, from blocks of logits. */
import { MASK_NONE } from '../backend/backend.js';
import { backend } from '../backend/choice.js';
import { LOG_SUM_EXP } from '../backend/operators.js';
import { callOf, type Call } from '../call/call.js';
import type { Form } from '../call/options.js';
import type { Steps } from '../call/steps.js';
import { logSumExpKernels } from '../js/softmax/log-sum-exp.js';
import { expBelowZero } from '../math/exp.js';
import { log1p } from '../math/log.js';
import { CLASSES, eachBlock, type Block } from './blocks.js';
import { addParts, hasParts, type Losses } from './loss-terms.js';
import type { Product } from './matrix-calls.js';

/** log(e^a + e^b). */
export function logOfSum(a: number, b: number): number {
  if (a !== a || b !== b) return NaN;
  const [high, low] = a < b ? [b, a] : [a, b];
  return Math.abs(high) === Infinity ? high : high + log1p(expBelowZero(low - high), 0)[0];
}

/** The log-sum-exp of each row of a block: more exact than the logarithm of expSum's sums. */
const lseCall = (logits: Float32Array, temperature: number, out: Float64Array): Call<void> =>
  callOf(LOG_SUM_EXP, {
    backend: backend(logSumExpKernels),
    type: 'f32',
    args: {
      x: logits,
      out,
      outer: out.length,
      cols: logits.length / out.length,
      inner: 1,
      temperature,
      mask: null,
      maskLayout: MASK_NONE,
      bias: null,
    },
    own: ['x', 'out'],
    work: logits.length,
    finish: () => undefined,
  });

/** log Σ e^x of n numbers, without that of the largest where it is much smaller. */
function logSumOf(x: Float64Array, n: number): number {
  let best = 0;
  for (let i = 0; i < n; i++) {
    if (x[i] !== x[i]) return NaN;
    if (x[i]! > x[best]!) best = i;
  }
  const top = x[best]!;
  if (!(Math.abs(top) < Infinity)) return n === 0 ? -Infinity : top;
  let sum = 0;
  for (let i = 0; i < n; i++) if (i !== best && x[i]! > -Infinity) sum += expBelowZero(x[i]! - top);
  return top + log1p(sum, 0)[0];
}

/** Adds the corrected logits of a block of candidates, and of targets, to the log-sum-exps. */
function addCorrected(
  { logits, first, n, from, to }: Block,
  { targets, lse, chosen, terms, correction }: Losses,
): void {
  const { offsets, own, keepsHits } = correction!;
  const width = to - from;
  const values = new Float64Array(width + 1);
  for (let i = 0; i < n; i++) {
    const target = targets[first + i]! - from;
    let size = 0;
    for (let c = 0; c < width; c++) {
      const z = logits[i * width + c]! / terms.temperature;
      if (c === target) {
        chosen[first + i] = z + own[first + i]!;
        values[size++] = chosen[first + i]!;
      }
      const offset = offsets[from + c]!;
      if (offset > -Infinity && (c !== target || keepsHits)) values[size++] = z + offset;
    }
    if (size > 0) lse[first + i] = logOfSum(lse[first + i]!, logSumOf(values, size));
  }
}

/** Fills what losses know of the logits: one pass over all blocks. */
export function* addLogits(form: Form, product: Product, losses: Losses): Steps<void> {
  const { targets, lse, chosen, terms } = losses;
  yield* eachBlock(form, product, CLASSES, function* (block) {
    const { logits, first, n, from, to } = block;
    if (losses.correction !== null) {
      addCorrected(block, losses);
      return;
    }
    const ofBlock = new Float64Array(n);
    yield lseCall(logits, terms.temperature, ofBlock);
    for (let i = 0; i < n; i++) {
      const target = targets[first + i]!;
      if (target >= from && target < to) {
        chosen[first + i] = logits[i * (to - from) + target - from]! / terms.temperature;
      }
      lse[first + i] = logOfSum(lse[first + i]!, ofBlock[i]!);
    }
    if (hasParts(losses)) addParts(logits, losses, block);
  });
}
