/**
 * A worker thread that runs kernels of the JavaScript backend on shared memory. It reports when it is ready, and when
 * done.
 */
import { parentPort } from 'node:worker_threads';
import type { Kernels } from '../backend/backend.js';
import type { Positional } from '../backend/operators.js';
import { js } from '../js/index.js';

parentPort!.on('message', ({ kernel, args }: { kernel: keyof Kernels; args: readonly unknown[] }) => {
  Reflect.apply(js[kernel] as Positional, undefined, args);
  parentPort!.postMessage('done');
});
parentPort!.postMessage('ready');
