/** KVCache: keys and values of many sequences in pages, for decodeAttention. */
import { describe, outOfRange, wrongType, wrongValue } from '../arguments.js';
import { ATTENTION_SHAPE, type AppendKernel, type AttentionShape } from '../backend/backend.js';
import { bfloat16, float16 } from '../backend/js/half.js';
import { tileOf, tileSize } from '../backend/js/attention.js';
import { native } from '../backend/native.js';
import { backend } from '../backend/select.js';
import { checkOptions, count } from '../options.js';
import { types } from '../types.js';
import { layoutFlag } from './options.js';

/** What keys and values are stored as. */
export type KVType = 'float32' | 'float16' | 'bfloat16' | 'int8';

export interface KVCacheOptions {
  /** Key/value heads. */
  kvHeads: number;
  /** Numbers of a key. */
  headDim: number;
  /** Numbers of a value. Default: headDim. */
  valueDim?: number | undefined;
  /**
   * What they are stored as: 'float32', 'float16' and 'bfloat16' rounded to nearest, 'int8' with a scale for each token and
   * head (the largest number of a key or value becomes ±127; one that is not finite makes all of them NaN). Default: 'float32'.
   */
  dtype?: KVType | undefined;
  /** Tokens of a page, a multiple of 16: what a sequence takes memory in, and what forks share. Default: 64. */
  pageSize?: number | undefined;
  /** How much memory pages may take, in bytes. Default: Infinity. */
  maxBytes?: number | undefined;
}

/** A sequence of a cache: a number that only this cache knows, and never gives twice. */
export type SequenceId = number;

export interface AppendOptions {
  /** How `k` and `v` lie for more than one token: 'shd' [tokens, kvHeads, headDim], or 'hsd' [kvHeads, tokens, headDim]. Default: 'shd'. */
  layout?: 'shd' | 'hsd' | undefined;
}

type Stored = Float32Array | Uint16Array | Int8Array;

const KINDS = { float32: 'f32', float16: 'f16', bfloat16: 'bf16', int8: 'i8' } as const;
const ARRAYS = { float32: Float32Array, float16: Uint16Array, bfloat16: Uint16Array, int8: Int8Array } as const;
const BYTES = { float32: 4, float16: 2, bfloat16: 2, int8: 1 } as const;

const halves = { float16, bfloat16 } as const;

/** Slabs, of which each is as large as all before it: few of them, whatever the size of the cache. */
const MOST_SLABS = 64;
const SLAB_BYTES = { first: 2 ** 20, most: 2 ** 31 };
const LINE = 64;
/** An entry of a page table: the slab, and the page there. */
const PLACE_BITS = 26;

interface Sequence {
  readonly pages: number[];
  length: number;
}

/** What kernels read of some sequences. */
export interface CacheView {
  readonly slabs: readonly Stored[];
  readonly scales: readonly Float32Array[];
  readonly table: Uint32Array;
  readonly lengths: Int32Array;
}

/** Begins at a cache line; in memory that other threads can see where there is any, so that jobs need no copy of it. */
function newArray<A extends Stored>(kind: new (buffer: ArrayBuffer, from: number, length: number) => A, elementBytes: number, length: number): A {
  const Memory = (typeof SharedArrayBuffer === 'undefined' ? ArrayBuffer : SharedArrayBuffer) as typeof ArrayBuffer;
  const buffer = new Memory(length * elementBytes + LINE);
  const behind = native().addon?.prepare(new Uint8Array(buffer)) ?? 0;
  return new kind(buffer, (LINE - behind) % LINE, length);
}

/**
 * Keys and values of many sequences of any lengths, in pages of one store. {@link decodeAttention} reads them.
 *
 * Sequences begin with `create`, grow with `append`, and give their pages back with `free`. `fork` makes a sequence that
 * begins with all tokens of another one and shares their pages; a page that is shared is copied when one of its owners writes
 * to it, and not before. A call that throws has changed nothing.
 *
 * The backend is the one in force at the time of each call; all of them read and write the same pages.
 */
export class KVCache {
  readonly kvHeads: number;
  readonly headDim: number;
  readonly valueDim: number;
  readonly dtype: KVType;
  readonly pageSize: number;
  readonly maxBytes: number;
  /** Bytes of one page, scales included. */
  readonly pageBytes: number;

