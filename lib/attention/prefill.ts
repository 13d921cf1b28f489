/** prefillAttention: puts prompts into a cache, and attends to them, in chunks. */
import { allocate } from '../call/allocate.js';
import { copyInto, lengthOf } from '../call/arrays.js';
import { count } from '../call/checks.js';
import { wrongValue } from '../call/errors.js';
import { checkWhole } from '../call/memory.js';
import { FORM_OPTIONS, type Form } from '../call/options.js';
import { privately, runSteps, type Steps } from '../call/steps.js';
import type { NewFloat32Array, Returned } from '../call/types.js';
import { differentIds, copiedLengths, tokensOfEach } from './kv-append.js';
import { tokensIn } from './kv-format.js';
import { growthIn, type KVCache, type SequenceId } from './kv-cache.js';
import type { Growth } from './kv-growth.js';
import {
  copyOptions,
  idsOf,
  layoutFlag,
  MASK_OPTIONS,
  RESULT_OPTIONS,
  SCORE_OPTIONS,
  scoresOf,
  slopesOf,
  type MaskOptions,
  type ResultOptions,
  type ScoreOptions,
} from './options.js';
import { attendPieces, type Prompts } from './prefill-pieces.js';
import {
  resultsOf,
  type AttentionResult,
  type ResultArrays,
  type ResultWithLse,
  type WithLse,
  type WithoutLse,
} from './results.js';
import { dimension, floats, masksOf, perHead } from './sizes.js';

/** Options of {@link prefillAttention}. */
export interface PrefillScoreOptions extends Omit<ScoreOptions, 'layout'>, MaskOptions {
  /** The number of tokens of each sequence, from 0 on. Default: the same for all. */
  lengths?: ArrayLike<number> | undefined;
  /**
   * How the tokens of each sequence lie in q, k, v and the output: 'shd' [tokens, heads, dim], or 'hsd' [heads, tokens,
   * dim]. One sequence follows the other. Default: 'shd'.
   */
  layout?: 'shd' | 'hsd' | undefined;
  /** Query heads, a multiple of the cache's kvHeads. Default: as the length of `q` implies. */
  heads?: number | undefined;
  /** The most tokens that are put into the cache and attended to at a time. Default: 512. */
  chunk?: number | undefined;
}

export type PrefillOptions<Out extends Float32Array = Float32Array> = PrefillScoreOptions & ResultOptions<Out>;

const PREFILL_OPTIONS = ['lengths', 'chunk', 'heads', ...SCORE_OPTIONS, ...MASK_OPTIONS, ...RESULT_OPTIONS] as const;

/**
 * Puts the next tokens of sequences into a cache, and gives the attention of their queries: `cache.append` of a prompt
 * and {@link decodeAttention} with all of its queries in one call. Each query sees all earlier tokens of its sequence,
 * also the ones that were in the cache before, as they are stored: the rest of a prompt behind a prefix that is shared
 * (`fork`), the next chunk of a scheduler, and single tokens of sequences that decode, side by side in one batch.
 *
 * `q`, `k` and `v` hold the tokens of one sequence after the other, as FlashAttention's and FlashInfer's ragged tensors
 * do, `lengths` being the differences of their indptr. A chunk of tokens is stored and attended to at a time; a promise
 * gives other calls a turn between two chunks. The result does not depend on `chunk` but for the rounding of sums,
 * within the bounds of {@link attention}. With `causal: false` all tokens of a sequence are one chunk.
 *
 * Either all tokens are in the cache when the call ends, or it throws and the cache is as it was. A promise changes the
 * sequences when it settles: until then they have their old tokens and may be read and forked. It rejects if
 * somebody else has changed one of them, and takes a page more for a sequence whose last page is not full.
 *
 * - `q`: queries, [tokens, heads, headDim], of all sequences.
 * - `k`, `v`: keys, [tokens, kvHeads, headDim], and values, [tokens, kvHeads, valueDim].
 * - `sequences`: one sequence of the cache, or a list of different ones.
 * - `options`: see {@link PrefillScoreOptions} and {@link ResultOptions}. `mask` and `bias` have one of the shapes that
 *   they have in {@link decodeAttention}; queries are the tokens of the longest prompt, and keys the tokens that the
 *   longest sequence has afterwards.
 *
 * @returns [tokens, heads, valueDim], or { out, lse } if `lse` is asked for: lse is [heads, tokens] for each sequence,
 *   one after the other, in both layouts.
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) and Error
 *   (ERR_MEMORY_ALLOCATION_FAILED) as {@link decodeAttention} and KVCache.append do. Nothing was written then.
 * @example
 * import { KVCache, prefillAttention } from 'flash-softmax/attention';
 * const cache = new KVCache({ kvHeads: 1, headDim: 2 });
 * const sequence = cache.create();
 * const tokens = Float32Array.of(1, 0, 0, 1); // two of them: queries, keys and values
 * console.log(prefillAttention(tokens, tokens, tokens, cache, sequence).length, cache.length(sequence)); // → 4 2
 */
