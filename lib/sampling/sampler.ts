/** Sampler: draws the tokens of one sequence; it has options, a history, and a place in its random stream. */
import { describe, wrongType, wrongValue } from '../call/errors.js';
import { type FloatArray } from '../call/types.js';
import { copyInto, copyOf, kindOf } from '../call/arrays.js';
import { trueLength } from '../call/errors.js';
import { History } from './history.js';
import { checkFloats, optionsOf, type Given } from './options.js';
import { applyPenalties, checkToken, PENALTY_OPTIONS, penaltiesOf, tokensOf, usesHistory } from './penalties.js';
import type { Penalties, PenaltyOptions, Tokens } from './penalties.js';
import { keyOf, randomSeed } from './random.js';
import { sample, type FilterOptions } from './sample.js';

type OneRowFilterOptions = Omit<FilterOptions, 'cols' | 'dtype' | 'bias' | 'mask' | 'maskFormat'>;

export interface SamplerOptions extends PenaltyOptions, OneRowFilterOptions {
  /**
   * The key of the generator, as for `sample`. Default: another one for each sampler; {@link Sampler.save} tells it.
   */
  seed?: number | bigint | null | undefined;
}

/** The result of `save`, for JSON. It does not contain options. */
export interface SamplerState {
  readonly version: 1;
  /** The seed in decimal. */
  readonly seed: string;
  readonly step: number;
  readonly history: readonly number[];
}

const OPTIONS = [...PENALTY_OPTIONS, 'temperature', 'topK', 'topP', 'minP', 'typicalP', 'epsilonCutoff', 'seed'];

/**
 * Draws one token after the other. In step t a sampler draws the token that `sample` draws with its seed and `step: t`,
 * from logits to which `penalize` has applied {@link PenaltyOptions} with the history.
 */
export class Sampler {
  readonly #penalties: Penalties;
  readonly #filters: Given<FilterOptions>;
  #seed: bigint;
  #step = 0;
  #history: History;
  /** The copy that penalties are applied to, of the type and length of the last logits. */
  #scratch: FloatArray = new Float32Array(0);

  /** @throws TypeError or RangeError, as `penalize` and `sample` do, for options that make no sense. */
  constructor(options?: SamplerOptions) {
    const given = optionsOf<SamplerOptions>(options, OPTIONS);
    const { temperature, topK, topP, minP, typicalP, epsilonCutoff, seed, ...penalties } = given;
    this.#penalties = penaltiesOf(penalties);
    this.#filters = { temperature, topK, topP, minP, typicalP, epsilonCutoff };
    this.#seed = keyOf(seed ?? randomSeed());
    this.#history = this.#newHistory();
    sample(Float32Array.of(0), { ...this.#filters, noise: [0] }); // checks the filters
  }

  #newHistory(): History {
    return new History(usesHistory(this.#penalties) ? this.#penalties.window : 0);
  }

  /** A copy of the tokens until now, drawn or accepted. */
  get history(): readonly number[] {
    return this.#history.tokens();
  }

  /** Adds tokens that were not drawn, such as a prompt. */
  accept(tokens: Tokens | number): this {
    this.#history.add(tokensOf(typeof tokens === 'number' ? [tokens] : tokens, 'tokens'));
    return this;
  }

  /**
   * Draws the next token from one row of logits, which is not written, and adds it to the history.
   *
   * @throws TypeError for anything but a Float32Array or Float64Array. RangeError for a NaN, for a row in which no
   *   finite logit is left, and for a token of the history or the options that the row does not have. The sampler is
   *   unchanged then.
   */
  next(logits: FloatArray): number {
    checkFloats(logits, 'logits');
    const length = trueLength(logits, 'logits');
    checkToken(this.#history.largest, 'history', length);
    const scratch = this.#copied(logits, length);
    applyPenalties(scratch, this.#penalties, this.#history.counts);
    const token = sample(scratch, { ...this.#filters, seed: this.#seed, step: this.#step })[0]!;
    this.#step++;
    this.#history.add([token]);
    return token;
  }

  #copied(logits: FloatArray, length: number): FloatArray {
    const fits = kindOf(this.#scratch) === kindOf(logits) && this.#scratch.length === length;
    if (fits) copyInto(this.#scratch, logits);
    else this.#scratch = copyOf(logits);
    return this.#scratch;
  }

  /**
   * The sampler's state, for JSON and for {@link restore}: with the same options and logits it draws the same tokens.
   */
  save(): SamplerState {
    return { version: 1, seed: String(this.#seed), step: this.#step, history: this.#history.tokens() };
  }

  /** @throws TypeError or RangeError for anything but a state of `save`; the sampler is unchanged then. */
  restore(state: SamplerState): this {
    if (typeof state !== 'object' || state === null) throw wrongType('a state of save()', 'state', state);
    const { version, seed, step, history } = state;
    if (version !== 1) throw wrongValue('version 1', 'state', describe(version));
    if (typeof seed !== 'string' || !/^\d{1,20}$/.test(seed)) {
      throw wrongValue('a seed in decimal', 'state.seed', describe(seed));
    }
    if (!(Number.isInteger(step) && step >= 0 && step < 2 ** 32)) {
      throw wrongValue('an integer from 0 to 2^32 − 1', 'state.step', describe(step));
    }
    const [key, tokens] = [keyOf(BigInt(seed)), tokensOf(history, 'state.history')];
    this.#history = this.#newHistory();
    this.#history.add(tokens);
    [this.#seed, this.#step] = [key, step];
    return this;
  }
}
