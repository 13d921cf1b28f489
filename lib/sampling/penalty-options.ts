/** The options of penalties, and their checks. */
import { count, oneOf, positive } from '../call/checks.js';
import { outOfRange, wrongType, wrongValue } from '../call/errors.js';
import { checkOptions } from '../call/options.js';
import { finite } from '../call/values.js';
import { hasLength, listOf, type Given } from './options.js';

/** Tokens: an array of integers of any kind. */
export type Tokens = ArrayLike<number>;

export interface DryOptions {
  /** What a repeated sequence of `allowedLength` tokens costs: a finite number from 0. 0: none. */
  multiplier: number;
  /** The factor for each token more: a finite number from 1. Default: 1.75. */
  base?: number | null | undefined;
  /** The longest repetition that costs nothing, plus 1. Default: 2. */
  allowedLength?: number | null | undefined;
  /** Tokens and sequences of tokens that no repetition reaches across. Default: none. */
  breakers?: Iterable<number | Tokens> | null | undefined;
  /** The number of last tokens of the history that count. Default: all. */
  lastN?: number | null | undefined;
}

export interface PenaltyOptions {
  /** Added to the logits of some tokens: a Map, pairs [token, bias], or { token: bias }. −Infinity bans one. */
  logitBias?:
    | ReadonlyMap<number, number>
    | Iterable<readonly [number, number]>
    | Readonly<Record<number, number>>
    | null
    | undefined;
  /**
   * Added to the logit of the last token of a sequence where the history ends with the others (transformers): a Map or
   * pairs [tokens, bias]. −Infinity bans it.
   */
  sequenceBias?: ReadonlyMap<Tokens, number> | Iterable<readonly [Tokens, number]> | null | undefined;
  /**
   * Logits of the prompt's tokens, or of `encoderTokens`, are multiplied by this if they are above 0, and divided if
   * not (transformers' encoder_repetition_penalty). Default and 1: none.
   */
  encoderRepetitionPenalty?: number | null | undefined;
  /** The tokens of encoderRepetitionPenalty. Default: those of the prompt. */
  encoderTokens?: Tokens | null | undefined;
  /**
   * Logits of tokens of the history, prompt and output, are divided by this if they are above 0, and multiplied if not
   * (CTRL, arXiv 1909.05858). Default and 1: none.
   */
  repetitionPenalty?: number | null | undefined;
  /** Taken off a token's logit for each time it is in the output (OpenAI). Default: 0. */
  frequencyPenalty?: number | null | undefined;
  /** Taken off the logits of tokens that are in the output at all (OpenAI). Default: 0. */
  presencePenalty?: number | null | undefined;
  /**
   * What frequencyPenalty and presencePenalty count: the 'output', as OpenAI and vLLM do, or 'all' of the history, as
   * llama.cpp does. Default: 'output'.
   */
  countedTokens?: 'output' | 'all' | null | undefined;
  /** The number of last tokens of the history that these three penalties look at (llama.cpp). Default: all. */
  penaltyWindow?: number | null | undefined;
  /**
   * "Don't repeat yourself" (llama.cpp): a token that would prolong a repetition of n ≥ allowedLength tokens at the end
   * of the history loses multiplier · base^(n − allowedLength), for the longest n.
   */
  dry?: DryOptions | null | undefined;
  /** No sequence of so many tokens comes twice (transformers). 0: no limit. Default: 0. */
  noRepeatNgram?: number | null | undefined;
  /** Sequences that may not come: the last token gets −∞ where the history ends with the others (transformers). */
  bannedSequences?: Iterable<Tokens> | null | undefined;
  /** Tokens that get −∞. */
  banned?: Tokens | null | undefined;
  /** If given, all other tokens get −∞. */
  forced?: Tokens | number | null | undefined;
}

export const PENALTY_OPTIONS = [
  'logitBias',
  'sequenceBias',
  'encoderRepetitionPenalty',
  'encoderTokens',
  'repetitionPenalty',
  'frequencyPenalty',
  'presencePenalty',
  'countedTokens',
  'penaltyWindow',
  'dry',
  'noRepeatNgram',
  'bannedSequences',
  'banned',
  'forced',
] as const;