export function prefillAttention<Lse extends true | Float64Array, Out extends Float32Array = NewFloat32Array>(
  ...rest: PrefillArguments<[options: PrefillOptions<Out> & WithLse<Lse>]>
): ResultWithLse<Out, Lse>;
export function prefillAttention<Out extends Float32Array = NewFloat32Array>(
  ...rest: PrefillArguments<[options?: PrefillOptions<Out> & WithoutLse]>
): Returned<Out>;
export function prefillAttention(...rest: PrefillArguments<[options?: PrefillOptions]>): Float32Array | AttentionResult;
export function prefillAttention(
  ...rest: PrefillArguments<[options?: PrefillOptions]>
): Float32Array | AttentionResult {
  return runSteps(prefillSteps('now', ...rest));
}

/** The arguments of {@link prefillAttention}. */
export type PrefillArguments<Options extends readonly unknown[]> = [
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  cache: KVCache,
  sequences: SequenceId | readonly SequenceId[],
  ...Options,
];

/** The steps of prefillAttention. The sequences are as they were unless the generator returns. */
export function* prefillSteps(
  form: Form,
  ...[q, k, v, cache, sequences, options = {}]: PrefillArguments<[options?: PrefillOptions]>
): Steps<Float32Array | AttentionResult> {
  const own = copyOptions(options, [...PREFILL_OPTIONS, ...FORM_OPTIONS[form]]);
  const lengths = copiedLengths(own.lengths);
  const ids = differentIds(idsOf(sequences));
  const growth = growthIn(cache, ids, form === 'later'); // may run the caller's code: lengths come after it
  let isDone = false;
  try {
    const { prompts, results } = checkedPrompts({ q, k, v }, growth, lengths, own);
    growth.reserve(prompts.tokens);
    yield* attendPieces(yield* privatePrompts(form, prompts));
    const { out, lse } = results;
    for (const [name, view, result] of [
      ['out', out, prompts.out],
      ['lse', lse, prompts.lse],
    ] as const) {
      if (view !== null && view !== result) checkWhole({ view, name, length: lengthOf(result!) });
    }
    growth.commit();
    isDone = true;
    if (out !== prompts.out) copyInto(out, prompts.out);
    if (lse !== null && lse !== prompts.lse) copyInto(lse, prompts.lse!);
    return lse ? { out, lse } : out;
  } finally {
    if (!isDone) growth.undo();
  }
}

type Arrays = Readonly<Record<'q' | 'k' | 'v', Float32Array>>;

