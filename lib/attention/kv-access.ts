/** Access to the private parts of caches, for this package alone: of this copy of it, and of others through symbols. */
import { wrongType } from '../call/errors.js';
import { checkedView, viewFunctionOf, type CacheView } from './cache-view.js';
import type { KVCache } from './kv-cache.js';
import { checkedGrowth, growthFunctionOf, growthOf, type Growth } from './kv-growth.js';
import type { CacheState } from './kv-state.js';
import type { SequenceId } from './kv-types.js';

const states = new WeakMap<object, CacheState>();

/** Makes an object a cache of this copy. */
export const register = (cache: object, state: CacheState): void => void states.set(cache, state);

const stateOf = (value: unknown): CacheState | undefined =>
  typeof value === 'object' && value !== null ? states.get(value) : undefined;

/** The arrays that kernels read for these sequences. */
export const viewOfState = (state: CacheState, ids: readonly SequenceId[]): CacheView =>
  state.view(Array.from(ids, (id) => state.sequence(id)));

/** Whether this is a cache, of this copy of the package or of another one. */
export function isCache(value: unknown): value is KVCache {
  return stateOf(value) !== undefined || viewFunctionOf(value) !== undefined;
}

/**
 * The arrays that kernels read for these sequences. May run code of another copy of the package: take lengths later.
 */
export function viewOf(cache: KVCache, ids: readonly SequenceId[]): CacheView {
  const state = stateOf(cache);
  if (state !== undefined) return viewOfState(state, ids);
  const view = viewFunctionOf(cache);
  if (view === undefined) throw wrongType('a KVCache', 'cache', cache);
  return checkedView(view(ids.slice()), ids.length);
}

/** The growth of sequences that differ: see {@link growthOf}. May run code of another copy of the package. */
export function growthIn(cache: KVCache, ids: readonly SequenceId[], isPrivate: boolean): Growth {
  const state = stateOf(cache);
  if (state !== undefined) return growthOf(state, ids, isPrivate);
  const growth = growthFunctionOf(cache);
  if (growth === undefined) throw wrongType('a KVCache', 'cache', cache);
  return checkedGrowth(growth(ids.slice(), isPrivate), ids.length);
}
