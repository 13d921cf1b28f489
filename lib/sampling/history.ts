/** The tokens that a sampler drew or accepted, with counts that each new token updates. */
import type { Counts } from './penalties.js';

export class History {
  readonly #tokens: number[] = [];
  readonly #counts = new Map<number, number>();
  readonly #window: number;
  #largest = -1;

  /** @param window The number of last tokens that are counted. */
  constructor(window: number) {
    this.#window = window;
  }

  /** How often each token is among the last `window`. */
  get counts(): Counts {
    return this.#counts;
  }

  /** The largest token; −1 if there are none. */
  get largest(): number {
    return this.#largest;
  }

  /** A copy of all tokens. */
  tokens(): number[] {
    return this.#tokens.slice();
  }

  add(tokens: readonly number[]): void {
    for (const token of tokens) {
      this.#tokens.push(token);
      if (token > this.#largest) this.#largest = token;
      if (this.#window > 0) this.#count(token);
    }
  }

  #count(token: number): void {
    this.#counts.set(token, (this.#counts.get(token) ?? 0) + 1);
    const leaving = this.#tokens.length - 1 - this.#window;
    if (leaving < 0) return;
    const old = this.#tokens[leaving]!;
    const times = this.#counts.get(old)! - 1;
    if (times > 0) this.#counts.set(old, times);
    else this.#counts.delete(old);
  }
}
