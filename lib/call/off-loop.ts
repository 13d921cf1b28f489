/** Makes of a checked call one that runs off the event loop: memory, backends and AbortSignal are seen to here, for all. */
import { isShared, kindOf, lengthOf } from './arrays.js';
import type { BackendName, Kernels } from '../backend/backend.js';
import { native, type Jobs } from '../backend/native.js';
import { inOrder, kernelOf, type Call } from './call.js';
import { onAbort } from './abort.js';
import { inSharedMemory, runInWorker } from './js-jobs.js';
import { checkWhole, copy, newLike, type CallerArray } from './memory.js';

/** JavaScript takes less time for so many elements than a thread takes to wake up. */
const AT_ONCE = 4096;

type Arguments = Readonly<Record<string, unknown>>;

/** Runs a call. Before the promise settles, every thread has left the arrays alone. */
export async function offLoop<R>(call: Call<R>, signal: AbortSignal | undefined): Promise<R> {
  const release = call.hold?.();
  try {
    return await runOnCopies(call, signal);
  } finally {
    release?.();
  }
}

async function runOnCopies<R>(call: Call<R>, signal: AbortSignal | undefined): Promise<R> {
  const callers = callerArrays(call);
  signal?.throwIfAborted();
  const isJs = call.backend.name === 'js';
  const shared = isJs && inSharedMemory;
  /** Whether an argument can be used where it is: shared, or new and nobody else's. */
  const stays = (name: string): boolean => {
    const view = call.args[name];
    return !ArrayBuffer.isView(view) || isShared(view) || (!callers.has(name) && !isJs);
  };
  const lengthIn = (name: string): number => callers.get(name)?.length ?? lengthOf(call.args[name] as ArrayBufferView);

  const { inputs, outputs, inPlace } = call.operator;
  const moved: Record<string, unknown> = {};
  /** Where a kernel's results will be, unless that is the caller's: it may be another input as well. */
  const resultOf = (name: string): unknown => moved[name] ?? (callers.has(name) ? undefined : call.args[name]);
  for (const name of outputs) {
    if (!stays(name)) moved[name] = newLike(call.args[name] as ArrayBufferView, lengthIn(name), shared);
  }
  for (const name of inputs) {
    if (stays(name)) continue;
    const from = call.args[name] as ArrayBufferView;
    // Where the results will be, if that does: memory is dear here, as the event loop waits while it is made and given back.
    const result = inPlace?.[1] === name ? resultOf(inPlace[0]) : undefined;
    const to = ArrayBuffer.isView(result) && kindOf(result) === kindOf(from) ? result : newLike(from, lengthIn(name), shared);
    await copy(from, to, lengthIn(name), callers.get(name), signal);
    moved[name] = to;
  }

  await run(call, { ...call.args, ...moved }, signal);
  signal?.throwIfAborted();

  const results = outputs.filter((name) => name in moved);
  for (const name of results) if (callers.has(name)) checkWhole(callers.get(name)!);
  for (const name of results) {
    await copy(moved[name] as ArrayBufferView, call.args[name] as ArrayBufferView, lengthIn(name), callers.get(name), signal);
  }
  return call.finish();
}

/** The arrays that are not the call's own, by the names of arguments. */
function callerArrays({ operator, args, own, names }: Call<unknown>): Map<string, CallerArray> {
  const arrays = new Map<string, CallerArray>();
  for (const name of [...operator.inputs, ...operator.outputs]) {
    const view = args[name];
    if (ArrayBuffer.isView(view) && !own.includes(name)) arrays.set(name, { view, name: names?.[name] ?? name, length: lengthOf(view) });
  }
  return arrays;
}

async function run({ backend, operator, kernel, work }: Call<unknown>, args: Arguments, signal: AbortSignal | undefined): Promise<void> {
  const runHere = () => operator.call(kernelOf(backend, kernel), args);
  if (backend.name !== 'js') await runNative(jobsOf(backend.name), kernel, inOrder(operator, args), signal);
  else if (work > AT_ONCE) await runInWorker(kernel, inOrder(operator, args), signal, runHere);
  else runHere();
}

async function runNative(jobs: Jobs, kernel: keyof Kernels, args: readonly unknown[], signal: AbortSignal | undefined): Promise<void> {
  const flag = new Int32Array(1);
  const forget = onAbort(signal, () => void (flag[0] = 1));
  try {
    await Reflect.apply(jobs[kernel], jobs, [flag, ...args]);
  } finally {
    forget();
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
