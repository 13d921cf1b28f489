/** Sequences that grow in steps, and either keep all of their new tokens or are as they were. */
import { elementsOf } from '../call/arrays.js';
import { count } from '../call/checks.js';
import { wrongType, wrongValue } from '../call/errors.js';
import type { CacheView } from './cache-view.js';
import { appendTokens } from './kv-append.js';
import type { CacheState, Sequence } from './kv-state.js';
import type { SequenceId } from './kv-types.js';

/** Keys and values as append takes them. */
export interface GrowthTokens {
  readonly k: Float32Array;
  readonly v: Float32Array;
  /** The tokens of each sequence. */
  readonly tokens: readonly number[];
  readonly positionsFirst: 0 | 1;
}

export interface Growth {
  readonly kvHeads: number;
  readonly headDim: number;
  readonly valueDim: number;
  /** The tokens that each sequence has had before. */
  readonly lengths: readonly number[];
  /** Throws if the pages for so many tokens of each sequence are not to be had. */
  reserve(tokens: readonly number[]): void;
  /** Adds tokens to some neighbouring sequences, the first of them by its place in the list. */
  append(first: number, added: GrowthTokens): void;
  /** The arrays that kernels read for some neighbouring sequences. */
  view(first: number, end: number): CacheView;
  /** Keeps all tokens. Throws if a sequence has changed meanwhile. */
  commit(): void;
  /** Brings the sequences back to what they were. */
  undo(): void;
}

/** The number is the version of {@link Growth}: copies of the package with another version do not find the symbol. */
export const CACHE_GROWTH = Symbol.for('flash-softmax.KVCache.growth.1');

/** The function of a value that gives a growth of sequences; undefined if it has none. */
export function growthFunctionOf(value: unknown): ((...args: unknown[]) => unknown) | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const growth: unknown = (value as Record<symbol, unknown>)[CACHE_GROWTH];
  return typeof growth === 'function' ? (...args) => Reflect.apply(growth, value, args) as unknown : undefined;
}

const METHODS = ['reserve', 'append', 'view', 'commit', 'undo'] as const;

/** A growth of another copy of the package, with sizes that are sizes. Its views are checked where they are used. */
export function checkedGrowth(given: unknown, sequences: number): Growth {
  if (typeof given !== 'object' || given === null) throw wrongType('a KVCache', 'cache', given);
  const { lengths, ...growth } = { ...(given as Growth) };
  if (!Array.isArray(lengths)) throw wrongType('an array', 'lengths of the cache', lengths);
  const own = elementsOf(lengths).map((n) => count(n, 'lengths of the cache', 0));
  if (own.length !== sequences) throw wrongValue(`${sequences} lengths`, 'lengths of the cache', String(own.length));
  for (const name of METHODS) {
    if (typeof growth[name] !== 'function') throw wrongType('a function', `${name} of the cache`, growth[name]);
  }
  for (const name of ['kvHeads', 'headDim', 'valueDim'] as const) count(growth[name], `${name} of the cache`);
  return { ...growth, lengths: own };
}

/**
 * The growth of sequences that differ. With `isPrivate` the sequences stay as they are until `commit`, and may be used
 * meanwhile; otherwise nothing else may happen to them.
 */
export function growthOf(state: CacheState, ids: readonly SequenceId[], isPrivate: boolean): Growth {
  const originals = ids.map((id) => state.sequence(id));
  const { kvHeads, headDim, valueDim, pageSize } = state.sizes;
  const lengths = originals.map(({ length }) => length);
  const draft = isPrivate ? privateDraft(state, ids, originals) : directDraft(state, originals);
  return {
    kvHeads,
    headDim,
    valueDim,
    lengths,
    reserve(tokens) {
      const pages = (n: number): number => Math.ceil(n / pageSize);
      const wanted = tokens.reduce((sum, n, i) => sum + pages(lengths[i]! + n) - pages(lengths[i]!), 0);
      state.store.giveBack(state.store.take(wanted));
    },
    append(first, { k, v, tokens, positionsFirst }) {
      draft.check();
      const additions = tokens.map((n, i) => ({ sequence: draft.sequences[first + i]!, tokens: n }));
      appendTokens(state, additions, positionsFirst, k, () => v);
    },
    view: (first, end) => state.view(draft.sequences.slice(first, end)),
    commit: draft.commit,
    undo: draft.undo,
  };
}

/** Sequences that grow, for a while. */
interface Draft {
  readonly sequences: readonly Sequence[];
  /** Throws if nobody would have what the draft makes. */
  check(): void;
  commit(): void;
  undo(): void;
}

/** The sequences themselves. */
function directDraft({ store }: CacheState, sequences: readonly Sequence[]): Draft {
  const before = sequences.map(({ pages, length }) => ({ length, count: pages.length, last: pages.at(-1) }));
  const restore = (sequence: Sequence, i: number): void => {
    const { length, count, last } = before[i]!;
    store.giveBack(sequence.pages, count);
    sequence.pages.length = count;
    sequence.length = length;
    if (last === undefined || sequence.pages[count - 1] === last) return;
    store.giveBack([sequence.pages[count - 1]!]); // a copy of a page that others own too
    store.share([last]);
    sequence.pages[count - 1] = last;
  };
  return { sequences, check: () => undefined, commit: () => undefined, undo: () => sequences.forEach(restore) };
}

/** Forks of the sequences, which take their places in the end. */
function privateDraft(state: CacheState, ids: readonly SequenceId[], originals: readonly Sequence[]): Draft {
  const { store } = state;
  const release = store.hold([]); // the store outlives a cache that is disposed of
  const versions = originals.map(({ version }) => version);
  const sequences = originals.map(({ pages, length }) => ({ pages: pages.slice(), length, version: 0 }));
  for (const { pages } of sequences) store.share(pages);
  const check = (): void =>
    ids.forEach((id, i) => {
      if (state.sequence(id) === originals[i] && originals[i]!.version === versions[i]) return;
      throw wrongValue(
        'a sequence that nobody changes until the promise settles',
        'sequence',
        `${id}, which was changed`,
      );
    });
  return {
    sequences,
    check,
    commit() {
      check();
      sequences.forEach(({ pages, length }, i) => {
        const original = originals[i]!;
        store.giveBack(original.pages);
        original.pages = pages;
        original.length = length;
        original.version++;
      });
      release();
    },
    undo() {
      for (const { pages } of sequences) store.giveBack(pages);
      release();
    },
  };
}
