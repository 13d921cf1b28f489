/**
 * sample with filters, from the first tokens of each state: the largest logits of all blocks are its candidates.
 *
 * What the first filter keeps must be among them. topK and topH look at so many tokens and at no others, minP at the
 * largest logit; topP and epsilonCutoff at the sum of all weights too, which is known within a bound (sample-sums.ts):
 * where both ends of the bound keep the same tokens, the choice is certain. All later filters see kept tokens alone.
 * A state whose tokens are not certain, or outgrow the candidates, gets its token from written logits.
 */
import { NO_INDEX } from '../backend/backend.js';
import { allocate } from '../call/allocate.js';
import type { Form } from '../call/options.js';
import type { Steps } from '../call/steps.js';
import { HAS_NAN, NOTHING_FINITE, SAMPLED } from '../js/sampling/sample-row.js';
import { ln } from '../math/log.js';
import { applyFilters, keepLikely, muOf, type ChainRow } from '../sampling/chain.js';
import { drawTokens } from '../sampling/chain-rows.js';
import type { FilterName } from '../sampling/filter-options.js';
import type { CheckedFilters } from '../sampling/filters.js';
import type { RowNumbers } from '../sampling/per-row.js';
import { rowsOf } from '../sampling/rows.js';
import type { Plan } from '../sampling/sample-plan.js';
import { TokenSet } from '../sampling/token-set.js';
import { IntegerSum } from '../sampling/weights.js';
import { topCall } from '../selection/top-call.js';
import { CLASSES, eachBlock, type Block } from './blocks.js';
import { mergeTop, type HeadTopK } from './logits.js';
import type { Drawer } from './sample.js';
import { addBlock, isSampled, newSums, totalOf, type RowSums } from './sample-sums.js';

/** Candidates of filters that do not say how many tokens they look at: more than a nucleus mostly has. */
const CANDIDATES = 256;
/** topK may have so many. */
const MOST = 1024;
/** topH looks at so many of the first tokens. */
const TOP_H_TOKENS = 100;

const largestOf = ({ first, each }: RowNumbers): number =>
  each === undefined ? first : each.reduce((a, b) => Math.max(a, b));

/** The first filter that leaves tokens out. */
const firstFilter = ({ order }: CheckedFilters): FilterName | undefined =>
  order[0] === 'temperature' ? order[1] : order[0];

/** How many candidates the filters look at; undefined: maybe all tokens. */
function candidatesWanted(filters: CheckedFilters): number | undefined {
  const { order, range, topK, topH, minKeep } = filters;
  if (order[0] === 'temperature' && range.some((reach) => reach > 0)) return undefined;
  const fewest = largestOf(minKeep);
  switch (firstFilter(filters)) {
    case 'topK':
      return topK.some((k) => k === 0) ? undefined : largestOf(topK);
    case 'topH':
      return topH.some((part) => part >= 1) ? undefined : Math.max(TOP_H_TOKENS, fewest);
    case 'minP':
    case 'topP':
    case 'epsilonCutoff':
      return Math.max(CANDIDATES, fewest);
    default:
      return undefined;
  }
}

/** The candidates of all rows of a group, and how many each has so far. */
interface Found {
  readonly top: HeadTopK;
  readonly sizes: Uint32Array;
  readonly status: Int32Array;
}

/** Adds the largest logits of a block to the candidates. */
function* addCandidates({ logits, n, from, to }: Block, { top, sizes, status }: Found): Steps<void> {
  const own = Math.min(top.k, to - from);
  const [indices, values] = [allocate('Uint32Array', n * own, 'indices'), allocate('Float32Array', n * own, 'values')];
  yield topCall({ ...rowsOf(logits, { cols: to - from }), own: ['x'] }, own, { indices, values });
  for (let row = 0; row < n; row++) {
    const isNaNRow = indices[row * own] === NO_INDEX;
    if (isNaNRow) status[row] = HAS_NAN;
    else if (values[row * own] === Infinity && status[row] === SAMPLED) status[row] = NOTHING_FINITE;
    if (status[row] !== SAMPLED) continue;
    const found = indices.subarray(row * own, (row + 1) * own).map((index) => from + index);
    sizes[row] = mergeTop({ row, size: sizes[row]!, top }, found, values.subarray(row * own, (row + 1) * own));
  }
}

/** The candidates of one row as a set, and the largest logit that another token may have: −∞ if there is none. */
function setOf({ top, sizes }: Found, row: number, cols: number): { readonly set: TokenSet; readonly edge: number } {
  const [at, size] = [row * top.k, sizes[row]!];
  const order = Array.from({ length: size }, (_, i) => at + i).sort((a, b) => top.indices[a]! - top.indices[b]!);
  const index = Uint32Array.from(order, (i) => top.indices[i]!);
  const z = Float64Array.from(order, (i) => top.values[i]!);
  return { set: new TokenSet(z, index, cols, 1), edge: size < cols ? top.values[at + size - 1]! : -Infinity };
}

