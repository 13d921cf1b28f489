/** KVCache: keys and values of many sequences in pages, for decodeAttention. */
import { outOfRange, wrongType, wrongValue } from '../call/errors.js';
import { oneOf } from '../call/values.js';
import { CACHE_VIEW, checkedView, viewFunctionOf, type CacheView } from './cache-view.js';
import { appendTokens, type Sequence, type TokenLayout } from './kv-append.js';
import { formatOf, KINDS, tokensIn } from './kv-format.js';
import type { AppendOptions, KVCacheOptions, KVType, NewTokens, ReadOptions, SequenceId } from './kv-types.js';
import { copyOptions, layoutFlag } from './options.js';
import { PageStore } from './pages.js';
import { preconditionedValues } from './precondition-cache.js';
import { readTokens } from './read.js';
import type { CacheSizes } from './tiles.js';

export type { AppendOptions, KVCacheOptions, KVType, ReadOptions, SequenceId, Tokens } from './kv-types.js';

/** Access to the private parts of a cache, for this package alone. */
let ownView: (cache: KVCache, ids: readonly SequenceId[]) => CacheView;
let isOwn: (value: object) => value is KVCache;

/** The method that `using` calls: Symbol.dispose, or the symbol that transpilers use where there is none. */
const DISPOSE = (Symbol as { dispose?: symbol }).dispose ?? Symbol.for('Symbol.dispose');

export interface KVCache {
  /** {@link KVCache.dispose}, for `using`. */
  [Symbol.dispose](): void;
}

/**
 * Keys and values of many sequences of any lengths, in pages of one store. {@link decodeAttention} reads them.
 *
 * Sequences begin with `create`, grow with `append` or `appendPreconditioned`, and give their pages back with `free`.
 * `fork` makes a sequence that begins with all tokens of another one and shares their pages; a shared page is copied
 * when one of its owners writes to it, and not before. A call that throws has changed nothing. `dispose` ends the cache
 * and gives its memory back.
 *
 * Each call uses the backend that is in force then; all backends read and write the same pages.
 */
export class KVCache {
  readonly #sizes: CacheSizes;
  readonly #dtype: KVType;
  readonly #maxBytes: number;
  readonly #pageBytes: number;
  #store: PageStore | undefined; // undefined: disposed of
  readonly #sequences = new Map<SequenceId, Sequence>();
  #next: SequenceId = 0;

  static {
    isOwn = (value): value is KVCache => #sizes in value;
    ownView = (cache, ids) => cache.#view(ids);
    const define = (key: symbol, value: unknown) => {
      Object.defineProperty(this.prototype, key, { value, configurable: true, writable: true });
    };
    define(DISPOSE, function (this: KVCache) {
      this.dispose();
    });
    define(CACHE_VIEW, function (this: KVCache, ids: readonly SequenceId[]) {
      return this.#view(ids);
    });
  }

  /**
   * @throws TypeError (ERR_INVALID_ARG_TYPE) for options of a wrong type or an unknown name.
   * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for numbers that are no sizes, a pageSize that is no
   *   multiple of 16.
   */
  constructor(options: KVCacheOptions) {
    const { sizes, dtype, maxBytes, page } = formatOf(options);
    this.#sizes = sizes;
    this.#dtype = dtype;
    this.#maxBytes = maxBytes;
    this.#pageBytes = page.bytes;
    this.#store = new PageStore(page, maxBytes);
  }

