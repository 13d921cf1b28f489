/**
 * Filters in any order, on the tokens of one row. Sums of weights are exact integers, so that all backends keep the
 * same tokens.
 *
 * Definitions: llama.cpp's src/llama-sampling.cpp for topNSigma, xtc, dynamicTemperature and mirostat; transformers'
 * generation/logits_process.py for topH and etaCutoff. lib/sampling/sample.ts says where the others come from.
 */
import { exp } from '../math/exp.js';
import { ln } from '../math/log.js';
import { LN2 } from '../math/powers.js';
import { ColumnSums } from './column-sums.js';
import type { FilterName } from './filter-options.js';
import type { CheckedFilters, Mirostat } from './filters.js';
import { powerOf, TokenSet } from './token-set.js';
import { shareLength } from './weights.js';

/** What a row's filters need besides their numbers. */
export interface ChainRow {
  readonly row: number;
  /** The logits are divided by it: 1, but for rows of extreme logits or temperatures. */
  readonly unit: number;
  readonly cols: number;
  /** The sum of all weights of the row, where the set has only its first tokens and mirostat comes first. */
  readonly total?: number | undefined;
  /** A number in (0, 1), which decides whether xtc applies. */
  chance(): number;
}

/** mu of a row: the caller's, or 2 · tau. */
export const muOf = ({ mu, tau }: Mirostat, row: number): number => mu?.at(row) ?? 2 * tau.at(row);

/** Applies a row's filters to a set of its tokens, which is not empty. */
export function applyFilters(set: TokenSet, filters: CheckedFilters, at: ChainRow): void {
  for (const name of filters.order) APPLY[name](set, filters, at);
}

/** The temperature of a row by the entropy of its tokens. A single token has none: 1. */
export function dynamicTemperature(
  { temperature, range, exponent }: CheckedFilters,
  row: number,
  { size, entropy }: { readonly size: number; readonly entropy: number },
): number {
  const [t, reach] = [temperature.at(row), range.at(row)];
  if (reach === 0) return t;
  if (size <= 1) return 1;
  const least = Math.max(0, t - reach);
  const share = Math.min(1, entropy / ln(size));
  return least + (t + reach - least) * powerOf(share, exponent.at(row));
}

type Apply = (set: TokenSet, filters: CheckedFilters, at: ChainRow) => void;

const APPLY: Readonly<Record<FilterName, Apply>> = {
  temperature(set, filters, { row, unit }) {
    const { temperature, range } = filters;
    if (range.at(row) > 0 && set.size <= 1) return;
    const t = range.at(row) === 0 ? temperature.at(row) : dynamicTemperature(filters, row, set);
    set.setTemperature(t === 0 ? 0 : Math.max(t / unit, Number.MIN_VALUE));
  },

  topNSigma(set, { topNSigma, minKeep }, { row }) {
    const n = topNSigma.at(row);
    if (n <= 0 || set.size <= 1) return;
    const { z, index, size, top } = set;
    const sums = new ColumnSums();
    const scale = scaleOfSquares(set);
    const distance = (i: number): number => top * scale - z[i]! * scale;
    // Distances from the largest: a sum of logits could overflow, and loses digits.
    for (let i = 0; i < size; i++) sums.add(index[i]!, distance(i));
    const mean = sums.total / size;
    for (let i = 0; i < size; i++) sums.add(index[i]!, (distance(i) - mean) * (distance(i) - mean));
    keepFrom(set, (top * scale - n * Math.sqrt(sums.total / size)) / scale, minKeep.at(row));
  },

  topH(set, { topH, minKeep }, { row }) {
    if (topH.at(row) >= 1) return;
    const sorted = set.largest(100);
    const own = new TokenSet(sorted, new Uint32Array(sorted.length), sorted.length, set.temperature);
    const terms = Float64Array.from(sorted, (z, i) => own.w[i]! * -own.logOf(z));
    const part = topH.at(row) * terms.reduce((a, b) => a + b, 0);
    let sum = terms[0]!;
    let kept = 1;
    while (kept < terms.length && terms[kept]! > 0 && (sum += terms[kept]!) <= part) kept++;
    set.keepFirst(Math.max(kept, minKeep.at(row)));
  },

  topK(set, { topK }, { row }) {
    if (topK.at(row) > 0) set.keepFirst(topK.at(row));
  },

  topP(set, { topP, minKeep }, { row }) {
    if (topP.at(row) < 1) set.keepFirst(Math.max(set.shareLength(topP.at(row)), minKeep.at(row)));
  },

  minP(set, { minP, minKeep }, { row }) {
    if (minP.at(row) > 0) keepFrom(set, set.top + set.temperature * ln(minP.at(row)), minKeep.at(row));
  },

  typicalP(set, { typicalP, minKeep }, { row }) {
    if (typicalP.at(row) >= 1) return;
    const { z, size, weights } = set;
    let sum = 0;
    let total = 0;
    const { w } = set;
    for (let i = 0; i < size; i++) {
      const weight = w[i]! / weights.unit;
      sum += weight * weights.distance(z[i]!);
      total += weight;
    }
    const keys = new Float64Array(size);
    for (let i = 0; i < size; i++) keys[i] = -Math.abs(weights.distance(z[i]!) - sum / total);
    const order = Array.from(keys.keys()).sort((a, b) => keys[b]! - keys[a]! || a - b);
    const kept = shareLength(size, (i) => set.w[order[i]!]!, typicalP.at(row));
    set.keepFirstBy(keys, Math.max(kept, minKeep.at(row)));
  },

  epsilonCutoff(set, { epsilonCutoff, minKeep }, { row }) {
    if (epsilonCutoff.at(row) > 0) keepLikely(set, epsilonCutoff.at(row) * set.total, minKeep.at(row));
  },

  etaCutoff(set, { etaCutoff, minKeep }, { row }) {
    const epsilon = etaCutoff.at(row);
    const probability = epsilon > 0 ? Math.min(epsilon, Math.sqrt(epsilon) * exp(-set.entropy)) : 0;
    if (probability > 0) keepLikely(set, probability * set.total, minKeep.at(row));
  },

  xtc(set, { xtcThreshold, xtcProbability, minKeep }, { row, chance }) {
    if (xtcProbability.at(row) <= 0 || xtcThreshold.at(row) > 0.5 || set.size < 2) return;
    if (!(chance() < xtcProbability.at(row))) return;
    const least = xtcThreshold.at(row) * set.total;
    const { w } = set;
    let likely = 0;
    for (let i = 0; i < set.size; i++) likely += +(w[i]! >= least);
    if (likely > 1 && set.size - likely + 1 >= minKeep.at(row)) set.dropFirst(likely - 1);
  },

  mirostat(set, { mirostat }, { row, cols, total = set.total }) {
    const mu = muOf(mirostat!, row);
    if (mirostat!.version === 1) {
      const sorted = set.largest(ZIPF_TOKENS);
      return set.keepFirst(zipfLength(sorted, set.temperature, mu, cols));
    }
    const least = exp(Math.max(-700, Math.min(700, -mu * LN2))) * total;
    if (set.weights.unit < least) set.keepFirst(1);
    else set.keepHeavy(least);
  },
};

