/**
 * Stands in for js-jobs.ts in the portable build, as backend/portable.ts does for native.ts: there is no worker thread of
 * Node's. A kernel runs at a later turn of the event loop, and holds that turn until it is done.
 */
import type { Kernels } from '../backend/backend.js';
import type { Positional } from '../backend/operators.js';
import { js } from '../backend/js/index.js';
import type * as node from './js-jobs.js';

export const inSharedMemory: typeof node.inSharedMemory = false;

/** A timer, as browsers have no setImmediate. */
export const turn: typeof node.turn = () => new Promise((resolve) => surroundings.setTimeout(resolve, 0));

const surroundings = globalThis as unknown as { setTimeout(run: () => void, milliseconds: number): void };

export const runInWorker: typeof node.runInWorker = async (kernel, args, signal) => {
  await turn();
  if (!signal?.aborted) Reflect.apply(js[kernel as keyof Kernels] as Positional, undefined, args);
};