  get kvHeads(): number {
    return this.#sizes.kvHeads;
  }
  get headDim(): number {
    return this.#sizes.headDim;
  }
  get valueDim(): number {
    return this.#sizes.valueDim;
  }
  get dtype(): KVType {
    return this.#dtype;
  }
  get pageSize(): number {
    return this.#sizes.pageSize;
  }
  get maxBytes(): number {
    return this.#maxBytes;
  }
  /** Bytes of one page, scales included. */
  get pageBytes(): number {
    return this.#pageBytes;
  }
  /** Bytes of all pages in use, each counted once. */
  get bytes(): number {
    return (this.#store?.used ?? 0) * this.#pageBytes;
  }

  /** A new sequence, without tokens. */
  create(): SequenceId {
    this.#pages();
    return this.#add({ pages: [], length: 0 });
  }

  /**
   * Tokens of a sequence.
   *
   * @throws RangeError (ERR_INVALID_ARG_VALUE) for a sequence that is unknown or freed, and for a cache that was
   *   disposed of. So does every method that takes a sequence.
   */
  length(sequence: SequenceId): number {
    return this.#sequence(sequence).length;
  }

  /**
   * Adds one token or many, as many as `k` and `v` hold; their numbers are copied.
   *
   * @param k Keys, [tokens, kvHeads, headDim]. @param v Values, [tokens, kvHeads, valueDim].
   * @param options `layout`: 'hsd' if heads come first.
   * @returns The new length of the sequence.
   * @throws TypeError (ERR_INVALID_ARG_TYPE) for anything but a Float32Array, and for a detached one.
   * @throws RangeError (ERR_INVALID_ARG_VALUE) for lengths that are no whole tokens, or not the same number of them;
   *   (ERR_OUT_OF_RANGE) if the pages that this takes do not fit into maxBytes.
   * @throws Error (ERR_MEMORY_ALLOCATION_FAILED) for memory that the system does not give. The cache is as it was then.
   */
  append(sequence: SequenceId, k: Float32Array, v: Float32Array, options: AppendOptions = {}): number {
    return this.#append(sequence, k, v, options, () => v);
  }

  /**
   * As `append`, with LUCID's preconditioned values instead of `v` (see {@link lucidAttention}): then `decodeAttention`
   * over this sequence is LUCID attention. All tokens of the sequence must come this way.
   *
   *     Y[n] = v[n] − Σ_{j < n} exp(√d · (cos(k[n], k[j]) − 1)) Y[j]      d = headDim, in double
   *
   * Each Y is computed from keys and earlier Ys as they are stored, that is, rounded to the type of the cache, the ones
   * of the same call too. So the bits do not depend on how tokens are divided into calls, nor on the backend. Rounding
   * is not amplified: errors of all Ys of a head, as a vector, are at most twice as long as their roundings. An int8
   * cache, or a bfloat16 one, rounds noticeably: prefer float32 or float16.
   *
   * A call reads the whole sequence once, in JavaScript: (length + tokens) · tokens products of keys and of values a
   * head. Returns, and throws, as `append` does; the cache is as it was then.
   */
  appendPreconditioned(sequence: SequenceId, k: Float32Array, v: Float32Array, options: AppendOptions = {}): number {
    const values = (layout: TokenLayout) => preconditionedValues(this.#view([sequence]), k, v, layout);
    return this.#append(sequence, k, v, options, values);
  }

  /** `values` are computed when all checks have passed and pages were taken. */
  #append(
    sequence: SequenceId,
    k: Float32Array,
    v: Float32Array,
    options: AppendOptions,
    values: (layout: TokenLayout) => Float32Array,
  ): number {
    const { layout = 'shd' } = copyOptions(options, ['layout'], true);
    const positionsFirst = layoutFlag(layout, 'shd', 'hsd');
    const store = this.#pages();
    const own = this.#sequence(sequence);
    const tokens = tokensIn(k, v, this.#sizes);
    if (tokens === 0) return own.length;
    const target = { store, sequence: own, sizes: this.#sizes, kind: KINDS[this.#dtype] };
    return appendTokens(target, { tokens, positionsFirst }, k, values);
  }

  /** A new sequence with all tokens of another one. A page of both is copied when one of them writes to it. */
  fork(sequence: SequenceId): SequenceId {
    const { pages, length } = this.#sequence(sequence);
    const copy = pages.slice();
    this.#pages().share(copy);
    return this.#add({ pages: copy, length });
  }

  /**
   * Takes the last tokens off a sequence, so that `length` tokens are left.
   *
   * @throws RangeError (ERR_OUT_OF_RANGE) if it has fewer.
   */
  truncate(sequence: SequenceId, length: number): void {
    const own = this.#sequence(sequence);
    if (typeof length !== 'number') throw wrongType('a number', 'length', length);
    if (!(Number.isInteger(length) && length >= 0 && length <= own.length)) {
      throw outOfRange(`an integer from 0 to ${own.length}`, 'length', length);
    }
    const left = Math.ceil(length / this.#sizes.pageSize);
    this.#pages().giveBack(own.pages, left);
    own.pages.length = left;
    own.length = length;
  }

  /** Ends a sequence; other sequences can take its pages, unless a fork still shares them. */
  free(sequence: SequenceId): void {
    this.#pages().giveBack(this.#sequence(sequence).pages);
    this.#sequences.delete(sequence);
  }

  /**
   * The tokens [from, to) of a sequence as they are stored, that is, rounded: `k` [tokens, kvHeads, headDim] and `v`
   * [tokens, kvHeads, valueDim]. For inspection; it is not fast. Default: all tokens, as float32.
   *
   * Decoding multiplies scales and numbers of an int8 cache without rounding. `{ dtype: 'float64' }` gives these
   * products; as float32 they are rounded to nearest, which shows in attention where scores are in the hundreds.
   */
  read(sequence: SequenceId, from?: number, to?: number, options?: ReadOptions<'float32'>): NewTokens;
  read(
    sequence: SequenceId,
    from: number | undefined,
    to: number | undefined,
    options: { dtype: 'float64' },
  ): NewTokens<'float64'>;
  read(sequence: SequenceId, from?: number, to?: number, options?: ReadOptions): NewTokens<'float32' | 'float64'>;
  read(sequence: SequenceId, from = 0, end?: number, options: ReadOptions = {}): NewTokens<'float32' | 'float64'> {
    const { dtype: givenType = 'float32' } = copyOptions(options, ['dtype']);
    const dtype = oneOf(givenType, ['float32', 'float64'], 'dtype');
    const { length } = this.#sequence(sequence);
    const to = end === undefined ? length : end;
    if (!(Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from <= to && to <= length)) {
      throw outOfRange(`two rising integers from 0 to ${length}`, 'from and to', `${from}, ${to}`);
    }
    return readTokens(this.#view([sequence]), from, to, dtype);
  }

  /**
   * Ends the cache and all of its sequences, and gives its memory back: at once where the addon is loaded, else when
   * the garbage collector next runs. Promises of calls on the cache settle as usual before its memory goes. Afterwards
   * every method but this one throws a RangeError (ERR_INVALID_ARG_VALUE). `using` calls this at the end of a block.
   */
  dispose(): void {
    const store = this.#store;
    this.#store = undefined;
    this.#sequences.clear();
    store?.close();
  }

  /** The arrays that kernels read for these sequences. */
  #view(ids: readonly SequenceId[]): CacheView {
    const store = this.#pages();
    const all = Array.from(ids, (id) => this.#sequence(id));
    const table = new Uint32Array(all.reduce((sum, { pages }) => sum + pages.length, 0));
    let at = 0;
    for (const { pages } of all) {
      table.set(pages, at);
      at += pages.length;
    }
    return {
      ...this.#sizes,
      kind: KINDS[this.#dtype],
      slabs: [...store.slabs],
      scales: [...store.scales],
      table,
      lengths: Int32Array.from(all, ({ length }) => length),
      hold: () => store.hold(all.flatMap(({ pages }) => pages)),
    };
  }

  #add(sequence: Sequence): SequenceId {
    this.#sequences.set(this.#next, sequence);
    return this.#next++;
  }

  #pages(): PageStore {
    if (this.#store === undefined) throw wrongValue('a cache that is open', 'cache', 'one that was disposed of');
    return this.#store;
  }

  #sequence(id: SequenceId): Sequence {
    this.#pages();
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
}

/** Whether this is a cache, of this copy of the package or of another one. */
export function isCache(value: unknown): value is KVCache {
  return typeof value === 'object' && value !== null && (isOwn(value) || viewFunctionOf(value) !== undefined);
}

/**
 * The arrays that kernels read for these sequences. May run code of another copy of the package: take lengths later.
 */
export function viewOf(cache: KVCache, ids: readonly SequenceId[]): CacheView {
  if (typeof cache === 'object' && cache !== null && isOwn(cache)) return ownView(cache, ids);
  const view = viewFunctionOf(cache);
  if (view === undefined) throw wrongType('a KVCache', 'cache', cache);
  return checkedView(view(ids.slice()), ids.length);
}
