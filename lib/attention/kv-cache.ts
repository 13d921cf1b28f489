/** KVCache: keys and values of many sequences in pages, for decodeAttention. */
import { oneOf } from '../call/checks.js';
import { outOfRange } from '../call/errors.js';
import type { NewUint8Array } from '../call/types.js';
import { CACHE_VIEW } from './cache-view.js';
import { register, viewOfState } from './kv-access.js';
import { appendTo } from './kv-append.js';
import { headerOf, pagesFromBytes, sequenceToBytes } from './kv-bytes.js';
import { evictTokens, keptOf } from './kv-evict.js';
import { formatOf } from './kv-format.js';
import { CACHE_GROWTH, growthOf } from './kv-growth.js';
import { CacheState, lengthWithin } from './kv-state.js';
import type {
  AppendManyOptions,
  AppendOptions,
  EvictOptions,
  KVCacheOptions,
  KVType,
  NewTokens,
  ReadOptions,
  RestoredCache,
  SequenceId,
} from './kv-types.js';
import { copyOptions, layoutFlag } from './options.js';
import { preconditionedValues } from './precondition-cache.js';
import { readTokens } from './read.js';

export { growthIn, isCache, viewOf } from './kv-access.js';
export type * from './kv-types.js';

/** The method that `using` calls: Symbol.dispose, or the symbol that transpilers use where there is none. */
const DISPOSE = (Symbol as { dispose?: symbol }).dispose ?? Symbol.for('Symbol.dispose');

export interface KVCache {
  /** {@link KVCache.dispose}, for `using`. */
  [Symbol.dispose](): void;
}

/**
 * Keys and values of many sequences of any lengths, in pages of one store. {@link decodeAttention} reads them.
 *
 * Sequences begin with `create`, grow with `append`, `appendPreconditioned` or {@link prefillAttention}, lose tokens
 * with `truncate` or `evict`, and give their pages back with `free`. `fork` makes a sequence that begins with the first
 * tokens of another one and shares their pages; a shared page is copied when one of its owners writes to it, and not
 * before. A call that throws has changed nothing. `dispose` ends the cache and gives its memory back.
 *
 * Each call uses the backend that is in force then; all backends read and write the same pages.
 *
 * @example
 * import { KVCache } from 'flash-softmax/attention';
 * const cache = new KVCache({ kvHeads: 1, headDim: 2, dtype: 'float16' }), prompt = cache.create();
 * cache.append(prompt, Float32Array.of(1, 0, 0, 1), Float32Array.of(1, 2, 3, 4)); // two tokens
 * const answer = cache.fork(prompt); // shares the pages
 * cache.append(answer, Float32Array.of(1, 1), Float32Array.of(5, 6));
 * console.log(cache.length(prompt), cache.length(answer)); // → 2 3
 */
export class KVCache {
  readonly #state: CacheState;

