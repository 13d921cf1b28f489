/** A line on a terminal that shows the current step, until it is cleared. It writes nothing to a file or pipe. */
import type { Output } from './command.js';

const WIDTH = 20; // characters of the bar

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

  /** Shows a step behind a bar of what is done, 0 to 1, and how many milliseconds are left. */
  bar(text: string, done: number, left: number): void {
    const full = Math.min(WIDTH, Math.round(done * WIDTH));
    const seconds = Math.ceil(left / 1000);
    const time = seconds < 60 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`;
    this.show(`${'█'.repeat(full)}${'░'.repeat(WIDTH - full)} ${text}, ${time} left`);
  }

  clear(): void {
    this.#last = 0;
    if (this.#output.isTTY) this.#output.write('\r\x1b[K');
  }
}
