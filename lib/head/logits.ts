/** The logits of an OutputHead, and what is read off them block by block: sums, and the largest. */
import { NO_INDEX } from '../backend/backend.js';
import type { AsyncOptions } from '../call/abort.js';
import { allocate } from '../call/allocate.js';
import { apart, count, positive } from '../call/checks.js';
import { trueLength, wrongType, wrongValue } from '../call/errors.js';
import { FORM_OPTIONS, optionsOf, type Form } from '../call/options.js';
import type { Steps } from '../call/steps.js';
import { isFloat32Array, type NewFloat32Array, type NewUint32Array, type Returned } from '../call/types.js';
import { hasNaN, rowsOf } from '../sampling/rows.js';
import { topCall } from '../selection/top-call.js';
import { expSumCall } from '../softmax/exp-sum.js';
import type { NewExpSums } from '../softmax/exp-sum-state.js';
import { mergeExpSums } from '../softmax/merge-exp-sums.js';
import { CLASSES, eachBlock, productOf, type Block } from './blocks.js';
import { logitsCall } from './matrix-calls.js';
import type { HeadMatrix } from './matrix.js';
import { statesOf, type HiddenStates, type StateOptions } from './states.js';

export interface HeadLogitsOptions<Out = Float32Array> extends StateOptions {
  /** Where the logits go. Default: a new Float32Array. */
  out?: Out | undefined;
}

/** `out`, checked, or undefined. It shares no memory with hidden states or weights. */
function outOf(matrix: HeadMatrix, hidden: HiddenStates, out: unknown, length: number): Float32Array | undefined {
  if (out === undefined) return undefined;
  if (!isFloat32Array(out)) throw wrongType('a Float32Array', 'out', out);
  const given = trueLength(out, 'out');
  if (given !== length) throw wrongValue(`${length} elements`, 'out', String(given));
  apart(out, 'out', hidden, 'hidden');
  apart(out, 'out', matrix.weights, 'weights');
  return out;
}

export function* logitsSteps<Out extends Float32Array = NewFloat32Array>(
  form: Form,
  matrix: HeadMatrix,
  hidden: HiddenStates,
  options?: HeadLogitsOptions<Out> & AsyncOptions,
): Steps<Returned<Out>> {
  const given = optionsOf<HeadLogitsOptions<Out>>(options, ['dtype', 'out', ...FORM_OPTIONS[form]]);
  const states = statesOf(matrix, hidden, given.dtype);
  const length = states.count * matrix.rows;
  const callers = outOf(matrix, hidden, given.out, length);
  const product = yield* productOf(form, matrix, states);
  const out = callers ?? allocate('Float32Array', length, 'out');
  const part = { first: 0, n: states.count, from: 0, to: matrix.rows };
  if (length > 0) yield logitsCall(product, part, out, callers === undefined);
  return out as Returned<Out>;
}

export interface HeadSumOptions extends StateOptions {
  /** What the logits are divided by: finite and > 0. Default: 1. */
  temperature?: number | undefined;
}

/** The sum of a block's rows. An error names the row of the call. */
function* blockSums({ logits, n, first }: Block, temperature: number): Steps<NewExpSums> {
  const call = expSumCall('now', logits, { cols: logits.length / n, temperature });
  yield call;
  try {
    return call.parts.finish();
  } catch (error) {
    const beyond = (error as Error).message.replace(
      /row (\d+) of x/,
      (_, row) => `row ${first + Number(row)} of logits`,
    );
    throw Object.assign(error as Error, { message: beyond });
  }
}

/** Writes the sums of some rows from `first` on into `all`, or adds them there. */
function addSums(all: NewExpSums, sums: NewExpSums, first: number, isNew: boolean): void {
  const end = first + sums.mantissa.length;
  const before = { mantissa: all.mantissa.slice(first, end), exponent: all.exponent.slice(first, end) };
  const { mantissa, exponent } = isNew ? sums : mergeExpSums(before, sums);
  all.mantissa.set(mantissa, first);
  all.exponent.set(exponent, first);
}

