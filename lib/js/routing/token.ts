/** What the kernels of routing share: a token's scores in double, as native/routing/token_row.h has them. */
import { TOKEN_STATUS } from '../../routing/options.js';
import { exponentialOf, writeExponentials } from '../rows/exponential.js';

export const SOFTMAX = 0;
export const SIGMOID = 1;
export const PLAIN = 0;
export const OVER_SUM = 1;
export const OVER_LOGITS = 2;

/** Below this logit a sigmoid is the exponential itself, to the last bit of a double. */
const SIGMOID_IS_EXP = -600;

/** The scores of logits, one token after the other. */
export class Scores {
  /** exp(x − top) or σ(x). */
  readonly score: Float64Array;
  /** σ(−x). */
  readonly complement: Float64Array;

  constructor(most: number) {
    this.score = new Float64Array(most);
    this.complement = new Float64Array(most);
  }

  /** Writes exp(x − top) of n logits, and returns their sum; 0, with zeros, if `top` is −∞. */
  exponentials(x: Float32Array | Float64Array, start: number, n: number, top: number): number {
    if (top !== -Infinity) return writeExponentials(x, start, n, top, this.score);
    this.score.fill(0, 0, n);
    return 0;
  }

  /** Writes σ(x) and σ(−x) of n logits, and returns the sum of σ(x). */
  sigmoids(x: Float32Array | Float64Array, start: number, n: number): number {
    let sum = 0;
    for (let i = 0; i < n; i++) {
      const z = x[start + i]!;
      const term = exponentialOf(-Math.abs(z));
      const large = 1 / (1 + term);
      const small = term * large;
      this.score[i] = z < 0 ? small : large;
      this.complement[i] = z < 0 ? large : small;
      sum += this.score[i]!;
    }
    return sum;
  }
}

/** The largest of n logits; −∞ if no logit is larger. */
export function topOf(x: Float32Array | Float64Array, start: number, n: number): number {
  let top = -Infinity;
  for (let i = start; i < start + n; i++) if (x[i]! > top) top = x[i]!;
  return top;
}

/** What keeps a token from being routed. */
export function statusOf(x: Float32Array, start: number, n: number, score: number, normalize: number): number {
  let isInfinite = false;
  for (let i = start; i < start + n; i++) {
    if (x[i] !== x[i]) return TOKEN_STATUS.hasNaN;
    if (x[i] === Infinity) isInfinite = true;
  }
  return isInfinite && !(score === SIGMOID && normalize !== OVER_LOGITS)
    ? TOKEN_STATUS.isInfinite
    : TOKEN_STATUS.routed;
}

/** Whether scores with such a largest logit are sigmoids, and not the exponentials that they are far below 0. */
export const areSigmoids = (score: number, top: number): boolean => score === SIGMOID && top >= SIGMOID_IS_EXP;
