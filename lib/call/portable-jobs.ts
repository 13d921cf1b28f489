/**
 * Stands in for js-jobs.ts in the portable build, as backend/portable.ts does for native.ts: there is no worker thread of
 * Node's. A kernel runs at a later turn of the event loop, and holds that turn until it is done.
 */
import type * as node from './js-jobs.js';

export const inSharedMemory: typeof node.inSharedMemory = false;

// As it was at load: tests replace timers by ones that stand still. Browsers have no setImmediate.
const { setTimeout: later } = globalThis as unknown as { setTimeout(run: () => void, milliseconds: number): void };

export const turn: typeof node.turn = () => new Promise((resolve) => later(resolve, 0));

export const runInWorker: typeof node.runInWorker = async (_kernel, _args, signal, run) => {
  await turn();
  if (!signal?.aborted) run();
};
