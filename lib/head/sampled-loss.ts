/**
 * The loss of an OutputHead on candidates: sampled softmax, −log of the target's share among itself and the candidates
 * (Jean et al., arXiv 1412.2007; TensorFlow's sampled_softmax_loss), from which the logarithm of each class's expected
 * count is subtracted where that is given.
 */
import { allocate } from '../call/allocate.js';
import { elementsOf, kindOf } from '../call/arrays.js';
import { wrongType, wrongValue } from '../call/errors.js';
import type { Form } from '../call/options.js';
import type { Steps } from '../call/steps.js';
import type { NewUint32Array } from '../call/types.js';
import { finite } from '../call/values.js';
import { listedProduct, type Candidates } from './candidates.js';
import { gradientsOf, type Gradients } from './loss-gradients.js';
import { newLosses, type Correction, type Losses, type Terms } from './loss-terms.js';
import { addLogits, logOfSum } from './log-sums.js';
import type { Product } from './matrix-calls.js';

/** Logarithms of expected counts. */
export type LogCounts = Float32Array | Float64Array | readonly number[];

/** The corrections of a call, copied and checked. */
export interface LogCountLists {
  /** As the lists of candidates; undefined: no correction. */
  readonly candidates: readonly Float64Array[] | undefined;
  /** One a state; undefined: those of the candidates that are targets. */
  readonly targets: Float64Array | undefined;
  readonly keepsHits: boolean;
}

/** A copy of numbers, each read once. */
function numbersOf(list: unknown, name: string): Float64Array {
  const kind = kindOf(list);
  if (kind !== 'Float32Array' && kind !== 'Float64Array' && !Array.isArray(list)) {
    throw wrongType('a Float64Array, a Float32Array or an array of numbers', name, list);
  }
  return Float64Array.from(elementsOf(list as number[]), (x, i) => finite(x, `${name}[${i}]`));
}

/** Reads the corrections, before lengths are taken. A list whose first element is a list has one a state. */
export function logCountsOf(logCounts: unknown, targetLogCounts: unknown, removes: unknown): LogCountLists {
  if (removes !== undefined && typeof removes !== 'boolean')
    throw wrongType('a boolean', 'removeAccidentalHits', removes);
  let candidates: readonly Float64Array[] | undefined;
  if (logCounts !== undefined) {
    const given: unknown = Array.isArray(logCounts) ? Array.from(logCounts as unknown[]) : logCounts;
    const isNested = Array.isArray(given) && typeof given[0] === 'object';
    candidates = isNested
      ? (given as unknown[]).map((list, i) => numbersOf(list, `logCounts[${i}]`))
      : [numbersOf(given, 'logCounts')];
  }
  const targets = targetLogCounts === undefined ? undefined : numbersOf(targetLogCounts, 'targetLogCounts');
  return { candidates, targets, keepsHits: removes === false };
}

/** Compares the lengths of corrections with candidates and states. */
export function checkLogCounts({ candidates, targets }: LogCountLists, { lists, n }: Candidates, count: number): void {
  if (candidates !== undefined && candidates.length !== lists.length) {
    throw wrongValue(`${lists.length} lists, as of candidates,`, 'logCounts', String(candidates.length));
  }
  const other = candidates?.findIndex(({ length }) => length !== n) ?? -1;
  if (other >= 0) throw wrongValue(`${n} numbers, one a candidate,`, 'logCounts', String(candidates![other]!.length));
  if (targets === undefined) return;
  if (candidates === undefined) throw wrongValue('no value without logCounts', 'targetLogCounts', 'a list');
  if (targets.length !== count)
    throw wrongValue(`${count} numbers, one a state,`, 'targetLogCounts', `${targets.length}`);
}

/** Rising classes without duplicates. */
const union = (lists: readonly ArrayLike<number>[]): NewUint32Array => {
  const all = new Set<number>();
  for (const list of lists) for (let i = 0; i < list.length; i++) if (list[i]! >= 0) all.add(list[i]!);
  return Uint32Array.from(all).sort();
};

/** The states of one list: their targets by class, and the corrections of list and targets. */
interface Listed {
  readonly list: NewUint32Array;
  readonly targets: Int32Array;
  readonly first: number;
  readonly logCounts: Float64Array | undefined;
  readonly counts: LogCountLists;
}

