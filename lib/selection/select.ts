/** argmax and topK: the largest logits of a row, and where they are. */
import { NO_INDEX, type KernelArray } from '../backend/backend.js';
import { backendFor } from '../backend/choice.js';
import { ARGMAX, TOP_K } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { newLike } from '../call/axis.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { bitsOf, count } from '../call/checks.js';
import { wrongValue } from '../call/errors.js';
import { FORM_OPTIONS, type Form } from '../call/options.js';
import type { LogitArray, NewLike, NewUint32Array } from '../call/types.js';
import { samplingKernels } from '../js/sampling/sampling.js';
import { optionsOf } from '../sampling/options.js';
import { hasNaN, ROW_OPTIONS, rowsOf, type RowOptions, type Rows } from '../sampling/rows.js';

/**
 * The index of the largest logit of each row, the lowest of several.
 *
 * @param x Logits, row-major: all of them one row, or rows of `cols`. −∞ and +∞ are numbers like others here.
 * @param options `cols`; `dtype` for a Uint16Array.
 * @returns An index for each row.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_INVALID_ARG_VALUE) for `cols` that does not fit, a row without elements, or one with a NaN,
 *   which it names.
 */
export function argmax(x: LogitArray, options?: RowOptions): NewUint32Array {
  const { x: logits, type, rows, cols } = rowsOf(x, optionsOf(options, ROW_OPTIONS), 'x');
  if (cols === 0) throw wrongValue('at least one element', 'x', 'none');
  const indices = new Uint32Array(rows);
  const call = callOf(ARGMAX, {
    backend: backendFor(rows * cols, samplingKernels),
    type,
    args: { x: logits, indices, rows, cols },
    own: ['indices'],
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

/**
 * The k largest logits of each row, in order; of equal ones those with the lowest indices.
 *
 * @param x Logits, row-major: all of them one row, or rows of `cols`.
 * @param k How many, from 1; all of a row if it has fewer.
 * @param options `cols`; `dtype` for a Uint16Array.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a `k` or `cols` that does not fit, or a row with a
 *   NaN, which it names.
 */
export function topK<A extends LogitArray>(x: A, k: number, options?: RowOptions): TopK<NewLike<A>> {
  return runNow(topKCall('now', x, k, options));
}

export function topKCall<A extends LogitArray>(
  form: Form,
  x: A,
  k: number,
  options?: RowOptions & AsyncOptions,
): Call<TopK<NewLike<A>>> {
  const given = optionsOf<RowOptions>(options, [...ROW_OPTIONS, ...FORM_OPTIONS[form]]);
  const wanted = count(k, 'k');
  const logits = rowsOf(x, given, 'x');
  const most = Math.min(wanted, logits.cols);
  const indices = new Uint32Array(logits.rows * most);
  const values = newLike(x, logits.rows * most) as NewLike<A>;
  return topCall(logits, most, indices, bitsOf(values), () => {
    for (let row = 0; row < logits.rows && most > 0; row++) {
      if (indices[row * most] === NO_INDEX) throw hasNaN(row, 'x');
    }
    return { indices, values, k: most };
  });
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
  return runNow(topCall(call, k, indices, values as unknown as KernelArray, () => ({ indices, values })));
}

function topCall<R>(call: Rows, k: number, indices: Uint32Array, values: KernelArray, finish: () => R): Call<R> {
  const { x, type, cols, mask, maskLayout, bias } = call;
  const rows = k === 0 ? 0 : call.rows;
  return callOf(TOP_K, {
    backend: backendFor(call.rows * cols, samplingKernels),
    type,
    args: { x, indices, values, rows, cols, k, mask, maskLayout, bias },
    own: ['indices', 'values'],
    work: call.rows * cols,
    finish,
  });
}
