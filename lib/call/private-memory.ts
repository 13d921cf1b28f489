/**
 * Private memory, kept from job to job. Each 4 KB of new memory cost a page fault: together they take longer than the
 * kernel, on some virtual machines a hundred times as long. No caller gets an array in this memory. It is ordinary
 * memory of ArrayBuffers: V8 counts it, and it goes with its worker thread.
 */
import { native } from '../backend/native.js';
import { bytesPerElement, kindOf, newArray, viewOf, type ArrayKind } from './arrays.js';
import { newLike } from './memory.js';

/** Bytes from which memory is kept: less is mostly there without a page fault. */
const LEAST_KEPT = 2 ** 14;
/** The most bytes that are kept unused, of one kind of buffer. */
const MOST_KEPT = 2 ** 26;
/** Milliseconds after which unused memory goes back to the system, at most twice as many. */
const IDLE = 2000;

type Timer = { unref?(): void };
// Taken at load: tests replace timers by timers that stand still. Browsers have timers without unref.
const { setTimeout: soon } = globalThis as unknown as { setTimeout(run: () => void, milliseconds: number): Timer };

const fill = Uint8Array.prototype.fill as (this: unknown, value: number) => unknown;

interface Kept {
  readonly buffer: ArrayBufferLike;
  readonly since: number;
}

/** Unused buffers of one kind, the last used last. */
class Shelf {
  private kept: Kept[] = [];
  private bytes = 0;
  private round = 0;
  private isWatched = false;

  constructor(private readonly make: (bytes: number) => ArrayBufferLike) {}

  /** A buffer of at least so many bytes, with any content. */
  take(bytes: number): ArrayBufferLike {
    const size = roundedUp(bytes);
    for (let i = this.kept.length - 1; i >= 0; i--) {
      const { buffer } = this.kept[i]!;
      if (buffer.byteLength !== size) continue;
      this.kept.splice(i, 1);
      this.bytes -= size;
      return buffer;
    }
    return this.make(size);
  }

  give(buffer: ArrayBufferLike): void {
    if (buffer.byteLength > MOST_KEPT) return releaseBuffer(buffer);
    this.kept.push({ buffer, since: this.round });
    this.bytes += buffer.byteLength;
    let surplus = 0;
    while (this.bytes > MOST_KEPT) this.drop(this.kept[surplus++]!);
    if (surplus > 0) this.kept.splice(0, surplus);
    this.watch();
  }

  private drop({ buffer }: Kept): void {
    this.bytes -= buffer.byteLength;
    releaseBuffer(buffer);
  }

  /** Drops what was unused for a whole round. The timer keeps no process alive. */
  private watch(): void {
    if (this.isWatched) return;
    this.isWatched = true;
    soon(() => {
      this.isWatched = false;
      const { round, kept } = this;
      this.round++;
      this.kept = kept.filter(({ since }) => since === round);
      for (const each of kept) if (each.since !== round) this.drop(each);
      if (this.kept.length > 0) this.watch();
    }, IDLE).unref?.();
  }
}

/** Sizes at most a quarter above what is asked for, so that rows of changing lengths find memory. */
function roundedUp(bytes: number): number {
  const step = 2 ** (Math.floor(Math.log2(bytes)) - 2);
  return Math.ceil(bytes / step) * step;
}

/** Gives pages back at once; without the addon, when the garbage collector finds the buffer. */
const releaseBuffer = (buffer: ArrayBufferLike): void => native().addon?.release(new Uint8Array(buffer));

const own = new Shelf((bytes) => new ArrayBuffer(bytes));
const shared = new Shelf((bytes) => new SharedArrayBuffer(bytes));

/** The memory of one job. Its arrays have any content. */
export class PrivateMemory {
  private readonly taken: ArrayBufferLike[] = [];
  private readonly shelf: Shelf;

  /** @param isShared Whether worker threads must see it. */
  constructor(private readonly isShared = false) {
    this.shelf = isShared ? shared : own;
  }

  /** An array of the kind of `view` in kept memory, with any content. */
  like(view: ArrayBufferView, length: number): ArrayBufferView {
    const bytes = length * bytesPerElement(view);
    if (bytes < LEAST_KEPT) return newLike(view, length, this.isShared);
    const buffer = this.shelf.take(bytes);
    this.taken.push(buffer);
    return viewOf(newArray(kindOf(view) as ArrayKind, buffer), 0, length);
  }

  /** An array of zeros. */
  zerosLike(view: ArrayBufferView, length: number): ArrayBufferView {
    const array = this.like(view, length);
    fill.call(array, 0);
    return array;
  }

  /** Keeps the memory for other jobs. Call it when no thread works on it any more, and use no array of it then. */
  release(): void {
    for (const buffer of this.taken.splice(0)) this.shelf.give(buffer);
  }
}
