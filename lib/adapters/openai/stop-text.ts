/** StopText: the text of a stream of tokens, up to a string that ends it. */
import { describe, wrongType, wrongValue } from '../../call/errors.js';
import { listOf } from '../../sampling/options.js';
import { bytesOf } from './logprobs.js';

/** What a token adds to the text. */
export interface StopTextStep {
  /** The text that is certain now. What may be the beginning of a string of `stop` waits. */
  readonly text: string;
  /** The string that has ended the text; undefined if none has. */
  readonly stopped: string | undefined;
}

/** Finds a string in text that comes in pieces (Knuth, Morris, Pratt): time and memory for its length only. */
class Finder {
  readonly word: string;
  readonly #fallback: Int32Array; // of each length: that of the longest proper prefix that is a suffix, too
  /** How many characters at the end of the text are the beginning of the word. */
  length = 0;

  constructor(word: string) {
    this.word = word;
    this.#fallback = new Int32Array(word.length + 1);
    for (let i = 1, n = 0; i < word.length; i++) {
      n = this.#next(n, word.charCodeAt(i));
      this.#fallback[i + 1] = n;
    }
  }

  #next(length: number, code: number): number {
    let n = length;
    while (n > 0 && this.word.charCodeAt(n) !== code) n = this.#fallback[n]!;
    return this.word.charCodeAt(n) === code ? n + 1 : 0;
  }

  /** Whether the word ends with this character. */
  push(code: number): boolean {
    this.length = this.#next(this.length, code);
    return this.length === this.word.length;
  }
}

/**
 * The text of tokens as they are drawn, for the `stop` of a request: a string may begin in one token and end in
 * another, and a token may hold a part of a character only.
 *
 *     const text = new StopText(stop);
 *     const { text: piece, stopped } = text.push(bytesOfToken);
 *     const rest = text.end(); // of a sequence that no string has ended
 *
 * The text ends before the string that is complete first; of several with the same end, before the longest.
 *
 * @example
 * import { StopText } from 'flash-softmax/adapters/openai';
 * const text = new StopText(['END']);
 * console.log(text.push('Hello E').text, '|', text.push('ND').text, '|', text.stopped); // → Hello  |  | END
 */
export class StopText {
  readonly #finders: readonly Finder[];
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #held = '';
  #stopped: string | undefined;

  /** @throws TypeError or RangeError unless `stop` is a list of strings that are not empty. */
  constructor(stop: ArrayLike<string> = []) {
    this.#finders = listOf(stop, 'stop', (word) => {
      if (typeof word !== 'string') throw wrongType('strings', 'stop', word);
      if (word === '') throw wrongValue('strings that are not empty', 'stop', describe(word));
      return new Finder(word);
    });
  }

  /** The string that has ended the text; undefined if none has. */
  get stopped(): string | undefined {
    return this.#stopped;
  }

  /**
   * Adds a token: its bytes, or its text. After the end nothing is added.
   *
   * @throws TypeError (ERR_INVALID_ARG_TYPE) for anything else.
   */
  push(token: string | Uint8Array): StopTextStep {
    const bytes = bytesOf(token, 'token');
    return this.#add(this.#decoder.decode(bytes, { stream: true }));
  }

  /** The text that waited, at the end of a sequence that no string has ended. */
  end(): string {
    const { text } = this.#add(this.#decoder.decode());
    const rest = text + this.#held;
    this.#held = '';
    return rest;
  }

  #add(text: string): StopTextStep {
    if (this.#stopped !== undefined) return { text: '', stopped: this.#stopped };
    const before = this.#held.length;
    const all = this.#held + text;
    for (let i = before; i < all.length; i++) {
      const found = this.#finish(all.charCodeAt(i));
      if (found === undefined) continue;
      this.#stopped = found;
      this.#held = '';
      return { text: all.slice(0, i + 1 - found.length), stopped: found };
    }
    const waits = this.#finders.reduce((most, { length }) => Math.max(most, length), 0);
    this.#held = all.slice(all.length - waits);
    return { text: all.slice(0, all.length - waits), stopped: undefined };
  }

  /** The longest word that ends with a character. */
  #finish(code: number): string | undefined {
    let longest: string | undefined;
    for (const finder of this.#finders) {
      if (finder.push(code) && !(longest !== undefined && longest.length >= finder.word.length)) longest = finder.word;
    }
    return longest;
  }
}