/** A row while its first filter is applied. */
interface Cut {
  readonly set: TokenSet;
  readonly edge: number;
  readonly row: number;
  /** The bounds of the sum of all weights, as integers. */
  bounds(): readonly [low: number, high: number];
}

/** How many of the first tokens have a share of any sum within the bounds; undefined if that is not certain. */
function shareOf({ set, bounds }: Cut, share: number): number | undefined {
  const [low, high] = bounds();
  const sorted = set.largest(set.size);
  const sum = new IntegerSum();
  for (let i = 0; i < sorted.length; i++) {
    const { value } = sum.add(set.weights.of(sorted[i]!));
    if (value >= share * high) return i + 1;
    if (value >= share * low) return undefined;
  }
  return undefined;
}

/** Applies the first filter. Returns false if it may keep tokens that are no candidates. */
function isCut(name: FilterName, filters: CheckedFilters, cut: Cut): boolean {
  const { set, edge, row, bounds } = cut;
  const fewest = filters.minKeep.at(row);
  if (edge === -Infinity || name === 'topK' || name === 'topH') return true; // the candidates are all it looks at
  if (name === 'minP') return edge < set.top + set.temperature * ln(filters.minP.at(row));
  if (name === 'topP') {
    const share = filters.topP.at(row);
    const kept = share < 1 ? shareOf(cut, share) : undefined;
    if (kept !== undefined) set.keepFirst(Math.max(kept, fewest));
    return kept !== undefined;
  }
  const [low, high] = bounds();
  const probability = filters.epsilonCutoff.at(row);
  const [least, most] = [probability * low, probability * high];
  const { w, size, weights, top } = set;
  let between = 0;
  for (let i = 0; i < size; i++) if (w[i]! >= least && w[i]! < most) between++;
  if (probability === 0 || between > 0 || edge === top || weights.of(edge) >= least) return false;
  keepLikely(set, most, fewest);
  return true;
}

/** Whether `isCut` has applied its filter. */
const isApplied = (name: FilterName, edge: number): boolean =>
  edge > -Infinity && (name === 'topP' || name === 'epsilonCutoff');

/** Filters the candidates of a row and draws from them. Returns false if the choice is not certain. */
function isDrawn(plan: Plan, found: Found, row: number, sums: RowSums | undefined): boolean {
  const { filters, call, uniforms } = plan;
  const { set, edge } = setOf(found, row, call.cols);
  const at: ChainRow = { row, unit: 1, cols: call.cols, chance: () => plan.drawsOf(row).chance() };
  const isWarm = filters.order[0] === 'temperature';
  if (isWarm) applyFilters(set, { ...filters, order: ['temperature'] }, at);
  let rest = filters.order.slice(isWarm ? 1 : 0);
  const name = rest[0]!;
  const isGreedy = isWarm && filters.temperature.at(row) === 0;
  if (!isGreedy) {
    const bounds = () => {
      const { total, error, weights } = totalOf(sums!);
      return [(total - error) * weights.unit, (total + error) * weights.unit] as const;
    };
    if (!isCut(name, filters, { set, edge, row, bounds })) return false;
    if (isApplied(name, edge)) rest = rest.slice(1);
  }
  applyFilters(set, { ...filters, order: rest }, at);
  drawTokens(row, set, uniforms, filters, plan);
  return true;
}

/**
 * Draws from candidates; undefined: the filters of the call may look at all tokens. Where a block has the whole row,
 * filters that may keep more than the candidates draw from written logits, as they might have to in the end.
 */
export function candidateDrawer(form: Form, whole: Plan): Drawer | undefined {
  const { filters } = whole;
  const k = candidatesWanted(filters);
  if (k === undefined || k > MOST || k >= whole.call.cols) return undefined;
  const name = firstFilter(filters);
  if (name !== 'topK' && name !== 'topH' && whole.call.cols <= CLASSES) return undefined;
  const needsSums = name === 'topP' || name === 'epsilonCutoff';
  const isWarm = filters.order[0] === 'temperature';
  return function* draw(product, plan) {
    const { rows } = plan.call;
    const found: Found = {
      top: {
        indices: allocate('Uint32Array', rows * k, 'indices'),
        values: allocate('Float32Array', rows * k, 'values'),
        k,
      },
      sizes: new Uint32Array(rows),
      status: new Int32Array(rows),
    };
    const sums = needsSums
      ? newSums(plan, CLASSES, (row) => (isWarm ? plan.filters.temperature.at(row) : 1))
      : undefined;
    yield* eachBlock(form, product, CLASSES, function* (block) {
      yield* addCandidates(block, found);
      if (sums !== undefined) yield* addBlock(block, sums);
    });
    const unsure: number[] = [];
    for (let row = 0; row < rows; row++) {
      const top = found.sizes[row] === 0 ? -Infinity : found.top.values[row * k]!;
      if (!isSampled(plan, row, found.status[row]!, top)) {
        if (plan.mu.length > 0) plan.mu[row] = muOf(plan.filters.mirostat!, row);
        continue;
      }
      if (!isDrawn(plan, found, row, sums?.[row])) unsure.push(row);
    }
    return unsure;
  };
}
