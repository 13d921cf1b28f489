/** logProbs: ln p of chosen tokens and of the most probable ones, as chat APIs return them. */
import { outOfRange, wrongType, wrongValue } from '../call/errors.js';
import { NO_INDEX } from '../backend/backend.js';
import { backendFor } from '../backend/choice.js';
import { CROSS_ENTROPY } from '../backend/operators.js';
import { callOf, runNow } from '../call/call.js';
import { crossEntropyKernels } from '../js/losses/cross-entropy.js';
import { count, positive } from '../call/checks.js';
import type { LogitArray, NewFloat64Array, NewUint32Array } from '../call/types.js';
import { listOf, optionsOf } from './options.js';
import { hasNaN, LogitSums, MASKED_OPTIONS, nothingFinite, rowsOf, type MaskedOptions, type Rows } from './rows.js';
import { topOf } from '../selection/select.js';

export interface LogProbsOptions<A extends LogitArray = LogitArray> extends MaskedOptions<A> {
  /** The divisor of the logits: finite and > 0. Default: 1. */
  temperature?: number | null | undefined;
  /** The number of most probable tokens that are wanted too. Default: 0. */
  top?: number | null | undefined;
}

export interface LogProbs {
  /** ln p of the chosen token of each row. */
  readonly logProbs: NewFloat64Array;
  /** Of each row, `n` tokens, the most probable first; and their ln p. */
  readonly top: { readonly indices: NewUint32Array; readonly logProbs: NewFloat64Array; readonly n: number };
}

/**
 * ln softmax((logits + bias) / temperature) of one chosen token of each row, and of the most probable ones. No softmax
 * is written: it takes the loss of crossEntropy, and with `top` the selection of `topK`.
 *
 *     ln p = (logit − largest) / temperature − log1p(S)        S: the other weights, relative to the largest's
 *
 * Nothing cancels there: ln p of a token that towers over the rest is small and has all its digits, and a shift of all
 * logits changes nothing. −∞ for a masked token.
 *
 * @param logits Row-major: all of them one row, or rows of `cols`.
 * @param tokens A token for each row, or one number for one row.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a token that is no position of a row, lengths that
 *   do not fit, and a row with a NaN or without a finite largest logit, which it names.
 */
export function logProbs<A extends LogitArray>(
  logits: A,
  tokens: ArrayLike<number> | number,
  options?: LogProbsOptions<A>,
): LogProbs {
  const given = optionsOf<LogProbsOptions>(options, [...MASKED_OPTIONS, 'temperature', 'top']);
  const temperature = positive(given.temperature ?? 1, 'temperature');
  const wanted = count(given.top ?? 0, 'top', 0);
  const list = tokensOf(tokens);
  const call = rowsOf(logits, given);
  const { rows, cols } = call;
  if (cols >= 2 ** 31) throw outOfRange('rows of less than 2^31 logits', 'logits', cols);
  const chosen = checkedTokens(list, rows, cols);
  const n = Math.min(wanted, cols);
  if (n > 0) return withTop(call, chosen, temperature, n);
  if (rows > 0 && cols === 0) throw nothingFinite(0);

  const losses = lossesOf(call, chosen, temperature);
  for (let row = 0; row < rows; row++) if (!(losses[row]! < Infinity)) checkRow(call, row);
  return {
    logProbs: losses.map((loss) => 0 - loss),
    top: { indices: new Uint32Array(0), logProbs: new Float64Array(0), n },
  };
}

/** −ln p of a token of each row. */
function lossesOf(call: Rows, targets: Int32Array, temperature: number): NewFloat64Array {
  const { x, type, rows: outer, cols, mask, maskLayout, bias } = call;
  const loss = new Float64Array(outer);
  const losses = callOf(CROSS_ENTROPY, {
    backend: backendFor(outer * cols, crossEntropyKernels),
    type,
    args: { x, targets, loss, gradient: null, outer, cols, inner: 1, temperature, mask, maskLayout, bias },
    own: ['targets', 'loss'],
    work: outer * cols,
    finish: () => loss,
  });
  return runNow(losses);
}

