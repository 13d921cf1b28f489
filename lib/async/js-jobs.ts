/**
 * Kernels of the JavaScript backend off the event loop: worker threads, each for one job at a time, kept for the next one.
 * Their arrays are in shared memory. A job that is stopped takes its worker with it.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { packageRoot } from '../backend/native.js';
import { onAbort } from './abort.js';

/** Whether a job's arrays must be in shared memory. */
export const inSharedMemory: boolean = true;

/** Resolves when the event loop has been once around. */
export const turn = (): Promise<void> => setImmediate();

const idle: Worker[] = [];
const waiting: (() => void)[] = [];
let running = 0;

/** Options of the process are not for it: with --input-type no file can be run. */
const newWorker = (): Worker => new Worker(join(packageRoot(), 'dist', 'js-worker.js'), { execArgv: [] });

/** Resolves when the kernel has run, or no longer runs, because `signal` was raised. */
export async function runInWorker(kernel: string, args: readonly unknown[], signal: AbortSignal | undefined): Promise<void> {
  if (running < availableParallelism()) running++;
  else await new Promise<void>((resolve) => waiting.push(resolve)); // until a job hands its place on
  try {
    if (!signal?.aborted) await order(idle.pop() ?? newWorker(), kernel, args, signal);
  } finally {
    const next = waiting.shift();
    if (next) next();
    else running--;
  }
}

function order(worker: Worker, kernel: string, args: readonly unknown[], signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      worker.off('message', done).off('error', fail).off('exit', exit);
      forget();
    };
    const done = () => {
      end();
      worker.unref(); // an idle one keeps no process alive
      idle.push(worker);
      resolve();
    };
    const fail = (error: Error) => {
      end();
      reject(error);
    };
    const exit = (code: number) => fail(new Error(`The worker thread of flash-softmax ended with ${code}`));
    const stop = () => {
      end();
      worker.terminate().then(() => resolve(), reject);
    };
    worker.on('message', done).on('error', fail).on('exit', exit);
    const forget = onAbort(signal, stop);
    worker.ref();
    worker.postMessage({ kernel, args });
  });
}
