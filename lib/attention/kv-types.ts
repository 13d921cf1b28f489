/** The types of a KVCache: its options, arguments and results. */
import type { NewFloat32Array, NewFloat64Array } from '../call/types.js';

/** The types that keys and values can be stored as. */
export type KVType = 'float32' | 'float16' | 'bfloat16' | 'int8';

export interface KVCacheOptions {
  /** Key/value heads. */
  kvHeads: number;
  /** Numbers of a key. */
  headDim: number;
  /** Numbers of a value. Default: headDim. */
  valueDim?: number | undefined;
  /**
   * The type that numbers are stored as: 'float32', 'float16' and 'bfloat16' rounded to nearest, 'int8' with a scale
   * for each token and head (the largest number of a key or value becomes ±127; a number that is not finite makes all
   * of them NaN; if all are below 127 · 2⁻¹²⁰, about 10⁻³⁴, they become 0). Default: 'float32'.
   */
  dtype?: KVType | undefined;
  /** Tokens of a page, a multiple of 16. Sequences take memory in pages, and forks share pages. Default: 64. */
  pageSize?: number | undefined;
  /** The most memory that pages may take, in bytes. Default: Infinity. */
  maxBytes?: number | undefined;
}

/** A sequence of a cache: a number that only this cache knows, and that it never gives twice. */
export type SequenceId = number;

export interface AppendOptions {
  /** How tokens lie: 'shd' [tokens, kvHeads, headDim], or 'hsd' [kvHeads, tokens, headDim]. Default: 'shd'. */
  layout?: 'shd' | 'hsd' | undefined;
}

/** For tokens of many sequences at once. */
export interface AppendManyOptions {
  /**
   * How the tokens of each sequence lie: 'shd' [tokens, kvHeads, headDim], or 'hsd' [kvHeads, tokens, headDim]; one
   * sequence follows the other. Default: 'shd'.
   */
  layout?: 'shd' | 'hsd' | undefined;
  /** The number of tokens of each sequence, from 0 on. Default: the same for all. */
  lengths?: ArrayLike<number> | undefined;
}

export interface EvictOptions {
  /** The last tokens that stay: at least so many, with `exact` just so many. An integer from 0. */
  window: number;
  /** The first tokens that stay. An integer from 0. Default: 0. */
  sinks?: number | undefined;
  /**
   * Whether all other tokens go, which copies the ones that stay behind the sinks. Default: false: a whole number of
   * pages goes, and at most one page is written.
   */
  exact?: boolean | undefined;
}

/** A sequence in a cache of its own. */
export interface RestoredCache<Cache> {
  cache: Cache;
  sequence: SequenceId;
}

export interface ReadOptions<Type extends 'float32' | 'float64' = 'float32' | 'float64'> {
  /**
   * The type of the result. 'float64' holds every stored number exactly, and decoding computes with these numbers;
   * 'float32' rounds them once, which matters to int8 alone: scale · number needs up to 31 bits. Default: 'float32'.
   */
  dtype?: Type | undefined;
}

/** Tokens of a sequence: keys [tokens, kvHeads, headDim] and values [tokens, kvHeads, valueDim]. */
export interface Tokens<A extends Float32Array | Float64Array = Float32Array> {
  k: A;
  v: A;
}

/** Tokens in new arrays. */
export type NewTokens<Type extends 'float32' | 'float64' = 'float32'> = Type extends 'float32'
  ? Tokens<NewFloat32Array>
  : Tokens<NewFloat64Array>;

declare global {
  interface SymbolConstructor {
    /** As TypeScript's libraries declare it; repeated here for programs that are compiled without them. */
    readonly dispose: unique symbol;
  }
}
