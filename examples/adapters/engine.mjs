// Continuous batching: one run of the model a step for all sequences that are there, and one call, off the event loop,
// that draws a token for each of them. Sequences come and go between steps.
import { lastLogits, toTensor } from 'flash-softmax/adapters/onnxruntime';
import { sampleAll } from 'flash-softmax/promises';
import { logProbs, Sampler } from 'flash-softmax/sampling';

export class Engine {
  #ort;
  #session;
  #active = new Set();
  #isRunning = false;

  constructor(ort, session) {
    this.#ort = ort;
    this.#session = session;
  }

  /** How many sequences there are. */
  get size() {
    return this.#active.size;
  }

  /** Yields { token, drawn }; `drawn` has ln p where `wanted`, a number of top tokens, is given. */
  async *generate(prompt, options, { maxTokens, wanted }) {
    const sampler = new Sampler(options).accept(prompt, { prompt: true });
    const sequence = { sampler, last: prompt.at(-1), left: maxTokens, wanted, ready: [], wake: () => {} };
    this.#active.add(sequence);
    this.#start();
    try {
      for (;;) {
        while (sequence.ready.length > 0) yield sequence.ready.shift();
        if (sequence.error) throw sequence.error;
        if (sequence.left === 0 || sampler.finished) return;
        await new Promise((resolve) => (sequence.wake = resolve));
      }
    } finally {
      this.#active.delete(sequence); // of a request that was cancelled, too
    }
  }

  async #start() {
    if (this.#isRunning) return;
    this.#isRunning = true;
    while (this.#active.size > 0) {
      const batch = [...this.#active];
      await this.#step(batch).catch((error) => batch.forEach((sequence) => (sequence.error = error)));
      for (const sequence of batch) {
        if (sequence.error || sequence.left === 0 || sequence.sampler.finished) this.#active.delete(sequence);
        sequence.wake();
      }
    }
    this.#isRunning = false;
  }

  async #step(batch) {
    const ids = batch.map(({ last }) => last);
    const { logits } = await this.#session.run({ input_ids: toTensor(ids, [ids.length, 1], this.#ort) });
    const { data, cols } = lastLogits(logits);
    const samplers = batch.map(({ sampler }) => sampler);
    const tokens = await sampleAll(samplers, data, { cols });
    batch.forEach((sequence, row) => {
      const token = tokens[row];
      const { wanted } = sequence;
      const logs =
        wanted === undefined ? {} : logProbs(data.subarray(row * cols, (row + 1) * cols), token, { top: wanted });
      sequence.ready.push({ token, drawn: { tokens: [token], ...logs } });
      sequence.last = token;
      sequence.left--;
    });
  }
}