/** A bias of a token where the history ends with `prefix`. */
export interface SequenceRule {
  readonly prefix: readonly number[];
  readonly token: number;
  readonly bias: number;
}

export interface Dry {
  readonly multiplier: number;
  readonly base: number;
  readonly allowedLength: number;
  readonly breakers: readonly (readonly number[])[];
  readonly lastN: number;
}

/** Checked options. Tokens are checked against a row once its length is known. */
export interface Penalties {
  /** The sum of all biases of a token, whatever the history. */
  readonly biases: ReadonlyMap<number, number>;
  readonly sequences: readonly SequenceRule[];
  readonly encoder: number;
  readonly encoderTokens: readonly number[] | undefined;
  readonly repetition: number;
  readonly frequency: number;
  readonly presence: number;
  readonly countsPrompt: boolean;
  readonly window: number;
  readonly dry: Dry | undefined;
  readonly ngram: number;
  readonly banned: readonly number[];
  readonly forced: readonly number[] | undefined;
  /** The largest token of each option that has any. */
  readonly largest: readonly (readonly [option: string, token: number])[];
}

/** A checked copy of a list of tokens. */
export function tokensOf(value: unknown, name: string): number[] {
  return listOf(value, name, (token) => count(token, name, 0), 'an array of tokens');
}

const oneOrMore = (value: unknown, name: string): number[] =>
  typeof value === 'number' ? [count(value, name, 0)] : tokensOf(value, name);

/** A sequence of at least one token. */
function sequenceOf(value: unknown, name: string): number[] {
  const tokens = oneOrMore(value, name);
  if (tokens.length === 0) throw wrongValue('at least one token', name, 'none');
  return tokens;
}

const biasOf = (value: unknown, name: string): number => (value === -Infinity ? value : finite(value, name));

/** The elements of an iterable. */
function itemsOf(value: unknown, expected: string, name: string): unknown[] {
  if (typeof value !== 'object' || value === null || !(Symbol.iterator in value)) {
    throw wrongType(expected, name, value);
  }
  return Array.from(value as Iterable<unknown>);
}

function pairsOf(value: unknown, expected: string, name: string): unknown[][] {
  return itemsOf(value, expected, name).map((pair, i) => {
    if (Array.isArray(pair) && pair.length === 2) return [...(pair as unknown[])];
    throw wrongType(expected, `${name}[${i}]`, pair);
  });
}

/** Pairs of a token and a bias: an object's keys are its tokens. */
function logitBiasOf(value: unknown): (readonly [number, number])[] {
  const isObject = typeof value === 'object' && value !== null && !(Symbol.iterator in value) && !hasLength(value);
  const pairs = isObject ? Object.entries(value) : pairsOf(value, 'a Map or pairs [token, bias]', 'logitBias');
  return pairs.map(([key, bias]) => {
    const token = isObject && /^\d+$/.test(key as string) ? Number(key) : key;
    return [count(token, 'logitBias', 0), biasOf(bias, 'logitBias')];
  });
}

function dryOf(value: unknown): Dry | undefined {
  checkOptions(value, ['multiplier', 'base', 'allowedLength', 'breakers', 'lastN'], true);
  const given = { ...(value as DryOptions) };
  const multiplier = positive(given.multiplier, 'dry.multiplier', true);
  const base = positive(given.base ?? 1.75, 'dry.base');
  if (base < 1) throw outOfRange('a finite number from 1', 'dry.base', base);
  const allowedLength = count(given.allowedLength ?? 2, 'dry.allowedLength');
  const lastN = given.lastN ?? Infinity;
  const breakers = itemsOf(given.breakers ?? [], 'an iterable of tokens', 'dry.breakers');
  const dry = {
    multiplier,
    base,
    allowedLength,
    lastN: lastN === Infinity ? lastN : count(lastN, 'dry.lastN', 0),
    breakers: breakers.map((breaker, i) => sequenceOf(breaker, `dry.breakers[${i}]`)),
  };
  return multiplier > 0 && dry.lastN > 0 ? dry : undefined;
}

