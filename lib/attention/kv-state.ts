/** The sequences of a cache, and the pages that they own. */
import { outOfRange, wrongType, wrongValue } from '../call/errors.js';
import type { CacheKind, CacheView } from './cache-view.js';
import { KINDS, type CacheFormat } from './kv-format.js';
import type { SequenceId } from './kv-types.js';
import { PageStore } from './pages.js';
import type { CacheSizes } from './tiles.js';

export interface Sequence {
  pages: number[];
  length: number;
  /** Counts the changes of its tokens. */
  version: number;
}

export class CacheState {
  readonly format: CacheFormat;
  #store: PageStore | undefined; // undefined: disposed of
  readonly #sequences = new Map<SequenceId, Sequence>();
  #next: SequenceId = 0;

  constructor(format: CacheFormat) {
    this.format = format;
    this.#store = new PageStore(format.page, format.maxBytes);
  }

  get sizes(): CacheSizes {
    return this.format.sizes;
  }
  get kind(): CacheKind {
    return KINDS[this.format.dtype];
  }
  /** Bytes of all pages in use. */
  get bytes(): number {
    return (this.#store?.used ?? 0) * this.format.page.bytes;
  }

  /** The pages. Throws for a cache that was disposed of. */
  get store(): PageStore {
    if (this.#store === undefined) throw wrongValue('a cache that is open', 'cache', 'one that was disposed of');
    return this.#store;
  }

  sequence(id: SequenceId): Sequence {
    void this.store;
    const found = this.#sequences.get(id);
    if (found !== undefined) return found;
    if (typeof id !== 'number') throw wrongType('a sequence of this cache, a number,', 'sequence', id);
    const was = Number.isInteger(id) && id >= 0 && id < this.#next;
    throw wrongValue(
      'a sequence of this cache',
      'sequence',
      was ? `${id}, which was freed` : `${id}, which is unknown`,
    );
  }

  /** A new sequence, which owns these pages. */
  add(pages: number[], length: number): SequenceId {
    void this.store;
    this.#sequences.set(this.#next, { pages, length, version: 0 });
    return this.#next++;
  }

  free(id: SequenceId): void {
    this.store.giveBack(this.sequence(id).pages);
    this.#sequences.delete(id);
  }

  /** The arrays that kernels read for these sequences. */
  view(sequences: readonly Sequence[]): CacheView {
    const { store } = this;
    const table = new Uint32Array(sequences.reduce((sum, { pages }) => sum + pages.length, 0));
    let at = 0;
    for (const { pages } of sequences) {
      table.set(pages, at);
      at += pages.length;
    }
    return {
      ...this.sizes,
      kind: this.kind,
      slabs: [...store.slabs],
      scales: [...store.scales],
      table,
      lengths: Int32Array.from(sequences, ({ length }) => length),
      hold: () => store.hold(Array.from(table)),
    };
  }

  close(): void {
    const store = this.#store;
    this.#store = undefined;
    this.#sequences.clear();
    store?.close();
  }
}

/** A number of tokens that a sequence of `most` has. */
export function lengthWithin(length: unknown, most: number): number {
  if (typeof length !== 'number') throw wrongType('a number', 'length', length);
  if (Number.isInteger(length) && length >= 0 && length <= most) return length;
  throw outOfRange(`an integer from 0 to ${most}`, 'length', length);
}