/** The checked prompts, and the results as the caller wants them: those of the prompts are private. */
function checkedPrompts(
  { q, k, v }: Arrays,
  growth: Growth,
  lengths: readonly unknown[] | undefined,
  options: PrefillOptions,
): { prompts: Prompts; results: Pick<ResultArrays, 'out' | 'lse'> } {
  const { layout = 'shd', mask: givenMask, bias: givenBias, out: givenOut, lse: givenLse, sinks, ...scores } = options;
  const positionsFirst = layoutFlag(layout, 'shd', 'hsd');
  const most = count(options.chunk ?? 512, 'chunk');
  const { alibi, causal } = scoresOf({ ...scores, layout: undefined }, true);
  const total = tokensIn(k, v, growth);
  const tokens = tokensOfEach(lengths, growth.lengths.length, total);
  const heads = headsOf(floats(q, 'q'), options.heads, total, growth);
  const sizes = {
    batch: tokens.length,
    heads,
    queries: longest(tokens),
    keys: longest(tokens.map((n, i) => growth.lengths[i]! + n)),
  };
  const { mask, bias, strides: s } = masksOf({ mask: givenMask, bias: givenBias }, sizes);
  const slopes = slopesOf(alibi, heads);
  if (sinks !== undefined) perHead(sinks, heads, 'sinks');
  const inputs = { q, k, v, mask, bias, alibi: slopes, sinks: sinks ?? null };
  const { out, lse, own } = resultsOf(givenOut, givenLse, total * heads, growth.valueDim, inputs);
  const { scale, window, softcap } = scores;
  const prompts = {
    growth,
    tokens,
    chunk: causal === 1 ? most : Infinity,
    heads,
    positionsFirst,
    q,
    k,
    v,
    mask: mask === null ? undefined : { entries: mask, batch: s.maskBatch, head: s.maskHead, query: s.maskQuery },
    bias: bias === null ? undefined : { entries: bias, batch: s.biasBatch, head: s.biasHead, query: s.biasQuery },
    options: { scale, window, softcap, causal: scores.causal, alibi: slopes ?? undefined, sinks },
    out: own.includes('out') ? out : allocate('Float32Array', lengthOf(out), 'out'),
    lse: lse === null || own.includes('lse') ? lse : allocate('Float64Array', lengthOf(lse), 'lse'),
  };
  return { prompts, results: { out, lse } };
}

const longest = (lengths: readonly number[]): number => lengths.reduce((most, n) => Math.max(most, n), 0);

/** Query heads, given or as the length of q implies; without tokens q does not tell, and they are kvHeads. */
function headsOf(q: Float32Array, given: unknown, tokens: number, { kvHeads, headDim }: Growth): number {
  if (tokens === 0 && lengthOf(q) > 0)
    throw wrongValue('no elements, as there are no tokens,', 'q', String(lengthOf(q)));
  const own = tokens === 0 && given === undefined ? kvHeads : given;
  const heads = dimension(own, 'heads', q, 'q', { tokens, headDim });
  if (heads > 0 && heads % kvHeads === 0) return heads;
  throw wrongValue(`a multiple of the cache's kvHeads = ${kvHeads}`, 'heads', String(heads));
}

/** For a promise, with copies of all arrays that the caller can write. */
function* privatePrompts(form: Form, prompts: Prompts): Steps<Prompts> {
  const { q, k, v, mask, bias, options } = prompts;
  const { alibi, sinks } = options;
  const given = { q, k, v, mask: mask?.entries, bias: bias?.entries, alibi, sinks };
  const copies: Record<string, ArrayBufferView> = {};
  const making = Object.entries(given).flatMap(([name, view]) =>
    ArrayBuffer.isView(view) ? [{ name, copy: privately(form, view, name) }] : [],
  );
  for (const { name, copy } of making) copies[name] = yield* copy;
  const own = copies as Partial<typeof given>;
  return {
    ...prompts,
    ...(own as Arrays),
    mask: mask && { ...mask, entries: own.mask! },
    bias: bias && { ...bias, entries: own.bias! },
    options: { ...options, alibi: own.alibi, sinks: own.sinks },
  };
}
