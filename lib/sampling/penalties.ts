/** penalize: biases, penalties for tokens of the history, banned and forced tokens. */
import { outOfRange, wrongType, wrongValue } from '../call/errors.js';
import { type FloatArray } from '../call/types.js';
import { copyInto, copyOf, kindOf, viewOf } from '../call/arrays.js';
import { trueLength } from '../call/errors.js';
import { count } from '../call/checks.js';
import { types, type NewFloat32Array, type NewFloat64Array, type Returned } from '../call/types.js';
import { finite } from '../call/values.js';
import { checkFloats, listOf, optionsOf, type Given } from './options.js';

/** Tokens: an array of integers of any kind. */
export type Tokens = ArrayLike<number>;

export interface PenaltyOptions {
  /** Added to the logits of some tokens: a Map or pairs [token, bias]. −Infinity bans one. */
  logitBias?: ReadonlyMap<number, number> | Iterable<readonly [number, number]> | null | undefined;
  /**
   * Logits of tokens of the history are divided by this if they are above 0, and multiplied if not (CTRL, arXiv
   * 1909.05858). Default and 1: none.
   */
  repetitionPenalty?: number | null | undefined;
  /** Taken off a token's logit for each time it is in the history (OpenAI). Default: 0. */
  frequencyPenalty?: number | null | undefined;
  /** Taken off the logits of tokens that are in the history at all (OpenAI). Default: 0. */
  presencePenalty?: number | null | undefined;
  /** The number of last tokens of the history that count. Default: all. */
  penaltyWindow?: number | null | undefined;
  /** Tokens that get −∞. */
  banned?: Tokens | null | undefined;
  /** If given, all other tokens get −∞. */
  forced?: Tokens | number | null | undefined;
}

export const PENALTY_OPTIONS = [
  'logitBias',
  'repetitionPenalty',
  'frequencyPenalty',
  'presencePenalty',
  'penaltyWindow',
  'banned',
  'forced',
] as const;

/** Checked options. Tokens are checked against a row once its length is known. */
export interface Penalties {
  readonly bias: readonly (readonly [number, number])[];
  readonly repetition: number;
  readonly frequency: number;
  readonly presence: number;
  readonly window: number;
  readonly banned: readonly number[];
  readonly forced: readonly number[] | undefined;
}

/** Whether a value has a length that can be read: a proxy of a typed array refuses. */
function hasLength(value: unknown): boolean {
  try {
    return typeof value === 'object' && value !== null && typeof (value as ArrayLike<unknown>).length === 'number';
  } catch {
    return false;
  }
}

/** A checked copy of a list of tokens. */
export function tokensOf(value: unknown, name: string): number[] {
  if (kindOf(value) === undefined && !hasLength(value)) throw wrongType('an array of tokens', name, value);
  return listOf(value as ArrayLike<unknown>, name, (token) => count(token, name, 0));
}

/** Checked copies. Every iterator and getter of the caller runs here: before any length is taken. */
export function penaltiesOf(options: Given<PenaltyOptions>): Penalties {
  const { logitBias = [], banned = [], forced, penaltyWindow = Infinity } = options;
  const { repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0 } = options;
  if (typeof logitBias !== 'object' || logitBias === null || !(Symbol.iterator in logitBias)) {
    throw wrongType('a Map or pairs [token, bias]', 'logitBias', logitBias);
  }
  const bias = Array.from(logitBias as Iterable<unknown>, (pair) => {
    if (!Array.isArray(pair) || pair.length !== 2) throw wrongType('pairs [token, bias]', 'logitBias', pair);
    const [token, value]: unknown[] = pair;
    return [count(token, 'logitBias', 0), value === -Infinity ? value : finite(value, 'logitBias')] as const;
  });
  if (finite(repetitionPenalty, 'repetitionPenalty') <= 0) {
    throw outOfRange('a number above 0', 'repetitionPenalty', repetitionPenalty);
  }
  return {
    bias,
    repetition: repetitionPenalty,
    frequency: finite(frequencyPenalty, 'frequencyPenalty'),
    presence: finite(presencePenalty, 'presencePenalty'),
    window: penaltyWindow === Infinity ? Infinity : count(penaltyWindow, 'penaltyWindow', 0),
    banned: tokensOf(banned, 'banned'),
    forced: forced === undefined ? undefined : forcedTokens(forced),
  };
}

function forcedTokens(forced: unknown): number[] {
  return typeof forced === 'number' ? [count(forced, 'forced', 0)] : tokensOf(forced, 'forced');
}

/** How often each token is among the last `window` of a history. */
export type Counts = ReadonlyMap<number, number>;

/** Whether the history changes any logit. */
export function usesHistory({ repetition, frequency, presence }: Penalties): boolean {
  return repetition !== 1 || frequency !== 0 || presence !== 0;
}

function countsOf(history: readonly number[], window: number): Counts {
  const counts = new Map<number, number>();
  for (let i = Math.max(0, history.length - window); i < history.length; i++) {
    counts.set(history[i]!, (counts.get(history[i]!) ?? 0) + 1);
  }
  return counts;
}

/**
 * Changes one row in place: bias, penalties, bans (the order of llama.cpp). Tokens of `counts` are below its length.
 */
