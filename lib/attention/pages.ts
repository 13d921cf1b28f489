/** Pages of keys and values in a few slabs of memory, with the number of owners of each page. */
import { outOfMemory, outOfRange } from '../call/errors.js';
import { allocateSlab, releaseSlab, type SlabKind } from './memory.js';
import { pageAt, placeOf, PLACES, slabOf } from './tiles.js';

export type Stored = Float32Array | Uint16Array | Int8Array;

/** Each slab is as large as all earlier ones, so that few suffice for a cache of any size. */
export const MOST_SLABS = 64;
const SLAB_BYTES = { first: 2 ** 20, most: 2 ** 31 };
/** The largest page. */
export const MOST_PAGE_BYTES = SLAB_BYTES.most;

/** The contents of a page. */
export interface PageFormat {
  readonly kind: SlabKind;
  readonly kvHeads: number;
  /** Numbers of a page. */
  readonly elements: number;
  /** float32 scales of a page; 0 for a type without scales. */
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
  readonly #unused: number[] = []; // pages that were given back
  #capacity = 0; // pages of all slabs
  #fresh = 0; // pages at the end of the last slab that were never used
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

  /** Adds an owner to each of these pages. */
  share(pages: readonly number[]): void {
    for (const page of pages) this.#slabs[slabOf(page)]!.owners[placeOf(page)]! += 1;
  }

  /** Takes an owner from each of the pages from index `from` on; a page without owners can be taken again. */
  giveBack(pages: readonly number[], from = 0): void {
    if (this.#slabs.length === 0) return; // closed
    for (let i = pages.length - 1; i >= from; i--) {
      const page = pages[i]!;
      if ((this.#slabs[slabOf(page)]!.owners[placeOf(page)]! -= 1) > 0) continue;
      this.#unused.push(page);
      this.#used--;
    }
  }

  /** Keeps these pages, and the memory of the store, until the returned function is called. */
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

  /**
   * Takes n pages, each with one owner, for the method `name`. Throws, and takes none, if they do not fit into maxBytes
   * or memory.
   */
  take(n: number, name = 'append'): number[] {
    const { bytes } = this.#format;
    const room = Math.floor(this.#maxBytes / bytes) - this.#used;
    if (n > room) {
      const most = Math.max(0, room);
      throw outOfRange(`at most ${most} more pages of ${bytes} bytes, as maxBytes is ${this.#maxBytes},`, name, n);
    }
    const missing = n - this.#unused.length - this.#fresh;
    if (missing > 0) this.#grow(missing, name);
    const pages: number[] = [];
    const last = this.#slabs.length - 1;
    for (let i = 0; i < n; i++) {
      pages.push(this.#unused.pop() ?? pageAt(last, this.#slabs[last]!.owners.length - this.#fresh--));
    }
    this.share(pages);
    this.#used += n;
    return pages;
  }

  /** Copies the contents of a page to another page. */
  copy(from: number, to: number): void {
    const { kvHeads, elements, scales } = this.#format;
    const [source, target] = [this.#slabs[slabOf(from)]!, this.#slabs[slabOf(to)]!];
    const copy = (numbers: Stored, into: Stored, pageLength: number) => {
      const share = pageLength / kvHeads; // of one head
      for (let head = 0; head < kvHeads; head++) {
        const at = (head * source.owners.length + placeOf(from)) * share;
        into.set(numbers.subarray(at, at + share), (head * target.owners.length + placeOf(to)) * share);
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
    this.#capacity = 0;
    this.#fresh = 0;
    this.#used = 0;
  }

  /** Adds slabs with `missing` fresh pages. Throws, and adds none, if they do not fit. */
  #grow(missing: number, name: string): void {
    const added: Slab[] = [];
    let capacity = this.#capacity;
    const { bytes } = this.#format;
    for (let left = missing; left > 0;) {
      if (this.#slabs.length + added.length === MOST_SLABS) {
        const total = (this.#capacity + missing) * bytes;
        throw outOfRange(`at most ${capacity * bytes} bytes in ${MOST_SLABS} slabs`, name, total);
      }
      const room = Math.floor(this.#maxBytes / bytes) - capacity;
      const most = Math.min(Math.floor(SLAB_BYTES.most / bytes), PLACES - 1, room);
      const wanted = Math.max(left, capacity, Math.ceil(SLAB_BYTES.first / bytes));
      const slab = this.#newSlab(Math.min(most, left), Math.min(most, wanted), name);
      added.push(slab);
      capacity += slab.owners.length;
      left -= slab.owners.length;
    }
    for (const slab of added) this.#add(slab);
    this.#capacity = capacity;
  }

  /** Makes a slab the last one. Fresh pages of the slab before it become unused ones, the first of them on top. */
  #add(slab: Slab): void {
    const last = this.#slabs.length - 1;
    const end = last < 0 ? 0 : this.#slabs[last]!.owners.length;
    for (let place = end - 1; place >= end - this.#fresh; place--) this.#unused.push(pageAt(last, place));
    this.#slabs.push(slab);
    this.slabs.push(slab.numbers);
    if (slab.scales) this.scales.push(slab.scales);
    this.#fresh = slab.owners.length;
  }

  /** A slab of `wanted` pages; of the `needed` ones if memory is short. */
  #newSlab(needed: number, wanted: number, name: string): Slab {
    const { kind, elements, scales } = this.#format;
    const make = (pages: number): Slab => {
      const numbers = allocateSlab(kind, pages * elements, name, this.slabs);
      const beside = [numbers, ...this.slabs];
      return {
        numbers,
        scales: scales > 0 ? allocateSlab('Float32Array', pages * scales, name, beside) : undefined,
        owners: newOwners(pages, name),
      };
    };
    if (wanted === needed) return make(needed);
    try {
      return make(wanted);
    } catch {
      return make(needed);
    }
  }
}

function newOwners(pages: number, name: string): Int32Array {
  try {
    return new Int32Array(pages);
  } catch {
    throw outOfMemory(pages * 4, name);
  }
}
