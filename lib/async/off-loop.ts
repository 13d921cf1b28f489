/** Makes of a checked call one that runs off the event loop: memory, backends and AbortSignal are seen to here, for all. */
import { wrongType } from '../arguments.js';
import type { BackendName, Kernels } from '../backend/backend.js';
import { native, type Jobs } from '../backend/native.js';
import type { Call } from '../call.js';
import { inSharedMemory, runInWorker } from './js-jobs.js';
import { check, copy, isShared, isView, newLike, type Theirs, type View } from './memory.js';

/** An AbortSignal. By the part of it that no other type has, so that who compiles against this needs no types of Node or a browser. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  throwIfAborted(): void;
}

export interface AsyncOptions {
  /** Stops the job; the promise is rejected with the signal's reason as soon as nothing works on the arrays any more. */
  signal?: AbortSignalLike | undefined;
}

/** JavaScript takes less time for so many elements than a thread takes to wake up. */
const AT_ONCE = 4096;

/** Reads `signal`: before any lengths are taken, as a getter may do anything. */
export function signalOf(options: AsyncOptions | undefined): AbortSignal | undefined {
  const signal: unknown = typeof options === 'object' && options !== null ? options.signal : undefined;
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw wrongType('an AbortSignal', 'signal', signal);
  return signal;
}

/** Runs a call. Before the promise settles, every thread has left the arrays alone. */
export async function offLoop<R>(call: Call<R>, signal: AbortSignal | undefined): Promise<R> {
  signal?.throwIfAborted();
  const isJs = call.backend.name === 'js';
  const shared = isJs && inSharedMemory;
  const theirs = new Map<number, Theirs>();
  for (const [name, i] of Object.entries(call.theirs)) {
    const view = call.args[i];
    if (isView(view)) theirs.set(i, { view, name, length: view.length });
  }

  const args = [...call.args];
  /** Whether an argument can be used where it is: shared, or new and nobody else's. */
  const stays = (i: number): boolean => {
    const arg = call.args[i];
    return !isView(arg) || isShared(arg) || (!theirs.has(i) && !isJs);
  };
  const results: { from: View; to: View; length: number; theirs: Theirs | undefined }[] = [];
  for (const i of call.results) {
    if (stays(i)) continue;
    const to = call.args[i] as View;
    const length = theirs.get(i)?.length ?? to.length;
    const from = (args[i] = newLike(to, length, shared));
    results.push({ from, to, length, theirs: theirs.get(i) });
  }
  for (const i of call.args.keys()) {
    if (stays(i) || call.results.includes(i)) continue;
    const from = call.args[i] as View;
    const length = theirs.get(i)?.length ?? from.length;
    // Where the results will be, if that does: memory is dear here, as the event loop waits while it is made and given back.
    const to = i === 0 && call.inPlace ? (args[call.results[0]!] as View) : newLike(from, length, shared);
    await copy(from, to, length, theirs.get(i), signal);
    args[i] = to;
  }

  await run(call, args, signal);
  signal?.throwIfAborted();

  for (const { theirs } of results) if (theirs) check(theirs);
  for (const { from, to, length, theirs } of results) await copy(from, to, length, theirs, signal);
  return call.finish();
}

async function run<R>({ backend, kernel, work }: Call<R>, args: readonly unknown[], signal: AbortSignal | undefined): Promise<void> {
  if (backend.name !== 'js') return runNative(jobsOf(backend.name), kernel, args, signal);
  if ((work ?? (args[0] as View).length) > AT_ONCE) return runInWorker(kernel, args, signal);
  (backend[kernel] as (...args: readonly unknown[]) => void)(...args);
}

async function runNative(jobs: Jobs, kernel: keyof Kernels, args: readonly unknown[], signal: AbortSignal | undefined): Promise<void> {
  const flag = new Int32Array(1);
  const stop = () => void (flag[0] = 1);
  signal?.addEventListener('abort', stop);
  try {
    await jobs[kernel](flag, ...args);
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

const tables = new Map<BackendName, Jobs>();

function jobsOf(name: BackendName): Jobs {
  let jobs = tables.get(name);
  if (jobs === undefined) {
    jobs = native().addon!.jobs(name);
    tables.set(name, jobs);
  }
  return jobs;
}
