/** ExpSumAccumulator: the sum of one row that arrives in chunks. */
import { NO_EXPONENT } from '../backend/backend.js';
import { runNow } from '../call/call.js';
import { positive } from '../call/checks.js';
import { describe, wrongType, wrongValue } from '../call/errors.js';
import { checkOptions, optionsOf, type ReductionOptions } from '../call/options.js';
import type { LogitArray, NewLike, NewUint8Array, ResultOf } from '../call/types.js';
import { originOf, wireHeader, wireView, withOrigin, type StateOrigin } from '../call/wire.js';
import { isOrdinary } from '../math/extended.js';
import { isCanonical, stateOf, type ExpSums, type NewExpSums } from './exp-sum-state.js';
import { expSum } from './exp-sum.js';
import { logSumExpOfState, mergeExpSums } from './merge-exp-sums.js';
import { normalizeCall } from './normalize.js';

/** The options of a chunk: all others are the accumulator's. */
export type ChunkOptions<A extends LogitArray = LogitArray> = Pick<
  ReductionOptions<A>,
  'mask' | 'maskFormat' | 'bias' | 'dtype'
>;

/** The wire form: flash-softmax, exponential sum. */
const MAGIC = 'FSES';
const BYTES = 28;

/**
 * Marks accumulators of other copies of the package too: `import` and `require` have a copy each. Their public
 * `temperature` and `state` are read and checked.
 */
const BRAND = Symbol.for('flash-softmax.ExpSumAccumulator.1');

const CHUNK_OPTIONS = ['mask', 'maskFormat', 'bias', 'dtype'] as const;

/**
 * The sum of the exponentials of one row, whose chunks may be anywhere: in other worker threads, processes, machines.
 * It is a state of {@link expSum} with the temperature that it was made at, and with the promises of {@link
 * mergeExpSums}.
 *
 * The wire form is 28 bytes, little-endian: 4 bytes "FSES"; a version byte, 1; 3 bytes of 0; float64 mantissa (in [1,
 * 2), or 0, NaN, Infinity); float64 temperature; int32 exponent (0 where the mantissa is 0, NaN or Infinity). With an
 * origin it is 40 bytes: the version byte is 2, and uint32 shard and float64 epoch follow.
 *
 * @example
 * import { ExpSumAccumulator } from 'flash-softmax';
 * const row = new ExpSumAccumulator();
 * for (const chunk of [Float32Array.of(1, 2), Float32Array.of(3)]) row.add(chunk); // as they come
 * console.log(row.logSumExp().toFixed(4)); // → 3.4076
 */
export class ExpSumAccumulator {
  readonly #temperature: number;
  #origin: StateOrigin | undefined;
  #state: NewExpSums = { mantissa: new Float64Array(1), exponent: new Int32Array(1) };

  static {
    Object.defineProperty(this.prototype, BRAND, { value: true });
  }

  /**
   * @throws RangeError (ERR_OUT_OF_RANGE) for a temperature that is not finite and > 0; TypeError for one that is no
   * number.
   */
  constructor(options: { temperature?: number | undefined } = {}) {
    checkOptions(options, ['temperature'], true);
    const { temperature = 1 } = options;
    this.#temperature = positive(temperature, 'temperature');
  }

  /** What all logits are divided by. */
  get temperature(): number {
    return this.#temperature;
  }

  /** The origin that the bytes had of which this is the sum; undefined without one, and once more has been added. */
  get origin(): StateOrigin | undefined {
    return this.#origin && { ...this.#origin };
  }

