/** Sampler: draws the tokens of one sequence; it has options, a history, and a place in its random stream. */
import { copyOf, viewOf } from '../call/arrays.js';
import { count } from '../call/checks.js';
import type { AsyncOptions } from '../call/abort.js';
import { describe, outOfRange, trueLength, wrongState, wrongType, wrongValue } from '../call/errors.js';
import { checkOptions, FORM_OPTIONS, type Form } from '../call/options.js';
import { PrivateMemory } from '../call/private-memory.js';
import { privately, runSteps, type Steps } from '../call/steps.js';
import type { FloatArray, NewUint32Array } from '../call/types.js';
import { History } from './history.js';
import { checkFloats, listOf, optionsOf, type Given } from './options.js';
import { applyPenalties, checkOptionTokens } from './penalties.js';
import { checkToken, penaltiesOf, tokensOf } from './penalty-options.js';
import type { Penalties, Tokens } from './penalty-options.js';
import { keyOf, randomSeed, Stream } from './random.js';
import type { FilterOptions, MirostatOptions } from './filter-options.js';
import { invalidRow } from './rows.js';
import { sample, sampleSteps } from './sample.js';
import type { SampleResult } from './sample-options.js';
import { drawCall, settingsOf, type Draw, type Settings } from './sampler-draw.js';
import {
  ownOption,
  SAMPLER_FILTERS,
  SAMPLER_OPTIONS,
  type SampleAllOptions,
  type SamplerOptions,
} from './sampler-options.js';
import { checkState, type SamplerState } from './sampler-state.js';

/** What a sampler has drawn. */
interface Drawn {
  readonly token: number;
  readonly mu?: number | undefined;
}

/** The steps of `sampleAll`, which the class makes: they change its private state. */
export let sampleAllSteps: (
  form: Form,
  samplers: ArrayLike<Sampler>,
  logits: FloatArray,
  options?: SampleAllOptions & AsyncOptions,
) => Steps<NewUint32Array>;

/**
 * Draws one token after the other. In step t a sampler draws the token that `sample` draws with its seed and `step: t`,
 * from logits to which `penalize` has applied {@link PenaltyOptions} with the history and its prompt.
 *
 * A draw is one call of a kernel. Counts are kept from draw to draw, so that it takes no time for the length of the
 * history. With topK or temperature 0, and penalties that raise no logit, the row is read and not copied.
 *
 * @example
 * import { Sampler } from 'flash-softmax/sampling';
 * const sampler = new Sampler({ temperature: 0.8, repetitionPenalty: 1.1, seed: 42 }).accept([2], { prompt: true });
 * console.log([0, 1, 2].map(() => sampler.next(Float32Array.of(1, 3, 2, 3))).join(' ')); // → 3 0 1
 */
export class Sampler {
  readonly #penalties: Penalties;
  readonly #filters: Given<FilterOptions> & { mirostat?: MirostatOptions };
  readonly #settings: Settings | undefined;
  readonly #stop: readonly number[];
  readonly #minTokens: number;
  #seed: bigint;
  #step = 0;
  #history: History;
  #stopped: number | undefined;
  #mu: number | undefined; // of mirostat, behind the first draw
  #isDrawing = false; // a promise has not settled

  static {
    sampleAllSteps = (form, samplers, logits, options) => Sampler.#drawAll(form, samplers, logits, options);
  }

