/**
 * A memory of WebAssembly with the modules that work on it. All modules import one memory: an array that lies there can
 * be used by each of them.
 *
 * Growing a memory detaches every view of it. So the one that grows, `work`, gives no view out: arrays of callers are
 * copied into it for a call. `allocate` gives arrays in regions (regions.ts), memories of a fixed size.
 */
import { newArray, viewOf, type ArrayKind } from '../../call/arrays.js';
import { engine, type Exports, type Memory } from './engine.js';
import { moduleOf } from './modules.js';

export const PAGE = 65_536;
/** The stack, and a page of static data for each of up to 12 modules (scripts/build-wasm.mjs). */
export const FIXED = 16 * PAGE;
/** Half of what 32 bits address, as in native/host/wasm/arena.cc. */
export const MOST_BYTES = 2 ** 31;

/** What an instance of a module has for its calls: its kernels, and where it takes arguments and leaves reports. */
interface Instance {
  readonly exports: Exports;
  readonly slots: number;
  readonly report: number;
}

/** A kernel of an instance. */
export interface Ready extends Omit<Instance, 'exports'> {
  /** Runs the kernel on the arguments in the slots. Its memory is [begin, end). */
  readonly run: (begin: number, end: number, grows: number) => number;
}

type Views = Partial<Record<ArrayKind, ArrayBufferView>>;

export class Space {
  readonly #memory: Memory;
  readonly #instances = new Map<string, Instance>();
  readonly #ready: Ready[] = [];
  #views: Views = {};
  #buffer: ArrayBuffer;
  #bytes: number;
  /** Where the memory of the next call begins. */
  top = FIXED;

  /** Throws a RangeError where the system has no memory of that size. */
  constructor(
    bytes: number,
    readonly grows: boolean,
  ) {
    const pages = Math.ceil((FIXED + bytes) / PAGE);
    this.#memory = new engine!.Memory({ initial: pages, maximum: grows ? MOST_BYTES / PAGE : pages });
    this.#buffer = this.#memory.buffer;
    this.#bytes = pages * PAGE;
  }

  get buffer(): ArrayBuffer {
    return this.#buffer;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes new views if the memory has grown. */
  refresh(): void {
    const { buffer } = this.#memory;
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
      this.#memory.grow(pages);
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

  /** The kernel of a number. Its module is instantiated at the first call. */
  kernel(number: number, module: string, name: string): Ready {
    const ready = this.#ready[number];
    if (ready !== undefined) return ready;
    const { exports, slots, report } = this.#instance(module);
    return (this.#ready[number] = { run: exports[name]!, slots, report });
  }

  #instance(name: string): Instance {
    let instance = this.#instances.get(name);
    if (instance === undefined) {
      const exports = new engine!.Instance(moduleOf(name), { env: { memory: this.#memory } }).exports as Exports;
      instance = { exports, slots: exports.slots(), report: exports.report() };
      this.#instances.set(name, instance);
    }
    return instance;
  }

  /** The text at an address, up to its 0. */
  text(at: number): string {
    const bytes = this.all<Uint8Array>('Uint8Array');
    let text = '';
    for (let i = at; bytes[i] !== 0; i++) text += String.fromCharCode(bytes[i]!);
    return text;
  }
}

let shared: Space | undefined;

/** The memory into which arrays are copied. It begins with a megabyte for calls. */
export const work = (): Space => (shared ??= new Space(2 ** 20, true));