/** The state of each row, in place of {@link expSum} on written logits. */
function* sumsOf(form: Form, product: Parameters<typeof eachBlock>[1], temperature: number): Steps<NewExpSums> {
  const { count: rows } = product.states;
  const all = {
    mantissa: allocate('Float64Array', rows, 'mantissa'),
    exponent: allocate('Int32Array', rows, 'exponent'),
  };
  yield* eachBlock(form, product, CLASSES, function* (block) {
    addSums(all, yield* blockSums(block, temperature), block.first, block.from === 0);
  });
  return all;
}

export function* expSumSteps(
  form: Form,
  matrix: HeadMatrix,
  hidden: HiddenStates,
  options?: HeadSumOptions & AsyncOptions,
): Steps<NewExpSums> {
  const given = optionsOf<HeadSumOptions>(options, ['dtype', 'temperature', ...FORM_OPTIONS[form]]);
  const temperature = given.temperature === undefined ? 1 : positive(given.temperature, 'temperature');
  const states = statesOf(matrix, hidden, given.dtype);
  return yield* sumsOf(form, yield* productOf(form, matrix, states), temperature);
}

/** The largest logits of each row. */
export interface HeadTopK {
  /** Of each row, `k` classes: those of the largest first, the lower one first among equals. */
  readonly indices: NewUint32Array;
  /** The logits of these. */
  readonly values: NewFloat32Array;
  /** How many there are of each row: k, or the number of classes if that is less. */
  readonly k: number;
}

/** Merges the largest of a block into those of a row, both in order: of equals, the block's come later. */
function merge(best: { row: number; size: number; top: HeadTopK }, indices: Uint32Array, values: Float32Array): number {
  const { row, size, top } = best;
  const at = row * top.k;
  const before = { indices: top.indices.slice(at, at + size), values: top.values.slice(at, at + size) };
  const end = Math.min(top.k, size + values.length);
  for (let to = 0, a = 0, b = 0; to < end; to++) {
    const isOld = b >= values.length || (a < size && before.values[a]! >= values[b]!);
    top.values[at + to] = isOld ? before.values[a]! : values[b]!;
    top.indices[at + to] = isOld ? before.indices[a++]! : indices[b++]!;
  }
  return end;
}

export function* topKSteps(
  form: Form,
  matrix: HeadMatrix,
  hidden: HiddenStates,
  k: number,
  options?: StateOptions & AsyncOptions,
): Steps<HeadTopK> {
  const given = optionsOf<StateOptions>(options, ['dtype', ...FORM_OPTIONS[form]]);
  const most = Math.min(count(k, 'k', 0), matrix.rows);
  const states = statesOf(matrix, hidden, given.dtype);
  const elements = states.count * most;
  const top = {
    indices: allocate('Uint32Array', elements, 'indices'),
    values: allocate('Float32Array', elements, 'values'),
    k: most,
  };
  const sizes = new Uint32Array(states.count);
  yield* eachBlock(form, yield* productOf(form, matrix, states), CLASSES, function* ({ logits, n, first, from, to }) {
    const own = Math.min(most, to - from);
    if (own === 0) return;
    const [indices, values] = [
      allocate('Uint32Array', n * own, 'indices'),
      allocate('Float32Array', n * own, 'values'),
    ];
    const rows = { ...rowsOf(logits, { cols: to - from }), own: ['x'] as const };
    yield topCall(rows, own, { indices, values });
    for (let i = 0; i < n; i++) {
      if (indices[i * own] === NO_INDEX) throw hasNaN(first + i);
      const found = indices.subarray(i * own, (i + 1) * own).map((index) => from + index);
      const row = first + i;
      sizes[row] = merge({ row, size: sizes[row]!, top }, found, values.subarray(i * own, (i + 1) * own));
    }
  });
  return top;
}