  static {
    const define = (key: symbol, value: unknown) => {
      Object.defineProperty(this.prototype, key, { value, configurable: true, writable: true });
    };
    define(DISPOSE, function (this: KVCache) {
      this.dispose();
    });
    define(CACHE_VIEW, function (this: KVCache, ids: readonly SequenceId[]) {
      return viewOfState(this.#state, ids);
    });
    define(CACHE_GROWTH, function (this: KVCache, ids: readonly SequenceId[], isPrivate: boolean) {
      return growthOf(this.#state, ids, isPrivate);
    });
  }

  /**
   * @throws TypeError (ERR_INVALID_ARG_TYPE) for options of a wrong type or an unknown name.
   * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for numbers that are no sizes, a pageSize that is no
   *   multiple of 16.
   */
  constructor(options: KVCacheOptions) {
    this.#state = new CacheState(formatOf(options));
    register(this, this.#state);
  }

  get kvHeads(): number {
    return this.#state.sizes.kvHeads;
  }
  get headDim(): number {
    return this.#state.sizes.headDim;
  }
  get valueDim(): number {
    return this.#state.sizes.valueDim;
  }
  get dtype(): KVType {
    return this.#state.format.dtype;
  }
  get pageSize(): number {
    return this.#state.sizes.pageSize;
  }
  get maxBytes(): number {
    return this.#state.format.maxBytes;
  }
  /** Bytes of one page, scales included. */
  get pageBytes(): number {
    return this.#state.format.page.bytes;
  }
  /** Bytes of all pages in use, each counted once. */
  get bytes(): number {
    return this.#state.bytes;
  }

  /** A new sequence, without tokens. */
  create(): SequenceId {
    return this.#state.add([], 0);
  }

  /**
   * Tokens of a sequence.
   *
   * @throws RangeError (ERR_INVALID_ARG_VALUE) for a sequence that is unknown or freed, and for a cache that was
   *   disposed of. So does every method that takes a sequence.
   */
  length(sequence: SequenceId): number {
    return this.#state.sequence(sequence).length;
  }

  /**
   * Adds one token or many, as many as `k` and `v` hold; their numbers are copied. With a list of sequences each gets
   * its own tokens, none or more, in one call (continuous batching): all of them, or none if the call throws.
   *
   * @param k Keys, [tokens, kvHeads, headDim]. @param v Values, [tokens, kvHeads, valueDim]. For a list, the tokens of
   *   one sequence follow the tokens of the one before it.
   * @param options `layout`: 'hsd' if heads come first, for each sequence; `lengths`: the tokens of each.
   * @returns The new length of the sequence, or the new lengths of all.
   * @throws TypeError (ERR_INVALID_ARG_TYPE) for anything but a Float32Array, and for a detached one.
   * @throws RangeError (ERR_INVALID_ARG_VALUE) for lengths that are no whole tokens, or not the same number of them,
   *   and for a sequence listed twice; (ERR_OUT_OF_RANGE) if the pages that this takes do not fit into maxBytes.
   * @throws Error (ERR_MEMORY_ALLOCATION_FAILED) for memory that the system does not give. The cache is as it was then.
   */
  append(sequence: SequenceId, k: Float32Array, v: Float32Array, options?: AppendOptions): number;
  append(sequences: readonly SequenceId[], k: Float32Array, v: Float32Array, options?: AppendManyOptions): number[];
  append(
    sequences: SequenceId | readonly SequenceId[],
    k: Float32Array,
    v: Float32Array,
    options: AppendManyOptions = {},
  ): number | number[] {
    const isOne = typeof sequences === 'number';
    const own = copyOptions(options, isOne ? ['layout'] : ['layout', 'lengths'], true);
    const all = appendTo(this.#state, sequences, { k, v, options: own, values: () => v });
    return isOne ? all[0]! : all;
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
    const own = copyOptions(options, ['layout'], true);
    const positionsFirst = layoutFlag(own.layout ?? 'shd', 'shd', 'hsd');
    const view = () => viewOfState(this.#state, [sequence]);
    const values = (tokens: number) => preconditionedValues(view(), k, v, { tokens, positionsFirst });
    return appendTo(this.#state, [sequence], { k, v, options: own, values })[0]!;
  }

  /**
   * A new sequence with the first `length` tokens of another one, by default all of them: a prefix that both share. A
   * page of both is copied when one of them writes to it, also the last one if it is shared in part.
   *
   * @throws RangeError (ERR_OUT_OF_RANGE) if the other sequence has fewer tokens.
   */
  fork(sequence: SequenceId, length?: number): SequenceId {
    const own = this.#state.sequence(sequence);
    const tokens = length === undefined ? own.length : lengthWithin(length, own.length);
    const pages = own.pages.slice(0, Math.ceil(tokens / this.#state.sizes.pageSize));
    this.#state.store.share(pages);
    return this.#state.add(pages, tokens);
  }

  /**
   * Takes the last tokens off a sequence, so that `length` tokens are left.
   *
   * @throws RangeError (ERR_OUT_OF_RANGE) if it has fewer.
   */
  truncate(sequence: SequenceId, length: number): void {
    const own = this.#state.sequence(sequence);
    lengthWithin(length, own.length);
    const left = Math.ceil(length / this.#state.sizes.pageSize);
    this.#state.store.giveBack(own.pages, left);
    own.pages.length = left;
    own.length = length;
    own.version++;
  }

  /**
   * Drops tokens behind the first `sinks` of a sequence: a sliding window, or with sinks StreamingLLM (Xiao et al.,
   * arXiv 2309.17453). At least the last `window` tokens stay. By default a multiple of pageSize tokens goes, so that
   * pages move in a list and one page at most is written; `exact` keeps the last `window` tokens and no more, which
   * copies each of them. Positions are places in the cache, as StreamingLLM counts them: `causal`, `window` and `alibi`
   * of later calls take the tokens that stay as neighbours. Keys that have a rotary position in them keep it.
   *
   * Other sequences are never touched: a page that a fork or a promise shares is not written. One that has to be is
   * replaced by a new page; where no page is shared, none is taken. Tokens of `appendPreconditioned` depend on all
   * earlier ones: what is left of them is no LUCID attention.
   *
   * @returns The number of tokens that went; 0 if there are not enough.
   * @throws RangeError (ERR_OUT_OF_RANGE) for numbers that are no integers from 0, and if a new page does not fit into
   *   maxBytes. Nothing has changed then.
   */
  evict(sequence: SequenceId, options: EvictOptions): number {
    const kept = keptOf(options);
    return evictTokens(this.#state, this.#state.sequence(sequence), kept);
  }

  /** Ends a sequence; other sequences can take its pages, unless a fork still shares them. */
  free(sequence: SequenceId): void {
    this.#state.free(sequence);
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
    const { length } = this.#state.sequence(sequence);
    const to = end === undefined ? length : end;
    if (!(Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from <= to && to <= length)) {
      throw outOfRange(`two rising integers from 0 to ${length}`, 'from and to', `${from}, ${to}`);
    }
    return readTokens(viewOfState(this.#state, [sequence]), from, to, dtype);
  }

  /**
   * A sequence as bytes, for another cache of the same sizes and type, on any machine: of another process, or from a
   * disk. Every stored bit is kept, and pages may have another size there. Little-endian: 4 bytes "FSKV"; a version
   * byte, 1; a byte for the type (0 'float32', 1 'float16', 2 'bfloat16', 3 'int8'); 2 bytes of 0; uint32 kvHeads,
   * headDim, valueDim, tokens; for int8 the float32 scales of keys and of values, each [tokens, kvHeads]; keys [tokens,
   * kvHeads, headDim]; values [tokens, kvHeads, valueDim].
   *
   * @throws Error (ERR_MEMORY_ALLOCATION_FAILED) for memory that the system does not give.
   */
  toBytes(sequence: SequenceId): NewUint8Array {
    return sequenceToBytes(this.#state, this.#state.sequence(sequence));
  }

  /**
   * A new sequence from bytes that {@link toBytes} wrote. They may come from anywhere: nothing is believed unchecked.
   *
   * @throws TypeError (ERR_INVALID_ARG_TYPE) for anything but a Uint8Array.
   * @throws RangeError (ERR_INVALID_ARG_VALUE) for bytes that toBytes() of this version does not write, and for bytes
   *   of a cache of other sizes or another type; (ERR_OUT_OF_RANGE) if the tokens do not fit into maxBytes.
   */
  fromBytes(bytes: Uint8Array): SequenceId {
    const { pages, tokens } = pagesFromBytes(this.#state, bytes);
    return this.#state.add(pages, tokens);
  }

  /** A new cache of the sizes and the type that bytes of {@link toBytes} have, and the sequence in it. */
  static fromBytes(
    bytes: Uint8Array,
    options: Pick<KVCacheOptions, 'pageSize' | 'maxBytes'> = {},
  ): RestoredCache<KVCache> {
    const own = copyOptions(options, ['pageSize', 'maxBytes']);
    const { kvHeads, headDim, valueDim, dtype } = headerOf(bytes);
    const cache = new KVCache({ kvHeads, headDim, valueDim, dtype, ...own });
    return { cache, sequence: cache.fromBytes(bytes) };
  }

  /**
   * Ends the cache and all of its sequences, and gives its memory back: at once where the addon is loaded, else when
   * the garbage collector next runs. Promises of calls on the cache settle as usual before its memory goes. Afterwards
   * every method but this one throws a RangeError (ERR_INVALID_ARG_VALUE). `using` calls this at the end of a block.
   */
  dispose(): void {
    this.#state.close();
  }
}
