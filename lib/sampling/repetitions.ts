/** Repetitions in a history: n-grams, DRY, and biases of sequences. Each token of a history is looked at once. */
import { ln } from '../math/log.js';
import type { Dry, Penalties, SequenceRule } from './penalty-options.js';

/** Takes a token with what is added to its logit: before penalties, and after. */
export type Visit = (token: number, before: number, after: number) => void;

/** What the end of a history does to the tokens that could come next. `tokens` grows; `add` follows each of them. */
export class Repetitions {
  readonly #ngrams: NGrams | undefined;
  readonly #dry: DrySearch | undefined;
  readonly #sequences: ReadonlyMap<number, readonly SequenceRule[]>;
  readonly #tokens: readonly number[];

  constructor({ ngram, dry, sequences }: Penalties, tokens: readonly number[]) {
    this.#tokens = tokens;
    this.#ngrams = ngram > 0 ? new NGrams(ngram, tokens) : undefined;
    this.#dry = dry && new DrySearch(dry, tokens);
    const rules = new Map<number, SequenceRule[]>();
    for (const rule of sequences) {
      const last = rule.prefix.at(-1)!;
      const list = rules.get(last);
      if (list === undefined) rules.set(last, [rule]);
      else list.push(rule);
    }
    this.#sequences = rules;
  }

  /** Takes the last token. */
  add(): void {
    this.#ngrams?.add();
    this.#dry?.add();
  }

  /** Visits the tokens whose logits change. A token may come more than once. */
  each(visit: Visit): void {
    this.#dry?.each(visit);
    this.#ngrams?.each(visit);
    const tokens = this.#tokens;
    for (const { prefix, token, bias } of this.#sequences.get(tokens.at(-1)!) ?? []) {
      if (endsWith(tokens, tokens.length, prefix)) visit(token, bias, 0);
    }
  }
}

/** Whether the first `end` tokens end with a sequence. */
function endsWith(tokens: readonly number[], end: number, sequence: readonly number[]): boolean {
  const from = end - sequence.length;
  for (let i = sequence.length - 1; i >= 0; i--) if (tokens[from + i] !== sequence[i]) return false;
  return true;
}

/** Tokens that would complete an n-gram of the history. */
class NGrams {
  readonly #n: number;
  readonly #tokens: readonly number[];
  /** The last place behind each sequence of n − 1 tokens, by its hash; then for each place the one before. */
  readonly #last = new Map<number, number>();
  readonly #before: number[] = [];

  constructor(n: number, tokens: readonly number[]) {
    this.#n = n;
    this.#tokens = tokens;
  }

