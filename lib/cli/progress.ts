/** A line on a terminal that shows the current step, until it is cleared. It writes nothing to a file or pipe. */
import type { Output } from './command.js';

export class Progress {
  readonly #output: Output;
  #last = 0;

  constructor(output: Output) {
    this.#output = output;
  }

  /** Shows a step, at most ten times a second. */
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
