/** Operations of an OutputHead on some of its classes: their rows are copied together and taken for a matrix. */
import { allocate } from '../call/allocate.js';
import { copyInto, copyOf, kindOf, viewOf } from '../call/arrays.js';
import { describe, outOfRange, trueLength, wrongType, wrongValue } from '../call/errors.js';
import type { Form } from '../call/options.js';
import type { Steps } from '../call/steps.js';
import type { NewFloat32Array, NewUint32Array } from '../call/types.js';
import * as formats from './formats.js';
import type { Product } from './matrix-calls.js';
import type { HeadMatrix } from './matrix.js';

/** A list of classes. */
export type ClassList = Uint32Array | Int32Array;

export interface CandidateOptions {
  /**
   * The classes that count, instead of all: one list for all states, or an array with a list for each state, of one
   * length. Only their rows of the weights are read. A class that is listed twice counts twice. Default: all classes.
   */
  candidates?: ClassList | readonly ClassList[] | undefined;
}

/** Checked candidates: one list for all states, or one a state. */
export interface Candidates {
  readonly lists: readonly NewUint32Array[];
  readonly isShared: boolean;
  /** The length of each list. */
  readonly n: number;
}

const isClassList = (value: unknown): value is ClassList =>
  kindOf(value) === 'Uint32Array' || kindOf(value) === 'Int32Array';

/** The caller's lists, each read once, before lengths are taken. */
export const listsOf = <T>(given: T): T => (Array.isArray(given) ? (Array.from(given) as T) : given);

/** A copy of a list of classes, each of which must be in [0, rows). */
function classesOf(list: unknown, name: string, rows: number): NewUint32Array {
  if (!isClassList(list)) throw wrongType('a Uint32Array or Int32Array', name, list);
  const length = trueLength(list, name);
  if (length === 0) throw wrongValue('at least one class', name, 'none');
  const copy = copyOf(list as Int32Array) as unknown as Int32Array;
  const classes = new Uint32Array(length);
  for (let i = 0; i < length; i++) {
    if (!(copy[i]! >= 0 && copy[i]! < rows)) {
      throw outOfRange(`integers from 0 to ${rows - 1}`, name, `${describe(copy[i])} at ${i}`);
    }
    classes[i] = copy[i]!;
  }
  return classes;
}

/** Checks candidates for so many states; undefined without any. */
export function candidatesOf(given: CandidateOptions['candidates'], count: number, rows: number) {
  if (given === undefined) return undefined;
  if (!Array.isArray(given)) {
    const list = classesOf(given, 'candidates', rows);
    return { lists: [list], isShared: true, n: list.length } satisfies Candidates;
  }
  if (given.length !== count) throw wrongValue(`${count} lists, one a state,`, 'candidates', String(given.length));
  const lists = given.map((list, i) => classesOf(list, `candidates[${i}]`, rows));
  const n = lists[0]?.length ?? 0;
  const other = lists.findIndex(({ length }) => length !== n);
  if (other >= 0)
    throw wrongValue(`${n} classes, as in the first list,`, `candidates[${other}]`, `${lists[other]!.length}`);
  return { lists, isShared: false, n } satisfies Candidates;
}

/** Bytes copied between two turns of the event loop. */
const SLICE = 2 ** 20;

/** Copies the elements of rows, `each` a row, together. */
function rowsTogether(from: Float32Array | null, classes: Uint32Array, each = 1): NewFloat32Array | null {
  if (from === null) return null;
  const to = allocate('Float32Array', classes.length * each, 'scales');
  classes.forEach((row, i) => copyInto(to, viewOf(from, row * each, (row + 1) * each), i * each));
  return to;
}

/** Copies rows of so many bytes to the places from `first` on. */
function copyRows(to: Uint8Array, from: Uint8Array, classes: Uint32Array, first: number, bytes: number): void {
  for (let i = 0; i < classes.length; i++) {
    copyInto(to, viewOf(from, classes[i]! * bytes, (classes[i]! + 1) * bytes), (first + i) * bytes);
  }
}

/** The rows of some classes as a matrix of its own. */
export function* gathered(form: Form, product: Product, classes: Uint32Array): Generator<undefined, HeadMatrix> {
  const { matrix, weights } = product;
  const { cols, format, block, zeroPoints } = matrix;
  const rows = classes.length;
  const bytes = formats.rowBytes(format, cols, block);
  const zeros = formats.rowZeroPoints(format, cols, block);
  const own = allocate('Uint8Array', rows * bytes, 'weights');
  const ownZeros = zeroPoints === null ? null : allocate('Uint8Array', rows * zeros, 'zeroPoints');
  const step = Math.max(1, Math.floor(SLICE / bytes));
  for (let first = 0; first < rows; first += step) {
    const end = Math.min(rows, first + step);
    const some = classes.subarray(first, end);
    copyRows(own, weights, some, first, bytes);
    if (zeroPoints !== null) copyRows(ownZeros!, zeroPoints, some, first, zeros);
    if (form === 'later') yield undefined;
  }
  return {
    ...matrix,
    rows,
    weights: own,
    scales: rowsTogether(matrix.scales, classes, formats.rowScales(format, cols, block)),
    zeroPoints: ownZeros,
    factors: rowsTogether(matrix.factors, classes),
    bias: rowsTogether(matrix.bias, classes),
  };
}

/** The product of the states [first, first + n) with the rows of some classes. */
export function* listedProduct(
  form: Form,
  product: Product,
  classes: Uint32Array,
  [first, n]: readonly [number, number],
): Generator<undefined, Product> {
  const matrix = yield* gathered(form, product, classes);
  const { hidden, inverse } = product.states;
  const { cols } = matrix;
  return {
    matrix,
    weights: matrix.weights,
    states: {
      hidden: viewOf(hidden, first * cols, (first + n) * cols),
      count: n,
      inverse: inverse && viewOf(inverse, first, first + n),
    },
  };
}

/** States [first, first + product.states.count) of a call, with the classes of the product's rows; null: all. */
export interface ListedStates {
  readonly product: Product;
  readonly first: number;
  readonly classes: NewUint32Array | null;
}

/** Does the steps of `use` once, or once a state where each has candidates of its own. */
export function* eachList(
  form: Form,
  product: Product,
  candidates: Candidates | undefined,
  use: (part: ListedStates) => Steps<void>,
): Steps<void> {
  if (candidates === undefined) {
    yield* use({ product, first: 0, classes: null });
    return;
  }
  const { lists, isShared } = candidates;
  const n = isShared ? product.states.count : 1;
  for (const [first, classes] of lists.entries()) {
    yield* use({ product: yield* listedProduct(form, product, classes, [first, n]), first, classes });
  }
}