  add(): void {
    const end = this.#tokens.length;
    if (this.#n === 1 || end < this.#n - 1) return;
    let hash = 0;
    for (let i = end - this.#n + 1; i < end; i++) hash = (Math.imul(hash, 0x01000193) ^ this.#tokens[i]!) | 0;
    this.#before[end] = this.#last.get(hash) ?? 0;
    this.#last.set(hash, end);
  }

  each(visit: Visit): void {
    const tokens = this.#tokens;
    const end = tokens.length;
    if (this.#n === 1) {
      for (const token of tokens) visit(token, 0, -Infinity);
      return;
    }
    if (end < this.#n) return;
    const sequence = tokens.slice(end - this.#n + 1);
    for (let at = this.#before[end]!; at > 0; at = this.#before[at]!) {
      if (endsWith(tokens, at, sequence)) visit(tokens[at]!, 0, -Infinity);
    }
  }
}

/** The largest exponent is that of llama.cpp: base^exponent is a finite float. */
const LN_LARGEST = 88.7228391;

/** The sampler of llama.cpp, token by token. */
class DrySearch {
  readonly #dry: Dry;
  readonly #tokens: readonly number[];
  /** The last place of each token; then for each place the one before that has the same token. */
  readonly #last = new Map<number, number>();
  readonly #before: number[] = [];
  /** For each place of the last token: how many tokens up to there are the last tokens of the history. */
  readonly #lengths: number[] = [];
  /** The length of the history for which #lengths is right. */
  #known = 0;
  readonly #tails = new Map<number, number[][]>();
  readonly #single = new Set<number>();
  readonly #longestTail: number;

  constructor(dry: Dry, tokens: readonly number[]) {
    this.#dry = dry;
    this.#tokens = tokens;
    for (const [head, ...tail] of dry.breakers) {
      if (tail.length === 0) this.#single.add(head!);
      const list = this.#tails.get(head!);
      if (list === undefined) this.#tails.set(head!, [tail]);
      else list.push(tail);
    }
    this.#longestTail = dry.breakers.reduce((most, { length }) => Math.max(most, length - 1), 0);
  }

  add(): void {
    const at = this.#tokens.length - 1;
    this.#before[at] = this.#last.get(this.#tokens[at]!) ?? -1;
    this.#last.set(this.#tokens[at]!, at);
  }

  each(visit: Visit): void {
    const { multiplier, base, allowedLength, lastN } = this.#dry;
    const tokens = this.#tokens;
    const start = Math.max(0, tokens.length - lastN);
    if (tokens.length - start <= allowedLength) return;
    this.#update(start);
    const longest = new Map<number, number>();
    let most = 0;
    for (let at = this.#before[tokens.length - 1]!; at >= start; at = this.#before[at]!) {
      const length = Math.min(this.#lengths[at]!, at - start + 1);
      if (length < allowedLength || length <= (longest.get(tokens[at + 1]!) ?? 0)) continue;
      longest.set(tokens[at + 1]!, length);
      most = Math.max(most, length);
    }
    if (most === 0) return;
    const limit = this.#limit(start, most);
    if (limit < allowedLength) return;
    const mostExponent = base > 1.000001 ? Math.floor(LN_LARGEST / ln(base)) : Infinity;
    for (const [token, length] of longest) {
      if (this.#single.has(token)) continue;
      const exponent = Math.min(Math.min(length, limit) - allowedLength, mostExponent);
      visit(token, 0, -multiplier * powerOf(base, exponent));
    }
  }

  /** The number of tokens behind the last breaker, if that is below `most` or so. */
  #limit(start: number, most: number): number {
    const tokens = this.#tokens;
    const last = tokens.length - 1;
    if (this.#tails.size === 0) return Infinity;
    for (let i = 0; i <= Math.min(most + this.#longestTail, last - start); i++) {
      let longest = -1;
      for (const tail of this.#tails.get(tokens[last - i]!) ?? []) {
        if (tail.length > longest && tail.length <= i && endsWith(tokens, last - i + tail.length + 1, tail)) {
          longest = tail.length;
        }
      }
      if (longest >= 0) return i - longest;
    }
    return Infinity;
  }

  /** Makes #lengths right: from the lengths of one token less, or else by one pass over the history. */
  #update(start: number): void {
    const tokens = this.#tokens;
    const last = tokens.length - 1;
    const lengths = this.#lengths;
    if (this.#known === last && last > 0) {
      for (let at = this.#before[last]!; at >= start; at = this.#before[at]!) {
        lengths[at] = at > 0 && tokens[at - 1] === tokens[last - 1] ? (lengths[at - 1] ?? 0) + 1 : 1;
      }
    } else if (this.#known !== tokens.length) {
      commonEnds(tokens, start, lengths);
    }
    this.#known = tokens.length;
  }
}

/** lengths[i]: how many tokens up to i, from `start` on, are the last tokens of all. The Z algorithm, from the end. */
function commonEnds(tokens: readonly number[], start: number, lengths: number[]): void {
  const last = tokens.length - 1;
  let left = 0; // offsets from the end: the match that reaches farthest
  let right = 0;
  for (let k = 1; k <= last - start; k++) {
    let n = k < right ? Math.min(lengths[last - (k - left)]!, right - k) : 0;
    while (n + k <= last - start && tokens[last - n] === tokens[last - n - k]) n++;
    lengths[last - k] = n;
    if (k + n > right) [left, right] = [k, k + n];
  }
}

/** base^n for an integer n from 0, by squares: the same on every machine. */
function powerOf(base: number, n: number): number {
  let power = 1;
  for (let square = base; n > 0; n = Math.floor(n / 2), square *= square) if (n % 2 === 1) power *= square;
  return power;
}
