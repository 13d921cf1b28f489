/** The tokens that a sampler drew or accepted. Their counts are kept up to date: a step does not count them anew. */
import type { Counts } from './penalties.js';

export class History {
  readonly #tokens: number[] = [];
  readonly #counts = new Map<number, number>();
  readonly #window: number;
  #largest = -1;

  /** @param window How many of the last tokens are counted. */
  constructor(window: number) {
    this.#window = window;
  }

  /** How often each token is among the last `window`. */
  get counts(): Counts {
    return this.#counts;
  }

  /** −1 if there are none. */
  get largest(): number {
    return this.#largest;
  }

  /** A copy. */
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
    const left = this.#tokens.length - 1 - this.#window;
    if (left < 0) return;
    const old = this.#tokens[left]!;
    const times = this.#counts.get(old)! - 1;
    if (times > 0) this.#counts.set(old, times);
    else this.#counts.delete(old);
  }
}
