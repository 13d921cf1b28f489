/** Stores tokens behind the last ones of sequences. */
import { backend } from '../backend/choice.js';
import { KV_APPEND } from '../backend/operators.js';
import { elementsOf, kindOf, viewOf } from '../call/arrays.js';
import { callOf, runNow } from '../call/call.js';
import { count } from '../call/checks.js';
import { outOfRange, wrongType, wrongValue } from '../call/errors.js';
import { appendKernels } from '../js/attention/append.js';
import type { CacheState, Sequence } from './kv-state.js';
import { tokensIn } from './kv-format.js';
import type { AppendManyOptions, SequenceId } from './kv-types.js';
import { idsOf, layoutFlag } from './options.js';
import type { PageStore } from './pages.js';
import { shapeArray } from './shape.js';

/** How many tokens a call has, and how they lie: 1 for [tokens, kvHeads, dim], 0 for [kvHeads, tokens, dim]. */
export interface TokenLayout {
  readonly tokens: number;
  readonly positionsFirst: 0 | 1;
}

/** Tokens that one sequence gets. */
export interface Addition {
  readonly sequence: Sequence;
  readonly tokens: number;
}

/** An addition, and the pages that it takes. */
interface Placed extends Addition {
  readonly length: number;
  /** The sequence's last page, if that has room. */
  readonly partial: number | undefined;
  /** Whether `partial` has other owners: it is copied to the first page that is taken. */
  readonly isShared: boolean;
  readonly pages: number;
}

/**
 * Stores keys, and values that are computed when pages were taken; `k` and `values` have the tokens of one sequence
 * after the other, each as `positionsFirst` says. A call that throws has changed nothing.
 */
export function appendTokens(
  state: CacheState,
  additions: readonly Addition[],
  positionsFirst: 0 | 1,
  k: Float32Array,
  values: () => Float32Array,
): void {
  const { store } = state;
  const { kvHeads, headDim, valueDim, pageSize } = state.sizes;
  const placed = placesOf(store, additions, pageSize);
  const taken = store.take(placed.reduce((sum, { pages }) => sum + pages, 0));
  const own: number[][] = [];
  try {
    const v = values();
    let [page, token] = [0, 0];
    for (const each of placed) {
      const pages = placed.length === 1 ? taken : taken.slice(page, page + each.pages);
      if (each.isShared) store.copy(each.partial!, pages[0]!);
      const part = { tokens: each.tokens, positionsFirst };
      const rows = (x: Float32Array, dim: number) =>
        viewOf(x, token * kvHeads * dim, (token + each.tokens) * kvHeads * dim);
      storeTokens(state, each, part, pages, { k: rows(k, headDim), v: rows(v, valueDim) });
      own.push(pages);
      page += each.pages;
      token += each.tokens;
    }
  } catch (error) {
    store.giveBack(taken);
    throw error;
  }
  placed.forEach(({ sequence, isShared, length }, i) => {
    if (isShared) store.giveBack([sequence.pages.pop()!]);
    for (const page of own[i]!) sequence.pages.push(page);
    sequence.length = length;
    sequence.version++;
  });
}

/**
 * The places of all additions, in their order: of two sequences that share their last page the later one may be its
 * only owner by then.
 */
function placesOf(store: PageStore, additions: readonly Addition[], pageSize: number): Placed[] {
  const left = new Map<number, number>(); // owners that a page loses
  return additions
    .filter(({ tokens }) => tokens > 0)
    .map(({ sequence, tokens }) => {
      const length = sequence.length + tokens;
      if (length >= 2 ** 31) throw outOfRange('fewer than 2^31 tokens', 'the sequence', length);
      const partial = sequence.length % pageSize === 0 ? undefined : sequence.pages.at(-1)!;
      const isShared = partial !== undefined && store.owners(partial) - (left.get(partial) ?? 0) > 1;
      if (isShared) left.set(partial, (left.get(partial) ?? 0) + 1);
      const pages = Math.ceil(length / pageSize) - sequence.pages.length + (isShared ? 1 : 0);
      return { sequence, tokens, length, partial, isShared, pages };
    });
}

