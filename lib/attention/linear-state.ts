/** LinearAttentionState: what linear attention keeps of all keys and values, at a size that does not grow. */
import { allocate } from '../call/allocate.js';
import { lengthOf, newArray } from '../call/arrays.js';
import { runNow } from '../call/call.js';
import { apart, count } from '../call/checks.js';
import { wrongType, wrongValue } from '../call/errors.js';
import type { NewFloat32Array, NewUint8Array, Returned } from '../call/types.js';
import { originOf, type StateOrigin } from '../call/wire.js';
import { appendCall, queryCall, resultOf } from './linear-calls.js';
import {
  FEATURE_MAPS,
  featuresOf,
  formOf,
  QUERY_OPTIONS,
  STATE_OPTIONS,
  type FeatureMapName,
  type Features,
  type LinearAttentionStateOptions,
  type LinearQueryOptions,
} from './linear-options.js';
import { fromWire, size, stateLength, tokensOf, toWire, type LinearParts, type StateSizes } from './linear-wire.js';
import { copyOptions } from './options.js';
import { dimension, floats } from './sizes.js';

/** Marks states of other copies of the package too, which are merged by their wire form. */
const BRAND = Symbol.for('flash-softmax.LinearAttentionState.1');

/** Access to the private parts of a state of this copy of the package, for this file alone. */
let ownParts: (state: object) => LinearParts | undefined;

/**
 * The state of linear attention: S = Σ φ(k)·vᵀ, Σ φ(k), Σ v and the number of keys, for each key/value head of each
 * sequence. It has (headDim + 1)(valueDim + 1) − 1 doubles a head, however many keys it has seen.
 *
 * φ, products and sums are doubles, and a result is rounded once to float32: its error is at most 2⁻²⁴ of itself, plus
 * (keys + headDim + 20) · 2⁻⁵³ of the sum of the absolute values of its terms (with a φ of both signs and a form that
 * divides, times Σ |φ(q)·φ(k)| / |z + epsilon|). Every sum takes tokens in their order: one call with many tokens and
 * many calls with one give the same bits, on any number of threads.
 *
 * What is not finite follows IEEE 754: a NaN in a key makes all results of its head NaN, one in a value those of its
 * column. A z = φ(q)·Σ φ(k) that is not finite gives NaN, unless the form is 'sum'. Where z is 0, as all φ(k) or all
 * of φ(q) underflow, 'magnitudeAware' gives the mean of v; so does 'normalized' without epsilon. A state without keys
 * gives 0.
 *
 * @example
 * import { LinearAttentionState } from 'flash-softmax/attention';
 * const state = new LinearAttentionState({ kvHeads: 1, headDim: 2 });
 * state.append(Float32Array.of(1, 0, 0, 1), Float32Array.of(1, 2, 3, 4)); // a prompt, or one token
 * console.log(state.query(Float32Array.of(1, 0), { heads: 1 })[0].toFixed(4)); // φ(q)·S / (φ(q)·Σ φ(k)) → 1.8889
 */
export class LinearAttentionState {
  readonly #sizes: StateSizes;
  readonly #features: Features;
  #sums: Float64Array<ArrayBuffer>;
  #tokens = 0;
  #origin: StateOrigin | undefined;

  static {
    ownParts = (state) => (#sums in state ? state.#parts() : undefined);
    Object.defineProperty(this.prototype, BRAND, { value: true });
  }

  /**
   * @throws TypeError (ERR_INVALID_ARG_TYPE) for options of a wrong type or an unknown name.
   * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for numbers that are no sizes, and other feature maps.
   * @throws Error (ERR_MEMORY_ALLOCATION_FAILED) for memory that the system does not give.
   */
  constructor(options: LinearAttentionStateOptions) {
    const own = copyOptions(options, STATE_OPTIONS, true);
    const headDim = size(own.headDim, 'headDim');
    this.#sizes = {
      batch: size(own.batch ?? 1, 'batch'),
      kvHeads: size(own.kvHeads ?? 1, 'kvHeads'),
      headDim,
      valueDim: size(own.valueDim ?? headDim, 'valueDim'),
    };
    this.#features = featuresOf(own);
    this.#sums = allocate('Float64Array', stateLength(this.#sizes), 'the state');
  }

