/** argmax and topK: the largest logits of a row, and where they are. */
import { NO_INDEX, type KernelArray } from '../backend/backend.js';
import { backendFor } from '../backend/choice.js';
import { ARGMAX } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { copyOf } from '../call/arrays.js';
import { newLike } from '../call/axis.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { bitsOf, count } from '../call/checks.js';
import { wrongType, wrongValue } from '../call/errors.js';
import { FORM_OPTIONS, type Form } from '../call/options.js';
import type { ElementType, LogitArray, NewLike, NewUint32Array } from '../call/types.js';
import { samplingKernels } from '../js/sampling/sampling.js';
import { optionsOf } from '../sampling/options.js';
import { hasNaN, inCallersOrder, ROW_OPTIONS, rowsOf, type RowOptions, type Rows } from '../sampling/rows.js';
import { topCall } from './top-call.js';

/**
 * The index of the largest logit of each row, the lowest of several.
 *
 * @param x Logits, row-major: all of them one row, or rows of `cols`, or along an `axis` of `shape`. −∞ and +∞ are
 *   numbers like others here.
 * @param options `cols`, or `shape` and `axis`; `dtype` for a Uint16Array.
 * @returns An index for each row.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_INVALID_ARG_VALUE) for `cols` that does not fit, a row without elements, or one with a NaN,
 *   which it names.
 * @example
 * import { argmax } from 'flash-softmax/sampling';
 * console.log(argmax(Float32Array.of(1, 3, 3, 5, 0, 2), { cols: 3 }).join(' ')); // → 1 0
 */
export function argmax(x: LogitArray, options?: RowOptions): NewUint32Array {
  const { x: logits, type, rows, cols, own } = rowsOf(x, optionsOf(options, ROW_OPTIONS), 'x');
  if (cols === 0) throw wrongValue('at least one element', 'x', 'none');
  const indices = new Uint32Array(rows);
  const call = callOf(ARGMAX, {
    backend: backendFor(rows * cols, samplingKernels),
    type,
    args: { x: logits, indices, rows, cols },
    own: ['indices', ...own.filter((name) => name === 'x')],
    work: rows * cols,
    finish() {
      const row = indices.indexOf(NO_INDEX);
      if (row >= 0) throw hasNaN(row, 'x');
      return indices;
    },
  });
  return runNow(call);
}

export interface TopK<A extends LogitArray = LogitArray> {
  /** Of each row, `k` indices: those of the largest first, the lower one first among equals. */
  readonly indices: NewUint32Array;
  /** The logits at these. */
  readonly values: A;
  /** How many there are of each row: k, or `cols` if that is less. */
  readonly k: number;
}

export interface TopKOptions extends RowOptions {
  /** false: the k smallest logits, smallest first. Default: true. */
  largest?: boolean | null | undefined;
}

/**
 * The k largest logits of each row, in order, or the k smallest; of equal ones those with the lowest indices.
 *
 * @param x Logits, row-major: all of them one row, or rows of `cols`, or along an `axis` of `shape`. Results have k in
 *   place of the axis.
 * @param k How many, from 0; all of a row if it has fewer.
 * @param options `cols`, or `shape` and `axis`; `largest`; `dtype` for a Uint16Array.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a `k` or `cols` that does not fit, or a row with a
 *   NaN, which it names.
 * @example
 * import { topK } from 'flash-softmax/sampling';
 * const { values, indices } = topK(Float32Array.of(1, 3, 2, 3), 2);
 * console.log(values.join(' '), indices.join(' ')); // → 3 3 1 3
 */
export function topK<A extends LogitArray>(x: A, k: number, options?: TopKOptions): TopK<NewLike<A>> {
  return runNow(topKCall('now', x, k, options));
}

export function topKCall<A extends LogitArray>(
  form: Form,
  x: A,
  k: number,
  options?: TopKOptions & AsyncOptions,
): Call<TopK<NewLike<A>>> {
  const names = [...ROW_OPTIONS, 'largest', ...FORM_OPTIONS[form]];
  const { largest = true, ...given } = optionsOf<TopKOptions>(options, names);
  if (typeof largest !== 'boolean') throw wrongType('a boolean', 'largest', largest);
  const wanted = count(k, 'k', 0);
  const rows = rowsOf(x, given, 'x');
  const call = largest ? rows : negatedRows(rows);
  const most = Math.min(wanted, call.cols);
  const indices = new Uint32Array(call.rows * most);
  const values = newLike(x, call.rows * most) as NewLike<A>;
  const bits = bitsOf(values);
  return withResult(topCall(call, most, { indices, values: bits }), () => {
    for (let row = 0; row < call.rows && most > 0; row++) {
      if (indices[row * most] === NO_INDEX) throw hasNaN(row, 'x');
    }
    if (!largest) negate(bits, call.type);
    return { indices: inCallersOrder(call, indices), values: inCallersOrder(call, values), k: most };
  });
}

/** A call with another result. */
const withResult = <R>(call: Call<unknown>, finish: () => R): Call<R> => ({
  ...call,
  parts: { ...call.parts, finish },
});

/** Rows of the negative logits, in memory of their own. */
function negatedRows(rows: Rows): Rows {
  const x = copyOf(rows.x) as KernelArray;
  negate(x, rows.type);
  return { ...rows, x, own: [...rows.own.filter((name) => name !== 'x'), 'x'] };
}

function negate(x: KernelArray, type: ElementType): void {
  if (type === 'f32' || type === 'f64') for (let i = 0; i < x.length; i++) x[i] = -x[i]!;
  else for (let i = 0; i < x.length; i++) x[i]! ^= 0x8000;
}

/**
 * The k ≤ cols largest logits of each row, for rows that have been checked. The first index of a row with a NaN is
 * NO_INDEX; `values` are the logits of x.
 */
export function topOf<A extends KernelArray>(
  call: Rows & { readonly x: A },
  k: number,
): { indices: NewUint32Array; values: NewLike<A> } {
  const indices = new Uint32Array(call.rows * k);
  const values = newLike(call.x, call.rows * k) as NewLike<A>;
  runNow(topCall(call, k, { indices, values: values as unknown as KernelArray }));
  return { indices, values };
}
