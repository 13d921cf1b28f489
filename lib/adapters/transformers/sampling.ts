/** sampling and filtering: parameters for generate() of transformers.js that draw or filter with this package. */
import { copyInto } from '../../call/arrays.js';
import { count } from '../../call/checks.js';
import { wrongType } from '../../call/errors.js';
import { keyOf, randomSeed } from '../../call/seed.js';
import type { NewUint32Array } from '../../call/types.js';
import { FILTER_NAMES, type FilterOptions } from '../../sampling/filter-options.js';
import { logProbs, type LogProbs } from '../../sampling/log-probs.js';
import { optionsOf, type Given } from '../../sampling/options.js';
import { filterLogits } from '../../sampling/sample.js';
import { SAMPLER_OPTIONS, type SamplerOptions } from '../../sampling/sampler-options.js';
import { Sampler } from '../../sampling/sampler.js';
import { processorsWith, rowsOf, tokensOfSequence, type LogitRows, type LogitsProcessors } from './processors.js';

/** The tokens of a step, one a sequence of the batch, with their log-probabilities. */
export interface DrawnRows extends LogProbs {
  readonly tokens: NewUint32Array;
}

/** What `sampling` takes beside the options of a `Sampler`. */
export interface DrawOptions {
  /**
   * The number of most probable tokens that `onTokens` is told beside the drawn ones. Of the logits that generate()
   * hands over, before temperature and filters. 0: the drawn ones alone. Default: 0.
   */
  logProbs?: number | null | undefined;
  /** Is called after each step with the tokens that were drawn and their log-probabilities. Default: none. */
  onTokens?: ((drawn: DrawnRows) => void) | null | undefined;
}

/** Options of a `Sampler`, and what is told of its draws. */
export type SamplingOptions = SamplerOptions & DrawOptions;

/** Parameters for generate() and for pipelines. Those that this package's options replace are neutral. */
export interface SamplingParameters {
  /** generate() takes the largest logit: the only one that is left. */
  readonly do_sample: false;
  readonly logits_processor: LogitsProcessors;
  readonly eos_token_id?: number[];
  readonly repetition_penalty?: number;
  readonly no_repeat_ngram_size?: number;
  readonly bad_words_ids?: null;
  readonly suppress_tokens?: null;
}

export interface FilteringParameters {
  /** generate() draws from what the filters leave. */
  readonly do_sample: true;
  readonly temperature: 1;
  readonly top_k: 0;
  readonly logits_processor: LogitsProcessors;
}

/** A sequence that generate() is at. */
interface Sequence {
  readonly sampler: Sampler;
  readonly promptLength: number;
  /** The tokens before the last draw. */
  length: number;
  drawn: number;
}

/** Draws the tokens of one call of generate() after the other, or of several at once. */
class Drawer {
  readonly #options: SamplerOptions;
  readonly #seed: bigint | undefined;
  readonly #wanted: number;
  readonly #onTokens: ((drawn: DrawnRows) => void) | undefined;
  /** generate() appends to one array of sequences from its first step to its last. */
  readonly #sequences = new WeakMap<object, Sequence[]>();

  constructor({ logProbs: wanted, onTokens, seed, ...options }: Given<SamplingOptions>) {
    if (onTokens !== undefined && typeof onTokens !== 'function') throw wrongType('a function', 'onTokens', onTokens);
    this.#options = options;
    this.#seed = seed === undefined ? undefined : keyOf(seed);
    this.#wanted = count(wanted ?? 0, 'logProbs', 0);
    this.#onTokens = onTokens;
    this.#samplerOf(0n, [], 0); // checks the options
  }

  #samplerOf(seed: bigint, history: readonly number[], promptLength: number, before?: Sampler): Sampler {
    const sampler = new Sampler({ ...this.#options, seed });
    const prompt = promptLength > 0 ? [[0, promptLength] as const] : [];
    const { mu } = before?.save() ?? {};
    const state = { version: 2, seed: String(seed), step: history.length, history, prompt } as const;
    return sampler.restore(mu === undefined ? state : { ...state, mu });
  }

  /** The sequences of a call of generate(), as they are now. */
  #sequencesOf(inputIds: readonly (readonly bigint[])[]): Sequence[] {
    const known = this.#sequences.get(inputIds);
    const first = this.#seed ?? keyOf(randomSeed());
    const sequences = inputIds.map((ids, row): Sequence => {
      const before = known?.[row];
      const isNext = before !== undefined && ids.length === before.length + 1 && Number(ids.at(-1)) === before.drawn;
      if (isNext) return { ...before, length: ids.length };
      const history = tokensOfSequence(ids);
      const promptLength = before?.promptLength ?? history.length;
      const seed = before ? BigInt(before.sampler.save().seed) : BigInt.asUintN(64, first + BigInt(row));
      const sampler = this.#samplerOf(seed, history, promptLength, before?.sampler);
      return { sampler, promptLength, length: history.length, drawn: -1 };
    });
    this.#sequences.set(inputIds, sequences);
    return sequences;
  }

