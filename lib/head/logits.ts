/** The logits of an OutputHead, and what is read off them block by block: sums, and the largest. */
import { NO_INDEX } from '../backend/backend.js';
import type { AsyncOptions } from '../call/abort.js';
import { allocate } from '../call/allocate.js';
import { copyInto, lengthOf, viewOf } from '../call/arrays.js';
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
import { candidatesOf, eachList, listsOf, type CandidateOptions, type ListedStates } from './candidates.js';
import { logitsCall, type Product } from './matrix-calls.js';
import type { HeadMatrix } from './matrix.js';
import { statesOf, type HiddenStates, type StateOptions } from './states.js';

export interface HeadLogitsOptions<Out = Float32Array> extends StateOptions, CandidateOptions {
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
  const given = optionsOf<HeadLogitsOptions<Out>>(options, ['dtype', 'out', 'candidates', ...FORM_OPTIONS[form]]);
  const lists = listsOf(given.candidates);
  const states = statesOf(matrix, hidden, given.dtype);
  const candidates = candidatesOf(lists, states.count, matrix.rows);
  const length = states.count * (candidates?.n ?? matrix.rows);
  const callers = outOf(matrix, hidden, given.out, length);
  const product = yield* productOf(form, matrix, states, candidates !== undefined);
  if (candidates !== undefined) {
    const own = allocate('Float32Array', length, 'out');
    yield* eachList(form, product, candidates, (part) => writeLogits(part, own));
    return (callers === undefined ? own : filled(callers, own)) as Returned<Out>;
  }
  const out = callers ?? allocate('Float32Array', length, 'out');
  const part = { first: 0, n: states.count, from: 0, to: matrix.rows };
  if (length > 0) yield logitsCall(product, part, out, callers === undefined);
  return out as Returned<Out>;
}

/** Writes the logits of some states to their place. */
function* writeLogits({ product, first }: ListedStates, out: Float32Array): Steps<void> {
  const { rows } = product.matrix;
  const { count: n } = product.states;
  if (n > 0)
    yield logitsCall(product, { first: 0, n, from: 0, to: rows }, viewOf(out, first * rows, (first + n) * rows));
}

/** The caller's array with all logits, if it still has its memory. */
function filled(out: Float32Array, logits: Float32Array): Float32Array {
  const length = trueLength(out, 'out');
  if (length !== lengthOf(logits)) throw wrongValue(`${lengthOf(logits)} elements`, 'out', String(length));
  copyInto(out, logits);
  return out;
}

export interface HeadSumOptions extends StateOptions, CandidateOptions {
  /** What the logits are divided by: finite and > 0. Default: 1. */
  temperature?: number | undefined;
}

/** The sum of a block's rows. An error names the row of the call: `place` is that of the first state. */
function* blockSums({ logits, n, first }: Block, temperature: number, place: number): Steps<NewExpSums> {
  const call = expSumCall('now', logits, { cols: logits.length / n, temperature });
  yield call;
  try {
    return call.parts.finish();
  } catch (error) {
    const beyond = (error as Error).message.replace(
      /row (\d+) of x/,
      (_, row) => `row ${place + first + Number(row)} of logits`,
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
function* sumsOf(form: Form, product: Product, temperature: number, place: number): Steps<NewExpSums> {
  const { count: rows } = product.states;
  const all = {
    mantissa: allocate('Float64Array', rows, 'mantissa'),
    exponent: allocate('Int32Array', rows, 'exponent'),
  };
  yield* eachBlock(form, product, CLASSES, function* (block) {
    addSums(all, yield* blockSums(block, temperature, place), block.first, block.from === 0);
  });
  return all;
}

export function* expSumSteps(
  form: Form,
  matrix: HeadMatrix,
  hidden: HiddenStates,
  options?: HeadSumOptions & AsyncOptions,
): Steps<NewExpSums> {
  const given = optionsOf<HeadSumOptions>(options, ['dtype', 'temperature', 'candidates', ...FORM_OPTIONS[form]]);
  const temperature = given.temperature === undefined ? 1 : positive(given.temperature, 'temperature');
  const lists = listsOf(given.candidates);
  const states = statesOf(matrix, hidden, given.dtype);
  const candidates = candidatesOf(lists, states.count, matrix.rows);
  const product = yield* productOf(form, matrix, states, candidates !== undefined);
  if (candidates === undefined) return yield* sumsOf(form, product, temperature, 0);
  const all = { mantissa: new Float64Array(states.count), exponent: new Int32Array(states.count) };
  yield* eachList(form, product, candidates, function* (part) {
    const { mantissa, exponent } = yield* sumsOf(form, part.product, temperature, part.first);
    all.mantissa.set(mantissa, part.first);
    all.exponent.set(exponent, part.first);
  });
  return all;
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
export function mergeTop(
  best: { row: number; size: number; top: HeadTopK },
  indices: Uint32Array,
  values: Float32Array,
): number {
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

/** The options of topK. */
export interface HeadTopKOptions extends StateOptions, CandidateOptions {}

export function* topKSteps(
  form: Form,
  matrix: HeadMatrix,
  hidden: HiddenStates,
  k: number,
  options?: HeadTopKOptions & AsyncOptions,
): Steps<HeadTopK> {
  const given = optionsOf<HeadTopKOptions>(options, ['dtype', 'candidates', ...FORM_OPTIONS[form]]);
  const asked = count(k, 'k', 0);
  const lists = listsOf(given.candidates);
  const states = statesOf(matrix, hidden, given.dtype);
  const candidates = candidatesOf(lists, states.count, matrix.rows);
  const most = Math.min(asked, candidates?.n ?? matrix.rows);
  const elements = states.count * most;
  const top = {
    indices: allocate('Uint32Array', elements, 'indices'),
    values: allocate('Float32Array', elements, 'values'),
    k: most,
  };
  const product = yield* productOf(form, matrix, states, candidates !== undefined);
  yield* eachList(form, product, candidates, (part) => topOfStates(form, part, top));
  return top;
}

/** Writes the largest logits of some states to their place in `top`. */
function* topOfStates(form: Form, { product, first: place, classes }: ListedStates, top: HeadTopK): Steps<void> {
  const sizes = new Uint32Array(product.states.count);
  yield* eachBlock(form, product, CLASSES, function* ({ logits, n, first, from, to }) {
    const own = Math.min(top.k, to - from);
    if (own === 0) return;
    const [indices, values] = [
      allocate('Uint32Array', n * own, 'indices'),
      allocate('Float32Array', n * own, 'values'),
    ];
    const rows = { ...rowsOf(logits, { cols: to - from }), own: ['x'] as const };
    yield topCall(rows, own, { indices, values });
    for (let i = 0; i < n; i++) {
      const row = place + first + i;
      if (indices[i * own] === NO_INDEX) throw hasNaN(row);
      const found = indices
        .subarray(i * own, (i + 1) * own)
        .map((index) => (classes === null ? from + index : classes[from + index]!));
      const size = sizes[first + i]!;
      sizes[first + i] = mergeTop({ row, size, top }, found, values.subarray(i * own, (i + 1) * own));
    }
  });
}
