/** penalize: biases, penalties for tokens and sequences of the history, banned and forced tokens. */
import { copyInto, copyOf, kindOf, viewOf } from '../call/arrays.js';
import { count } from '../call/checks.js';
import { outOfRange, trueLength, wrongType, wrongValue } from '../call/errors.js';
import { types, type FloatArray, type NewFloat32Array, type NewFloat64Array, type Returned } from '../call/types.js';
import { History } from './history.js';
import { checkFloats, listOf, optionsOf } from './options.js';
import { checkToken, PENALTY_OPTIONS, penaltiesOf, tokensOf } from './penalty-options.js';
import type { Penalties, PenaltyOptions, Tokens } from './penalty-options.js';

/** Checks that the tokens of all options are positions of a row. */
export function checkOptionTokens({ largest }: Penalties, cols: number): void {
  for (const [name, token] of largest) checkToken(token, name, cols);
}

/** Changes one row in place, by the table of its history and `forced`. */
export function applyPenalties(row: FloatArray, penalties: Penalties, history: History): void {
  history.table.apply(row, penalties);
  const { forced } = penalties;
  if (forced === undefined) return;
  const kept = forced.map((token) => row[token]!);
  row.fill(-Infinity);
  forced.forEach((token, i) => (row[token] = kept[i]!));
}

export interface PenalizeOptions<Out extends FloatArray = FloatArray> extends PenaltyOptions {
  /** The length of a row, for rows that follow one another. Default: all is one row. */
  cols?: number | null | undefined;
  /**
   * How many first tokens of the history are the prompt, for all rows or one a row: `frequencyPenalty` and
   * `presencePenalty` do not count them. Default: 0.
   */
  promptLength?: number | ArrayLike<number> | null | undefined;
  /** Where results go: `logits` itself or an array of its type. Default: a new array. */
  out?: Out | null | undefined;
}

/**
 * Logits with biases and penalties applied, in this order (transformers and llama.cpp): logitBias and sequenceBias,
 * encoderRepetitionPenalty, repetitionPenalty, frequencyPenalty and presencePenalty, dry, noRepeatNgram,
 * bannedSequences and banned, forced. For a token of the history, or with a bias:
 *
 *     z = logit + logitBias + sequenceBias, where the history ends with the sequence's other tokens
 *     z = z > 0 ? z · encoderRepetitionPenalty : z / encoderRepetitionPenalty       a token of the prompt
 *     z = z > 0 ? z / repetitionPenalty : z · repetitionPenalty                     a token of the history
 *     z = z − times · frequencyPenalty − (times > 0) · presencePenalty              times: in the output
 *     z = z − dry.multiplier · dry.base^(n − dry.allowedLength)                     a repetition of n tokens goes on
 *
 * with z rounded to the type of the logits in each line; the other tokens keep their logits. A banned token gets −∞,
 * whatever its logit. A sequence counts as soon as the history ends with all but its last token; transformers wants a
 * history that is longer.
 *
 * @param logits Float32Array or Float64Array, row-major.
 * @param history The tokens until now; for more than one row, an array of tokens for each.
 * @returns `out`, or a new array.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a token that is no position of a row, or lengths
 *   that do not fit.
 * @example
 * import { penalize } from 'flash-softmax/sampling';
 * console.log(penalize(Float32Array.of(2, -2, 1), [0, 1], { repetitionPenalty: 2 }).join(' ')); // → 1 -4 1
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
  const { cols, out, promptLength, ...given } = optionsOf<PenalizeOptions<FloatArray>>(options, [
    ...PENALTY_OPTIONS,
    'promptLength',
    'cols',
    'out',
  ]);
  const penalties = penaltiesOf(given);
  const { histories, isNested } = historiesOf(history);
  const prompts = promptsOf(promptLength ?? 0);

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

  checkOptionTokens(penalties, length);
  checkPrompts(prompts, histories, rows);
  const result = copyOf(logits);
  for (let r = 0; r < rows; r++) {
    const each = new History(penalties);
    const tokens = histories[r] ?? [];
    const prompt = typeof prompts === 'number' ? prompts : prompts[r]!;
    each.add(tokens.slice(0, prompt), true);
    each.add(tokens.slice(prompt), false);
    each.prepare();
    applyPenalties(viewOf(result, r * length, (r + 1) * length), penalties, each);
  }
  if (out === undefined) return result;
  copyInto(out, result);
  return out;
}

/** Lengths of prompts: one for all rows, or a checked copy of a list. */
function promptsOf(value: unknown): number | number[] {
  if (typeof value === 'number') return count(value, 'promptLength', 0);
  const check = (each: unknown, i: number) => count(each, `promptLength[${i}]`, 0);
  return listOf(value, 'promptLength', check, 'a number or an array of numbers');
}

function checkPrompts(prompts: number | number[], histories: readonly number[][], rows: number): void {
  if (typeof prompts !== 'number' && prompts.length !== rows) {
    throw wrongValue(`${rows} numbers, one a row,`, 'promptLength', String(prompts.length));
  }
  histories.forEach(({ length }, r) => {
    const [prompt, name] = typeof prompts === 'number' ? [prompts, ''] : [prompts[r] ?? 0, `[${r}]`];
    if (prompt > length) throw outOfRange(`at most the ${length} tokens of the history`, `promptLength${name}`, prompt);
  });
}

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