  readonly #elements: number; // of a page
  readonly #slabs: Stored[] = [];
  readonly #scales: Float32Array[] = [];
  readonly #owners: Int32Array[] = []; // of each page of each slab
  readonly #unused: number[] = []; // pages given back
  #capacity = 0; // pages of all slabs
  #fresh = 0; // pages of the last slab that have never been used
  #used = 0;
  readonly #sequences = new Map<SequenceId, Sequence>();
  #next: SequenceId = 0;

  /**
   * @throws TypeError (ERR_INVALID_ARG_TYPE) for options of a wrong type or an unknown name.
   * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for numbers that are no sizes, a pageSize that is no multiple of 16.
   */
  constructor(options: KVCacheOptions) {
    checkOptions(options, ['kvHeads', 'headDim', 'valueDim', 'dtype', 'pageSize', 'maxBytes'], true);
    const { kvHeads, headDim, valueDim, dtype = 'float32', pageSize = 64, maxBytes = Infinity } = options;
    this.kvHeads = count(kvHeads, 'kvHeads');
    this.headDim = count(headDim, 'headDim');
    this.valueDim = valueDim === undefined ? this.headDim : count(valueDim, 'valueDim');
    if (typeof dtype !== 'string') throw wrongType("'float32', 'float16', 'bfloat16' or 'int8'", 'dtype', dtype);
    if (!Object.hasOwn(KINDS, dtype)) throw wrongValue("'float32', 'float16', 'bfloat16' or 'int8'", 'dtype', describe(dtype));
    this.dtype = dtype;
    this.pageSize = count(pageSize, 'pageSize');
    if (pageSize % 16 !== 0) throw outOfRange('a multiple of 16', 'pageSize', pageSize);
    if (typeof maxBytes !== 'number') throw wrongType('a number', 'maxBytes', maxBytes);
    if (!(maxBytes >= 0)) throw outOfRange('a number from 0', 'maxBytes', maxBytes);
    this.maxBytes = maxBytes;
    this.#elements = this.kvHeads * pageSize * (this.headDim + Math.ceil(this.valueDim / 16) * 16);
    this.pageBytes = this.#elements * BYTES[dtype] + this.#scalesOf(1) * 4;
    if (this.pageBytes > SLAB_BYTES.most) throw outOfRange(`a page of at most ${SLAB_BYTES.most} bytes`, 'pageSize', pageSize);
  }

  /** Bytes of all pages in use, each counted once. */
  get bytes(): number {
    return this.#used * this.pageBytes;
  }

  /** A new sequence, without tokens. */
  create(): SequenceId {
    return this.#add({ pages: [], length: 0 });
  }

  /** Tokens of a sequence. RangeError (ERR_INVALID_ARG_VALUE) for one that is unknown or freed, as everywhere. */
  length(sequence: SequenceId): number {
    return this.#sequence(sequence).length;
  }

