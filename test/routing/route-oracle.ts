/**
 * Routing by its definitions, in double-double arithmetic and with the exp of lib/cli/oracle.ts: one token at a time.
 * It shares nothing with the kernels: choices are sorted as exact sums, and weights are quotients of 106 bits.
 */
import { add, addNumber, divide, expDD, multiply, multiplyNumber, type DD } from '../../lib/cli/oracle.js';

export const ZERO: DD = { hi: 0, lo: 0 };
export const ONE: DD = { hi: 1, lo: 0 };
export const negative = (a: DD): DD => ({ hi: -a.hi, lo: -a.lo });
export const minus = (a: DD, b: DD): DD => add(a, negative(b));
const compare = (a: DD, b: DD): number => a.hi - b.hi || a.lo - b.lo;

export interface Spec {
  experts: number;
  k: number;
  score?: 'softmax' | 'sigmoid';
  normalize?: 'none' | 'sum' | 'softmax';
  selectBias?: ArrayLike<number>;
  groups?: number;
  topGroups?: number;
  scale?: number;
}

const expOf = (x: number): DD => (x === -Infinity ? ZERO : expDD({ hi: x, lo: 0 }));
const sumOf = (terms: readonly DD[]): DD => terms.reduce(add, ZERO);

/** softmax(x); all 0 where nothing is above −∞. */
export function softmaxOf(x: readonly DD[]): DD[] {
  const top = x.reduce((a, b) => (compare(a, b) < 0 ? b : a));
  if (top.hi === -Infinity) return x.map(() => ZERO);
  const terms = x.map((v) => (v.hi === -Infinity ? ZERO : expDD(minus(v, top))));
  const sum = sumOf(terms);
  return terms.map((term) => divide(term, sum));
}

/** σ(x), 1 for +∞. */
export function sigmoidOf(x: DD): DD {
  if (x.hi === Infinity) return ONE;
  if (x.hi === -Infinity) return ZERO;
  const small = expDD(x.hi < 0 ? x : negative(x));
  const large = divide(ONE, addNumber(small, 1));
  return x.hi < 0 ? multiply(small, large) : large;
}

const exactly = (x: number): DD => ({ hi: x, lo: 0 });

/** The weights of chosen experts as a function of all logits: what routeBackward differentiates. */
export function weightsOf(x: readonly DD[], chosen: readonly number[], spec: Spec): DD[] {
  const { score = 'softmax', normalize = 'none', scale = 1 } = spec;
  const picked = chosen.map((i) => x[i]!);
  const times = (weights: readonly DD[]) => weights.map((w) => multiplyNumber(w, scale));
  const uniform = () => times(chosen.map(() => divide(ONE, exactly(chosen.length))));
  const isNothing = (each: readonly DD[]) => each.every(({ hi }) => hi === -Infinity);
  if (normalize === 'softmax' || (normalize === 'sum' && score === 'softmax')) {
    return isNothing(picked) ? uniform() : times(softmaxOf(picked));
  }
  if (score === 'softmax') {
    if (isNothing(x)) return uniform();
    const all = softmaxOf(x);
    return times(chosen.map((i) => all[i]!));
  }
  const sigmoids = picked.map(sigmoidOf);
  if (normalize === 'none') return times(sigmoids);
  const top = Math.max(...picked.map(({ hi }) => hi));
  if (top === -Infinity) return uniform();
  if (top < -300) return times(softmaxOf(picked)); // σ(x) is e^x to 130 digits
  const sum = sumOf(sigmoids);
  return times(sigmoids.map((s) => divide(s, sum)));
}

/** The experts of a token and their weights. Logits have no NaN. */
export function routeOracle(logits: ArrayLike<number>, spec: Spec): { experts: number[]; weights: DD[] } {
  const { experts, k, score = 'softmax', selectBias, groups = 1, topGroups = groups } = spec;
  const x = Array.from(logits, exactly);
  let choices = x;
  if (selectBias) {
    const scores = score === 'softmax' ? softmaxOf(x) : x.map(sigmoidOf);
    choices = scores.map((s, i) => (selectBias[i] === -Infinity ? exactly(-Infinity) : addNumber(s, selectBias[i]!)));
  }
  const size = experts / groups;
  const ofGroup = (g: number) => Array.from({ length: size }, (_, i) => g * size + i);
  const inOrder = (indices: number[]) => indices.sort((a, b) => compare(choices[b]!, choices[a]!) || a - b);
  const worths = Array.from({ length: groups }, (_, g) => {
    const [first, second] = inOrder(ofGroup(g));
    return selectBias && second !== undefined ? add(choices[first!]!, choices[second]!) : choices[first!]!;
  });
  const kept = worths.map((_, g) => g).sort((a, b) => compare(worths[b]!, worths[a]!) || a - b);
  const chosen = inOrder(kept.slice(0, topGroups).flatMap(ofGroup)).slice(0, k);
  return { experts: chosen, weights: weightsOf(x, chosen, spec) };
}

/** E · Σ f · P of tokens that count. */
export function lossOracle(
  logits: readonly (readonly DD[])[],
  counts: ArrayLike<number>,
  { score, byK, k }: { score: 'softmax' | 'sigmoid'; byK: boolean; k: number },
): DD {
  const experts = counts.length;
  const total = Array.from(counts).reduce((a, b) => a + b, 0);
  let sum = ZERO;
  for (const x of logits) {
    let scores = score === 'softmax' ? softmaxOf(x) : x.map(sigmoidOf);
    if (score === 'sigmoid') {
      const all = sumOf(scores);
      scores = scores.map((s) => divide(s, all));
    }
    const nothing = x.every(({ hi }) => hi === -Infinity);
    if (nothing) scores = x.map(() => divide(ONE, exactly(experts)));
    scores.forEach((s, i) => {
      const share = divide(exactly(counts[i]! * (byK ? 1 : k)), exactly(total));
      sum = add(sum, multiply(s, share));
    });
  }
  return divide(multiplyNumber(sum, experts), exactly(logits.length));
}

/** The derivative of f by each of x, by differences of the double-double function: good to about 1e-18. */
export function derivative(f: (x: readonly DD[]) => DD, x: readonly DD[]): number[] {
  const h = 2 ** -26;
  return x.map((_, i) => {
    const at = (step: number) => f(x.map((v, j) => (j === i ? addNumber(v, step) : v)));
    // Richardson: the errors in h² cancel.
    const wide = minus(at(2 * h), at(-2 * h));
    const near = minus(at(h), at(-h));
    return (8 * near.hi - wide.hi + (8 * near.lo - wide.lo)) / (12 * h);
  });
}

export const expOfNumber = expOf;
