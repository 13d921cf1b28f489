/** logProbs: what chosen tokens were worth, and what else could have been, as chat APIs return it. */
import { outOfRange, wrongType, wrongValue, type KernelArray, type LogitArray } from '../arguments.js';
import { NO_INDEX, type SoftmaxKernel } from '../backend/backend.js';
import { backendFor } from '../backend/select.js';
import { count, optionsOf, positive } from '../options.js';
import { hasNaN, logitsOf, MASKED_OPTIONS, nothingFinite, rowsOf, type MaskedOptions } from './rows.js';
import { topOf } from './select.js';

export interface LogProbsOptions<A extends LogitArray = LogitArray> extends MaskedOptions<A> {
  /** What logits are divided by: finite and > 0. Default: 1. */
  temperature?: number | undefined;
  /** How many of the most probable tokens are wanted besides. Default: 0. */
  top?: number | undefined;
}

export interface LogProbs {
  /** ln p of the chosen token of each row. */
  readonly logProbs: Float64Array;
  /** Of each row, `n` tokens, the most probable first; and their ln p. */
  readonly top: { readonly indices: Uint32Array; readonly logProbs: Float64Array; readonly n: number };
}

/**
 * ln softmax((logits + bias) / temperature) of one chosen token of each row, and of the most probable ones. No softmax is written: it
 * takes the sum of the row's exponentials and the selection of `topK`.
 *
 *     ln p = logit / temperature − logSumExp(logits / temperature)        as exact as logSumExp is; −∞ for a masked token
 *
 * @param logits Row-major: all of them one row, or rows of `cols`.
 * @param tokens A token for each row, or one number for one row.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a token that is no position of a row, lengths that do not fit, and a
 *   row with a NaN or without a finite largest logit, which it names.
 */
export function logProbs<A extends LogitArray>(logits: A, tokens: ArrayLike<number> | number, options?: LogProbsOptions<A>): LogProbs {
  const given = optionsOf<LogProbsOptions>(options, [...MASKED_OPTIONS, 'temperature', 'top']);
  const temperature = positive(given.temperature ?? 1, 'temperature');
  const wanted = count(given.top ?? 0, 'top', 0);
  const call = rowsOf(logits, given);
  const { x, type, rows, cols, mask, maskLayout, bias } = call;
  const chosen = chosenOf(tokens, rows, cols);
  const sums = new Float64Array(rows);
  if (cols > 0) (backendFor(x.length)[`log_sum_exp_${type}`] as SoftmaxKernel<KernelArray, Float64Array>)(x, sums, rows, cols, 1, temperature, mask, maskLayout, bias);
  for (let row = 0; row < rows; row++) {
    if (sums[row] !== sums[row]) throw hasNaN(row);
    if (cols === 0 || Math.abs(sums[row]!) === Infinity) throw nothingFinite(row);
  }
  const logit = logitsOf(call);
  const logOf = (row: number, column: number) => logit(row, column) / temperature - sums[row]!;
  const n = Math.min(wanted, cols);
  const { indices } = topOf(call, n);
  if (n > 0 && indices.includes(NO_INDEX)) throw hasNaN(Math.floor(indices.indexOf(NO_INDEX) / n));
  return {
    logProbs: Float64Array.from({ length: rows }, (_, row) => logOf(row, chosen[row]!)),
    top: { indices, logProbs: Float64Array.from(indices, (column, i) => logOf(Math.floor(i / n), column)), n },
  };
}

function chosenOf(tokens: unknown, rows: number, cols: number): Uint32Array {
  const list: unknown = typeof tokens === 'number' ? [tokens] : tokens;
  if (typeof list !== 'object' || list === null || !('length' in list)) throw wrongType('an array of tokens', 'tokens', tokens);
  const given = Array.from(list as ArrayLike<unknown>);
  if (given.length !== rows) throw wrongValue(`${rows} tokens, one a row,`, 'tokens', String(given.length));
  return Uint32Array.from(given, (token) => {
    if (typeof token !== 'number') throw wrongType('integers', 'tokens', token);
    if (!(Number.isInteger(token) && token >= 0 && token < cols)) throw outOfRange(`integers from 0 to ${cols - 1}`, 'tokens', token);
    return token;
  });
}
