/** logProbs: ln p of chosen tokens and of the most probable ones, as chat APIs return them. */
import { outOfRange, wrongType, wrongValue } from '../call/errors.js';
import { NO_INDEX } from '../backend/backend.js';
import { backendFor } from '../backend/choice.js';
import { CROSS_ENTROPY } from '../backend/operators.js';
import { callOf, type Call } from '../call/call.js';
import { crossEntropyKernels } from '../js/losses/cross-entropy.js';
import { count, positive } from '../call/checks.js';
import { runSteps, type Steps } from '../call/steps.js';
import type { LogitArray, NewFloat64Array, NewUint32Array } from '../call/types.js';
import { listOf, optionsOf } from './options.js';
import { hasNaN, LogitSums, MASKED_OPTIONS, nothingFinite, rowsOf, type MaskedOptions, type Rows } from './rows.js';
import { topCall } from '../selection/top-call.js';

export interface LogProbsOptions<A extends LogitArray = LogitArray> extends MaskedOptions<A> {
  /** The divisor of the logits: finite and > 0. Default: 1. */
  temperature?: number | null | undefined;
  /** The number of most probable tokens that are wanted too. Default: 0. */
  top?: number | null | undefined;
}

/** The most probable tokens of each row. */
export interface TopLogProbs {
  /** Of each row, `n` tokens, the most probable first. */
  readonly indices: NewUint32Array;
  /** Their ln p. */
  readonly logProbs: NewFloat64Array;
  readonly n: number;
}

export interface LogProbs {
  /** ln p of the chosen token of each row. */
  readonly logProbs: NewFloat64Array;
  /**
   * The rank of the chosen token of each row, from 1: how many tokens come before it in the order of probability, lower
   * indices first among equals, plus 1. Sums with a bias are rounded to a double for it.
   */
  readonly ranks: NewUint32Array;
  /** Of each row, `n` tokens, the most probable first; and their ln p. */
  readonly top: TopLogProbs;
}

/**
 * ln softmax((logits + bias) / temperature) of one chosen token of each row, its rank, and the most probable tokens. No
 * softmax is written: it takes the loss of crossEntropy and the selection of `topK`.
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
 * @example
 * import { logProbs } from 'flash-softmax/sampling';
 * const { logProbs: scores, ranks } = logProbs(Float32Array.of(1, 3, 2), 2);
 * console.log(scores[0].toFixed(4), ranks[0]); // → -1.4076 2
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
  checkShort(call.cols);
  const chosen = checkedTokens(list, call.rows, call.cols);
  return runSteps(logProbsSteps(call, chosen, temperature, wanted));
}

/** The steps of {@link logProbs} for rows and tokens that have been checked. Errors count rows from `firstRow` on. */
export function* logProbsSteps(
  call: Rows,
  chosen: Int32Array,
  temperature: number,
  wanted: number,
  firstRow = 0,
): Steps<LogProbs> {
  const { rows, cols } = call;
  if (rows > 0 && cols === 0) throw nothingFinite(firstRow);
  const results = yield* logSteps(call, chosen, temperature, Math.min(wanted, cols));
  for (let row = 0; row < rows; row++) if (!(results.logProbs[row]! > -Infinity)) checkRow(call, row, firstRow);
  return results;
}

/** ln p of a row, with the targets of losses, has rows of less than 2^31. */
function checkShort(cols: number): void {
  if (cols >= 2 ** 31) throw outOfRange('rows of less than 2^31 logits', 'logits', cols);
}

/** The tokens of a call of `sample`, and which rows have one. */
export interface ChosenTokens {
  readonly tokens: NewUint32Array;
  readonly status: Int32Array;
}

/** ln p of drawn tokens, with the n most probable ones; empty where n is undefined. Rows without a token have NaN. */
export function* chosenLogs(call: Rows, { tokens, status }: ChosenTokens, wanted: number | undefined): Steps<LogProbs> {
  if (wanted === undefined) {
    const top = { indices: new Uint32Array(0), logProbs: new Float64Array(0), n: 0 };
    return { logProbs: new Float64Array(0), ranks: new Uint32Array(0), top };
  }
  checkShort(call.cols);
  const n = Math.min(wanted, call.cols);
  const isSampled = (row: number): boolean => status[row] === 0;
  const chosen = Int32Array.from(tokens, (token, row) => (isSampled(row) ? token : 0));
  const results = call.cols === 0 ? noLogs(call.rows) : yield* logSteps(call, chosen, 1, n);
  for (let row = 0; row < call.rows; row++) {
    if (isSampled(row)) continue;
    results.logProbs[row] = NaN;
    results.ranks[row] = NO_INDEX;
    results.top.indices.fill(NO_INDEX, row * n, (row + 1) * n);
    results.top.logProbs.fill(NaN, row * n, (row + 1) * n);
  }
  return results;
}

