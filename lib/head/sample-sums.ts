/**
 * sample at a temperature alone, from the sums of parts of a row: no more than a block of logits is in memory.
 *
 * `sample` draws by inversion: the token is the first whose sum of weights exceeds u · (the sum of all), weights being
 * integers relative to the row's largest logit. That logit is not known before the last block; so the weights of a part
 * are summed relative to its own largest logit. These sums say which part has the token. Its logits are computed again,
 * unless a block has the whole row. The token is certain where u · (the sum of all) is further from both of its ends
 * than all errors:
 *
 * - an integer weight, of a part or of the row, differs from the true one by at most 6 · 10⁻¹³ of it and half a unit;
 * - the factor between a part's weights and the row's has an error of 6 · 10⁻¹³; distances have 2⁻⁴⁴ of the weight;
 * - so a sum of n weights is off by at most 2⁻³⁸ of itself and n units.
 *
 * The difference of two such sums has twice that error. A state whose token is not certain gets it from written logits.
 */
import { backend } from '../backend/choice.js';
import { MASK_NONE, NO_INDEX } from '../backend/backend.js';
import { MOMENTS } from '../backend/operators.js';
import { allocate } from '../call/allocate.js';
import { viewOf } from '../call/arrays.js';
import { callOf, type Call } from '../call/call.js';
import type { Form } from '../call/options.js';
import type { Steps } from '../call/steps.js';
import { momentsKernels } from '../js/sampling/moments.js';
import { HAS_NAN, NOTHING_FINITE, SAMPLED } from '../js/sampling/sample-row.js';
import type { Plan } from '../sampling/sample-plan.js';
import { IntegerSum, TokenWeights } from '../sampling/weights.js';
import { CLASSES, eachBlock, type Block } from './blocks.js';
import { logitsCall, type Product } from './matrix-calls.js';
import type { Drawer } from './sample.js';

/** Classes of a part: few, as a state's part is computed twice. */
const PART = 2 ** 10;

/** The error of a sum of weights, relative to it. */
const RELATIVE_ERROR = 2 ** -38;

/** What the parts of a row, each of `width` classes but the last, have in common. */
export interface RowSums {
  readonly temperature: number;
  readonly width: number;
  /** The length of the row. */
  readonly cols: number;
  /** SAMPLED, HAS_NAN, or NOTHING_FINITE for a +∞. */
  status: number;
  /** Of each part: its largest logit, and the sum of its weights relative to that. */
  readonly tops: number[];
  readonly sums: number[];
}

/** Measures the parts of `rows`, which lie side by side and have `cols` classes each, and adds that to their sums. */
function* addParts(logits: Float32Array, cols: number, rows: readonly RowSums[]): Steps<void> {
  const count = logits.length / cols;
  const rowOf = (part: number): RowSums => rows[Math.floor((part * rows.length) / count)]!;
  const mass = new Float64Array(4 * count);
  const status = new Int32Array(count);
  yield massCall(
    logits,
    Float64Array.from(status, (_, part) => rowOf(part).temperature),
    mass,
    status,
  );
  for (let part = 0; part < count; part++) {
    const row = rowOf(part);
    const isUsual = status[part] === SAMPLED;
    const top = isUsual ? mass[4 * part]! : -Infinity;
    row.tops.push(top);
    row.sums.push(isUsual ? mass[4 * part + 2]! / new TokenWeights(top, row.temperature, cols).unit : 0);
    if (status[part] === HAS_NAN) row.status = HAS_NAN;
    const isInfinite =
      status[part] === NOTHING_FINITE && viewOf(logits, part * cols, (part + 1) * cols).includes(Infinity);
    if (isInfinite && row.status === SAMPLED) row.status = NOTHING_FINITE;
  }
}

/** Measures the rows of a block, each at its temperature, and adds that to the sums of the rows. */
export function* addBlock({ logits, n, from, to }: Block, rows: readonly RowSums[]): Steps<void> {
  const cols = to - from;
  const { width } = rows[0]!;
  const rest = cols % width;
  if (rest === 0 || cols < width) return yield* addParts(logits, Math.min(cols, width), rows);
  for (let i = 0; i < n; i++) {
    const [at, end] = [i * cols, (i + 1) * cols];
    yield* addParts(viewOf(logits, at, end - rest), width, [rows[i]!]);
    yield* addParts(viewOf(logits, end - rest, end), rest, [rows[i]!]);
  }
}

/** The call of the kernel that weighs rows: top, count, sum and another number of each. */
const massCall = (x: Float32Array, temperatures: Float64Array, mass: Float64Array, status: Int32Array): Call<void> =>
  callOf(MOMENTS, {
    backend: backend(momentsKernels),
    type: 'f32',
    args: {
      x,
      temperatures,
      spread: null,
      mass,
      status,
      rows: status.length,
      cols: x.length / status.length,
      mask: null,
      maskLayout: MASK_NONE,
      bias: null,
    },
    own: ['x', 'temperatures', 'mass', 'status'],
    work: x.length,
    finish: () => undefined,
  });