  get batch(): number {
    return this.#sizes.batch;
  }
  get kvHeads(): number {
    return this.#sizes.kvHeads;
  }
  get headDim(): number {
    return this.#sizes.headDim;
  }
  get valueDim(): number {
    return this.#sizes.valueDim;
  }
  get featureMap(): FeatureMapName {
    return FEATURE_MAPS[this.#features.feature]!;
  }
  get featureScale(): number {
    return this.#features.featureScale;
  }
  /** Keys of each sequence that the state has seen. */
  get tokens(): number {
    return this.#tokens;
  }
  /** The origin that the bytes had of which this is the state; undefined without one, and once it has changed. */
  get origin(): StateOrigin | undefined {
    return this.#origin && { ...this.#origin };
  }
  /** Bytes of its numbers. */
  get bytes(): number {
    return 8 * stateLength(this.#sizes);
  }

  /**
   * Adds keys and values, as many tokens to each sequence as `k` and `v` hold.
   *
   * @param k Keys, [batch, kvHeads, tokens, headDim]. @param v Values, [batch, kvHeads, tokens, valueDim].
   * @returns The number of tokens that the state has seen then.
   * @throws TypeError (ERR_INVALID_ARG_TYPE) for anything but a Float32Array, and for a detached one.
   * @throws RangeError (ERR_INVALID_ARG_VALUE) for lengths that are no whole tokens, or not the same number of them.
   */
  append(k: Float32Array, v: Float32Array): number {
    const { batch, kvHeads, headDim, valueDim } = this.#sizes;
    floats(k, 'k');
    floats(v, 'v');
    const tokens = dimension(undefined, 'tokens', k, 'k', { batch, kvHeads, headDim });
    dimension(tokens, 'tokens', v, 'v', { batch, kvHeads, valueDim });
    if (tokens === 0) return this.#tokens;
    const all = tokensOf(this.#tokens + tokens);
    runNow(appendCall(this.#parts(), { k, v, tokens }, []));
    return this.#changedTo(all).#tokens;
  }

  /**
   * The results of queries over all keys so far. With one `append` and one `query` a token, attention is causal:
   * {@link attend} does so for many tokens.
   *
   * @param q Queries, [batch, heads, queries, headDim].
   * @returns [batch, heads, queries, valueDim]: `out`, or a new Float32Array.
   * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
   * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for sizes that do not fit and wrong option values.
   */
  query<Out extends Float32Array = NewFloat32Array>(
    q: Float32Array,
    options: LinearQueryOptions<Out> = {},
  ): Returned<Out> {
    const own = copyOptions(options, QUERY_OPTIONS, true);
    const { form, queries, out } = this.#asked(q, own);
    runNow(queryCall(this.#parts(), { q, queries, out, form }, []));
    return out as Returned<Out>;
  }

  /**
   * Causal linear attention: adds the tokens one after the other, and answers the query of each before it adds the
   * next one. Bits are those of as many calls of {@link append} and {@link query}.
   *
   * @param q [batch, heads, tokens, headDim]. @param k [batch, kvHeads, tokens, headDim]. @param v [batch, kvHeads,
   *   tokens, valueDim].
   * @returns [batch, heads, tokens, valueDim]: `out`, or a new Float32Array.
   * @throws What {@link append} and {@link query} throw, and RangeError for a q of another number of tokens. The state
   *   is as it was then.
   */
  attend<Out extends Float32Array = NewFloat32Array>(
    q: Float32Array,
    k: Float32Array,
    v: Float32Array,
    options: LinearQueryOptions<Out> = {},
  ): Returned<Out> {
    const own = copyOptions(options, QUERY_OPTIONS, true);
    const { batch, kvHeads, headDim, valueDim } = this.#sizes;
    floats(k, 'k');
    floats(v, 'v');
    const { form, heads, rows, queries, out } = this.#asked(q, own);
    const tokens = queries / rows;
    dimension(tokens, 'tokens', k, 'k', { batch, kvHeads, headDim });
    dimension(tokens, 'tokens', v, 'v', { batch, kvHeads, valueDim });
    apart(out, 'out', k, 'k');
    apart(out, 'out', v, 'v');
    const all = tokensOf(this.#tokens + tokens);
    const next = this.fork();
    const one = (x: Float32Array, rowsOfAll: number, n: number, t: number) => {
      const part = newArray('Float32Array', rowsOfAll * n);
      for (let r = 0; r < rowsOfAll; r++) for (let d = 0; d < n; d++) part[r * n + d] = x[(r * tokens + t) * n + d]!;
      return part;
    };
    const result = newArray('Float32Array', batch * heads * valueDim);
    const answers = allocate('Float32Array', lengthOf(out), 'out');
    for (let t = 0; t < tokens; t++) {
      const token = { k: one(k, batch * kvHeads, headDim, t), v: one(v, batch * kvHeads, valueDim, t), tokens: 1 };
      runNow(appendCall(next.#parts(), token, []));
      next.#tokens++;
      const asked = { q: one(q, batch * heads, headDim, t), queries: rows, out: result, form };
      runNow(queryCall(next.#parts(), asked, []));
      for (let r = 0; r < batch * heads; r++)
        for (let d = 0; d < valueDim; d++) answers[(r * tokens + t) * valueDim + d] = result[r * valueDim + d]!;
    }
    for (let i = 0; i < answers.length; i++) out[i] = answers[i]!;
    this.#sums = next.#sums;
    this.#changedTo(all);
    return out as Returned<Out>;
  }

  /**
   * Adds the sums of another state over other keys: one rounding of each number (2⁻⁵³), the same bits in either order;
   * n states in any order and grouping agree within n − 1 such roundings of Σ |term|.
   *
   * @throws TypeError (ERR_INVALID_ARG_TYPE) for anything but a state.
   * @throws RangeError (ERR_INVALID_ARG_VALUE) for a state of other sizes or another φ.
   */
  merge(other: LinearAttentionState): this {
    const { sizes, features, sums, tokens } = partsOf(other);
    const own: Record<string, unknown> = { ...this.#sizes, ...this.#features };
    for (const [name, value] of Object.entries({ ...sizes, ...features })) {
      if (value !== own[name]) throw wrongValue(`a state with ${shown(name, own[name])}`, 'other', shown(name, value));
    }
    const all = tokensOf(this.#tokens + tokens);
    for (let i = 0; i < sums.length; i++) this.#sums[i]! += sums[i]!;
    return this.#changedTo(all);
  }

  /** A state of its own with the same sums. */
  fork(): LinearAttentionState {
    const state = new LinearAttentionState({
      ...this.#sizes,
      featureMap: this.featureMap,
      featureScale: this.featureScale,
    });
    state.#sums.set(this.#sums);
    state.#tokens = this.#tokens;
    return state;
  }

  /** Forgets all keys. */
  reset(): this {
    this.#sums.fill(0);
    return this.#changedTo(0);
  }

  /**
   * The wire form, little-endian: 4 bytes "FSLA"; a version byte, 1; a byte for φ (0 'elu', 1 'identity', 2 'exp', 3
   * 'relu'); 2 bytes of 0; uint32 batch, kvHeads, headDim, valueDim; float64 featureScale; float64 tokens; then for
   * each sequence and head float64 S [headDim, valueDim], Σ φ(k) [headDim], Σ v [valueDim]. With an origin the version
   * byte is 2, and uint32 shard and float64 epoch follow.
   */
  toBytes(origin?: StateOrigin): NewUint8Array {
    return toWire(this.#parts(), originOf(origin));
  }

  /**
   * Reads bytes that {@link toBytes} wrote, on any machine, in version 1 or 2.
   *
   * @throws TypeError (ERR_INVALID_ARG_TYPE) for anything but a Uint8Array.
   * @throws RangeError (ERR_INVALID_ARG_VALUE) for bytes that toBytes() of this version does not write.
   */
  static fromBytes(bytes: Uint8Array): LinearAttentionState {
    const { sizes, features, sums, tokens, origin } = fromWire(bytes);
    const { feature, featureScale } = features;
    const state = new LinearAttentionState({ ...sizes, featureMap: FEATURE_MAPS[feature]!, featureScale });
    state.#sums = sums;
    state.#tokens = tokens;
    state.#origin = origin;
    return state;
  }

  /** Notes that the sums are those of so many tokens, and no longer those that arrived. */
  #changedTo(tokens: number): this {
    this.#tokens = tokens;
    this.#origin = undefined;
    return this;
  }

  #parts(): LinearParts {
    return { sizes: this.#sizes, features: this.#features, sums: this.#sums, tokens: this.#tokens };
  }

  /** The checked queries of a call, and where their results go. `queries` are those of one key/value head. */
  #asked(q: Float32Array, options: LinearQueryOptions) {
    const { batch, kvHeads, headDim, valueDim } = this.#sizes;
    const heads = options.heads === undefined ? kvHeads : count(options.heads, 'heads');
    if (heads % kvHeads !== 0) throw wrongValue(`a multiple of kvHeads = ${kvHeads}`, 'heads', String(heads));
    const form = formOf(options, headDim);
    floats(q, 'q');
    const rows = heads / kvHeads;
    const queries = rows * dimension(undefined, 'queries', q, 'q', { batch, heads, headDim });
    const out = resultOf(options.out, batch * kvHeads * queries * valueDim, q);
    return { form, heads, rows, queries, out };
  }
}

const shown = (name: string, value: unknown): string =>
  name === 'feature' ? `featureMap '${FEATURE_MAPS[value as number]}'` : `${name} ${String(value)}`;

/** The parts of a state, of this copy of the package or of another one. */
function partsOf(other: unknown): LinearParts {
  if (typeof other !== 'object' || other === null) throw wrongType('a LinearAttentionState', 'other', other);
  const own = ownParts(other);
  if (own !== undefined) return own;
  if (!(BRAND in other)) throw wrongType('a LinearAttentionState', 'other', other);
  return fromWire((other as unknown as LinearAttentionState).toBytes());
}
