/**
 * Runs checked calls off the event loop: their memory, their thread and their AbortSignal.
 */
import { isShared, kindOf, lengthOf } from './arrays.js';
import type { BackendName, Kernels } from '../backend/backend.js';
import { native, type Jobs } from '../backend/native.js';
import { wasm } from '../backend/wasm/host.js';
import { inOrder, kernelNameOf, kernelOf, type Call } from './call.js';
import { onAbort, signalOf, type AsyncOptions } from './abort.js';
import { inSharedMemory, runInWorker, turn } from './js-jobs.js';
import type { Form } from './options.js';
import { checkWhole, copy, type CallerArray } from './memory.js';
import { PrivateMemory } from './private-memory.js';

/** Up to so many elements JavaScript takes less time than a thread takes to wake up. */
const AT_ONCE = 4096;

type Arguments = Readonly<Record<string, unknown>>;

/**
 * The promise of a function, from its checked call. Options stand at `optionsAt` among its arguments: their signal is
 * read first, before any length is taken, as a getter may do anything.
 */
export function later<Args extends unknown[], R>(
  call: (form: Form, ...args: Args) => Call<R>,
  optionsAt: number,
): (...args: Args) => Promise<R> {
  return async (...rest) => {
    const signal = signalOf(rest[optionsAt] as AsyncOptions | undefined);
    return offLoop(call('later', ...rest), signal);
  };
}

/** Runs a call. Before the promise settles, every thread has left the arrays alone. */
export async function offLoop<R>(call: Call<R>, signal: AbortSignal | undefined): Promise<R> {
  const release = call.parts.hold?.();
  try {
    return await runOnCopies(call, signal);
  } finally {
    release?.();
  }
}

async function runOnCopies<R>(call: Call<R>, signal: AbortSignal | undefined): Promise<R> {
  const callers = callerArrays(call);
  signal?.throwIfAborted();
  const { operator, parts } = call;
  if (parts.before !== undefined) await inTurns(parts.before(), signal);
  const { args } = parts;
  const memory = new PrivateMemory(runsInWorkers(parts.backend.name) && inSharedMemory);
  const moved = await moveArrays(call, callers, memory, signal);

  // A failed worker may still write: its memory is then left to the garbage collector.
  await run(call, { ...args, ...moved }, signal);
  try {
    signal?.throwIfAborted();
    const results = operator.outputs.filter((name) => name in moved);
    const copyBack = async (name: string) => {
      const [from, to] = [moved[name], args[name]] as [ArrayBufferView, ArrayBufferView];
      await copy(from, to, lengthIn(args, callers, name), callers.get(name), signal);
    };
    // What the kernel found wrong stands in an array of the call: it is read before the caller's are written.
    for (const name of results) if (!callers.has(name)) await copyBack(name);
    parts.check?.();
    const written = results.filter((name) => callers.has(name));
    for (const name of written) checkWhole(callers.get(name)!);
    for (const name of written) await copyBack(name);
  } finally {
    memory.release();
  }
  if (parts.after !== undefined) await inTurns(parts.after(), signal);
  return parts.finish();
}

const lengthIn = (args: Arguments, callers: Map<string, CallerArray>, name: string): number =>
  callers.get(name)?.length ?? lengthOf(args[name] as ArrayBufferView);

/** Private arrays for those arguments that a job cannot use where they are; inputs are copied. */
async function moveArrays(
  { operator, parts: { args, backend } }: Call<unknown>,
  callers: Map<string, CallerArray>,
  memory: PrivateMemory,
  signal: AbortSignal | undefined,
): Promise<Record<string, ArrayBufferView>> {
  const isInWorker = runsInWorkers(backend.name);
  /** Whether an argument can be used where it is: shared, or private to this call. */
  const stays = (name: string): boolean => {
    const view = args[name];
    return !ArrayBuffer.isView(view) || isShared(view) || (!callers.has(name) && !isInWorker);
  };
  const { inputs, outputs, inPlace } = operator;
  const moved: Record<string, ArrayBufferView> = {};
  /** The array that a kernel's results go into, unless it is the caller's: that may be another input as well. */
  const resultOf = (name: string): unknown => moved[name] ?? (callers.has(name) ? undefined : args[name]);
  const sizeOf = (name: string): number => lengthIn(args, callers, name);
  /** Whether an input fills the array for results. */
  const isFilled = (name: string): boolean => {
    const [result, input] = inPlace ?? [];
    if (name !== result || stays(input!)) return false;
    return kindOf(args[input!]) === kindOf(args[name]) && sizeOf(input!) === sizeOf(name);
  };
  try {
    for (const name of outputs) {
      if (stays(name)) continue;
      const from = args[name] as ArrayBufferView;
      moved[name] = isFilled(name) ? memory.like(from, sizeOf(name)) : memory.zerosLike(from, sizeOf(name));
    }
    for (const name of inputs) {
      if (stays(name)) continue;
      const from = args[name] as ArrayBufferView;
      // In the array for results if possible: it is in the caches, and memory may be new.
      const result = inPlace?.[1] === name ? resultOf(inPlace[0]) : undefined;
      const to =
        ArrayBuffer.isView(result) && kindOf(result) === kindOf(from) ? result : memory.like(from, sizeOf(name));
      await copy(from, to, sizeOf(name), callers.get(name), signal);
      moved[name] = to;
    }
  } catch (error) {
    memory.release();
    throw error;
  }
  return moved;
}

async function inTurns(steps: Generator<undefined, void>, signal: AbortSignal | undefined): Promise<void> {
  while (!steps.next().done) {
    await turn();
    signal?.throwIfAborted();
  }
}

/** The caller's arrays, by the names of arguments. */
function callerArrays({ operator, parts: { args, own, names } }: Call<unknown>): Map<string, CallerArray> {
  const arrays = new Map<string, CallerArray>();
  for (const name of [...operator.inputs, ...operator.outputs]) {
    const view = args[name];
    if (ArrayBuffer.isView(view) && !own.includes(name))
      arrays.set(name, { view, name: names?.[name] ?? name, length: lengthOf(view) });
  }
  return arrays;
}

async function run(call: Call<unknown>, args: Arguments, signal: AbortSignal | undefined): Promise<void> {
  const { operator, parts } = call;
  const kernel = kernelNameOf(call);
  const runHere = () => operator.call(kernelOf(call), args);
  if (!runsInWorkers(parts.backend.name)) {
    await runNative(jobsOf(parts.backend.name), kernel, inOrder(operator, args), signal);
  } else if (parts.work > AT_ONCE) {
    const module = parts.backend.name === 'wasm' ? wasm().moduleFor?.(operator.name) : undefined;
    await runInWorker({ kernel, args: inOrder(operator, args), module }, signal, runHere);
  } else runHere();
}

/** Whether a backend has no jobs of its own: its kernels run in worker threads. */
const runsInWorkers = (name: BackendName): boolean => name === 'js' || name === 'wasm';

async function runNative(
  jobs: Jobs,
  kernel: keyof Kernels,
  args: readonly unknown[],
  signal: AbortSignal | undefined,
): Promise<void> {
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
