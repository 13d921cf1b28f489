/**
 * Replaces js-jobs.ts in the portable build, which has no worker threads, as backend/portable.ts replaces native.ts. A
 * kernel runs at a later turn of the event loop, and holds that turn until it ends.
 */
import type * as node from './js-jobs.js';

export const inSharedMemory: typeof node.inSharedMemory = false;

// Taken at load: tests replace timers by timers that stand still. Browsers have no setImmediate.
const { setTimeout: later } = globalThis as unknown as { setTimeout(run: () => void, milliseconds: number): void };

export const turn: typeof node.turn = () => new Promise((resolve) => later(resolve, 0));

export const runInWorker: typeof node.runInWorker = async (_job, signal, run) => {
  await turn();
  if (!signal?.aborted) run();
};
