/**
 * Drops tokens behind the first ones of a sequence, and keeps the last ones (Xiao et al., StreamingLLM, arXiv
 * 2309.17453). Pages that other owners have are never written.
 */
import { count } from '../call/checks.js';
import { wrongType } from '../call/errors.js';
import { moveToken, storedBits } from './kv-move.js';
import type { CacheState, Sequence } from './kv-state.js';
import type { EvictOptions } from './kv-types.js';
import { copyOptions } from './options.js';

/** The checked options. */
interface Kept {
  readonly window: number;
  readonly sinks: number;
  readonly exact: boolean;
}

export function keptOf(options: EvictOptions): Kept {
  const { window, sinks = 0, exact = false } = copyOptions(options, ['window', 'sinks', 'exact'], true);
  if (typeof exact !== 'boolean') throw wrongType('a boolean', 'exact', exact);
  return { window: count(window, 'window', 0), sinks: count(sinks, 'sinks', 0), exact };
}

/** Returns the number of tokens that were dropped. A call that throws has changed nothing. */
export function evictTokens(state: CacheState, sequence: Sequence, { window, sinks, exact }: Kept): number {
  const { pageSize } = state.sizes;
  const most = sequence.length - sinks - window;
  const dropped = exact ? most : Math.floor(most / pageSize) * pageSize;
  if (dropped <= 0) return 0;
  if (dropped % pageSize === 0) dropPages(state, sequence, sinks, dropped / pageSize);
  else shiftTokens(state, sequence, sinks, dropped);
  sequence.length -= dropped;
  sequence.version++;
  return dropped;
}

/** Drops as many tokens as `gap` pages have. Pages behind the gap move in the list alone. */
function dropPages(state: CacheState, sequence: Sequence, sinks: number, gap: number): void {
  const { store, sizes } = state;
  const { pages } = sequence;
  const first = Math.floor(sinks / sizes.pageSize);
  const lanes = sinks % sizes.pageSize;
  if (lanes === 0) {
    store.giveBack(pages.splice(first, gap));
    return;
  }
  // The last sinks, and the tokens behind the gap in a page of the same places, share a page from now on.
  const [before, behind] = [pages[first]!, pages[first + gap]!];
  const isOwn = (page: number): boolean => store.owners(page) === 1;
  const between = pages.slice(first + 1, first + gap).find(isOwn);
  const page = isOwn(before) ? before : isOwn(behind) ? behind : (between ?? store.take(1, 'evict')[0]!);
  const bits = storedBits(store.slabs, store.scales);
  const end = Math.min(sizes.pageSize, sequence.length - (first + gap) * sizes.pageSize);
  const copy = (from: number, start: number, stop: number): void => {
    for (let lane = start; from !== page && lane < stop; lane++) {
      moveToken(sizes, bits, { page: from, lane }, { page, lane });
    }
  };
  copy(before, 0, lanes);
  copy(behind, lanes, end);
  store.giveBack(pages.splice(first, gap + 1, page).filter((each) => each !== page));
}

/**
 * Moves all tokens behind the sinks to earlier places, in rising order: a place is written after its token was read. A
 * page that has other owners is replaced by a new one.
 */
function shiftTokens(state: CacheState, sequence: Sequence, sinks: number, dropped: number): void {
  const { store, sizes } = state;
  const { pageSize } = sizes;
  const { pages } = sequence;
  const left = sequence.length - dropped;
  const first = Math.floor(sinks / pageSize);
  const targets = pages.slice(0, Math.ceil(left / pageSize));
  const shared = targets.flatMap((page, i) => (i >= first && store.owners(page) > 1 ? [i] : []));
  store.take(shared.length, 'evict').forEach((page, i) => (targets[shared[i]!] = page));
  const bits = storedBits(store.slabs, store.scales);
  const at = (list: readonly number[], n: number) => ({ page: list[Math.floor(n / pageSize)]!, lane: n % pageSize });
  for (let n = first * pageSize; n < left; n++) {
    const from = at(pages, n < sinks ? n : n + dropped);
    const to = at(targets, n);
    if (from.page !== to.page || from.lane !== to.lane) moveToken(sizes, bits, from, to);
  }
  const isKept = new Set(targets);
  store.giveBack(pages.filter((page) => !isKept.has(page)));
  sequence.pages = targets;
}
