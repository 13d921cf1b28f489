/** The options of the filters of sampling, and the orders in which filters apply. */
import type { LogitArray } from '../call/types.js';
import type { PerRow } from './per-row.js';
import { MASKED_OPTIONS, type MaskedOptions } from './rows.js';

/** The names of filters in `order`. */
export type FilterName = keyof typeof DEFAULTS;

/** What no filter changes. */
export const DEFAULTS = {
  temperature: 1,
  topNSigma: 0,
  topH: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  typicalP: 1,
  epsilonCutoff: 0,
  etaCutoff: 0,
  xtc: 0,
  mirostat: 0,
} as const;

/**
 * The order of the filters in three projects. llama.cpp: `common_params_sampling::samplers`. transformers:
 * `GenerationMixin._get_logits_processor`. vLLM: `v1/sample/sampler.py`, which has no filter beyond these four.
 *
 * @example
 * import { FILTER_ORDERS } from 'flash-softmax/sampling';
 * console.log(Object.keys(FILTER_ORDERS).join(' ')); // → llama.cpp transformers vllm
 */
export const FILTER_ORDERS = {
  'llama.cpp': ['topNSigma', 'topK', 'typicalP', 'topP', 'minP', 'xtc', 'temperature', 'mirostat'],
  transformers: ['temperature', 'topH', 'topK', 'topP', 'minP', 'typicalP', 'epsilonCutoff', 'etaCutoff'],
  vllm: ['temperature', 'minP', 'topK', 'topP'],
} as const satisfies Record<string, readonly FilterName[]>;

/** Exclude top choices: removes all but the least of several probable tokens, with some probability. */
export interface XtcOptions {
  /** From which probability on a token is a top choice. Above 0.5 there is never more than one. */
  threshold: PerRow;
  /** The probability with which a row's top choices are removed. */
  probability: PerRow;
}

/** A temperature that follows the entropy of the distribution. */
export interface DynamicTemperature {
  /** The temperature lies within this of the option `temperature`, and is at least 0. 0: no change. */
  range: PerRow;
  /** The power of the normalised entropy. Default: 1. */
  exponent?: PerRow | null | undefined;
}

/** Which tokens may be drawn: each number for all rows, or one a row. */
export interface FilterOptions<A extends LogitArray = LogitArray> extends MaskedOptions<A> {
  /**
   * The divisor of the logits, first of all unless `order` says otherwise. 0: the largest logit alone is left (the
   * lowest index of several). Default: 1.
   */
  temperature?: PerRow | null | undefined;
  /**
   * Instead of one temperature (llama.cpp, `dynatemp`): temperature − range + 2 · range · (H / ln n)^exponent, H being
   * the entropy of the n tokens that are left; from max(0, temperature − range).
   */
  dynamicTemperature?: DynamicTemperature | null | undefined;
  /**
   * The tokens within n standard deviations of the largest logit: logits ≥ largest − n · σ, σ over all finite logits
   * that are left (arXiv 2411.07641). 0 or less: all. Default: 0.
   */
  topNSigma?: PerRow | null | undefined;
  /**
   * Of the 100 most probable tokens, the first whose terms −p ln p sum to at most this part of the entropy of these 100
   * (arXiv 2509.02510, as transformers has it); at least one. 1: no filter. Default: 1.
   */
  topH?: PerRow | null | undefined;
  /** The k largest logits. 0: all. Default: 0. */
  topK?: PerRow | null | undefined;
  /** The smallest set of the most probable tokens that together have this share; at least one. 1: all. Default: 1. */
  topP?: PerRow | null | undefined;
  /**
   * The tokens with at least this part of the largest probability: logits ≥ largest + temperature · ln minP. 0: all.
   * Default: 0.
   */
  minP?: PerRow | null | undefined;
  /**
   * The smallest set with this share of the tokens whose −ln p is nearest to its mean, the entropy; at least one. 1:
   * all. Default: 1.
   */
  typicalP?: PerRow | null | undefined;
  /** The tokens with at least this probability, and the most probable in any case. 0: all. Default: 0. */
  epsilonCutoff?: PerRow | null | undefined;
  /**
   * The tokens with at least the probability min(ε, √ε · e^−H), H being the entropy, and the most probable in any case
   * (arXiv 2210.15191). 0: all. Default: 0.
   */
  etaCutoff?: PerRow | null | undefined;
  /**
   * Exclude top choices (llama.cpp): of several tokens with a probability of at least `threshold`, all but the least
   * probable are removed. Of equal logits, the highest index is the least probable.
   */
  xtc?: XtcOptions | null | undefined;
  /**
   * The number of tokens that each of topNSigma, topH, topP, minP, typicalP, epsilonCutoff, etaCutoff and xtc leaves at
   * least, if there are so many. Default: 1.
   */
  minKeep?: PerRow | null | undefined;
  /**
   * The order of the filters, or the project whose order it is ({@link FILTER_ORDERS}). It must name each filter that
   * is given. Default: temperature, topNSigma, topH, topK, topP, minP, typicalP, epsilonCutoff, etaCutoff, xtc,
   * mirostat.
   */
  order?: readonly FilterName[] | keyof typeof FILTER_ORDERS | null | undefined;
}

export const FILTER_NAMES = [
  'temperature',
  'dynamicTemperature',
  'topNSigma',
  'topH',
  'topK',
  'topP',
  'minP',
  'typicalP',
  'epsilonCutoff',
  'etaCutoff',
  'xtc',
  'minKeep',
  'order',
] as const;
export const FILTER_OPTIONS = [...MASKED_OPTIONS, ...FILTER_NAMES];

/** Mirostat (arXiv 2007.14966): keeps the surprise of tokens near tau. */
export interface MirostatOptions {
  /** 1: the k most probable tokens, k by an estimate of Zipf's exponent. 2: the tokens of a surprise of at most mu. */
  version: 1 | 2;
  /** The surprise to aim at, in bits. Default: 5. */
  tau?: PerRow | null | undefined;
  /** How fast mu changes. Default: 0.1. */
  eta?: PerRow | null | undefined;
  /** The state: that of the result of the step before. Default: 2 · tau. */
  mu?: PerRow | null | undefined;
}
