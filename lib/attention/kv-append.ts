/** Stores tokens behind the last one of a sequence. */
import { backend } from '../backend/choice.js';
import { KV_APPEND } from '../backend/operators.js';
import { callOf, runNow } from '../call/call.js';
import { outOfRange } from '../call/errors.js';
import { appendKernels } from '../js/attention/append.js';
import type { CacheKind } from './cache-view.js';
import type { PageStore } from './pages.js';
import { shapeArray } from './shape.js';
import type { CacheSizes } from './tiles.js';

export interface Sequence {
  readonly pages: number[];
  length: number;
}

/** How many tokens a call has, and how they lie: 1 for [tokens, kvHeads, dim], 0 for [kvHeads, tokens, dim]. */
export interface TokenLayout {
  readonly tokens: number;
  readonly positionsFirst: 0 | 1;
}

interface Target {
  readonly store: PageStore;
  readonly sequence: Sequence;
  readonly sizes: CacheSizes;
  readonly kind: CacheKind;
}

/**
 * Stores keys, and values that are computed when pages were taken; returns the new length. A call that throws has
 * changed nothing.
 */
export function appendTokens(
  { store, sequence, sizes, kind }: Target,
  layout: TokenLayout,
  k: Float32Array,
  values: (layout: TokenLayout) => Float32Array,
): number {
  const { pageSize, kvHeads } = sizes;
  const { tokens, positionsFirst } = layout;
  const length = sequence.length + tokens;
  if (length >= 2 ** 31) throw outOfRange('fewer than 2^31 tokens', 'the sequence', length);
  const partial = sequence.length % pageSize === 0 ? undefined : sequence.pages.at(-1)!;
  const isShared = partial !== undefined && store.owners(partial) > 1;
  const taken = store.take(Math.ceil(length / pageSize) - sequence.pages.length + (isShared ? 1 : 0));
  try {
    const v = values(layout);
    if (isShared) store.copy(partial, taken[0]!);
    const table = new Uint32Array(partial !== undefined && !isShared ? [partial, ...taken] : taken);
    const shape = shapeArray({ ...sizes, batch: 1, heads: kvHeads, queries: 0, keys: tokens, positionsFirst });
    const call = callOf(KV_APPEND, {
      backend: backend(appendKernels),
      type: kind,
      args: { shape, k, v, slabs: store.slabs, scales: store.scales, table, from: sequence.length % pageSize },
      own: ['shape', 'table'],
      work: tokens,
      finish: () => undefined,
    });
    runNow(call);
  } catch (error) {
    store.giveBack(taken);
    throw error;
  }
  if (isShared) store.giveBack([sequence.pages.pop()!]);
  for (const page of taken) sequence.pages.push(page);
  return (sequence.length = length);
}