/** ln p of each token: ln p of the row's most probable token, plus a distance of 0 or less. */
function withTop(call: Rows, chosen: Int32Array, temperature: number, n: number): LogProbs {
  const { rows } = call;
  const sums = new LogitSums(call);
  const indices = call.bias === null ? topOf(call, n).indices : topOfSums(call, sums, n);
  const [tops, lows] = [new Float64Array(rows), new Float64Array(rows)];
  for (let row = 0; row < rows; row++) {
    if (indices[row * n] === NO_INDEX) throw hasNaN(row);
    tops[row] = sums.read(row, indices[row * n]!);
    lows[row] = sums.low;
    if (!(Math.abs(tops[row]!) < Infinity)) checkRow(call, row);
  }
  const losses = lossesOf(
    call,
    Int32Array.from({ length: rows }, (_, row) => indices[row * n]!),
    temperature,
  );
  const logOf = (row: number, column: number): number => {
    const high = sums.read(row, column);
    return sums.distance(high, sums.low, tops[row]!, lows[row]!, temperature) - losses[row]!;
  };
  return {
    logProbs: Float64Array.from({ length: rows }, (_, row) => logOf(row, chosen[row]!)),
    top: { indices, logProbs: Float64Array.from(indices, (column, i) => logOf(Math.floor(i / n), column)), n },
  };
}

/** The n largest exact sums of each row. topK compares sums that are rounded to a double: its ties are sorted again. */
function topOfSums(call: Rows, sums: LogitSums, n: number): NewUint32Array {
  const { rows, cols } = call;
  const seen = Math.min(n + 1, cols);
  const { indices } = topOf(call, seen);
  const tops = new Uint32Array(rows * n);
  for (let row = 0; row < rows; row++) {
    const best = indices.subarray(row * seen, (row + 1) * seen);
    const isNaNRow = best[0] === NO_INDEX;
    const edge = isNaNRow ? NaN : sums.read(row, best[n - 1]!);
    const isTied = seen > n && edge > -Infinity && sums.read(row, best[n]!) === edge;
    const chosen = isNaNRow ? best : inOrder(sums, row, isTied ? columnsFrom(sums, row, cols, edge) : best);
    tops.set(chosen.slice(0, n), row * n);
  }
  return tops;
}

/** The columns of a row whose sums are `least` or more. */
function columnsFrom(sums: LogitSums, row: number, cols: number, least: number): number[] {
  const columns: number[] = [];
  for (let column = 0; column < cols; column++) if (sums.read(row, column) >= least) columns.push(column);
  return columns;
}

/** Columns by their exact sums, the largest first, lower columns first among equals. */
function inOrder(sums: LogitSums, row: number, columns: Iterable<number>): number[] {
  const items = Array.from(columns, (index) => ({ index, high: sums.read(row, index), low: sums.low }));
  items.sort((a, b) => (a.high === b.high ? b.low - a.low || a.index - b.index : b.high - a.high));
  return items.map(({ index }) => index);
}

/** Throws if a row has a NaN or no finite largest logit. A loss of ∞ proves neither: the token may be masked. */
function checkRow(call: Rows, row: number): void {
  const sums = new LogitSums(call);
  let top = -Infinity;
  for (let column = 0; column < call.cols; column++) {
    const logit = sums.read(row, column);
    if (logit !== logit) throw hasNaN(row);
    if (logit > top) top = logit;
  }
  if (!(Math.abs(top) < Infinity)) throw nothingFinite(row);
}

/** A copy of the caller's tokens, before lengths are taken. */
function tokensOf(tokens: unknown): unknown[] {
  if (typeof tokens === 'number') return [tokens];
  if (typeof tokens !== 'object' || tokens === null || !('length' in tokens)) {
    throw wrongType('an array of tokens', 'tokens', tokens);
  }
  return listOf(tokens as ArrayLike<unknown>, 'tokens', (token) => {
    if (typeof token !== 'number') throw wrongType('integers', 'tokens', token);
    return token;
  });
}

/** Checks that there is one token a row, and that each is a position of its row. */
function checkedTokens(tokens: readonly unknown[], rows: number, cols: number): Int32Array {
  if (tokens.length !== rows) throw wrongValue(`${rows} tokens, one a row,`, 'tokens', String(tokens.length));
  return Int32Array.from(tokens as number[], (token) => {
    if (!(Number.isInteger(token) && token >= 0 && token < cols))
      throw outOfRange(`integers from 0 to ${cols - 1}`, 'tokens', token);
    return token;
  });
}
