/** What the loss of a head is made of: its options, and what each state's loss and its gradients follow from. */
import { allocate } from '../call/allocate.js';
import { lengthOf } from '../call/arrays.js';
import { positive } from '../call/checks.js';
import { trueLength, wrongValue } from '../call/errors.js';
import type { NewFloat64Array } from '../call/types.js';
import { finite } from '../call/values.js';
import { numberIn, weightsOf } from '../losses/row-loss.js';
import { reductionOf } from '../losses/reduce.js';
import { expBelowZero } from '../math/exp.js';
import type { Part } from './matrix-calls.js';

/** The numbers of a loss, checked. */
export function termsOf(given: {
  readonly reduction?: unknown;
  readonly weight?: unknown;
  readonly labelSmoothing?: unknown;
  readonly lsePenalty?: unknown;
  readonly scale?: unknown;
  readonly temperature?: unknown;
}) {
  const weight: unknown = Array.isArray(given.weight) ? Array.from(given.weight as unknown[]) : given.weight;
  return {
    reduction: reductionOf(given.reduction ?? 'none'),
    weight: weightsOf(weight),
    smoothing: numberIn(given.labelSmoothing ?? 0, 'labelSmoothing', 0, 1),
    lsePenalty: given.lsePenalty === undefined ? 0 : positive(given.lsePenalty, 'lsePenalty', true),
    scale: given.scale === undefined ? 1 : finite(given.scale, 'scale'),
    temperature: given.temperature === undefined ? 1 : positive(given.temperature, 'temperature'),
  };
}

export type Terms = ReturnType<typeof termsOf>;

/** Checks that there is a weight for each class. */
export function checkWeights(weight: Float64Array | null, rows: number): void {
  if (weight !== null && weight.length !== rows)
    throw wrongValue(`${rows} elements, one a class,`, 'weight', String(weight.length));
}

/** Checks soft targets, [count, rows]. */
export function checkSoft(soft: Float32Array, count: number, rows: number): void {
  const given = trueLength(soft, 'targets');
  if (given !== count * rows) throw wrongValue(`${count * rows} elements, one a logit,`, 'targets', String(given));
}

/** Sampled softmax: what is added to the logits of candidates, over the temperature. */
export interface Correction {
  /** Of each row of the gathered matrix; −∞: the class is the target of some state, and no candidate. */
  readonly offsets: Float64Array;
  /** Of each state's target. */
  readonly own: Float64Array;
  /** Whether a candidate that is the target counts beside the target. */
  readonly keepsHits: boolean;
}

/** What the losses of all states and their gradients by logits follow from. */
export interface Losses {
  /** The row of each target; −1: the state does not count. */
  readonly targets: Int32Array;
  /** Soft targets, [count, rows]; null: one target a state. */
  readonly soft: Float32Array | null;
  readonly terms: Terms;
  readonly correction: Correction | null;
  /** (1 − ε) · weight of each target. */
  readonly hard: NewFloat64Array;
  readonly lse: NewFloat64Array;
  /** The logit of each target, over the temperature, corrected. */
  readonly chosen: NewFloat64Array;
  /** Σ a and Σ a · logit of each state, a being the parts of the loss that are no target's: `partOf`. */
  readonly mass: CompensatedSums;
  readonly cross: CompensatedSums;
  /** The number of classes. */
  readonly classes: number;
  /** Multiplies each loss. */
  readonly factor: number;
}

/** Sums of doubles with their rounding errors. */
interface CompensatedSums {
  readonly high: Float64Array;
  readonly low: Float64Array;
}

const newSums = (n: number): CompensatedSums => ({ high: new Float64Array(n), low: new Float64Array(n) });

/** The losses of states before any logit is known. */
export function newLosses(
  targets: Int32Array,
  soft: Float32Array | null,
  terms: Terms,
  classes: number,
  correction: Correction | null = null,
): Losses {
  const { weight, smoothing } = terms;
  const hard = allocate('Float64Array', targets.length, 'loss');
  for (let i = 0; i < targets.length; i++) {
    if (soft === null && targets[i]! >= 0) hard[i] = (1 - smoothing) * (weight === null ? 1 : weight[targets[i]!]!);
  }
  return {
    targets,
    soft,
    terms,
    correction,
    hard,
    lse: new Float64Array(targets.length).fill(-Infinity),
    chosen: new Float64Array(targets.length),
    mass: newSums(targets.length),
    cross: newSums(targets.length),
    classes,
    factor: terms.scale,
  };
}

/** Whether classes other than the target have a part in a loss. */
export const hasParts = ({ soft, terms }: Losses): boolean => soft !== null || terms.smoothing > 0;