  /** @throws TypeError or RangeError, as `penalize` and `sample` do, for options that make no sense. */
  constructor(options?: SamplerOptions) {
    const given = optionsOf<SamplerOptions>(options, SAMPLER_OPTIONS) as Given<SamplerOptions> &
      Record<string, unknown>;
    const { seed, stop = [], minTokens = 0 } = given;
    this.#penalties = penaltiesOf(given);
    this.#filters = Object.fromEntries(SAMPLER_FILTERS.map((name) => [name, ownOption(given[name], name)]));
    this.#stop = typeof stop === 'number' ? [count(stop, 'stop', 0)] : tokensOf(stop, 'stop');
    this.#minTokens = count(minTokens, 'minTokens', 0);
    if (this.#minTokens > 0 && this.#stop.length === 0) throw wrongValue('tokens beside minTokens', 'stop', 'none');
    this.#seed = keyOf(seed ?? randomSeed());
    this.#history = new History(this.#penalties);
    sample(Float32Array.of(0), { ...this.#filters, noise: [0] }); // checks the filters
    this.#settings = settingsOf(this.#filters, this.#penalties);
  }

  /** A copy of the tokens until now, drawn or accepted. */
  get history(): readonly number[] {
    return this.#history.tokens();
  }

  /** The token of `stop` that ended the output; undefined if none has. */
  get stopped(): number | undefined {
    return this.#stopped;
  }

  /** Whether a token of `stop` has ended the output. A sampler draws on if it is asked. */
  get finished(): boolean {
    return this.#stopped !== undefined;
  }

  /**
   * Adds tokens that were not drawn: a prompt, or output from elsewhere, such as drafts of `verifyDraft`.
   *
   * @param options `prompt: true` for a prompt: frequencyPenalty and presencePenalty do not count it, unless
   *   `countedTokens` is 'all', it does not count for `minTokens`, and its stop tokens end nothing.
   */
  accept(tokens: Tokens | number, options?: { readonly prompt?: boolean | null | undefined }): this {
    checkOptions(options, ['prompt']);
    const prompt: unknown = options?.prompt ?? false;
    if (typeof prompt !== 'boolean') throw wrongType('a boolean', 'prompt', prompt);
    this.#checkIdle();
    this.#add(tokensOf(typeof tokens === 'number' ? [tokens] : tokens, 'tokens'), prompt);
    return this;
  }

  #add(tokens: readonly number[], isPrompt: boolean): void {
    this.#history.add(tokens, isPrompt);
    if (isPrompt || this.#stop.length === 0) return;
    const ended = tokens.find((token) => this.#stop.includes(token));
    this.#stopped ??= ended;
  }

  /**
   * Draws the next token from one row of logits, which is not written, and adds it to the history.
   * `sampleNext` of flash-softmax/promises does this off the event loop.
   *
   * @throws TypeError for anything but a Float32Array or Float64Array. RangeError for a NaN, for a row in which no
   *   finite logit is left, for a token of the history or the options that the row does not have, and
   *   (ERR_INVALID_STATE) while a promise draws from this sampler. The sampler is unchanged then.
   */
  next(logits: FloatArray): number {
    checkFloats(logits, 'logits');
    return runSteps(Sampler.#draw('now', [this], logits, trueLength(logits, 'logits')))[0]!;
  }

  /**
   * Draws the next token of each of several sequences with one call of a kernel, which shares the rows among threads.
   * Each sampler draws what its {@link Sampler.next} would. `sampleAll` of flash-softmax/promises does this off the
   * event loop.
   *
   * @param samplers The samplers, none of them twice.
   * @param logits A row for each sampler. Not written.
   * @param options `cols`: the length of a row. Default: the length of `logits` by the number of samplers.
   * @returns A token for each sampler.
   * @throws As {@link Sampler.next}, with the row's number. All samplers are unchanged then.
   */
  static sampleAll(samplers: ArrayLike<Sampler>, logits: FloatArray, options?: SampleAllOptions): NewUint32Array {
    return runSteps(Sampler.#drawAll('now', samplers, logits, options));
  }

  /** The checked draws: their generator has not begun. */
  static #drawAll(
    form: Form,
    samplers: ArrayLike<Sampler>,
    logits: FloatArray,
    options: (SampleAllOptions & AsyncOptions) | undefined,
  ): Steps<NewUint32Array> {
    const { cols } = optionsOf<{ cols?: number }>(options as { cols?: number }, ['cols', ...FORM_OPTIONS[form]]);
    const length = cols === undefined ? undefined : count(cols, 'cols');
    const list = listOf(samplers, 'samplers', (each, i) => {
      if (typeof each === 'object' && each !== null && #history in each) return each;
      throw wrongType('a Sampler', `samplers[${i}]`, each);
    });
    const places = new Map<Sampler, number>();
    list.forEach((each, i) => {
      const first = places.get(each);
      if (first !== undefined) throw wrongValue('a sampler of its own', `samplers[${i}]`, `samplers[${first}]`);
      places.set(each, i);
    });
    checkFloats(logits, 'logits');
    const size = trueLength(logits, 'logits');
    const whole = list.length === 0 && size === 0 ? 0 : (length ?? size / list.length);
    if (whole * list.length !== size || !Number.isInteger(whole)) {
      throw wrongValue(`${list.length} rows, one a sampler,`, 'logits', `${size} elements`);
    }
    return Sampler.#draw(form, list, logits, whole);
  }

  /** The checked draws from a row for each sampler. A state changes in the last step only. */
  static #draw(form: Form, samplers: readonly Sampler[], logits: FloatArray, cols: number): Steps<NewUint32Array> {
    for (const each of samplers) each.#checkIdle();
    for (const each of samplers) each.#check(cols);
    return Sampler.#drawSteps(form, samplers, logits, cols);
  }

  static *#drawSteps(
    form: Form,
    samplers: readonly Sampler[],
    logits: FloatArray,
    cols: number,
  ): Steps<NewUint32Array> {
    if (samplers.length === 0) return new Uint32Array(0);
    for (const each of samplers) each.#isDrawing = true;
    let drawn: readonly Drawn[];
    try {
      for (const each of samplers) each.#prepare();
      const areTogether = samplers.every((each) => each.#settings !== undefined);
      drawn = areTogether
        ? yield* Sampler.#drawTogether(samplers, logits, cols)
        : yield* Sampler.#drawEach(form, samplers, logits, cols);
    } finally {
      for (const each of samplers) each.#history.release();
      for (const each of samplers) each.#isDrawing = false;
    }
    samplers.forEach((each, r) => {
      each.#step++;
      each.#mu = drawn[r]!.mu ?? each.#mu;
      each.#add([drawn[r]!.token], false);
    });
    return Uint32Array.from(drawn, ({ token }) => token);
  }

  /** Draws with one call of the kernel of samplers. */
  static *#drawTogether(samplers: readonly Sampler[], logits: FloatArray, cols: number): Steps<Drawn[]> {
    const draws = samplers.map((each) => each.#request());
    const { call, tokens } = drawCall(logits, cols, draws);
    yield call;
    return Array.from(tokens, (token) => ({ token }));
  }

  /** Draws row by row. */
  static *#drawEach(form: Form, samplers: readonly Sampler[], logits: FloatArray, cols: number): Steps<Drawn[]> {
    const memory = new PrivateMemory();
    const drawn: Drawn[] = [];
    try {
      const own = yield* privately(form, logits, 'logits', memory);
      for (let r = 0; r < samplers.length; r++) {
        drawn.push(yield* samplers[r]!.#drawFrom(form, viewOf(own, r * cols, (r + 1) * cols), r));
        if (form === 'later') yield undefined;
      }
    } finally {
      memory.release();
    }
    return drawn;
  }

  #checkIdle(): void {
    if (this.#isDrawing) throw wrongState('a sampler that no promise draws from', 'sampler', 'one that is drawing');
  }

  #check(cols: number): void {
    checkToken(this.#history.largest, 'history', cols);
    checkOptionTokens(this.#penalties, cols);
    for (const token of this.#stop) checkToken(token, 'stop', cols);
    if (this.#step >= 2 ** 32) throw outOfRange('fewer than 2^32 draws', 'step', this.#step);
  }

  #prepare(): void {
    this.#history.prepare(this.#history.outputs < this.#minTokens ? this.#stop : []);
  }

  #request(): Draw {
    const key = [Number(this.#seed & 0xffffffffn), Number(this.#seed >> 32n)] as const;
    const uniform = new Stream(key, this.#step, 0).token(0, 0);
    return { table: this.#history.table, settings: this.#settings!, uniform };
  }

  /** Draws by functions: for filters that the kernel of samplers lacks. */
  *#drawFrom(form: Form, row: FloatArray, number: number): Steps<Drawn> {
    const changed = copyOf(row) as FloatArray;
    applyPenalties(changed, this.#penalties, this.#history);
    const { mirostat } = this.#filters;
    const state = mirostat && { ...mirostat, mu: this.#mu ?? mirostat.mu };
    const options = { ...this.#filters, mirostat: state, seed: this.#seed, step: this.#step, invalid: 'mark' as const };
    const { tokens, status, mu } = (yield* sampleSteps(form, changed, options)) as SampleResult;
    if (status[0] !== 0) throw invalidRow(status[0]!, number);
    return { token: tokens[0]!, mu: mu[0] };
  }

  /**
   * The sampler's state, for JSON and for {@link restore}: with the same options and logits it draws the same tokens.
   */
  save(): SamplerState {
    const state = { seed: String(this.#seed), step: this.#step, history: this.#history.tokens() };
    const prompt = this.#history.prompt();
    if (prompt.length === 0 && this.#mu === undefined) return { version: 1, ...state };
    return { version: 2, ...state, prompt, ...(this.#mu === undefined ? {} : { mu: this.#mu }) };
  }

  /** @throws TypeError or RangeError for anything but a state of `save`; the sampler is unchanged then. */
  restore(state: SamplerState): this {
    if (typeof state !== 'object' || state === null) throw wrongType('a state of save()', 'state', state);
    const { seed, step, history, prompt, mu } = checkState(state, describe);
    this.#checkIdle();
    this.#history = new History(this.#penalties);
    this.#stopped = undefined;
    let at = 0;
    for (const [from, to] of prompt) {
      this.#add(history.slice(at, from), false);
      this.#add(history.slice(from, to), true);
      at = to;
    }
    this.#add(history.slice(at), false);
    [this.#seed, this.#step, this.#mu] = [seed, step, mu];
    return this;
  }
}
