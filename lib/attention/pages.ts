/** Pages of keys and values in a few slabs of memory, and how many sequences own each page. */
import { outOfRange } from '../call/arguments.js';
import { allocateSlab, outOfMemory, releaseSlab, type SlabKind } from './memory.js';

export type Stored = Float32Array | Uint16Array | Int8Array;

/** Each slab is as large as all before it, so that few suffice for a cache of any size. */
export const MOST_SLABS = 64;
const SLAB_BYTES = { first: 2 ** 20, most: 2 ** 31 };
/** The largest page. */
export const MOST_PAGE_BYTES = SLAB_BYTES.most;
/** A page is a number: its slab, and in the lower bits its place there. */
export const PLACE_BITS = 26;

export const slabOf = (page: number): number => page >>> PLACE_BITS;
const placeOf = (page: number): number => page & (2 ** PLACE_BITS - 1);

/** What a page holds. */
export interface PageFormat {
  readonly kind: SlabKind;
  readonly kvHeads: number;
  /** Numbers of a page. */
  readonly elements: number;
  /** float32 scales of a page; 0 if numbers have none. */
  readonly scales: number;
  readonly bytes: number;
}

interface Slab {
  readonly numbers: Stored;
  readonly scales: Float32Array | undefined;
  /** Sequences and jobs that own each page. */
  readonly owners: Int32Array;
}

export class PageStore {
  readonly #format: PageFormat;
  readonly #maxBytes: number;
  readonly #slabs: Slab[] = [];
  /** The numbers and scales of each slab, as kernels take them. */
  readonly slabs: Stored[] = [];
  readonly scales: Float32Array[] = [];
  readonly #unused: number[] = []; // pages given back
  #capacity = 0; // pages of all slabs
  #fresh = 0; // pages at the end of the last slab that have never been used
  #used = 0;
  #holds = 0;
  #isClosed = false;

  constructor(format: PageFormat, maxBytes: number) {
    this.#format = format;
    this.#maxBytes = maxBytes;
  }

  get used(): number {
    return this.#used;
  }

  owners(page: number): number {
    return this.#slabs[slabOf(page)]!.owners[placeOf(page)]!;
  }

  /** Makes one more an owner of each of these pages. */
  share(pages: readonly number[]): void {
    for (const page of pages) this.#slabs[slabOf(page)]!.owners[placeOf(page)]! += 1;
  }

  /** Takes an owner from each of these pages; a page without owners can be taken again. */
  giveBack(pages: readonly number[], from = 0): void {
    if (this.#slabs.length === 0) return; // closed
    for (let i = pages.length - 1; i >= from; i--) {
      const page = pages[i]!;
      if ((this.#slabs[slabOf(page)]!.owners[placeOf(page)]! -= 1) > 0) continue;
      this.#unused.push(page);
      this.#used--;
    }
  }

  /** Keeps these pages, and the memory of the store, until the function that it returns is called. */
  hold(pages: readonly number[]): () => void {
    this.share(pages);
    this.#holds++;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#holds--;
      this.giveBack(pages);
      this.#release();
    };
  }

  /** Pages, each with one owner: all of them or none. */
  take(n: number): number[] {
    const { bytes } = this.#format;
    const room = Math.floor(this.#maxBytes / bytes) - this.#used;
    if (n > room) {
      const most = Math.max(0, room);
      throw outOfRange(`at most ${most} more pages of ${bytes} bytes, as maxBytes is ${this.#maxBytes},`, 'append', n);
    }
    const missing = n - this.#unused.length - this.#fresh;
    if (missing > 0) this.#grow(missing);
    const pages: number[] = [];
    const last = this.#slabs.length - 1;
    for (let i = 0; i < n; i++) {
      const page = this.#unused.pop() ?? last * 2 ** PLACE_BITS + (this.#slabs[last]!.owners.length - this.#fresh--);
      pages.push(page);
    }
    this.share(pages);
    this.#used += n;
    return pages;
  }

  /** Copies what a page holds to another page. */
  copy(from: number, to: number): void {
    const { kvHeads, elements, scales } = this.#format;
    const [source, target] = [this.#slabs[slabOf(from)]!, this.#slabs[slabOf(to)]!];
    const copy = (numbers: Stored, into: Stored, ofPage: number) => {
      const part = ofPage / kvHeads; // of each head
      for (let head = 0; head < kvHeads; head++) {
        const at = (head * source.owners.length + placeOf(from)) * part;
        into.set(numbers.subarray(at, at + part), (head * target.owners.length + placeOf(to)) * part);
      }
    };
    copy(source.numbers, target.numbers, elements);
    if (source.scales && target.scales) copy(source.scales, target.scales, scales);
  }

  /** Gives all memory back, as soon as nothing is held. */
  close(): void {
    this.#isClosed = true;
    this.#release();
  }

  #release(): void {
    if (!this.#isClosed || this.#holds > 0) return;
    for (const memory of [...this.slabs, ...this.scales]) releaseSlab(memory);
    for (const list of [this.slabs, this.scales, this.#slabs, this.#unused]) list.length = 0;
    this.#capacity = this.#fresh = this.#used = 0;
  }

  /** More slabs, so that there are `missing` fresh pages more: all of them or none. */
  #grow(missing: number): void {
    const added: Slab[] = [];
    let capacity = this.#capacity;
    for (let left = missing; left > 0; ) {
      const { bytes } = this.#format;
      if (this.#slabs.length + added.length === MOST_SLABS) {
        const total = (this.#capacity + missing) * bytes;
        throw outOfRange(`at most ${capacity * bytes} bytes in ${MOST_SLABS} slabs`, 'append', total);
      }
      const room = Math.floor(this.#maxBytes / bytes) - capacity;
      const most = Math.min(Math.floor(SLAB_BYTES.most / bytes), 2 ** PLACE_BITS - 1, room);
      const wanted = Math.max(left, capacity, Math.ceil(SLAB_BYTES.first / bytes));
      const slab = this.#newSlab(Math.min(most, left), Math.min(most, wanted));
      added.push(slab);
      capacity += slab.owners.length;
      left -= slab.owners.length;
    }
    for (const slab of added) {
      // Fresh pages of the slab before go to those that were given back, the first of them on top.
      const last = this.#slabs.length - 1;
      const end = last < 0 ? 0 : this.#slabs[last]!.owners.length;
      for (let place = end - 1; place >= end - this.#fresh; place--) this.#unused.push(last * 2 ** PLACE_BITS + place);
      this.#slabs.push(slab);
      this.slabs.push(slab.numbers);
      if (slab.scales) this.scales.push(slab.scales);
      this.#fresh = slab.owners.length;
    }
    this.#capacity = capacity;
  }

  /** A slab of as many pages as were wanted, or at least of those that are needed. */
  #newSlab(needed: number, wanted: number): Slab {
    const { kind, elements, scales } = this.#format;
    const make = (pages: number): Slab => ({
      numbers: allocateSlab(kind, pages * elements, 'append'),
      scales: scales > 0 ? allocateSlab('Float32Array', pages * scales, 'append') : undefined,
      owners: newOwners(pages),
    });
    if (wanted === needed) return make(needed);
    try {
      return make(wanted);
    } catch {
      return make(needed);
    }
  }
}

function newOwners(pages: number): Int32Array {
  try {
    return new Int32Array(pages);
  } catch {
    throw outOfMemory(pages * 4, 'append');
  }
}
