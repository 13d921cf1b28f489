/** One line on a terminal that says what is being done, and is gone afterwards. Elsewhere it says nothing. */
import type { Output } from './command.js';

export class Progress {
  readonly #output: Output;
  #last = 0;

  constructor(output: Output) {
    this.#output = output;
  }

  show(text: string): void {
    const now = performance.now();
    if (!this.#output.isTTY || now - this.#last < 100) return;
    this.#last = now;
    this.#output.write(`\r\x1b[K${text}`);
  }

  clear(): void {
    this.#last = 0;
    if (this.#output.isTTY) this.#output.write('\r\x1b[K');
  }
}
