/**
 * Kernels of the JavaScript backend off the event loop: worker threads, each for one job at a time, kept for the next one.
 * Their arrays are in shared memory. A job that is stopped takes its worker with it. Where no worker can be had (its file
 * is not in the bundle, or threads are not permitted) a kernel runs at a later turn of the event loop.
 */
import { availableParallelism } from 'node:os';
import { setImmediate } from 'node:timers';
import { Worker } from 'node:worker_threads';
import { worker as workerFile } from '#files';
import { onAbort } from './abort.js';

/** Whether a job's arrays must be in shared memory. */
export const inSharedMemory: boolean = true;

// As it was at load: tests replace timers by ones that stand still.
const soon = setImmediate;

/** Resolves when the event loop has been once around. */
export const turn = (): Promise<void> => new Promise((resolve) => void soon(resolve));

const idle: Worker[] = [];
const waiting: (() => void)[] = [];
let running = 0;
let hasWorkers = true;

/** Resolves when the kernel has run, or no longer runs, because `signal` was raised. `run` does it on this thread. */
export async function runInWorker(
  kernel: string,
  args: readonly unknown[],
  signal: AbortSignal | undefined,
  run: () => void,
): Promise<void> {
  if (running < availableParallelism()) running++;
  else await new Promise<void>((resolve) => waiting.push(resolve)); // until a job hands its place on
  try {
    if (signal?.aborted) return;
    const worker = idle.pop() ?? (await newWorker());
    if (!worker) await turn();
    if (signal?.aborted) {
      if (worker) park(worker);
    } else if (worker) await order(worker, kernel, args, signal);
    else run();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else running--;
  }
}

/** An idle worker keeps no process alive. */
function park(worker: Worker): void {
  worker.unref();
  idle.push(worker);
}

/** A worker that has said that it is there; undefined, now and later, where none comes to be. */
async function newWorker(): Promise<Worker | undefined> {
  if (!hasWorkers) return undefined;
  try {
    const worker = new Worker(workerFile(), { execArgv: [] }); // no option of the process: with --input-type no file can be run
    await firstMessage(worker);
    return worker;
  } catch {
    hasWorkers = false;
    return undefined;
  }
}

/** Rejects if the thread ends before. */
function firstMessage(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    const there = () => {
      worker.off('error', reject).off('exit', reject);
      resolve();
    };
    worker.once('message', there).once('error', reject).once('exit', reject);
  });
}

function order(
  worker: Worker,
  kernel: string,
  args: readonly unknown[],
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      worker.off('message', done).off('error', fail).off('exit', exit);
      forget();
    };
    const done = () => {
      end();
      park(worker);
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
