/**
 * Runs kernels of JavaScript and WebAssembly off the event loop, in worker threads. Each has one job at a time, and is
 * kept for the next. Their arrays are in shared memory. Stopping a job ends its worker. Where no worker can start (its
 * file is not in the bundle, or threads are not permitted) a kernel runs at a later turn of the event loop.
 */
import { availableParallelism } from 'node:os';
import { setImmediate } from 'node:timers';
import { Worker } from 'node:worker_threads';
import { worker as workerFile } from '#files';
import type { Provided } from '../backend/wasm/modules.js';
import { onAbort } from './abort.js';
import { wrongState } from './errors.js';

/** Whether a job's arrays must be in shared memory. */
export const inSharedMemory: boolean = true;

// Taken at load: tests replace timers by timers that stand still.
const soon = setImmediate;

/** Resolves when the event loop has been once around. */
export const turn = (): Promise<void> => new Promise((resolve) => void soon(resolve));

const idle: Worker[] = [];
const waiting: (() => void)[] = [];
let running = 0;
let hasWorkers = true;

/** What a worker is told: a kernel, its arguments, and the WebAssembly module that it is in, if it is in one. */
export interface Order {
  readonly kernel: string;
  readonly args: readonly unknown[];
  readonly module: Provided | undefined;
}

/** Resolves when the kernel has run, or when `signal` has stopped it. `run` runs the kernel on this thread. */
export async function runInWorker(job: Order, signal: AbortSignal | undefined, run: () => void): Promise<void> {
  if (running < availableParallelism()) running++;
  else await new Promise<void>((resolve) => waiting.push(resolve)); // until a job ends and passes its place on
  try {
    if (signal?.aborted) return;
    const worker = idle.pop() ?? (await newWorker());
    if (!worker) await turn();
    if (signal?.aborted) {
      if (worker) park(worker);
    } else if (worker) await order(worker, job, signal);
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

/** A worker that has reported itself ready; undefined, from then on, where none can start. */
async function newWorker(): Promise<Worker | undefined> {
  if (!hasWorkers) return undefined;
  try {
    // No option of the process: with --input-type no file can be run.
    const worker = new Worker(workerFile(), { execArgv: [] });
    await firstMessage(worker);
    return worker;
  } catch {
    hasWorkers = false;
    return undefined;
  }
}

/** Resolves at the first message; rejects if the thread ends before it. */
function firstMessage(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    const there = () => {
      worker.off('error', reject).off('exit', reject);
      resolve();
    };
    worker.once('message', there).once('error', reject).once('exit', reject);
  });
}

function order(worker: Worker, job: Order, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      worker.off('message', done).off('error', fail).off('exit', exit);
      forget();
    };
    const done = (failure: Error | undefined) => {
      end();
      park(worker);
      if (failure) reject(failure);
      else resolve();
    };
    const fail = (error: Error) => {
      end();
      reject(error);
    };
    const exit = (code: number) => fail(wrongState('a thread', 'the job', `one that ended with ${code}`));
    const stop = () => {
      end();
      worker.terminate().then(() => resolve(), reject);
    };
    worker.on('message', done).on('error', fail).on('exit', exit);
    const forget = onAbort(signal, stop);
    worker.ref();
    worker.postMessage(job);
  });
}