const noLogs = (rows: number): LogProbs => ({
  logProbs: new Float64Array(rows),
  ranks: new Uint32Array(rows),
  top: { indices: new Uint32Array(0), logProbs: new Float64Array(0), n: 0 },
});

/** ln p of a token of each row. Rows without a finite largest logit have NaN or −∞. */
function* logSteps(call: Rows, chosen: Int32Array, temperature: number, n: number): Steps<LogProbs> {
  const { rows } = call;
  // With a bias, one token more shows whether the last one is tied.
  const seen = n === 0 || call.bias === null ? n : Math.min(n + 1, call.cols);
  const best = new Uint32Array(rows * seen);
  const ranks = new Uint32Array(rows);
  yield topCall(call, seen, { indices: best, targets: Uint32Array.from(chosen), ranks });
  if (n === 0) {
    const loss = new Float64Array(rows);
    yield lossCall(call, chosen, temperature, loss);
    const logProbs = loss.map((each) => 0 - each);
    return { logProbs, ranks, top: { indices: new Uint32Array(0), logProbs: new Float64Array(0), n } };
  }
  const sums = new LogitSums(call);
  const indices = call.bias === null ? best : topOfSums(call, sums, n, best);
  return { ...(yield* logsFromTop(call, sums, chosen, temperature, indices)), ranks };
}

/** ln p of each token: ln p of the row's most probable token, plus a distance of 0 or less. */
function* logsFromTop(
  call: Rows,
  sums: LogitSums,
  chosen: Int32Array,
  temperature: number,
  indices: NewUint32Array,
): Steps<Omit<LogProbs, 'ranks'>> {
  const { rows } = call;
  const n = rows === 0 ? 0 : indices.length / rows;
  const firsts = Int32Array.from({ length: rows }, (_, row) => {
    const first = indices[row * n]!;
    return first === NO_INDEX ? 0 : first;
  });
  const losses = new Float64Array(rows);
  yield lossCall(call, firsts, temperature, losses);
  const [tops, lows] = [new Float64Array(rows), new Float64Array(rows)];
  for (let row = 0; row < rows; row++) {
    tops[row] = indices[row * n] === NO_INDEX ? NaN : sums.read(row, firsts[row]!);
    lows[row] = sums.low;
  }
  const logOf = (row: number, column: number): number => {
    if (!(Math.abs(tops[row]!) < Infinity)) return NaN;
    const high = sums.read(row, column);
    return sums.distance(high, sums.low, tops[row]!, lows[row]!, temperature) - losses[row]!;
  };
  return {
    logProbs: Float64Array.from({ length: rows }, (_, row) => logOf(row, chosen[row]!)),
    top: { indices, logProbs: Float64Array.from(indices, (column, i) => logOf(Math.floor(i / n), column)), n },
  };
}

/** −ln p of a token of each row. */
function lossCall(call: Rows, targets: Int32Array, temperature: number, loss: Float64Array): Call<void> {
  const { x, type, rows: outer, cols, mask, maskLayout, bias } = call;
  return callOf(CROSS_ENTROPY, {
    backend: backendFor(outer * cols, crossEntropyKernels),
    type,
    args: { x, targets, loss, gradient: null, outer, cols, inner: 1, temperature, mask, maskLayout, bias },
    own: ['targets', 'loss', ...call.own],
    work: outer * cols,
    finish: () => undefined,
  });
}

/** The n largest exact sums of each row. topK compares sums that are rounded to a double: its ties are sorted again. */
function topOfSums(call: Rows, sums: LogitSums, n: number, indices: Uint32Array): NewUint32Array {
  const { rows, cols } = call;
  const seen = Math.min(n + 1, cols);
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
function checkRow(call: Rows, row: number, firstRow: number): void {
  const sums = new LogitSums(call);
  let top = -Infinity;
  for (let column = 0; column < call.cols; column++) {
    const logit = sums.read(row, column);
    if (logit !== logit) throw hasNaN(firstRow + row);
    if (logit > top) top = logit;
  }
  if (!(Math.abs(top) < Infinity)) throw nothingFinite(firstRow + row);
}

/** A copy of the caller's tokens, before lengths are taken. */
export function tokensOf(tokens: unknown): unknown[] {
  if (typeof tokens === 'number') return [tokens];
  const check = (token: unknown): number => {
    if (typeof token !== 'number') throw wrongType('integers', 'tokens', token);
    return token;
  };
  return listOf(tokens, 'tokens', check, 'an array of tokens');
}

/** Checks that there is one token a row, and that each is a position of its row. */
export function checkedTokens(tokens: readonly unknown[], rows: number, cols: number): Int32Array {
  if (tokens.length !== rows) throw wrongValue(`${rows} tokens, one a row,`, 'tokens', String(tokens.length));
  return Int32Array.from(tokens as number[], (token) => {
    if (!(Number.isInteger(token) && token >= 0 && token < cols))
      throw outOfRange(`integers from 0 to ${cols - 1}`, 'tokens', token);
    return token;
  });
}