function add({ high, low }: CompensatedSums, i: number, term: number): void {
  const before = high[i]!;
  const sum = before + term;
  const ofTerm = sum - before;
  high[i] = sum;
  if (sum - sum === 0) low[i]! += before - (sum - ofTerm) + (term - ofTerm);
}

const totalOf = ({ high, low }: CompensatedSums, i: number): number => high[i]! + low[i]!;

/** The part a of a class in the loss of a state, the hard target's left out: Σ a · −ln p. */
function partOf({ soft, terms, classes }: Losses, state: number, k: number): number {
  const { weight, smoothing } = terms;
  const share = (soft === null ? 0 : (1 - smoothing) * soft[state * classes + k]!) + smoothing / classes;
  return weight === null ? share : weight[k]! * share;
}

/** Adds the parts of a block's classes. */
export function addParts(x: Float32Array, losses: Losses, { first, n, from, to }: Part): void {
  const { mass, cross, terms } = losses;
  for (let i = 0, at = 0; i < n; i++) {
    for (let k = from; k < to; k++, at++) {
      const a = partOf(losses, first + i, k);
      if (a === 0) continue;
      add(mass, first + i, a);
      add(cross, first + i, a * (x[at]! / terms.temperature));
    }
  }
}

/** The loss of a state, before the factor. */
export function lossOf(losses: Losses, i: number): number {
  const { targets, lse, chosen, hard, soft, mass, cross, terms } = losses;
  if (targets[i]! < 0) return 0;
  const [sum, penalty] = [lse[i]!, terms.lsePenalty];
  if (!(Math.abs(sum) < Infinity)) return NaN;
  const ofTarget = hard[i] === 0 ? 0 : hard[i]! * Math.max(0, sum - chosen[i]!);
  const rest = hasParts(losses) ? totalOf(mass, i) * sum - totalOf(cross, i) : 0;
  return ofTarget + (soft === null ? Math.max(0, rest) : rest) + (penalty === 0 ? 0 : penalty * sum * sum);
}

/** 1 − e^−d for d ≥ 0. */
const complement = (d: number): number => (d < 2 ** -20 ? d - (d * d) / 2 : 1 - expBelowZero(-d));

/** e^(z − lse) where lse ≥ z but for rounding; 0 for a class that is no candidate. */
const probability = (z: number, lse: number): number => (z === -Infinity ? 0 : expBelowZero(Math.min(0, z - lse)));

/** Turns a block of logits into gradients by dot products, the factors of rows left out. */
export function toGradients(x: Float32Array, losses: Losses, softcap: number, part: Part): void {
  const { first, from, to } = part;
  const { terms, correction, targets, lse, hard, mass, factor } = losses;
  const width = to - from;
  const [hasMore, offsets] = [hasParts(losses), correction === null ? null : correction.offsets];
  for (let at = 0, i = first; at < lengthOf(x); at += width, i++) {
    const [target, sum] = [targets[i]!, lse[i]!];
    const isFinite = Math.abs(sum) < Infinity;
    const rest = (hasMore ? totalOf(mass, i) : 0) + (terms.lsePenalty === 0 ? 0 : 2 * terms.lsePenalty * sum);
    const [whole, scale] = [hard[i]! + rest, factor / terms.temperature];
    for (let c = 0; c < width; c++) {
      const z = x[at + c]!;
      const slope = (softcap > 0 ? 1 - (z / softcap) ** 2 : 1) * scale;
      const a = hasMore ? partOf(losses, i, from + c) : 0;
      if (target < 0) x[at + c] = 0;
      else if (!isFinite) x[at + c] = NaN;
      else if (from + c === target && losses.soft === null) x[at + c] = atTarget(losses, i, z, rest, a) * slope;
      else {
        const offset = offsets === null ? 0 : offsets[from + c]!;
        const p = offset === -Infinity ? 0 : probability(z / terms.temperature + offset, sum);
        x[at + c] = p === 0 && a === 0 ? 0 : (p * whole - a) * slope;
      }
    }
  }
}

/** The gradient by the logit of a target: −(the sum of the others) where no other part counts, so nothing cancels. */
function atTarget(losses: Losses, i: number, z: number, rest: number, a: number): number {
  const { chosen, lse, hard, correction, targets, terms } = losses;
  const miss = complement(Math.max(0, lse[i]! - chosen[i]!));
  let hit = 0;
  if (correction?.keepsHits) hit = probability(z / terms.temperature + correction.offsets[targets[i]!]!, lse[i]!);
  return hard[i]! * (hit - miss) + rest * (1 - miss + hit) - a;
}