/** The sum of all weights of a row, relative to its largest logit, and what it may be off by. */
export interface RowTotal {
  readonly weights: TokenWeights;
  /** Sums of the weights before each part, and of all. */
  readonly before: Float64Array;
  readonly total: number;
  readonly error: number;
}

/** The largest logit of a row. */
const topOf = ({ tops }: RowSums): number => tops.reduce((a, b) => Math.max(a, b), -Infinity);

export function totalOf(row: RowSums): RowTotal {
  const { tops, sums, temperature, cols } = row;
  const weights = new TokenWeights(topOf(row), temperature, cols);
  const before = new Float64Array(tops.length + 1);
  for (let b = 0; b < tops.length; b++) {
    before[b + 1] = before[b]! + (sums[b] === 0 ? 0 : sums[b]! * weights.unrounded(tops[b]!));
  }
  const total = before[tops.length]!;
  return { weights, before, total, error: RELATIVE_ERROR * total + cols / weights.unit };
}

/** The place of the token that u draws among the logits of a part; undefined where it is not certain. */
function placeOf(x: Float32Array, { weights, before, total, error }: RowTotal, part: number, u: number) {
  const target = u * total;
  const sum = new IntegerSum();
  for (let i = 0, last = before[part]!; i < x.length; i++) {
    const next = before[part]! + sum.add(weights.of(x[i]!)).value / weights.unit;
    if (next > target) {
      // Nothing is before the first token of a row: its lower end has no error.
      const isFirst = last === 0;
      return (isFirst || target - last > 2 * error) && next - target > 2 * error ? i : undefined;
    }
    last = next;
  }
  return undefined;
}

/** The part that has the token of a row: the first with the largest logit at the temperature 0. */
function partOf({ tops }: RowSums, { weights, before, total }: RowTotal, isGreedy: boolean, u: number): number {
  if (isGreedy) return tops.indexOf(weights.largest);
  const target = u * total;
  let part = 0;
  while (part + 1 < tops.length && !(before[part + 1]! > target)) part++;
  return part;
}

/** The logits of classes [from, to) of a row. */
type LogitsOf = (row: number, from: number, to: number) => Steps<Float32Array>;

/** Draws the token of a row from the logits of one part; NO_INDEX where it is not certain. */
function* tokenOf(plan: Plan, row: number, sums: RowSums, logitsOf: LogitsOf): Steps<number> {
  const isGreedy = plan.filters.temperature.at(row) === 0;
  const total = totalOf(sums);
  const u = plan.uniforms[row]!;
  const part = partOf(sums, total, isGreedy, u);
  const from = part * sums.width;
  const logits = yield* logitsOf(row, from, Math.min(sums.cols, from + sums.width));
  const place = isGreedy ? logits.indexOf(total.weights.largest) : placeOf(logits, total, part, u);
  return place === undefined ? NO_INDEX : from + place;
}

/** Reads the logits of parts from the only block, or computes them again. */
function logitsReader(product: Product, { logits, from, to }: Block): LogitsOf {
  const cols = to - from;
  if (cols === product.matrix.rows)
    return function* read(row, first, end) {
      return viewOf(logits, row * cols + first, row * cols + end);
    };
  const memory = allocate('Float32Array', PART, 'logits');
  return function* compute(row, first, end) {
    const part = viewOf(memory, 0, end - first);
    yield logitsCall(product, { first: row, n: 1, from: first, to: end }, part);
    return part;
  };
}

/** Whether nothing but a temperature changes a row. */
const isPlain = ({ filters: { order, range } }: Plan): boolean =>
  order.every((name) => name === 'temperature') && !range.some((reach) => reach > 0);

/** The sums of rows that have no parts yet. */
export const newSums = (plan: Plan, width: number, temperatureOf: (row: number) => number): RowSums[] =>
  Array.from({ length: plan.call.rows }, (_, row) => ({
    temperature: temperatureOf(row) || 1,
    width,
    cols: plan.call.cols,
    status: SAMPLED,
    tops: [],
    sums: [],
  }));

/** Writes the status of a row; a row without an answer has no token. Returns whether it has one. */
export function isSampled(plan: Plan, row: number, status: number, top: number): boolean {
  plan.status[row] = status === SAMPLED && top === -Infinity ? NOTHING_FINITE : status;
  if (plan.status[row] === SAMPLED) return true;
  plan.tokens[row] = NO_INDEX;
  return false;
}

/** Draws at a temperature alone; undefined: the call has filters. */
export function sumDrawer(form: Form, whole: Plan): Drawer | undefined {
  if (!isPlain(whole)) return undefined;
  return function* draw(product, plan) {
    const rows = newSums(plan, PART, (row) => plan.filters.temperature.at(row));
    let last: Block | undefined;
    yield* eachBlock(form, product, CLASSES, function* (block) {
      yield* addBlock(block, rows);
      last = block;
    });
    const logitsOf = logitsReader(product, last!);
    const unsure: number[] = [];
    for (const [row, sums] of rows.entries()) {
      if (!isSampled(plan, row, sums.status, topOf(sums))) continue;
      plan.tokens[row] = yield* tokenOf(plan, row, sums, logitsOf);
      if (plan.tokens[row] === NO_INDEX) unsure.push(row);
    }
    return unsure;
  };
}
