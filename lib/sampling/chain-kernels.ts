/**
 * Filters of whole rows that the kernel of sampling lacks, as filters that it has: a reading of the row gives its σ,
 * its entropy or its weights, and these a bound of its logits or a temperature.
 */
import type { KernelArray } from '../backend/backend.js';
import { backendFor } from '../backend/choice.js';
import { bufferOf, copyInto, copyOf, lengthOf, viewOf } from '../call/arrays.js';
import { scratchLike } from '../call/memory.js';
import type { Form } from '../call/options.js';
import type { Steps } from '../call/steps.js';
import { samplingKernels } from '../js/sampling/sampling.js';
import { exp } from '../math/exp.js';
import { lowestOf, readerOf } from '../math/read.js';
import { topCall } from '../selection/top-call.js';
import { dynamicTemperature } from './chain.js';
import type { FilterName } from './filter-options.js';
import { isNative, type CheckedFilters } from './filters.js';
import { deviations, distanceOf, masses, ROUGH, roughTotals, type RowTotal } from './moments.js';
import { RowNumbers } from './per-row.js';
import type { Plan } from './sample-plan.js';

/** Temperatures of doubles beyond these need other units: native/sampling/sample.h. */
const [LEAST, MOST] = [2 ** -990, 2 ** 1000];
/** xtc looks for so many tokens at most: a threshold from about 0.001. */
const MOST_LIKELY = 1024;

/** The plan with filters of the kernel alone; undefined if there is none, or JavaScript runs the call. */
export function* kernelPlan(form: Form, plan: Plan): Steps<Plan | undefined> {
  const { call, filters } = plan;
  const { order, temperature, range } = filters;
  const isRowEmpty = call.rows === 0 || call.cols === 0;
  if (isRowEmpty || filters.minKeep.some((k) => k > 1) || !isUsual(plan, temperature)) return undefined;
  if (backendFor(call.rows * call.cols, samplingKernels).name === 'js') return undefined;
  const active = order.filter((name) => name !== 'temperature');
  if (range.some((reach) => reach > 0)) return yield* withTemperatures(plan);
  if (active[0] === 'topNSigma') return yield* withDeviations(plan);
  if (active.at(-1) === 'xtc') return yield* withoutTopChoices(form, plan, active.length === 1);
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
function* withoutTopChoices(form: Form, plan: Plan, isAlone: boolean): Steps<Plan | undefined> {
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
  const indices = new Uint32Array(call.rows * k);
  yield topCall(call, k, { indices });
  const likely = yield* topChoices(plan, chosen, indices);
  if (likely === undefined) return undefined;
  const x = form === 'now' ? scratchCopy(call.x) : copyOf(call.x as Float32Array);
  chosen.forEach((row, i) => {
    for (let at = row * k; at + 1 < row * k + likely[i]!; at++) {
      x[row * call.cols + indices[at]!] = lowestOf(call.type);
    }
  });
  return { ...plan, call: { ...call, x, own: [...call.own, 'x'] }, filters: left };
}

/** A copy for a call that runs at once, in memory that was used before: but not in memory that has `x` itself. */
function scratchCopy(x: KernelArray): KernelArray {
  const n = lengthOf(x);
  const scratch = viewOf(scratchLike(x, n), 0, n);
  if (bufferOf(scratch) === bufferOf(x)) return copyOf(x) as KernelArray;
  copyInto(scratch, x);
  return scratch as KernelArray;
}

/** How many top choices each of the chosen rows has; undefined if the sums of a row with its bias overflow. */
function* topChoices(plan: Plan, chosen: readonly number[], indices: Uint32Array): Steps<number[] | undefined> {
  const { call, filters } = plan;
  const k = indices.length / call.rows;
  const read = sumsOf(plan);
  const count = (row: number, { weights, total }: RowTotal, most = k): number => {
    const least = filters.xtcThreshold.at(row) * total;
    let likely = 0;
    while (likely < most && weights.of(read(row, indices[row * k + likely]!)) >= least) likely++;
    return likely;
  };
  const { each, first } = filters.temperature;
  const rough = each === undefined ? yield* roughTotals(call, first, (row) => read(row, indices[row * k]!)) : undefined;
  if (rough !== undefined) {
    const [fewest, most] = [1 + ROUGH, 1 - ROUGH].map((scale) =>
      chosen.map((row) => count(row, { ...rough[row]!, total: rough[row]!.total * scale })),
    ) as [number[], number[]];
    if (fewest.every((n, i) => n === most[i])) return fewest;
  }
  const rows = yield* massesOf(plan);
  return rows && chosen.map((row) => count(row, rows[row]!, Math.min(k, rows[row]!.count)));
}

/** Reads logits with their bias. */
function sumsOf({ call: { x, type, cols, bias } }: Plan): (row: number, column: number) => number {
  const read = readerOf(x, type);
  if (bias === null) return (row, column) => read(row * cols + column);
  const [add, isShared] = [readerOf(bias, type), lengthOf(bias) === cols];
  return (row, column) => read(row * cols + column) + add(isShared ? column : row * cols + column);
}
