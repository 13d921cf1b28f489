/**
 * Filters of whole rows that the kernel of sampling lacks, as filters that it has: a reading of the row gives its σ,
 * its entropy or its weights, and these a bound of its logits or a temperature.
 */
import { backendFor } from '../backend/choice.js';
import { copyOf, lengthOf } from '../call/arrays.js';
import type { Steps } from '../call/steps.js';
import { samplingKernels } from '../js/sampling/sampling.js';
import { exp } from '../math/exp.js';
import { lowestOf, readerOf } from '../math/read.js';
import { topCall } from '../selection/top-call.js';
import { dynamicTemperature } from './chain.js';
import type { FilterName } from './filter-options.js';
import { isNative, type CheckedFilters } from './filters.js';
import { deviations, distanceOf, masses, type RowMass } from './moments.js';
import { RowNumbers } from './per-row.js';
import type { Plan } from './sample-plan.js';

/** Temperatures of doubles beyond these need other units: native/sampling/sample.h. */
const [LEAST, MOST] = [2 ** -990, 2 ** 1000];
/** xtc looks for so many tokens at most: a threshold from about 0.001. */
const MOST_LIKELY = 1024;

/** The plan with filters of the kernel alone; undefined if there is none, or JavaScript runs the call. */
export function* kernelPlan(plan: Plan): Steps<Plan | undefined> {
  const { call, filters } = plan;
  const { order, temperature, range } = filters;
  const isRowEmpty = call.rows === 0 || call.cols === 0;
  if (isRowEmpty || filters.minKeep.some((k) => k > 1) || !isUsual(plan, temperature)) return undefined;
  if (backendFor(call.rows * call.cols, samplingKernels).name === 'js') return undefined;
  const active = order.filter((name) => name !== 'temperature');
  if (range.some((reach) => reach > 0)) return yield* withTemperatures(plan);
  if (active[0] === 'topNSigma') return yield* withDeviations(plan);
  if (active.at(-1) === 'xtc') return yield* withoutTopChoices(plan, active.length === 1);
  if (active.length === 1 && active[0] === 'etaCutoff') return yield* withLeastLogits(plan);
  return undefined;
}

/** Whether the temperatures need no other unit. */
const isUsual = ({ call }: Plan, temperature: RowNumbers): boolean =>
  call.type !== 'f64' || !temperature.some((t) => (t > 0 && t < LEAST) || t >= MOST);

const without = ({ order }: CheckedFilters, name: FilterName): FilterName[] => order.filter((each) => each !== name);

/** Weights at the row's temperature. One of 0 leaves a single token, whatever its weight. */
const massesOf = ({ call, filters: { temperature } }: Plan) => masses(call, (row) => temperature.at(row) || 1);

/** dynamicTemperature as a temperature a row. */
function* withTemperatures(plan: Plan): Steps<Plan | undefined> {
  const { call, filters } = plan;
  const still = { ...filters, range: new RowNumbers(filters.range.name, 0) };
  if (filters.order[0] !== 'temperature' || !isNative(filters.order, still)) return undefined;
  const rows = yield* masses(call, () => 1);
  if (rows === undefined) return undefined;
  const each = rows.map(({ count, entropy }, row) => dynamicTemperature(filters, row, { size: count, entropy }));
  const temperature = new RowNumbers(filters.temperature.name, each[0]!, each);
  return isUsual(plan, temperature) ? { ...plan, filters: { ...still, temperature } } : undefined;
}

/** topNSigma as a bound: what it keeps are the first tokens, as topK does, whichever comes first. */
function* withDeviations(plan: Plan): Steps<Plan | undefined> {
  const { call, filters } = plan;
  const order = without(filters, 'topNSigma');
  if (order.includes('topP') || !isNative(order, filters)) return undefined;
  const sigma = yield* deviations(call);
  if (sigma === undefined) return undefined;
  const distances = sigma.map((each, row) => {
    const n = filters.topNSigma.at(row);
    return n > 0 && each > 0 ? -n * each : -Infinity;
  });
  return { ...plan, filters: { ...filters, order, distances } };
}

/** etaCutoff alone, as a bound of floats. */
function* withLeastLogits(plan: Plan): Steps<Plan | undefined> {
  const { call, filters } = plan;
  if (call.type === 'f64' || call.bias !== null) return undefined;
  const rows = yield* massesOf(plan);
  if (rows === undefined) return undefined;
  const distances = new Float64Array(call.rows).fill(-Infinity);
  for (let r = 0; r < call.rows; r++) {
    const epsilon = filters.etaCutoff.at(r);
    const { count, total, entropy } = rows[r]!;
    const probability = Math.min(epsilon, Math.sqrt(epsilon) * exp(-entropy));
    if (count === 0 || probability <= 0) continue;
    const distance = distanceOf(rows[r]!, probability * total);
    if (distance === undefined) return undefined;
    distances[r] = distance;
  }
  return { ...plan, filters: { ...filters, order: without(filters, 'etaCutoff'), distances } };
}

/** xtc as logits of −∞; or nothing, where no row's number says that it applies. */
function* withoutTopChoices(plan: Plan, isAlone: boolean): Steps<Plan | undefined> {
  const { call, filters, drawsOf } = plan;
  const { xtcThreshold, xtcProbability, temperature } = filters;
  const left: CheckedFilters = { ...filters, order: without(filters, 'xtc') };
  if (!isNative(left.order, left)) return undefined;
  const applies = (row: number): boolean =>
    xtcThreshold.at(row) <= 0.5 && temperature.at(row) > 0 && drawsOf(row).chance() < xtcProbability.at(row);
  const chosen = Array.from({ length: call.rows }, (_, row) => row).filter(applies);
  if (chosen.length === 0) return { ...plan, filters: left };
  const least = chosen.reduce((threshold, row) => Math.min(threshold, xtcThreshold.at(row)), 1);
  const k = Math.min(call.cols, Math.floor(1 / least) + 1);
  if (!isAlone || !(k <= MOST_LIKELY)) return undefined;
  const rows = yield* massesOf(plan);
  if (rows === undefined) return undefined;
  const indices = new Uint32Array(call.rows * k);
  yield topCall(call, k, { indices });
  const x = copyOf(call.x as Float32Array);
  const read = sumsOf(plan);
  for (const row of chosen) {
    const first = indices.subarray(row * k, (row + 1) * k);
    const likely = likelyOf(rows[row]!, xtcThreshold.at(row), first, (column) => read(row, column));
    for (let i = 0; i + 1 < likely; i++) x[row * call.cols + first[i]!] = lowestOf(call.type);
  }
  return { ...plan, call: { ...call, x, own: [...call.own, 'x'] }, filters: left };
}

/** How many of a row's first tokens have at least a probability. */
function likelyOf(
  { count, total, weights }: RowMass,
  threshold: number,
  first: Uint32Array,
  read: (column: number) => number,
): number {
  const n = Math.min(count, first.length);
  let likely = 0;
  while (likely < n && weights.of(read(first[likely]!)) >= threshold * total) likely++;
  return likely;
}

/** Reads logits with their bias. */
function sumsOf({ call: { x, type, cols, bias } }: Plan): (row: number, column: number) => number {
  const read = readerOf(x, type);
  if (bias === null) return (row, column) => read(row * cols + column);
  const [add, isShared] = [readerOf(bias, type), lengthOf(bias) === cols];
  return (row, column) => read(row * cols + column) + add(isShared ? column : row * cols + column);
}
