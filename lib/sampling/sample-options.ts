/** The options and the results of sample, sampleMany and filterLogits. */
import type { LogitArray, NewFloat64Array, NewInt32Array, NewUint32Array } from '../call/types.js';
import type { FilterOptions, MirostatOptions } from './filter-options.js';
import type { TopLogProbs } from './log-probs.js';
import type { Noise, RowSeedOptions } from './random.js';

export interface SampleOptions<A extends LogitArray = LogitArray> extends FilterOptions<A>, RowSeedOptions {
  /** Instead of a seed: a number u for each draw, 0 ≤ u < 1. Beside it, xtc has a random seed. */
  noise?: Noise | null | undefined;
  /** The last filter, with a state for each row: the next `mu` is in the result. */
  mirostat?: MirostatOptions | null | undefined;
  /**
   * What a row without an answer does, one with a NaN, +∞ or no finite logit left. 'throw': an error that names the
   * first such row. 'mark': the row has a status, and the others have their tokens. Default: 'throw'.
   */
  invalid?: 'throw' | 'mark' | null | undefined;
}

export interface SampleOneOptions<A extends LogitArray = LogitArray> extends SampleOptions<A> {
  /**
   * The number of most probable tokens that are wanted beside the drawn one, with ln p of both. 0: the drawn one alone.
   * Of the distribution before all filters and the temperature, with bias and mask: `logProbs` gives the same.
   */
  logProbs?: number | null | undefined;
}

/** The options that make a result with more than tokens. */
export type Detailed = { logProbs: number } | { invalid: 'mark' } | { mirostat: MirostatOptions };

/** The options that make an array of tokens. */
export interface Plain {
  logProbs?: null | undefined;
  invalid?: 'throw' | null | undefined;
  mirostat?: null | undefined;
}

/** The result of a call with `invalid: 'mark'`, `logProbs` or `mirostat`. */
export interface SampleResult {
  /** As without these options; 4294967295 in a row without an answer. */
  readonly tokens: NewUint32Array;
  /** Of each row: 0; 1 if it has a NaN; 2 if its largest logit is +∞, or nothing is left. */
  readonly status: NewInt32Array;
  /** ln p of the token of each row, NaN in a row without an answer; empty without `logProbs`. */
  readonly logProbs: NewFloat64Array;
  /** The rank of each row's token from 1, 4294967295 in a row without an answer; empty without `logProbs`. */
  readonly ranks: NewUint32Array;
  /** Of each row, the n most probable tokens and their ln p; n is 0 without `logProbs`. */
  readonly top: TopLogProbs;
  /** The next `mu` of each row; empty without `mirostat`. */
  readonly mu: NewFloat64Array;
}

export interface FilteredLogits<A> {
  /**
   * (logits + bias) / temperature where a token is left, −∞ elsewhere: `sample` draws from their softmax. Rows
   * whose largest one is beyond the type, as at a temperature of 1e-39 in float32, are relative to it:
   * (logits + bias − largest) / temperature.
   */
  readonly logits: A;
  /** The probabilities of the tokens that are left, 0 elsewhere. */
  readonly probabilities: A;
}

/** filterLogits draws nothing: its seed decides whether xtc applies. */
export interface FilterLogitsOptions<A extends LogitArray = LogitArray> extends FilterOptions<A>, RowSeedOptions {}