export function applyPenalties(row: FloatArray, penalties: Penalties, counts: Counts): void {
  const { bias, repetition, frequency, presence, banned, forced } = penalties;
  const cols = row.length;
  for (const [token] of bias) checkToken(token, 'logitBias', cols);
  for (const token of banned) checkToken(token, 'banned', cols);
  for (const token of forced ?? []) checkToken(token, 'forced', cols);
  for (const [token, value] of bias) row[token]! += value;
  if (usesHistory(penalties)) {
    for (const [token, times] of counts) {
      const logit = row[token]!;
      row[token] = (logit > 0 ? logit / repetition : logit * repetition) - times * frequency - presence;
    }
  }
  for (const token of banned) row[token] = -Infinity;
  if (forced === undefined) return;
  const kept = forced.map((token) => row[token]!);
  row.fill(-Infinity);
  forced.forEach((token, i) => (row[token] = kept[i]!));
}

/** Checks that a token is a position of a row. */
export function checkToken(token: number, name: string, cols: number): void {
  if (!(token < cols)) throw outOfRange(`tokens from 0 to ${cols - 1}`, name, token);
}

export interface PenalizeOptions<Out extends FloatArray = FloatArray> extends PenaltyOptions {
  /** The length of a row, for rows that follow one another. Default: all is one row. */
  cols?: number | null | undefined;
  /** Where results go: `logits` itself or an array of its type. Default: a new array. */
  out?: Out | null | undefined;
}

/**
 * Logits with biases and penalties applied, in this order (the order of llama.cpp): logitBias, repetitionPenalty,
 * frequencyPenalty and presencePenalty, banned, forced.
 *
 *     z = logit + logitBias        z = z > 0 ? z / repetitionPenalty : z · repetitionPenalty        if the token is in the history
 *     z = z − times · frequencyPenalty − (times > 0) · presencePenalty
 *
 * @param logits Float32Array or Float64Array, row-major.
 * @param history The tokens until now; for more than one row, an array of tokens for each.
 * @returns `out`, or a new array.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a token that is no position of a row, or lengths
 *   that do not fit.
 */
export function penalize<Out extends Float32Array = NewFloat32Array>(
  logits: Float32Array,
  history: Tokens | readonly Tokens[],
  options?: PenalizeOptions<Out>,
): Returned<Out>;
export function penalize<Out extends Float64Array = NewFloat64Array>(
  logits: Float64Array,
  history: Tokens | readonly Tokens[],
  options?: PenalizeOptions<Out>,
): Returned<Out>;
export function penalize<A extends FloatArray>(
  logits: A,
  history: Tokens | readonly Tokens[],
  options?: PenalizeOptions<A>,
): FloatArray;
export function penalize(
  logits: FloatArray,
  history: Tokens | readonly Tokens[],
  options?: PenalizeOptions,
): FloatArray {
  const { cols, out, ...given } = optionsOf<PenalizeOptions<FloatArray>>(options, [...PENALTY_OPTIONS, 'cols', 'out']);
  const penalties = penaltiesOf(given);
  const { histories, isNested } = historiesOf(history);

  checkFloats(logits, 'logits');
  const size = trueLength(logits, 'logits');
  const length = cols === undefined ? size : count(cols, 'cols', 1);
  if (length === 0 || size % length !== 0) {
    throw wrongValue(`a divisor of the ${size} elements of logits`, 'cols', String(cols));
  }
  const rows = size / length;
  checkHistories(histories, isNested, rows);
  for (const each of histories) for (const token of each) checkToken(token, 'history', length);
  if (out !== undefined) checkOut(out, logits, size);

  const result = copyOf(logits);
  const all = histories.map((each) => countsOf(each, penalties.window));
  for (let r = 0; r < rows; r++) {
    applyPenalties(viewOf(result, r * length, (r + 1) * length), penalties, all[r] ?? NOTHING);
  }
  if (out === undefined) return result;
  copyInto(out, result);
  return out;
}

const NOTHING: Counts = new Map();

/** One history for one row; an empty one for any number; else one for each row. */
function checkHistories(histories: readonly number[][], isNested: boolean, rows: number): void {
  const isOne = !isNested && (rows === 1 || histories[0]!.length === 0);
  if (!isNested && !isOne) throw wrongValue(`an array of tokens for each of ${rows} rows`, 'history', 'one');
  if (isNested && histories.length !== rows) {
    throw wrongValue(`${rows} histories, one a row,`, 'history', String(histories.length));
  }
}

function checkOut(out: FloatArray, logits: FloatArray, size: number): void {
  if (kindOf(out) !== kindOf(logits)) throw wrongType('an array of the type of logits', 'out', out);
  const length = trueLength(out, 'out');
  if (length !== size) throw wrongValue(`${size} elements, as in logits,`, 'out', String(length));
}

/** Checked copies: of one history, or of an array with a history for each row (nested). */
function historiesOf(history: unknown): { readonly histories: readonly number[][]; readonly isNested: boolean } {
  const isList = typeof history === 'object' && history !== null && !types.isTypedArray(history) && 'length' in history;
  const list = isList ? (history as ArrayLike<unknown>) : undefined;
  const isNested = list !== undefined && list.length > 0 && typeof list[0] === 'object';
  if (!isNested) return { histories: [tokensOf(history, 'history')], isNested };
  return { histories: listOf(list, 'history', (each) => tokensOf(each, 'history')), isNested };
}