/** A power of 2 by which logits are multiplied where squares of their distances are beyond the range of doubles. */
function scaleOfSquares({ z, size, top }: TokenSet): number {
  let low = top;
  for (let i = 0; i < size; i++) if (z[i]! < low) low = z[i]!;
  const half = top / 2 - low / 2;
  if (half > 2 ** 500) return 2 ** -600;
  return half > 0 && half < 2 ** -400 ? 2 ** 600 : 1;
}

/** Keeps the logits of at least `least`, and at least the first `fewest` tokens. */
function keepFrom(set: TokenSet, least: number, fewest: number): void {
  const bound = Math.min(least, set.top);
  const { z } = set;
  let count = 0;
  for (let i = 0; fewest > 1 && i < set.size && count < fewest; i++) if (z[i]! >= bound) count++;
  if (fewest > 1 && count < fewest) set.keepFirst(fewest);
  else set.keepFrom(bound);
}

/** Keeps the tokens with at least a weight, and at least the first `fewest` and all of the largest logit. */
export function keepLikely(set: TokenSet, least: number, fewest: number): void {
  const { w, z, top } = set;
  let count = 0;
  for (let i = 0; fewest > 1 && i < set.size && count < fewest; i++) if (w[i]! >= least || z[i] === top) count++;
  if (fewest > 1 && count < fewest) set.keepFirst(fewest);
  else set.keepHeavy(least);
}

/** mirostat 1 looks at so many of the first tokens. */
export const ZIPF_TOKENS = 100;

/**
 * k of mirostat 1: s from the logarithms of neighbouring ranks and probabilities of the first tokens, and
 * k = (ε · 2^mu / (1 − cols^−ε))^(1/s), ε = s − 1. Infinity: all tokens.
 */
export function zipfLength(sorted: ArrayLike<number>, temperature: number, mu: number, cols: number): number {
  if (sorted.length < 2) return 1;
  let [products, squares] = [0, 0];
  for (let i = 0; i + 1 < sorted.length; i++) {
    const t = ln((i + 2) / (i + 1));
    products += (t * (sorted[i]! - sorted[i + 1]!)) / temperature;
    squares += t * t;
  }
  const s = products / squares;
  const x = (s - 1) * ln(cols);
  const log = Math.abs(x) < 1e-8 ? 0 : x > 700 ? ln(x) : ln(x / (1 - exp(-x)));
  const k = (log - ln(ln(cols)) + mu * LN2) / s;
  return k > 60 ? Infinity : k > 0 ? Math.max(1, Math.floor(exp(k))) : 1;
}
