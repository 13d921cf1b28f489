/** fromGenerationConfig: a generation_config.json as options of samplers. */
import { wrongType } from '../../call/errors.js';
import type { SamplerOptions } from '../../sampling/sampler-options.js';

/** The fields of a generation config that are read: of transformers, in Python or JavaScript. */
export interface GenerationConfigLike {
  readonly do_sample?: boolean | null;
  readonly temperature?: number | null;
  readonly top_k?: number | null;
  readonly top_p?: number | null;
  readonly min_p?: number | null;
  readonly top_h?: number | null;
  readonly typical_p?: number | null;
  readonly epsilon_cutoff?: number | null;
  readonly eta_cutoff?: number | null;
  readonly repetition_penalty?: number | null;
  readonly encoder_repetition_penalty?: number | null;
  readonly no_repeat_ngram_size?: number | null;
  readonly bad_words_ids?: readonly (readonly number[])[] | null;
  readonly suppress_tokens?: readonly number[] | null;
  readonly eos_token_id?: number | readonly number[] | null;
  readonly min_new_tokens?: number | null;
}

/** Filters, which count where `do_sample` is true, and penalties, which always do. */
const FILTERS = {
  temperature: 'temperature',
  topK: 'top_k',
  topP: 'top_p',
  minP: 'min_p',
  topH: 'top_h',
  typicalP: 'typical_p',
  epsilonCutoff: 'epsilon_cutoff',
  etaCutoff: 'eta_cutoff',
} as const satisfies Partial<Record<keyof SamplerOptions, keyof GenerationConfigLike>>;
const PENALTIES = {
  repetitionPenalty: 'repetition_penalty',
  encoderRepetitionPenalty: 'encoder_repetition_penalty',
  noRepeatNgram: 'no_repeat_ngram_size',
  banned: 'suppress_tokens',
} as const satisfies Partial<Record<keyof SamplerOptions, keyof GenerationConfigLike>>;

/**
 * A generation config as options of a `Sampler`, or of `sampling`: `model.generation_config` of transformers.js, or the
 * JSON of a generation_config.json.
 *
 *     await generator(prompt, sampling(fromGenerationConfig(generator.model.generation_config)));
 *
 * Without `do_sample: true` the largest logit is taken (temperature 0). `eos_token_id` becomes `stop`, `min_new_tokens`
 * becomes `minTokens`, `bad_words_ids` becomes `bannedSequences` (but for the end of the text, as in transformers),
 * `suppress_tokens` becomes `banned`. Other fields, as lengths and beams, are left to generate(). Fields that are null
 * or absent give no option: transformers.js has `top_k: 50` where a config has none.
 *
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for what is no object; wrong values are found by the sampler.
 * @example
 * import { fromGenerationConfig } from 'flash-softmax/adapters/transformers';
 * console.log(fromGenerationConfig({ do_sample: true, temperature: 0.6, top_p: 0.9 }).topP); // → 0.9
 */
export function fromGenerationConfig(config: GenerationConfigLike): SamplerOptions {
  if (typeof config !== 'object' || config === null) throw wrongType('a generation config', 'config', config);
  const given = { ...config };
  const options: Record<string, unknown> = {};
  const put = (names: Readonly<Record<string, keyof GenerationConfigLike>>): void => {
    for (const [option, name] of Object.entries(names)) {
      const value = given[name] ?? undefined;
      if (value !== undefined) options[option] = value;
    }
  };
  if (given.do_sample === true) put(FILTERS);
  else options.temperature = 0;
  put(PENALTIES);
  const { eos_token_id: end, bad_words_ids: words } = given;
  const ends = end === null || end === undefined ? [] : [end].flat();
  if (words) options.bannedSequences = words.filter((word) => !(word.length === 1 && ends.includes(word[0]!)));
  if (ends.length > 0) {
    options.stop = ends;
    put({ minTokens: 'min_new_tokens' });
  }
  return options;
}
