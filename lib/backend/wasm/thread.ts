/**
 * A thread that helps with calls of many rows. Its program is the text of functions, so that a worker needs no file
 * that bundlers would have to find. These functions use nothing from outside but what they are given, as a minifier may
 * give each of them another name.
 *
 * Threads have instances of their own on the memory of the call: with a stack, a frame and an arena in their area of
 * it. The control memory says which call runs. Its rows are in blocks, which threads take by counting `next` up.
 */

/** Words of the control memory: places of 32-bit integers; `table` begins at a double. */
export const CONTROL = {
  /** Odd while a call is open: threads may join it. Each step up wakes them. */
  call: 0,
  /** The next block. */
  next: 2,
  rows: 3,
  /** Rows of a block. */
  step: 4,
  space: 5,
  kernel: 6,
  parameters: 7,
  /** Which parameter counts the rows. */
  rowsAt: 8,
  /** How many threads may join. */
  limit: 9,
  /** For each thread: how many messages it was sent. */
  messages: 16,
  /** For each thread: 1 while it is in the call. It says so before it looks whether the call is open. */
  inside: 32,
  /** For each block: 1 when it has been done. */
  done: 48,
  /** For each parameter: what its slot holds for the whole call, elements a row, and bytes of an element. */
  table: 56,
} as const;
export const CONTROL_BYTES = 8 * (CONTROL.table + 4 * 24);
export const MOST_WORKERS = 15;
/** The most blocks of a call. */
export const MOST_BLOCKS = 64;

/** The area of a thread in a memory: stack, frame, arena. Areas begin at `fixed`. */
export interface Areas {
  readonly fixed: number;
  readonly bytes: number;
  readonly stack: number;
  readonly frame: number;
}

/** What a thread is told. */
export type Message =
  | { readonly control: SharedArrayBuffer; readonly index: number }
  | { readonly space: number; readonly memory: object | undefined }
  | { readonly module: string; readonly compiled: object }
  | { readonly kernel: number; readonly of: string; readonly name: string };

/** How a thread hears and speaks. */
export interface Port {
  listen(take: (message: unknown) => void): void;
  say(): void;
}

/** Writes the slots for a block of rows: arrays begin at its first row, the number of rows is its own. */
export function writeBlock(
  slots: Float64Array,
  words: Int32Array,
  numbers: Float64Array,
  from: number,
  at: typeof CONTROL,
): void {
  const to = Math.min(from + words[at.step]!, words[at.rows]!);
  for (let i = 0; i < words[at.parameters]!; i++) {
    const entry = at.table + 4 * i;
    const each = numbers[entry + 2]!;
    const isRows = i === words[at.rowsAt];
    slots[2 * i] = isRows ? to - from : numbers[entry]! + from * each * numbers[entry + 3]!;
    slots[2 * i + 1] = each > 0 ? Math.ceil(to * each) - from * each : numbers[entry + 1]!;
  }
}

interface Exports {
  readonly __stack_pointer: { value: number };
  enter(frame: number): void;
}
type Kernel = (begin: number, end: number, grows: number) => number;
interface Instances {
  readonly memory: { readonly buffer: SharedArrayBuffer };
  readonly byModule: Map<string, Exports>;
}

/** What a thread knows. */
interface Knowledge {
  words: Int32Array;
  numbers: Float64Array;
  index: number;
  received: number;
  readonly spaces: Map<number, Instances>;
  readonly modules: Map<string, object>;
  readonly kernels: Map<number, { readonly of: string; readonly name: string }>;
}

/** Learns what a message says. */
function learn(known: Knowledge, message: Message): void {
  known.received++;
  if ('control' in message) {
    known.words = new Int32Array(message.control);
    known.numbers = new Float64Array(message.control);
    known.index = message.index;
  } else if ('space' in message) {
    const memory = message.memory as Instances['memory'] | undefined;
    if (memory === undefined) known.spaces.delete(message.space);
    else known.spaces.set(message.space, { memory, byModule: new Map() });
  } else if ('compiled' in message) known.modules.set(message.module, message.compiled);
  else known.kernels.set(message.kernel, message);
}

/** Does blocks of the call until none is left, or one cannot be done here. */
function help(known: Knowledge, parts: Parts, at: typeof CONTROL, areas: Areas): void {
  const { words, numbers, index } = known;
  const { memory, byModule } = known.spaces.get(words[at.space]!)!;
  const { of, name } = known.kernels.get(words[at.kernel]!)!;
  const { Instance } = (globalThis as unknown as { WebAssembly: { Instance: new (...of: object[]) => object } })
    .WebAssembly;
  const area = areas.fixed + index * areas.bytes;
  const frame = area + areas.stack;
  for (;;) {
    const block = Atomics.add(words, at.next, 1);
    const from = block * words[at.step]!;
    if (from >= words[at.rows]!) return;
    try {
      let exports = byModule.get(of);
      if (exports === undefined) {
        ({ exports } = new Instance(known.modules.get(of)!, { env: { memory } }) as { exports: Exports });
        exports.enter(frame);
        byModule.set(of, exports);
      }
      exports.__stack_pointer.value = frame; // anew, as a trap may have left it anywhere
      parts.writeBlock(new Float64Array(memory.buffer, frame, 48), words, numbers, from, at);
      const kernel = (exports as unknown as Record<string, Kernel>)[name]!;
      if (kernel(frame + areas.frame, area + areas.bytes, 0) !== 0) return;
      Atomics.store(words, at.done + block, 1);
    } catch {
      return; // the caller does this block, and finds what is wrong with it
    }
  }
}

/** Helps with calls for as long as no message has to be heard. */
function work(known: Knowledge, parts: Parts, at: typeof CONTROL, areas: Areas): void {
  const { words, index } = known;
  for (let last = 0; ;) {
    const call = Atomics.load(words, at.call);
    if (Atomics.load(words, at.messages + index) > known.received) return;
    if (call % 2 === 0 || call === last || index >= words[at.limit]!) {
      Atomics.wait(words, at.call, call);
      continue;
    }
    last = call;
    Atomics.store(words, at.inside + index, 1);
    try {
      if (Atomics.load(words, at.call) === call) parts.help(known, parts, at, areas);
    } finally {
      Atomics.store(words, at.inside + index, 0);
      Atomics.notify(words, at.inside + index);
    }
  }
}

/** The beginning of the program. */
function serve(port: Port, parts: Parts, at: typeof CONTROL, areas: Areas): void {
  const known: Knowledge = {
    words: new Int32Array(0),
    numbers: new Float64Array(0),
    index: 0,
    received: 0,
    spaces: new Map(),
    modules: new Map(),
    kernels: new Map(),
  };
  port.listen((message) => {
    parts.learn(known, message as Message);
    if (known.received === 1) port.say();
    parts.work(known, parts, at, areas);
  });
}

const PARTS = { writeBlock, learn, help, work };
type Parts = typeof PARTS;

/** The text of a function that takes a Port and is the program of a thread. */
export function programOf(areas: Areas): string {
  const parts = Object.entries(PARTS).map(([name, part]) => `${name}: ${part.toString()}`);
  const places = [CONTROL, areas].map((each) => JSON.stringify(each));
  return `(port) => (${serve.toString()})(port, {${parts.join(',')}}, ${places.join(',')})`;
}