function aboveZero(value: unknown, name: string): number {
  const number = finite(value, name);
  if (number <= 0) throw outOfRange('a number above 0', name, number);
  return number;
}

/** Checked copies. Every iterator and getter of the caller runs here: before any length is taken. */
export function penaltiesOf(options: Given<PenaltyOptions>): Penalties {
  const { penaltyWindow = Infinity, countedTokens = 'output', encoderTokens, dry, forced } = options;
  const bias = logitBiasOf(options.logitBias ?? []);
  const sequences = [
    ...pairsOf(options.sequenceBias ?? [], 'a Map or pairs [tokens, bias]', 'sequenceBias').map(
      ([tokens, value], i) => [sequenceOf(tokens, `sequenceBias[${i}]`), biasOf(value, `sequenceBias[${i}]`)] as const,
    ),
  ];
  const bannedSequences = itemsOf(options.bannedSequences ?? [], 'an array of sequences', 'bannedSequences').map(
    (tokens, i) => sequenceOf(tokens, `bannedSequences[${i}]`),
  );
  const lists: Record<string, readonly number[]> = {
    logitBias: bias.map(([token]) => token),
    banned: tokensOf(options.banned ?? [], 'banned'),
    forced: forced === undefined ? [] : oneOrMore(forced, 'forced'),
    encoderTokens: encoderTokens === undefined ? [] : tokensOf(encoderTokens, 'encoderTokens'),
    sequenceBias: sequences.flatMap(([tokens]) => tokens),
    bannedSequences: bannedSequences.flat(),
  };
  const rules = [...sequences, ...bannedSequences.map((tokens) => [tokens, -Infinity] as const)];
  const all = rules.map(([tokens, value]) => ({ prefix: tokens.slice(0, -1), token: tokens.at(-1)!, bias: value }));
  const biases = new Map<number, number>();
  const alone = all.filter(({ prefix }) => prefix.length === 0).map((rule) => [rule.token, rule.bias] as const);
  for (const [token, value] of [...bias, ...alone]) biases.set(token, (biases.get(token) ?? 0) + value);
  return {
    biases,
    sequences: all.filter(({ prefix }) => prefix.length > 0),
    encoder: aboveZero(options.encoderRepetitionPenalty ?? 1, 'encoderRepetitionPenalty'),
    encoderTokens: encoderTokens === undefined ? undefined : lists.encoderTokens,
    repetition: aboveZero(options.repetitionPenalty ?? 1, 'repetitionPenalty'),
    frequency: finite(options.frequencyPenalty ?? 0, 'frequencyPenalty'),
    presence: finite(options.presencePenalty ?? 0, 'presencePenalty'),
    countsPrompt: oneOf(countedTokens, ['output', 'all'], 'countedTokens') === 'all',
    window: penaltyWindow === Infinity ? Infinity : count(penaltyWindow, 'penaltyWindow', 0),
    dry: dry === undefined ? undefined : dryOf(dry),
    ngram: count(options.noRepeatNgram ?? 0, 'noRepeatNgram', 0),
    banned: lists.banned!,
    forced: forced === undefined ? undefined : lists.forced,
    largest: Object.entries(lists).flatMap(([name, tokens]) => (tokens.length > 0 ? [[name, largestOf(tokens)]] : [])),
  };
}

const largestOf = (tokens: readonly number[]): number => tokens.reduce((most, token) => Math.max(most, token), 0);

/** Whether counts of the history change any logit. */
export function usesCounts({ repetition, frequency, presence }: Penalties): boolean {
  return repetition !== 1 || frequency !== 0 || presence !== 0;
}

/** Checks that a token is a position of a row. */
export function checkToken(token: number, name: string, cols: number): void {
  if (!(token < cols)) throw outOfRange(`tokens from 0 to ${cols - 1}`, name, token);
}
