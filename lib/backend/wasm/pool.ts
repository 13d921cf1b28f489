/**
 * Threads that help with calls of many rows: workers on the same memory, which wait until a call is opened. They start
 * with the first call that is large enough, and take part from when they are there. thread.ts has their program.
 */
import { moduleOf } from './modules.js';
import { FIXED, FRAME_BYTES, STACK, WORKER_BYTES, Space, type Ready } from './space.js';
import { CONTROL as at, CONTROL_BYTES, MOST_BLOCKS, MOST_WORKERS, programOf, writeBlock } from './thread.js';
import type { Message } from './thread.js';
import type { Cut } from './blocks.js';
import type { KernelParameters } from './parameters.js';
import type { startWorker, Started } from './workers.js';

/** A call whose rows are shared: its slots have been written, and its arrays lie in the memory. */
export interface SharedCall {
  readonly space: Space;
  readonly ready: Ready;
  readonly kernel: KernelParameters & { readonly number: number };
  readonly cut: Cut;
  readonly rows: number;
  /** The end of its arrays, behind which is the memory of this thread's kernel. */
  readonly end: number;
}

interface Worker extends Started {
  readonly index: number;
  readonly knows: Set<string | number>;
}

let start: typeof startWorker | undefined;
let wanted = 1;
let isSet = false;
let hasFailed = false;
let workers: readonly Worker[] = [];
let words: Int32Array = new Int32Array(0);
let numbers: Float64Array = new Float64Array(0);
/** Whether this thread may sleep until others are done: the main thread of a page may not. */
let maySleep = true;

/** Lets this thread have others, which `how` starts. */
export const allowThreads = (how: typeof startWorker): void => void (start = how);

/** Whether memory can be shared here. Pages that are not isolated have none. */
const canShare = (): boolean => start !== undefined && typeof SharedArrayBuffer !== 'undefined' && !hasFailed;

/** Returns how many threads share a call, and sets it; with `unlessSet` only if nobody has set it. */
export function threads(n?: number, unlessSet = false): number {
  const before = canShare() ? Math.min(wanted, MOST_WORKERS + 1) : workers.length + 1;
  if (n !== undefined && !(unlessSet && isSet)) {
    wanted = n;
    isSet = true;
  }
  return before;
}

/** Starts the threads that are wanted. Resolves when all of them are there, or cannot be. */
export async function startThreads(): Promise<void> {
  if (threads() <= 1) return;
  startMissing();
  await Promise.all(workers.map(({ answered }) => answered));
}

function startMissing(): void {
  if (words.length === 0) {
    const control = new SharedArrayBuffer(CONTROL_BYTES);
    words = new Int32Array(control);
    numbers = new Float64Array(control);
    try {
      Atomics.wait(words, at.call, 1);
    } catch {
      maySleep = false;
    }
  }
  try {
    for (let index = workers.length; canShare() && index < threads() - 1; index++) workers = [...workers, begun(index)];
  } catch {
    hasFailed = true; // no threads are permitted
  }
}

function begun(index: number): Worker {
  const areas = { fixed: FIXED, bytes: WORKER_BYTES, stack: STACK, frame: FRAME_BYTES };
  const onEnd = (): void => {
    hasFailed = true;
    workers = workers.filter((each) => each !== worker);
  };
  const worker: Worker = { ...start!(programOf(areas), onEnd), index, knows: new Set() };
  send(worker, { control: words.buffer as unknown as SharedArrayBuffer, index });
  return worker;
}

/** A thread hears a message before it helps with another call. */
function send({ index, post }: Worker, message: Message): void {
  Atomics.add(words, at.messages + index, 1);
  post(message);
}

/** Tells a thread what it does not know. */
function tell(worker: Worker, what: string | number, message: Message): void {
  if (worker.knows.has(what)) return;
  worker.knows.add(what);
  send(worker, message);
}

const ids = new WeakMap<Space, number>();
let spaces = 0;
/** Lets threads forget a memory that no array lies in. */
const forgotten = new FinalizationRegistry((space: number) => {
  for (const worker of workers) {
    if (worker.knows.delete(space)) send(worker, { space, memory: undefined });
  }
});

function idOf(space: Space): number {
  let id = ids.get(space);
  if (id === undefined) {
    ids.set(space, (id = spaces++));
    forgotten.register(space, id);
  }
  return id;
}

let together: Space | undefined;

