/**
 * A worker thread that runs kernels of JavaScript, and of WebAssembly modules that come with the job, on shared memory.
 * It reports when it is ready, and when done. An error, such as for memory, goes with the report.
 */
import { parentPort } from 'node:worker_threads';
import type { Kernels } from '../backend/backend.js';
import type { Positional } from '../backend/operators.js';
import { provide } from '../backend/wasm/modules.js';
import { wasmBackend } from '../backend/wasm/wasm.js';
import { js } from '../js/index.js';
import type { Order } from './js-jobs.js';

let wasm = {} as Partial<Kernels>;
const known = new Set<string>();

parentPort!.on('message', ({ kernel, args, module }: Order) => {
  if (module !== undefined && !known.has(module.name)) {
    known.add(module.name);
    provide(module);
    wasm = wasmBackend().backend!;
  }
  let failure: unknown;
  try {
    Reflect.apply((module === undefined ? js : wasm)[kernel as keyof Kernels] as Positional, undefined, args);
  } catch (error) {
    failure = error;
  }
  parentPort!.postMessage(failure);
});
parentPort!.postMessage(undefined);
