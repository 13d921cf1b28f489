/** A sampler of one sequence: options, what was said until now, and where in its random stream it is. */
import { describe, wrongType, wrongValue, type FloatArray } from '../call/arguments.js';
import { copyInto, copyOf, kindOf } from '../call/arrays.js';
import { trueLength } from '../call/errors.js';
import { types } from '../call/types.js';
import { History } from './history.js';
import { optionsOf, type Given } from './options.js';
import { applyPenalties, checkToken, PENALTY_OPTIONS, penaltiesOf, tokensOf, usesHistory } from './penalties.js';
import type { Penalties, PenaltyOptions, Tokens } from './penalties.js';
import { keyOf } from './random.js';
import { sample, type FilterOptions } from './sample.js';

export interface SamplerOptions extends PenaltyOptions, Omit<FilterOptions, 'cols' | 'dtype' | 'bias' | 'mask' | 'maskFormat'> {
  /** The key of the generator, as for `sample`. Default: another one for each sampler; {@link Sampler.save} tells it. */
  seed?: number | bigint | null | undefined;
}

/** What `save` gives, for JSON. Options are not in it. */
export interface SamplerState {
  readonly version: 1;
  /** The seed in decimal. */
  readonly seed: string;
  readonly step: number;
  readonly history: readonly number[];
}

const OPTIONS = [...PENALTY_OPTIONS, 'temperature', 'topK', 'topP', 'minP', 'typicalP', 'epsilonCutoff', 'seed'];

/**
 * Draws one token after the other. Step t of a sampler is what `sample` draws with its seed and `step: t` from the logits after
 * {@link PenaltyOptions}, as `penalize` applies them with the history.
 */
export class Sampler {
  readonly #penalties: Penalties;
  readonly #filters: Given<FilterOptions>;
  #seed: bigint;
  #step = 0;
  #history: History;
  /** Where penalties are applied: of the type and length of the last logits. */
  #scratch: FloatArray = new Float32Array(0);

  /** @throws TypeError or RangeError, as `penalize` and `sample` do, for options that make no sense. */
  constructor(options?: SamplerOptions) {
    const given = optionsOf<SamplerOptions>(options, OPTIONS);
    const { temperature, topK, topP, minP, typicalP, epsilonCutoff, seed, ...penalties } = given;
    this.#penalties = penaltiesOf(penalties);
    this.#filters = { temperature, topK, topP, minP, typicalP, epsilonCutoff };
    this.#seed = keyOf(seed ?? Math.floor(Math.random() * 2 ** 53));
    this.#history = this.#newHistory();
    sample(Float32Array.of(0), { ...this.#filters, noise: [0] }); // checks them
  }

  #newHistory(): History {
    return new History(usesHistory(this.#penalties) ? this.#penalties.window : 0);
  }

  /** A copy of the tokens until now, drawn or accepted. */
  get history(): readonly number[] {
    return this.#history.tokens();
  }

  /** Adds tokens that were not drawn: those of a prompt. */
  accept(tokens: Tokens | number): this {
    this.#history.add(tokensOf(typeof tokens === 'number' ? [tokens] : tokens, 'tokens'));
    return this;
  }

  /**
   * Draws the next token from one row of logits, which is not written, and adds it to the history.
   *
   * @throws TypeError for what is no Float32Array or Float64Array. RangeError for a NaN, for no finite logit that is left, and for a
   *   token of the history or the options that the row does not have. The sampler is as before then.
   */
  next(logits: FloatArray): number {
    if (!types.isFloat32Array(logits) && !types.isFloat64Array(logits)) throw wrongType('a Float32Array or Float64Array', 'logits', logits);
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

  /** Where the sampler is, for JSON and for {@link restore}: with the same options and logits, it goes on as it would have. */
  save(): SamplerState {
    return { version: 1, seed: String(this.#seed), step: this.#step, history: this.#history.tokens() };
  }

  /** @throws TypeError or RangeError for what is no state of `save`; the sampler is as before then. */
  restore(state: SamplerState): this {
    if (typeof state !== 'object' || state === null) throw wrongType('a state of save()', 'state', state);
    const { version, seed, step, history } = state;
    if (version !== 1) throw wrongValue('version 1', 'state', describe(version));
    if (typeof seed !== 'string' || !/^\d{1,20}$/.test(seed)) throw wrongValue('a seed in decimal', 'state.seed', describe(seed));
    if (!(Number.isInteger(step) && step >= 0 && step < 2 ** 32)) throw wrongValue('an integer from 0 to 2^32 − 1', 'state.step', describe(step));
    const [key, tokens] = [keyOf(BigInt(seed)), tokensOf(history, 'state.history')];
    this.#history = this.#newHistory();
    this.#history.add(tokens);
    [this.#seed, this.#step] = [key, step];
    return this;
  }
}
