/**
 * The arrays of one call. Each has guarded bytes around it, and lies at random: at any alignment, in shared or
 * resizable memory, as an array of a subclass that lies about its length or its constructor.
 */
import vm from 'node:vm';
import type { Draw } from './draw.js';

export type AnyArray =
  Float32Array | Float64Array | Uint16Array | Uint8Array | Int32Array | Uint32Array | Int8Array | Int16Array;
interface Constructor {
  new (buffer: ArrayBufferLike, from?: number, length?: number): AnyArray;
  readonly BYTES_PER_ELEMENT: number;
}

const CANARY = 0xa5;
const MARGIN = 64;

export const constructorOf = (x: AnyArray): Constructor => x.constructor as unknown as Constructor;
export const bytesOf = (x: AnyArray): Buffer => Buffer.from(x.buffer, x.byteOffset, x.byteLength);

interface Placed {
  readonly name: string;
  readonly whole: Uint8Array;
  readonly from: number;
  readonly before: Uint8Array;
  readonly written: boolean;
}

/** An array of a subclass that claims to be longer, by no more than the guarded bytes. */
function liar(Kind: Constructor, buffer: ArrayBufferLike, from: number, length: number): AnyArray {
  class Liar extends (Kind as unknown as Uint8ArrayConstructor) {
    static get [Symbol.species]() {
      return Int8Array;
    }
  }
  Object.defineProperty(Liar.prototype, 'length', { get: () => length + 8 });
  return new Liar(buffer as ArrayBuffer, from, length) as unknown as AnyArray;
}

/** An array whose constructor makes arrays of one element. */
function withConstructor(x: AnyArray): AnyArray {
  const Kind = constructorOf(x) as unknown as typeof Uint8Array;
  class Short extends Kind {
    constructor() {
      super(1);
    }
  }
  return Object.defineProperty(x, 'constructor', { value: Short });
}

const foreign = vm.createContext({});
const kindsOfRealm = new Map<string, Constructor>();
function ofOtherRealm(name: string): Constructor {
  let Kind = kindsOfRealm.get(name);
  if (Kind === undefined) kindsOfRealm.set(name, (Kind = vm.runInContext(name, foreign) as Constructor));
  return Kind;
}

export class Arena {
  readonly #draw: Draw;
  readonly #placed: Placed[] = [];
  /** The number of reads of each option, for each object of options. */
  readonly #reads: Map<string, number>[] = [];
  /** `isPlain`: ordinary arrays only. */
  constructor(
    draw: Draw,
    readonly isPlain = false,
  ) {
    this.#draw = draw;
  }

  /** A copy that the call may read but not write. */
  input<A extends AnyArray>(name: string, master: A): A {
    return this.#place(name, master, false);
  }

  /** A copy that the call may write. */
  inOut<A extends AnyArray>(name: string, master: A): A {
    return this.#place(name, master, true);
  }

  /** An array for results, filled with a value that no result has. */
  output<A extends AnyArray>(name: string, like: A, length: number): A {
    const master = new (constructorOf(like))(new ArrayBuffer(length * like.BYTES_PER_ELEMENT)) as A;
    bytesOf(master).fill(0x5a);
    return this.#place(name, master, true);
  }

  /** The options, or getters of them that count. */
  options<O extends object>(options: O): O {
    if (this.isPlain || !this.#draw.chance(0.1)) return options;
    const counted = {} as O;
    const reads = new Map<string, number>();
    this.#reads.push(reads);
    for (const [name, value] of Object.entries(options)) {
      const get = () => {
        reads.set(name, (reads.get(name) ?? 0) + 1);
        return value as unknown;
      };
      Object.defineProperty(counted, name, { get, enumerable: true });
    }
    return counted;
  }

  /** The fault of memory or options after the call, in words. */
  faults(hasThrown: boolean): string[] {
    const faults: string[] = [];
    for (const { name, whole, from, before, written } of this.#placed) {
      const to = from + before.length;
      if (!isFilled(whole, 0, from) || !isFilled(whole, to, whole.length))
        faults.push(`memory around ${name} was written`);
      if ((!written || hasThrown) && Buffer.compare(whole.subarray(from, to), before) !== 0)
        faults.push(`${name} was written${hasThrown ? ' by a call that threw' : ''}`);
    }
    for (const reads of this.#reads)
      for (const [name, times] of reads) if (times > 1) faults.push(`the option ${name} was read ${times} times`);
    return faults;
  }

  #place<A extends AnyArray>(name: string, master: A, written: boolean): A {
    const draw = this.#draw;
    const size = master.BYTES_PER_ELEMENT;
    const from = MARGIN + size * draw.int(17);
    const bytes = from + master.byteLength + MARGIN;
    const where = this.isPlain ? 1 : draw.uniform();
    const buffer =
      where < 0.06 ? new SharedArrayBuffer(bytes) : where < 0.12 ? resizable(bytes) : new ArrayBuffer(bytes);
    const whole = new Uint8Array(buffer);
    whole.fill(CANARY, 0, from);
    whole.fill(CANARY, from + master.byteLength);
    whole.set(bytesOf(master), from);
    this.#placed.push({ name, whole, from, before: Uint8Array.from(bytesOf(master)), written });
    const Kind = constructorOf(master);
    if (!this.isPlain && where >= 0.12 && where < 0.14)
      return new (ofOtherRealm(Kind.name))(buffer, from, master.length) as A;
    if (!this.isPlain && where >= 0.14 && where < 0.16) return liar(Kind, buffer, from, master.length) as A;
    const view = new Kind(buffer, from, master.length) as A;
    return !this.isPlain && where >= 0.16 && where < 0.18 ? (withConstructor(view) as A) : view;
  }
}

function resizable(bytes: number): ArrayBuffer {
  const Resizable = ArrayBuffer as unknown as new (bytes: number, options: { maxByteLength: number }) => ArrayBuffer;
  return new Resizable(bytes, { maxByteLength: 2 * bytes });
}

function isFilled(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] !== CANARY) return false;
  return true;
}
