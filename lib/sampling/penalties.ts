/** What changes logits before they are sampled: biases, penalties for what was said already, banned and forced tokens. */
import { outOfRange, wrongType, wrongValue, type FloatArray } from '../arguments.js';
import { count, optionsOf } from '../options.js';
import { types } from '../types.js';

const { isFloat32Array, isFloat64Array } = types;

/** Tokens: an array of integers of any kind. */
export type Tokens = ArrayLike<number>;

export interface PenaltyOptions {
  /** Added to the logits of some tokens: a Map or pairs [token, bias]. −Infinity bans one. */
  logitBias?: ReadonlyMap<number, number> | Iterable<readonly [number, number]> | undefined;
  /** Logits of tokens of the history are divided by this if they are above 0, and multiplied if not (CTRL, arXiv 1909.05858). 1: none. */
  repetitionPenalty?: number | undefined;
  /** Taken off a token's logit for each time it is in the history (OpenAI). Default: 0. */
  frequencyPenalty?: number | undefined;
  /** Taken off the logits of tokens that are in the history at all (OpenAI). Default: 0. */
  presencePenalty?: number | undefined;
  /** How many of the last tokens of the history count. Default: all. */
  penaltyWindow?: number | undefined;
  /** Tokens that get −∞. */
  banned?: Tokens | undefined;
  /** If given, all other tokens get −∞. */
  forced?: Tokens | number | undefined;
}

export const PENALTY_OPTIONS = ['logitBias', 'repetitionPenalty', 'frequencyPenalty', 'presencePenalty', 'penaltyWindow', 'banned', 'forced'] as const;

/** Checked; the token of each number is checked against a row when that is known. */
export interface Penalties {
  readonly bias: readonly (readonly [number, number])[];
  readonly repetition: number;
  readonly frequency: number;
  readonly presence: number;
  readonly window: number;
  readonly banned: readonly number[];
  readonly forced: readonly number[] | undefined;
}

function finite(value: unknown, name: string): number {
  if (typeof value !== 'number') throw wrongType('a number', name, value);
  if (!(Math.abs(value) < Infinity)) throw outOfRange('a finite number', name, value);
  return value;
}

export function tokensOf(value: unknown, name: string): number[] {
  if (typeof value !== 'object' || value === null || !('length' in value)) throw wrongType('an array of tokens', name, value);
  return Array.from(value as ArrayLike<unknown>, (token) => count(token, name, 0));
}

export function penaltiesOf(options: PenaltyOptions): Penalties {
  const { logitBias = [], repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0, penaltyWindow = Infinity, banned = [], forced } = options;
  if (typeof logitBias !== 'object' || logitBias === null || !(Symbol.iterator in logitBias)) throw wrongType('a Map or pairs [token, bias]', 'logitBias', logitBias);
  const bias = Array.from(logitBias as Iterable<unknown>, (pair) => {
    if (!Array.isArray(pair) || pair.length !== 2) throw wrongType('pairs [token, bias]', 'logitBias', pair);
    const [token, value]: unknown[] = pair;
    return [count(token, 'logitBias', 0), value === -Infinity ? value : finite(value, 'logitBias')] as const;
  });
  if (finite(repetitionPenalty, 'repetitionPenalty') <= 0) throw outOfRange('a number above 0', 'repetitionPenalty', repetitionPenalty);
  return {
    bias,
    repetition: repetitionPenalty,
    frequency: finite(frequencyPenalty, 'frequencyPenalty'),
    presence: finite(presencePenalty, 'presencePenalty'),
    window: penaltyWindow === Infinity ? Infinity : count(penaltyWindow, 'penaltyWindow', 0),
    banned: tokensOf(banned, 'banned'),
    forced: forced === undefined ? undefined : typeof forced === 'number' ? [count(forced, 'forced', 0)] : tokensOf(forced, 'forced'),
  };
}

/** In place, one row: bias, then penalties, then bans (the order of llama.cpp). `history` has tokens below the row's length. */
export function applyPenalties(row: FloatArray, penalties: Penalties, history: readonly number[]): void {
  const { bias, repetition, frequency, presence, window, banned, forced } = penalties;
  for (const [token] of bias) checkToken(token, 'logitBias', row.length);
  for (const token of [...banned, ...(forced ?? [])]) checkToken(token, 'banned or forced', row.length);
  for (const [token, value] of bias) row[token]! += value;
  if (repetition !== 1 || frequency !== 0 || presence !== 0) {
    const counts = new Map<number, number>();
    for (let i = Math.max(0, history.length - window); i < history.length; i++) counts.set(history[i]!, (counts.get(history[i]!) ?? 0) + 1);
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

export function checkToken(token: number, name: string, cols: number): void {
  if (!(token < cols)) throw outOfRange(`tokens from 0 to ${cols - 1}`, name, token);
}

export interface PenalizeOptions<A extends FloatArray = FloatArray> extends PenaltyOptions {
  /** The length of a row, for rows that follow one another. Default: all is one row. */
  cols?: number | undefined;
  /** Where results go: `logits` itself or an array of its type. Default: a new array. */
  out?: A | undefined;
}

/**
 * Logits with biases and penalties applied, in this order (that of llama.cpp): logitBias, repetitionPenalty, frequencyPenalty and
 * presencePenalty, banned, forced.
 *
 *     z = logit + logitBias        z = z > 0 ? z / repetitionPenalty : z · repetitionPenalty        if the token is in the history
 *     z = z − times · frequencyPenalty − (times > 0) · presencePenalty
 *
 * @param logits Float32Array or Float64Array, row-major.
 * @param history The tokens until now; for more than one row, an array of them for each.
 * @returns `out`, or a new array.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a token that is no position of a row, or lengths that do not fit.
 */
export function penalize<A extends FloatArray>(logits: A, history: Tokens | readonly Tokens[], options?: PenalizeOptions<A>): A {
  const { cols, out, ...given } = optionsOf(options, [...PENALTY_OPTIONS, 'cols', 'out']);
  if (!isFloat32Array(logits) && !isFloat64Array(logits)) throw wrongType('a Float32Array or Float64Array', 'logits', logits);
  const penalties = penaltiesOf(given);
  const length = cols === undefined ? logits.length : count(cols, 'cols', 1);
  if (length === 0 || logits.length % length !== 0) throw wrongValue(`a divisor of the ${logits.length} elements of logits`, 'cols', String(cols));
  const rows = logits.length / length;
  const isNested = typeof history === 'object' && history !== null && history.length > 0 && typeof history[0] === 'object';
  if (rows !== 1 && !isNested && history.length > 0) throw wrongValue(`an array of tokens for each of ${rows} rows`, 'history', 'one');
  const histories = isNested ? Array.from(history as ArrayLike<unknown>, (each) => tokensOf(each, 'history')) : [tokensOf(history, 'history')];
  if (isNested && histories.length !== rows) throw wrongValue(`${rows} histories, one a row,`, 'history', String(histories.length));
  for (const each of histories) for (const token of each) checkToken(token, 'history', length);
  if (out !== undefined && (isFloat32Array(out) !== isFloat32Array(logits) || (!isFloat32Array(out) && !isFloat64Array(out)))) throw wrongType('an array of the type of logits', 'out', out);
  if (out !== undefined && out.length !== logits.length) throw wrongValue(`${logits.length} elements, as in logits,`, 'out', String(out.length));

  const result = logits.slice() as A;
  for (let r = 0; r < rows; r++) applyPenalties(result.subarray(r * length, (r + 1) * length), penalties, histories[r] ?? []);
  if (out === undefined) return result;
  out.set(result);
  return out;
}