  /**
   * Adds one token or many. Their number is that of `k` and `v`; their numbers are copied.
   *
   * @param k Keys, [tokens, kvHeads, headDim]. @param v Values, [tokens, kvHeads, valueDim].
   * @param options `layout`: 'hsd' if heads come first.
   * @returns The new length of the sequence.
   * @throws TypeError (ERR_INVALID_ARG_TYPE) for what is no Float32Array.
   * @throws RangeError (ERR_INVALID_ARG_VALUE) for lengths that are no whole tokens, or not the same number of them;
   *   (ERR_OUT_OF_RANGE) if the pages that this takes do not fit into maxBytes. The sequence is as it was then.
   */
  append(sequence: SequenceId, k: Float32Array, v: Float32Array, options: AppendOptions = {}): number {
    checkOptions(options, ['layout'], true);
    const positionsFirst = layoutFlag(options.layout ?? 'shd', 'shd', 'hsd');
    const own = this.#sequence(sequence);
    for (const [name, x] of [['k', k], ['v', v]] as const) if (!types.isFloat32Array(x)) throw wrongType('a Float32Array', name, x);
    const [keySize, valueSize] = [this.kvHeads * this.headDim, this.kvHeads * this.valueDim];
    const tokens = k.length / keySize;
    if (!Number.isInteger(tokens)) throw wrongValue(`a multiple of kvHeads · headDim = ${this.kvHeads} · ${this.headDim} elements`, 'k', String(k.length));
    if (v.length !== tokens * valueSize) {
      throw wrongValue(`tokens · kvHeads · valueDim = ${tokens} · ${this.kvHeads} · ${this.valueDim} elements`, 'v', String(v.length));
    }
    if (tokens === 0) return own.length;
    const length = own.length + tokens;
    if (length >= 2 ** 31) throw outOfRange('fewer than 2^31 tokens', 'the sequence', length);

    const partial = own.length % this.pageSize === 0 ? undefined : own.pages.at(-1)!;
    const isShared = partial !== undefined && this.#ownersOf(partial) > 1;
    const pages = this.#take(Math.ceil(length / this.pageSize) - own.pages.length + (isShared ? 1 : 0));
    if (isShared) {
      this.#copy(partial, pages[0]!);
      this.#giveBack(partial);
      own.pages.pop();
    }
    own.pages.push(...pages);

    const first = Math.floor(own.length / this.pageSize);
    const shape = { batch: 1, heads: this.kvHeads, kvHeads: this.kvHeads, queries: 0, keys: tokens, headDim: this.headDim, valueDim: this.valueDim, pageSize: this.pageSize, positionsFirst };
    const run = backend()[`kv_append_${KINDS[this.dtype]}`] as AppendKernel<Stored>;
    run(shapeArray(shape), k, v, this.#slabs, this.#scales, Uint32Array.from(own.pages.slice(first)), own.length - first * this.pageSize);
    return (own.length = length);
  }

  /** A new sequence with all tokens of another one: nothing is copied before one of the two writes to a page of both. */
  fork(sequence: SequenceId): SequenceId {
    const { pages, length } = this.#sequence(sequence);
    for (const page of pages) this.#change(page, 1);
    return this.#add({ pages: [...pages], length });
  }

  /** Takes the last tokens off a sequence, so that `length` of them are left. RangeError (ERR_OUT_OF_RANGE) if it has fewer. */
  truncate(sequence: SequenceId, length: number): void {
    const own = this.#sequence(sequence);
    if (typeof length !== 'number') throw wrongType('a number', 'length', length);
    if (!(Number.isInteger(length) && length >= 0 && length <= own.length)) throw outOfRange(`an integer from 0 to ${own.length}`, 'length', length);
    for (const page of own.pages.splice(Math.ceil(length / this.pageSize))) this.#giveBack(page);
    own.length = length;
  }

  /** Ends a sequence; its pages, but for those that others share, are there for the next ones. */
  free(sequence: SequenceId): void {
    for (const page of this.#sequence(sequence).pages) this.#giveBack(page);
    this.#sequences.delete(sequence);
  }

  /**
   * The tokens [from, to) of a sequence as they are stored, that is, rounded: `k` [tokens, kvHeads, headDim] and `v`
   * [tokens, kvHeads, valueDim]. To look at; it is not fast. Default: all of them.
   */
  read(sequence: SequenceId, from = 0, to = this.length(sequence)): { k: Float32Array; v: Float32Array } {
    const { pages, length } = this.#sequence(sequence);
    if (!(Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from <= to && to <= length)) throw outOfRange(`two rising integers from 0 to ${length}`, 'from and to', `${from}, ${to}`);
    const toNumber = this.dtype === 'float16' || this.dtype === 'bfloat16' ? halves[this.dtype].toFloat : (x: number) => x;
    const width = Math.ceil(this.valueDim / 16) * 16;
    const size = tileSize(this);
    const [k, v] = [this.headDim, this.valueDim].map((n) => new Float32Array((to - from) * this.kvHeads * n)) as [Float32Array, Float32Array];
    for (let n = from, i = 0; n < to; n++) {
      const page = pages[Math.floor(n / this.pageSize)]!;
      const slab = this.#slabs[page >>> PLACE_BITS]!;
      for (let head = 0; head < this.kvHeads; head++, i++) {
        const tile = tileOf(this, slab, page, head, n);
        const [keyScale, valueScale] = [0, 1].map((which) => this.#scales[page >>> PLACE_BITS]?.[(2 * tile + which) * 16 + (n % 16)] ?? 1) as [number, number];
        for (let d = 0; d < this.headDim; d++) k[i * this.headDim + d] = toNumber(slab[tile * size + d * 16 + (n % 16)]!) * keyScale;
        for (let d = 0; d < this.valueDim; d++) v[i * this.valueDim + d] = toNumber(slab[tile * size + 16 * this.headDim + (n % 16) * width + d]!) * valueScale;
      }
    }
    return { k, v };
  }

  /** @internal What kernels read of these sequences. */
  view(sequences: readonly SequenceId[]): CacheView {
    const all = sequences.map((id) => this.#sequence(id));
    return {
      slabs: [...this.#slabs],
      scales: [...this.#scales],
      table: Uint32Array.from(all.flatMap(({ pages }) => pages)),
      lengths: Int32Array.from(all, ({ length }) => length),
    };
  }

  /** @internal */
  get kind(): 'f32' | 'f16' | 'bf16' | 'i8' {
    return KINDS[this.dtype];
  }

  #add(sequence: Sequence): SequenceId {
    this.#sequences.set(this.#next, sequence);
    return this.#next++;
  }

  #sequence(id: SequenceId): Sequence {
    const found = this.#sequences.get(id);
    if (found !== undefined) return found;
    if (typeof id !== 'number') throw wrongType('a sequence of this cache, a number,', 'sequence', id);
    const was = Number.isInteger(id) && id >= 0 && id < this.#next;
    throw wrongValue('a sequence of this cache', 'sequence', was ? `${id}, which was freed` : `${id}, which is unknown`);
  }

  #place(page: number): number {
    return page & (2 ** PLACE_BITS - 1);
  }
  #ownersOf(page: number): number {
    return this.#owners[page >>> PLACE_BITS]![this.#place(page)]!;
  }
  #change(page: number, by: number): number {
    return (this.#owners[page >>> PLACE_BITS]![this.#place(page)]! += by);
  }
  #giveBack(page: number): void {
    if (this.#change(page, -1) > 0) return;
    this.#unused.push(page);
    this.#used--;
  }

  /** Pages, each with one owner; all of them or none. */
  #take(n: number): number[] {
    const room = Math.floor(this.maxBytes / this.pageBytes) - this.#used;
    if (n > room) throw outOfRange(`at most ${Math.max(0, room)} more pages of ${this.pageBytes} bytes, as maxBytes is ${this.maxBytes},`, 'append', n);
    while (this.#unused.length + this.#fresh < n) this.#grow(n - this.#unused.length - this.#fresh);
    const pages: number[] = [];
    for (let i = 0; i < n; i++) {
      const slab = this.#slabs.length - 1;
      const page = this.#unused.pop() ?? slab * 2 ** PLACE_BITS + (this.#owners[slab]!.length - this.#fresh--);
      this.#change(page, 1);
      pages.push(page);
    }
    this.#used += n;
    return pages;
  }

  /** Another slab, so that there are n fresh pages more, if they fit. */
  #grow(n: number): void {
    if (this.#slabs.length === MOST_SLABS) throw outOfRange(`at most ${this.#capacity * this.pageBytes} bytes in ${MOST_SLABS} slabs`, 'append', (this.#used + n) * this.pageBytes);
    const most = Math.min(Math.floor(SLAB_BYTES.most / this.pageBytes), 2 ** PLACE_BITS - 1, Math.floor(this.maxBytes / this.pageBytes) - this.#capacity);
    const pages = Math.min(most, Math.max(n, this.#capacity, Math.ceil(SLAB_BYTES.first / this.pageBytes)));
    const slab = newArray<Stored>(ARRAYS[this.dtype], BYTES[this.dtype], pages * this.#elements);
    const scales = this.dtype === 'int8' ? newArray(Float32Array, 4, this.#scalesOf(pages)) : undefined;
    // What is fresh in the slab before goes where pages that were given back are.
    for (; this.#fresh > 0; this.#fresh--) this.#unused.push((this.#slabs.length - 1) * 2 ** PLACE_BITS + this.#owners.at(-1)!.length - this.#fresh);
    this.#slabs.push(slab);
    if (scales) this.#scales.push(scales);
    this.#owners.push(new Int32Array(pages));
    this.#capacity += pages;
    this.#fresh = pages;
  }

  #scalesOf(pages: number): number {
    return this.dtype === 'int8' ? pages * this.kvHeads * this.pageSize * 2 : 0;
  }

  #copy(from: number, to: number): void {
    const copy = (arrays: readonly Stored[], ofPage: number) => {
      const part = ofPage / this.kvHeads; // of each head
      for (let head = 0; head < this.kvHeads; head++) {
        const at = (page: number) => (head * this.#owners[page >>> PLACE_BITS]!.length + this.#place(page)) * part;
        arrays[to >>> PLACE_BITS]!.set(arrays[from >>> PLACE_BITS]!.subarray(at(from), at(from) + part), at(to));
      }
    };
    copy(this.#slabs, this.#elements);
    if (this.#scales.length) copy(this.#scales, this.#scalesOf(1));
  }
}

/** A shape as kernels take it. */
export function shapeArray(shape: Partial<AttentionShape>): Float64Array {
  return Float64Array.from(ATTENTION_SHAPE, (name) => shape[name] ?? 0);
}