  draw(inputIds: readonly (readonly bigint[])[], { data, cols, rows }: LogitRows): void {
    const sequences = this.#sequencesOf(inputIds);
    const samplers = sequences.map(({ sampler }) => sampler);
    const tokens = Sampler.sampleAll(samplers, data, { cols });
    sequences.forEach((each, row) => (each.drawn = tokens[row]!));
    const logs = this.#onTokens && rows > 0 ? logProbs(data, tokens, { cols, top: this.#wanted }) : undefined;
    data.fill(-Infinity);
    tokens.forEach((token, row) => (data[row * cols + token] = 0));
    if (logs) this.#onTokens!({ tokens, ...logs });
  }
}

/** Parameters of generate() that an option replaces: what turns each off. */
function neutral(options: SamplerOptions): Omit<SamplingParameters, 'do_sample' | 'logits_processor'> {
  const { repetitionPenalty, noRepeatNgram, bannedSequences, banned, stop } = options;
  return {
    ...(repetitionPenalty === undefined ? {} : { repetition_penalty: 1 }),
    ...(noRepeatNgram === undefined ? {} : { no_repeat_ngram_size: 0 }),
    ...(bannedSequences === undefined ? {} : { bad_words_ids: null }),
    ...(banned === undefined ? {} : { suppress_tokens: null }),
    ...(stop === undefined || stop === null
      ? {}
      : { eos_token_id: typeof stop === 'number' ? [stop] : [...Array.from(stop)] }),
  };
}

/**
 * Parameters for `generate()` and text-generation pipelines of transformers.js, which then draw with a {@link Sampler}:
 *
 *     const generator = await pipeline('text-generation', model);
 *     const output = await generator(prompt, { max_new_tokens: 50, ...sampling({ temperature: 0.8, topP: 0.95 }) });
 *
 * generate() itself has neither top-p nor min-p. Its own processors (penalties of the generation config, forced and
 * suppressed tokens, minimal lengths) run first, but for those whose options are given here. The token at position p of
 * a sequence, prompt counted, is drawn with `step: p`; sequence r of a batch has the seed `seed + r`. One result serves
 * any number of calls, at the same time too, and each call begins anew: with a `seed` it draws the same tokens.
 *
 * @param options Options of {@link Sampler}; `logProbs` and `onTokens`. `stop` is `eos_token_id` of generate(). Default
 *   seed: another one for each call of generate().
 * @returns Parameters to spread into a call: `do_sample: false` and `logits_processor`, and neutral values for what
 *   generate() would otherwise apply a second time.
 * @throws TypeError or RangeError as {@link Sampler} does; from generate(), as {@link Sampler.next}.
 * @example
 * import { sampling } from 'flash-softmax/adapters/transformers';
 * const { do_sample, logits_processor } = sampling({ temperature: 0.8, topP: 0.95, seed: 1 }); // of generate()
 * const logits = { dims: [1, 3], data: Float32Array.of(1, 9, 0) };
 * console.log(do_sample, logits_processor([[2n]], logits).data.join(' ')); // → false -Infinity 0 -Infinity
 */
export function sampling(options?: SamplingOptions): SamplingParameters {
  const given = optionsOf<SamplingOptions>(options, [...SAMPLER_OPTIONS, 'logProbs', 'onTokens']);
  const drawer = new Drawer(given);
  const processor = processorsWith((inputIds, logits) => {
    drawer.draw(inputIds, rowsOf(inputIds, logits));
    return logits;
  });
  return { do_sample: false, ...neutral(given as SamplerOptions), logits_processor: processor };
}

/**
 * Parameters for `generate()` of transformers.js that filter its logits, and leave the draw to generate() and its
 * random numbers:
 *
 *     await model.generate({ ...inputs, ...filtering({ temperature: 0.8, topP: 0.95, minP: 0.05 }) });
 *
 * @param options The filters of `sample`: numbers for all rows.
 * @throws TypeError or RangeError for an option of the wrong type, value or name; from generate(), as `filterLogits`.
 * @example
 * import { filtering } from 'flash-softmax/adapters/transformers';
 * const { logits_processor } = filtering({ topK: 1 }); // of generate(): it draws by itself
 * const logits = { dims: [1, 3], data: Float32Array.of(1, 9, 0) };
 * console.log(logits_processor([[2n]], logits).data.join(' ')); // → -Infinity 9 -Infinity
 */
export function filtering(options?: Omit<FilterOptions, 'mask' | 'bias' | 'maskFormat'>): FilteringParameters {
  const filters = optionsOf(options, FILTER_NAMES) as FilterOptions<Float32Array>;
  filterLogits(Float32Array.of(0), filters); // checks the options
  const processor = processorsWith((inputIds, logits) => {
    const { data, cols } = rowsOf(inputIds, logits);
    copyInto(data, filterLogits(data, { ...filters, cols }).logits);
    return logits;
  });
  return { do_sample: true, temperature: 1, top_k: 0, logits_processor: processor };
}