/** The memory for calls whose arrays are copied and whose rows are shared; undefined: there are no threads. */
export function sharedWork(): Space | undefined {
  const areas = threads() - 1;
  if (areas > 0 && !(together !== undefined && together.areas >= areas)) {
    try {
      together = new Space(2 ** 20, true, areas);
    } catch {
      hasFailed = true; // no memory of this size can be shared
    }
  }
  return areas > 0 ? together : undefined;
}

/** How many threads besides this one can share a call in a memory. */
export const helpersIn = (space: Space): number => Math.min(space.areas, threads() - 1);

/** The first rows of blocks that were not done. Nothing of them is written, unless a thread was lost there. */
export interface Undone {
  readonly rows: readonly number[];
  readonly isLost: boolean;
}

/** Does a call with all threads. */
export function share(call: SharedCall): Undone {
  startMissing();
  introduce(call);
  const { rows, cut } = call;
  describe(call);
  let isLost = false;
  Atomics.add(words, at.call, 1); // opens it
  Atomics.notify(words, at.call);
  try {
    for (let block; (block = Atomics.add(words, at.next, 1)) * cut.rows < rows;)
      if (runBlock(call, block * cut.rows) === 0) words[at.done + block] = 1;
  } finally {
    Atomics.add(words, at.call, 1); // closes it
    isLost = !allLeave();
  }
  const undone: number[] = [];
  for (let from = 0, block = 0; from < rows; from += cut.rows, block++)
    if (Atomics.load(words, at.done + block) === 0) undone.push(from);
  return { rows: undone, isLost };
}

/** Runs the kernel on a block of the call that was shared last. Returns its answer. */
export function runBlock({ space, ready, end }: SharedCall, from: number): number {
  writeBlock(space.slots(), words, numbers, from, at);
  const answer = ready.run(end, space.bytes, Number(space.grows));
  if (space.grows) space.refresh();
  return answer;
}

function introduce({ space, kernel: { number, module, kernel } }: SharedCall): void {
  const id = idOf(space);
  for (const worker of workers) {
    if (worker.index >= space.areas) continue;
    tell(worker, id, { space: id, memory: space.memory });
    tell(worker, module, { module, compiled: moduleOf(module, true) });
    tell(worker, `${kernel} ${number}`, { kernel: number, of: module, name: kernel });
  }
}

function describe({ space, kernel, cut, rows }: SharedCall): void {
  const { parameters } = kernel;
  const slots = space.slots();
  parameters.forEach(({ bytes }, i) => {
    const entry = at.table + 4 * i;
    numbers[entry] = slots[2 * i]!;
    numbers[entry + 1] = slots[2 * i + 1]!;
    numbers[entry + 2] = cut.each[i]!;
    numbers[entry + 3] = bytes;
  });
  words[at.next] = 0;
  words[at.rows] = rows;
  words[at.step] = cut.rows;
  words[at.space] = idOf(space);
  words[at.kernel] = kernel.number;
  words[at.parameters] = parameters.length;
  words[at.rowsAt] = kernel.rows;
  words[at.limit] = helpersIn(space);
  words.fill(0, at.done, at.done + MOST_BLOCKS);
}

/** Milliseconds between two looks at a thread that stays in a call. */
const PATIENCE = 50;
/** Looks after which a thread is lost that cannot be asked whether it lives. */
const MOST_LOOKS = 200;
// Taken at load: tests replace the clock by one that stands still.
const now = performance.now.bind(performance);

/**
 * Waits until no thread is in the call that was closed. Returns false if one will never leave, as it has ended: then
 * all are told to end, and there is one thread from here on.
 */
function allLeave(): boolean {
  if (workers.filter((worker) => !hasLeft(worker)).length === 0) return true;
  hasFailed = true;
  for (const { end } of workers) end();
  workers = [];
  return false;
}

/** Waits until a thread is not in the call. Returns false if it has ended there. */
function hasLeft({ index, isAlive }: Worker): boolean {
  const isInside = (): boolean => Atomics.load(words, at.inside + index) !== 0;
  for (let looks = 1; isInside(); looks++) {
    const until = now() + PATIENCE;
    if (maySleep) Atomics.wait(words, at.inside + index, 1, PATIENCE);
    else while (isInside() && now() < until);
    const isLost = isAlive === undefined ? looks >= MOST_LOOKS : !isAlive();
    if (isLost) return !isInside(); // it may have left before it ended
  }
  return true;
}
