/** The results of attention: their types, and the arrays that they go to. */
import { allocate } from '../call/allocate.js';
import { wrongType, wrongValue } from '../call/errors.js';
import { lengthOf, overlap } from '../call/arrays.js';
import { types, type NewFloat64Array, type Returned } from '../call/types.js';
import type { ResultOptions } from './options.js';
import { attached, floats, perHead } from './sizes.js';

/** An output with the log-sum-exp of each query row. */
export interface AttentionResult<Out extends Float32Array = Float32Array, Lse extends Float64Array = Float64Array> {
  readonly out: Out;
  readonly lse: Lse;
}

/** Options that ask for lse: in a new array, or in this one. */
export type WithLse<Lse extends true | Float64Array = true | Float64Array> = { lse: Lse };

/** Options that do not ask for lse. */
export type WithoutLse = { lse?: false | undefined };

/** The result for these options: arrays of the caller have the caller's types, others are new. */
export type ResultWithLse<Out extends Float32Array, Lse extends true | Float64Array> = AttentionResult<
  Returned<Out>,
  Lse extends Float64Array ? Lse : NewFloat64Array
>;

/** The arrays of a call that get its results. */
export interface ResultArrays {
  readonly out: Float32Array;
  readonly lse: Float64Array | null;
  /** The names of new arrays. */
  readonly own: readonly ('out' | 'lse')[];
}

/** The sizes of a call's results, and its slopes. */
interface ResultSizes {
  readonly heads: number;
  readonly rows: number;
  readonly valueDim: number;
  readonly slopes: Float32Array | null;
}

/** The kernel arguments of a call that finishes its results, and makes no state. `inputs` are its other arrays. */
export function finishedResults(options: ResultOptions, sizes: ResultSizes, inputs: Inputs) {
  const { heads, rows, valueDim, slopes } = sizes;
  const sinks = options.sinks === undefined ? null : perHead(options.sinks, heads, 'sinks');
  const all = { ...inputs, sinks, alibi: slopes };
  const { out, lse, own } = resultsOf(options.out, options.lse, rows, valueDim, all);
  const args = { sinks, out, lse, sums: null, mantissa: null, exponent: null };
  return { args, own, finish: (): Float32Array | AttentionResult => (lse ? { out, lse } : out) };
}

type Inputs = Readonly<Record<string, ArrayBufferView | null>>;

/** Checks `out` and `lse`, or allocates them. Call it when all other checks have passed. */
export function resultsOf(
  out: Float32Array | undefined,
  lse: boolean | Float64Array | undefined,
  rows: number,
  valueDim: number,
  inputs: Inputs,
): ResultArrays {
  const elements = rows * valueDim;
  if (out !== undefined) {
    const length = lengthOf(floats(out, 'out'));
    if (length !== elements) {
      throw wrongValue(`${rows} rows of valueDim = ${valueDim}, ${elements} elements,`, 'out', String(length));
    }
  }
  const givenLse = lse === undefined || typeof lse === 'boolean' ? undefined : checkedLse(lse, rows, out);
  if (out !== undefined) checkApart('out', out, inputs);
  if (givenLse !== undefined) checkApart('lse', givenLse, inputs);
  const own: ('out' | 'lse')[] = [];
  if (out === undefined) own.push('out');
  if (givenLse === undefined) own.push('lse');
  return {
    out: out ?? allocate('Float32Array', elements, 'out'),
    lse: lse === true ? allocate('Float64Array', rows, 'lse') : (givenLse ?? null),
    own,
  };
}

export function checkedLse(lse: unknown, rows: number, out: ArrayBufferView | undefined): Float64Array {
  if (!types.isFloat64Array(lse)) throw wrongType('a boolean or a Float64Array', 'lse', lse);
  const length = lengthOf(attached(lse, 'Float64Array', 'lse'));
  if (length !== rows) throw wrongValue(`${rows} elements, one a query row,`, 'lse', String(length));
  if (out !== undefined && overlap(lse, out)) throw wrongValue('memory apart from out', 'lse', 'an overlap');
  return lse;
}

function checkApart(name: string, result: ArrayBufferView, inputs: Inputs): void {
  for (const [inputName, input] of Object.entries(inputs)) {
    if (input !== null && overlap(result, input)) {
      throw wrongValue(`memory apart from ${inputName}`, name, 'an overlap');
    }
  }
}