  /** The sum so far, as a state of one row. */
  get state(): NewExpSums {
    return { mantissa: this.#state.mantissa.slice(), exponent: this.#state.exponent.slice() };
  }

  /** Adds a chunk of logits, in the place that comes next where bits matter. Throws as {@link expSum} does. */
  add<A extends LogitArray>(chunk: A, options: ChunkOptions<A> = {}): this {
    const own = { ...optionsOf(options, CHUNK_OPTIONS), temperature: this.#temperature };
    return this.#merge(expSum(chunk, own as ReductionOptions<A>));
  }

  /**
   * Adds the sum of another one; or a state of one row, as {@link expSum} made it at this temperature, perhaps off the
   * event loop. RangeError (ERR_INVALID_ARG_VALUE) if the other one's temperature is not the same, or there are more
   * rows.
   */
  merge(other: ExpSumAccumulator | ExpSums): this {
    if (typeof other !== 'object' || other === null) throw wrongType('a state { mantissa, exponent }', 'other', other);
    if (#state in other) return this.#mergeAt(other.#temperature, other.#state);
    if (!(BRAND in other)) return this.#merge(mergeExpSums(stateOf(other, 'other', 1)));
    const { temperature, state } = other as object as ExpSumAccumulator;
    return this.#mergeAt(temperature, stateOf(state, 'other', 1));
  }

  /** log Σ exp(x[i] / temperature) of all that was added, −Infinity if that is nothing. */
  logSumExp(): number {
    return logSumExpOfState(this.#state)[0]!;
  }

  /**
   * The probabilities of a chunk, once everything has been added, into `out` or a new array. Throws as {@link
   * normalize} does.
   */
  normalize<A extends LogitArray>(chunk: A, out?: undefined, options?: ChunkOptions<A>): NewLike<A>;
  normalize<A extends LogitArray, Out extends ResultOf<A>>(chunk: A, out: Out, options?: ChunkOptions<A>): Out;
  normalize<A extends LogitArray>(chunk: A, out?: A, options?: ChunkOptions<A>): A | NewLike<A>;
  normalize(chunk: LogitArray, out?: LogitArray, options: ChunkOptions = {}): LogitArray {
    const own = { ...optionsOf(options, CHUNK_OPTIONS), temperature: this.#temperature, out };
    return runNow(normalizeCall('now', chunk, this.#state, own));
  }

  /**
   * The wire form: 28 bytes; 40 with an origin.
   *
   * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) for an origin that is none.
   */
  toBytes(origin?: StateOrigin): NewUint8Array {
    const own = originOf(origin);
    const bytes = new Uint8Array(BYTES);
    const view = new DataView(bytes.buffer);
    bytes.set(wireHeader(MAGIC));
    view.setFloat64(8, this.#state.mantissa[0]!, true);
    view.setFloat64(16, this.#temperature, true);
    view.setInt32(24, this.#state.exponent[0]!, true);
    return withOrigin(bytes, MAGIC, own);
  }

  /**
   * What {@link toBytes} wrote, on any machine, in version 1 or 2.
   *
   * @throws TypeError (ERR_INVALID_ARG_TYPE) for what is no Uint8Array.
   * @throws RangeError (ERR_INVALID_ARG_VALUE) for bytes that toBytes() of this version does not write.
   */
  static fromBytes(bytes: Uint8Array): ExpSumAccumulator {
    const { view, origin } = wireView(bytes, MAGIC, BYTES);
    const mantissa = view.getFloat64(8, true);
    const temperature = view.getFloat64(16, true);
    const exponent = view.getInt32(24, true);
    const reserved = [view.getUint8(5), view.getUint8(6), view.getUint8(7)];
    if (reserved.some((byte) => byte !== 0)) throw wrongValue('three bytes of 0', 'bytes', reserved.join(', '));
    if (!isWireSum(mantissa, exponent)) {
      throw wrongValue('a mantissa in [1, 2), 0, NaN or Infinity', 'bytes', `${mantissa} · 2^${exponent}`);
    }
    if (!(temperature > 0 && temperature < Infinity))
      throw wrongValue('a temperature that is finite and above 0', 'bytes', String(temperature));
    const accumulator = new ExpSumAccumulator({ temperature });
    accumulator.#state = { mantissa: Float64Array.of(mantissa), exponent: Int32Array.of(exponent) };
    accumulator.#origin = origin;
    return accumulator;
  }

  #mergeAt(temperature: number, state: ExpSums): this {
    const own = this.#temperature;
    if (temperature !== own) throw wrongValue(`temperature ${own}`, 'other', describe(temperature));
    return this.#merge(state);
  }

  #merge(state: ExpSums): this {
    this.#state = mergeExpSums(this.#state, state);
    this.#origin = undefined;
    return this;
  }
}

/** Whether toBytes() writes such a sum: 0, NaN and Infinity have the exponent 0. */
function isWireSum(mantissa: number, exponent: number): boolean {
  if (isOrdinary(mantissa)) return isCanonical(mantissa) && exponent !== NO_EXPONENT;
  return !(mantissa < 0) && !Object.is(mantissa, -0) && exponent === 0;
}
