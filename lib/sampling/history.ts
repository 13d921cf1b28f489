/** The tokens that a sampler drew or accepted, with a table that each new token updates. */
import { usesCounts, type Penalties } from './penalty-options.js';
import { Repetitions } from './repetitions.js';
import { TokenTable } from './token-table.js';

/** A list of its own is not copied by each `add`: a prompt may have a million tokens. */
export class History {
  readonly table = new TokenTable();
  readonly #penalties: Penalties;
  readonly #tokens: number[] = [];
  /** Where each run of the prompt's tokens begins and ends. */
  readonly #prompt: number[] = [];
  readonly #repetitions: Repetitions;
  readonly #window: number;
  /** The run that the tokens leaving the window have reached. */
  #leaving = 0;
  #largest = -1;
  #outputs = 0;
  #changed: { readonly token: number; readonly biases: readonly [number, number] }[] = [];

  constructor(penalties: Penalties) {
    this.#penalties = penalties;
    this.#window = usesCounts(penalties) ? penalties.window : 0;
    this.#repetitions = new Repetitions(penalties, this.#tokens);
    for (const [token, bias] of penalties.biases) this.table.addBias(token, bias, 0);
    for (const token of penalties.banned) this.table.addBias(token, 0, -Infinity);
    for (const token of penalties.encoderTokens ?? []) this.table.mark(token);
  }

  /** The largest token; −1 if there are none. */
  get largest(): number {
    return this.#largest;
  }

  /** How many tokens are not of the prompt. */
  get outputs(): number {
    return this.#outputs;
  }

  /** A copy of all tokens. */
  tokens(): number[] {
    return this.#tokens.slice();
  }

  /** Where each run of the prompt's tokens begins and ends. */
  prompt(): [number, number][] {
    return this.#prompt.flatMap((from, i) => (i % 2 === 0 ? [[from, this.#prompt[i + 1]!] as [number, number]] : []));
  }

  add(tokens: readonly number[], isPrompt: boolean): void {
    if (isPrompt && tokens.length > 0) {
      const from = this.#tokens.length;
      if (this.#prompt.at(-1) === from) this.#prompt.pop();
      else this.#prompt.push(from);
      this.#prompt.push(from + tokens.length);
    }
    for (const token of tokens) {
      this.#tokens.push(token);
      if (token > this.#largest) this.#largest = token;
      if (this.#window > 0) this.#count(token, isPrompt);
      this.#repetitions.add();
    }
    if (!isPrompt) this.#outputs += tokens.length;
    const { encoder, encoderTokens } = this.#penalties;
    if (isPrompt && encoder !== 1 && encoderTokens === undefined) for (const token of tokens) this.table.mark(token);
  }

  #count(token: number, isPrompt: boolean): void {
    this.table.count(token, isPrompt, 1);
    const leaving = this.#tokens.length - 1 - this.#window;
    if (leaving < 0) return;
    while (this.#leaving < this.#prompt.length && this.#prompt[this.#leaving + 1]! <= leaving) this.#leaving += 2;
    const wasPrompt = this.#leaving < this.#prompt.length && this.#prompt[this.#leaving]! <= leaving;
    this.table.count(this.#tokens[leaving]!, wasPrompt, -1);
  }

  /** Puts what repetitions do to the next token into the table, and bans more tokens, until `release`. */
  prepare(banned: readonly number[] = []): void {
    const change = (token: number, before: number, after: number): void => {
      const biases = this.table.biasesOf(token);
      this.#changed.push({ token, biases });
      this.table.setBiases(token, [biases[0] + before, biases[1] + after]);
    };
    this.#repetitions.each(change);
    for (const token of banned) change(token, 0, -Infinity);
  }

  release(): void {
    for (let i = this.#changed.length - 1; i >= 0; i--) {
      this.table.setBiases(this.#changed[i]!.token, this.#changed[i]!.biases);
    }
    this.#changed = [];
  }
}