/** Stores the tokens of one addition in its last page, or a copy of that, and in new pages. */
function storeTokens(
  { store, sizes, kind }: CacheState,
  { sequence, partial, isShared }: Placed,
  { tokens, positionsFirst }: TokenLayout,
  pages: readonly number[],
  { k, v }: { readonly k: Float32Array; readonly v: Float32Array },
): void {
  const table = new Uint32Array(partial !== undefined && !isShared ? [partial].concat(pages) : pages);
  const shape = shapeArray({ ...sizes, batch: 1, heads: sizes.kvHeads, queries: 0, keys: tokens, positionsFirst });
  const call = callOf(KV_APPEND, {
    backend: backend(appendKernels),
    type: kind,
    args: { shape, k, v, slabs: store.slabs, scales: store.scales, table, from: sequence.length % sizes.pageSize },
    own: ['shape', 'table'],
    work: tokens,
    finish: () => undefined,
  });
  runNow(call);
}

/** What append gets. */
interface Appended {
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly options: AppendManyOptions;
  /** The values that are stored, computed when all checks have passed and pages were taken. */
  values(tokens: number): Float32Array;
}

/** Adds tokens to sequences; returns their new lengths. A call that throws has changed nothing. `options` is a copy. */
export function appendTo(
  state: CacheState,
  given: SequenceId | readonly SequenceId[],
  { k, v, options, values }: Appended,
): number[] {
  const { layout = 'shd', lengths } = options;
  const positionsFirst = layoutFlag(layout, 'shd', 'hsd');
  // A single id that is no number is refused as a sequence.
  const ids = differentIds(Array.isArray(given) ? idsOf(given) : [given as SequenceId]);
  const list = copiedLengths(lengths);
  const sequences = ids.map((id) => state.sequence(id));
  const tokens = tokensIn(k, v, state.sizes);
  const each = tokensOfEach(list, sequences.length, tokens);
  const additions = sequences.map((sequence, i) => ({ sequence, tokens: each[i]! }));
  if (tokens > 0) appendTokens(state, additions, positionsFirst, k, () => values(tokens));
  return sequences.map(({ length }) => length);
}

/** Refuses a list of sequences in which one is twice. */
export function differentIds(ids: readonly SequenceId[]): readonly SequenceId[] {
  const seen = new Set<SequenceId>();
  for (const id of ids) {
    if (seen.has(id)) throw wrongValue('sequences that differ', 'sequences', `${String(id)} twice`);
    seen.add(id);
  }
  return ids;
}

/** A copy of a list of lengths, not checked yet. */
export function copiedLengths(lengths: unknown): unknown[] | undefined {
  if (lengths === undefined) return undefined;
  const isList =
    Array.isArray(lengths) || (kindOf(lengths) !== undefined && !String(kindOf(lengths)).startsWith('Big'));
  if (!isList) throw wrongType('an array of numbers', 'lengths', lengths);
  return elementsOf(lengths as ArrayLike<unknown>);
}

/** The tokens of each of some sequences, which are `tokens` together. Default: all have the same number. */
export function tokensOfEach(lengths: readonly unknown[] | undefined, sequences: number, tokens: number): number[] {
  if (lengths === undefined) {
    const each = tokens / sequences;
    if (Number.isInteger(each)) return new Array<number>(sequences).fill(each);
    throw wrongValue(`a multiple of ${sequences} tokens, as there are no lengths,`, 'k', `${tokens} tokens`);
  }
  if (lengths.length !== sequences) {
    throw wrongValue(`${sequences} elements, one a sequence,`, 'lengths', String(lengths.length));
  }
  const all = lengths.map((n, i) => count(n, `lengths[${i}]`, 0));
  const sum = all.reduce((a, b) => a + b, 0);
  if (sum !== tokens) throw wrongValue(`lengths of ${tokens} tokens together, as k has,`, 'lengths', String(sum));
  return all;
}