/** The corrections of a list, for a matrix with the rows of `classes`. */
function correctionOf({ list, targets, first, logCounts, counts }: Listed, places: Map<number, number>): Correction {
  const offsets = new Float64Array(places.size).fill(-Infinity);
  for (let i = 0; i < list.length; i++) {
    const place = places.get(list[i]!)!;
    offsets[place] = logOfSum(offsets[place]!, logCounts === undefined ? 0 : -logCounts[i]!);
  }
  const own = new Float64Array(targets.length);
  for (let i = 0; i < targets.length && logCounts !== undefined; i++) {
    if (targets[i]! < 0) continue;
    const at = counts.targets === undefined ? list.indexOf(targets[i]!) : -1;
    if (counts.targets === undefined && at < 0) {
      throw wrongValue('candidates where targetLogCounts is absent', 'targets', `${targets[i]} at ${first + i}`);
    }
    own[i] = -(counts.targets === undefined ? logCounts[at]! : counts.targets[first + i]!);
  }
  return { offsets, own, keepsHits: counts.keepsHits };
}

/** The losses of a list's states, before any logit is known. Throws if a target lacks a correction. */
function lossesOf(listed: Listed, terms: Terms, classes: NewUint32Array, factor: number): Losses {
  const places = new Map<number, number>();
  classes.forEach((row, i) => places.set(row, i));
  const correction = correctionOf(listed, places);
  const targets = listed.targets.map((target) => (target < 0 ? -1 : places.get(target)!));
  const weight = terms.weight === null ? null : Float64Array.from(classes, (row) => terms.weight![row]!);
  return { ...newLosses(targets, null, { ...terms, weight }, classes.length, correction), factor };
}

/** The results of a call. */
export interface SampledResult {
  readonly losses: readonly Losses[];
  readonly gradients: Gradients;
  /** The classes of the gradients' rows. */
  readonly classes: NewUint32Array;
}

/** What a call is made of. */
export interface SampledCall {
  readonly product: Product;
  readonly candidates: Candidates;
  readonly targets: Int32Array;
  readonly terms: Terms;
  readonly counts: LogCountLists;
  readonly gradient: 'none' | 'hidden' | 'both';
  readonly factor: number;
}

/** The lists of a call, each with its losses and the classes of its matrix. All checks have passed then. */
export function preparedLists({ candidates, targets, terms, counts, factor }: Omit<SampledCall, 'product'>) {
  const { lists, isShared } = candidates;
  return lists.map((list, first) => {
    const own = isShared ? targets : targets.slice(first, first + 1);
    const listed = { list, targets: own, first, logCounts: counts.candidates?.[first], counts };
    const classes = union([list, own]);
    return { first, classes, losses: lossesOf(listed, terms, classes, factor) };
  });
}

type Prepared = ReturnType<typeof preparedLists>[number];

/** Adds the gradients of a state's rows to those of all rows. */
function addRows(
  to: Float64Array,
  from: Float32Array | null,
  classes: Uint32Array,
  all: Map<number, number>,
  each: number,
) {
  if (from === null) return;
  classes.forEach((row, i) => {
    const at = all.get(row)! * each;
    for (let c = 0; c < each; c++) to[at + c]! += from[i * each + c]!;
  });
}

export function* sampledSteps(form: Form, call: SampledCall, lists: readonly Prepared[]): Steps<SampledResult> {
  const { product, candidates, gradient } = call;
  const { cols, bias } = product.matrix;
  if (candidates.isShared) {
    const { classes, losses } = lists[0]!;
    const part = yield* listedProduct(form, product, classes, [0, product.states.count]);
    yield* addLogits(form, part, losses);
    return { losses: [losses], gradients: yield* gradientsOf(part, losses, gradient), classes };
  }
  const isBoth = gradient === 'both';
  const classes = isBoth ? union(lists.map((each) => each.classes)) : new Uint32Array(0);
  const places = new Map(Array.from(classes, (row, i) => [row, i] as const));
  const hidden = allocate('Float64Array', gradient === 'none' ? 0 : product.states.count * cols, 'hidden');
  const sums = {
    weights: allocate('Float64Array', classes.length * cols, 'weights'),
    bias: allocate('Float64Array', bias === null ? 0 : classes.length, 'bias'),
  };
  for (const { first, classes: own, losses } of lists) {
    const part = yield* listedProduct(form, product, own, [first, 1]);
    yield* addLogits(form, part, losses);
    const found = yield* gradientsOf(part, losses, gradient);
    hidden.set(found.hidden, Math.min(hidden.length, first * cols));
    addRows(sums.weights, found.weights, own, places, cols);
    addRows(sums.bias, found.bias, own, places, 1);
  }
  const gradients: Gradients = {
    hidden,
    weights: isBoth ? Float32Array.from(sums.weights) : null,
    bias: isBoth && bias !== null ? Float32Array.from(sums.bias) : null,
  };
  return { losses: lists.map(({ losses }) => losses), gradients, classes };
}
