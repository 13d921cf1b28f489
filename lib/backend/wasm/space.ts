/**
 * A memory of WebAssembly with the modules that work on it. All modules import one memory: an array that lies there can
 * be used by each of them.
 *
 * Growing a memory that is not shared detaches every view of it. So the one that grows, `work`, gives no view out:
 * arrays of callers are copied into it for a call. `allocate` gives arrays in regions (regions.ts), memories of a fixed
 * size. Caches and heads have homes (homes.ts), which grow where memory can be shared.
 */
import { newArray, viewOf, type ArrayKind } from '../../call/arrays.js';
import { engine, type Exports, type Memory } from './engine.js';
import { moduleOf } from './modules.js';

export const PAGE = 65_536;
export const STACK = 4 * PAGE;
/** The stack, a page of static data for each of up to 11 modules (scripts/build-wasm.mjs), and a frame. */
export const FIXED = 16 * PAGE;
/** The frame of native/host/wasm/call.h: slots for arguments, a report, and what else a thread has for its calls. */
export const FRAME = 15 * PAGE;
export const FRAME_BYTES = 512;
const SLOTS = 48;
/** Where a kernel's report stands: what it refused, and how many bytes it lacks. */
export const REPORT = FRAME + 8 * SLOTS;
/** The area of another thread in a memory that it shares: its stack, its frame, and memory for its kernels. */
export const WORKER_BYTES = STACK + 2 ** 22;
/** Half of what 32 bits address, as in native/host/wasm/arena.cc. */
export const MOST_BYTES = 2 ** 31;

/** Arrays begin at whole lines of the cache. */
export const lines = (bytes: number): number => Math.ceil(bytes / 64) * 64;

/** A kernel of an instance. */
export interface Ready {
  /** Runs the kernel on the arguments in the slots. Its memory is [begin, end). */
  readonly run: (begin: number, end: number, grows: number) => number;
}

type Views = Partial<Record<ArrayKind, ArrayBufferView>>;

export class Space {
  readonly memory: Memory;
  readonly #instances = new Map<string, Exports>();
  readonly #ready: Ready[] = [];
  #views: Views = {};
  #buffer: ArrayBufferLike;
  #bytes: number;
  /** Where the memory of the next call begins. */
  top: number;
  /** Whether arrays lie here from call to call: then calls look for theirs here. */
  holdsArrays = false;

  /**
   * Throws a RangeError where the system has no memory of that size.
   *
   * @param areas For so many other threads, which share the memory.
   */
  constructor(
    bytes: number,
    readonly grows: boolean,
    readonly areas = 0,
    readonly isShared = areas > 0,
  ) {
    this.top = FIXED + areas * WORKER_BYTES;
    const pages = Math.ceil((this.top + bytes) / PAGE);
    const maximum = grows ? MOST_BYTES / PAGE : pages;
    this.memory = new engine!.Memory({ initial: pages, maximum, shared: isShared });
    this.#buffer = this.memory.buffer;
    this.#bytes = pages * PAGE;
  }

  get buffer(): ArrayBufferLike {
    return this.#buffer;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes new views if the memory has grown. */
  refresh(): void {
    const { buffer } = this.memory;
    if (buffer === this.#buffer) return;
    this.#buffer = buffer;
    this.#bytes = buffer.byteLength;
    this.#views = {};
  }

  /** Makes the memory reach to `end`. Returns false if it cannot. */
  reach(end: number): boolean {
    if (end <= this.#bytes) return true;
    if (!this.grows || end > MOST_BYTES) return false;
    const pages = Math.ceil((end - this.#bytes) / PAGE);
    try {
      this.memory.grow(pages);
    } catch {
      return false;
    }
    this.refresh();
    return true;
  }

  /** All of the memory as an array of a kind. It must not leave this package. */
  all<A extends ArrayBufferView>(kind: ArrayKind): A {
    return (this.#views[kind] ??= newArray(kind, this.#buffer) as ArrayBufferView) as A;
  }

  /** A part of the memory as an array of a kind. `at` is in bytes. */
  part(kind: ArrayKind, at: number, length: number): ArrayBufferView {
    const all = this.all(kind);
    const from = at / (all as Uint8Array).BYTES_PER_ELEMENT;
    return viewOf(all, from, from + length);
  }

  /** Whether no call can have written here. */
  get isFresh(): boolean {
    return this.#instances.size === 0;
  }

  /** The kernel of a number. Its module is instantiated at the first call. */
  kernel(number: number, module: string, name: string): Ready {
    const ready = this.#ready[number];
    if (ready !== undefined) return ready;
    return (this.#ready[number] = { run: this.#instance(module)[name]! });
  }

  #instance(name: string): Exports {
    let instance = this.#instances.get(name);
    if (instance === undefined) {
      const { memory } = this;
      instance = new engine!.Instance(moduleOf(name, this.isShared), { env: { memory } }).exports as Exports;
      instance.enter(FRAME);
      this.#instances.set(name, instance);
    }
    return instance;
  }

  /** Two numbers for each argument of a call. */
  slots(): Float64Array {
    return this.part('Float64Array', FRAME, SLOTS) as Float64Array;
  }

  /** The text at an address, up to its 0. */
  text(at: number): string {
    const bytes = this.all<Uint8Array>('Uint8Array');
    let text = '';
    for (let i = at; bytes[i] !== 0; i++) text += String.fromCharCode(bytes[i]!);
    return text;
  }
}

let alone: Space | undefined;

/** The memory into which arrays are copied. It begins with a megabyte for calls. */
export const work = (): Space => (alone ??= new Space(2 ** 20, true));
