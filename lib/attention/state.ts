/** The state of a partial attention: sums of exponentials, and of the values that they weight. */
import { wrongValue } from '../call/errors.js';
import { copyInto, lengthOf } from '../call/arrays.js';
import { count } from '../call/checks.js';
import type { NewFloat32Array, NewFloat64Array, NewInt32Array, NewUint8Array, Returned } from '../call/types.js';
import { originOf, wireHeader, wireView, withOrigin, type StateOrigin } from '../call/wire.js';
import { extended, isOrdinary, logOf } from '../math/extended.js';
import { copyOptions, layoutFlag } from './options.js';
import { resultsOf, type AttentionResult, type ResultWithLse, type WithLse, type WithoutLse } from './results.js';
import { withSink } from './sink.js';
import { perHead } from './sizes.js';
import { checkedParts, newState } from './state-fields.js';
import { headsFirst, stateFrom } from './state-from.js';
import type { AttentionParts, FinishOptions, FromOptions } from './state-types.js';

export type { AttentionParts, FinishOptions, FromOptions } from './state-types.js';

/** flash-softmax, attention, partial. */
const MAGIC = 'FSAP';
const HEADER = 16;

/**
 * The state of attention over some keys, a row for each query row: Σ exp(score) = mantissa · 2^exponent, the mantissa
 * in [1, 2), and Σ exp(score) · value = out · 2^exponent. The mantissa 0 adds nothing; 0, NaN and Infinity have the
 * exponent 0. With `unifiedMax` all rows within its range have one exponent, and the mantissa any size.
 *
 * @example
 * import { AttentionPartial } from 'flash-softmax/attention';
 * const state = AttentionPartial.from(Float32Array.of(1, 2), Float64Array.of(0.5)); // an output and its log-sum-exp
 * const copy = AttentionPartial.fromBytes(state.toBytes()); // on another machine
 * console.log(copy.finish().join(' ')); // → 1 2
 */
export class AttentionPartial implements AttentionParts {
  /** [rows, valueDim], not divided by the sum of the weights: {@link finish} does that. */
  readonly out: NewFloat64Array;
  readonly mantissa: NewFloat64Array;
  readonly exponent: NewInt32Array;
  /** With `unifiedMax` only: 1 for a row that lies outside `range`, and has an exponent of its own. */
  readonly raised?: NewUint8Array;
  /** The origin that came with the bytes of which this is the state. */
  readonly origin?: StateOrigin;

  /** @internal Arrays that fit. */
  constructor(out: NewFloat64Array, mantissa: NewFloat64Array, exponent: NewInt32Array, raised?: NewUint8Array) {
    this.out = out;
    this.mantissa = mantissa;
    this.exponent = exponent;
    if (raised !== undefined) this.raised = raised;
  }

  /** The state over no keys, which changes nothing that it is added to. */
  static empty(rows: number, valueDim: number): AttentionPartial {
    count(rows, 'rows', 0);
    const { sums, mantissa, exponent } = newState(rows, count(valueDim, 'valueDim'));
    return new AttentionPartial(sums, mantissa, exponent);
  }

  /**
   * The state that finished results belong to, of this package or another one: FlashAttention's and FlashInfer's
   * outputs of parts of the keys can be merged so.
   *
   * {@link finish} gives `out` back, rounded to float32, and `lse` as a natural logarithm to 2⁻⁵⁰ · max(1, |lse|): the
   * base e, 2 or another power of two; with other bases twice that. What `out` owes to rounding stays, and an error of
   * lse is a relative error of the part's weight: that of a float32 lse is |lse| · 2⁻²⁴. An lse of −Infinity is a
   * row without keys, whatever its `out` is. NaN and +Infinity go on into the result, as attention makes them.
   *
   * @param out [rows, valueDim], divided by the sum of the weights. @param lse The logarithm of that sum, one a row.
   * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
   * @throws RangeError (ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE) for lengths that do not fit, a wrong base, and a
   *   finite lse of more than 2³¹ octaves.
   */
  static from(
    out: Float32Array | Float64Array,
    lse: Float32Array | Float64Array,
    options: FromOptions = {},
  ): AttentionPartial {
    const { sums, mantissa, exponent } = stateFrom(out, lse, options);
    return new AttentionPartial(sums, mantissa, exponent);
  }

  /**
   * The output of attention over all keys that have been added, [rows, valueDim], and the log-sum-exp of each row if
   * `lse` asks for it. `sinks` are counted here, and so once.
   *
   * Rows lie as in the output of the call that made the state. So does `lse`, one number a row, unless layout 'bshd',
   * `heads` and `queries` are given: then it is [batch, heads, queries], as {@link attention} and
   * {@link decodeAttention} give it for either layout. A row that has seen one key has the value of that key, and its
   * score to 2⁻⁵¹ of max(1, |score|).
   */
  finish<Lse extends true | Float64Array, Out extends Float32Array = NewFloat32Array>(
    options: FinishOptions<Out> & WithLse<Lse>,
  ): ResultWithLse<Out, Lse>;
  finish<Out extends Float32Array = NewFloat32Array>(options?: FinishOptions<Out> & WithoutLse): Returned<Out>;
  finish(options?: FinishOptions): Float32Array | AttentionResult;
  finish(options: FinishOptions = {}): Float32Array | AttentionResult {
    const own = copyOptions(options, ['sinks', 'out', 'lse', 'heads', 'queries', 'layout'], true);
    const { out: sums, mantissa, exponent } = checkedParts(this, 'the state');
    const rows = lengthOf(mantissa);
    const valueDim = rows === 0 ? 0 : lengthOf(sums) / rows;
    const { sinkOf, lseRowOf } = rowFinders(own, rows);
    const inputs = { 'out of the state': sums, 'mantissa of the state': mantissa, 'exponent of the state': exponent };
    const { out, lse } = resultsOf(own.out, own.lse, rows, valueDim, { ...inputs, sinks: own.sinks ?? null });
    for (let r = 0; r < rows; r++) {
      const [m, e] = extended(mantissa[r]!, exponent[r]!);
      const keys = { mantissa: m, exponent: e, scale: isOrdinary(m) ? m / mantissa[r]! : 1, lse: undefined };
      const total = sinkOf === undefined ? keys : withSink(keys, sinkOf(r));
      const factor = isOrdinary(total.mantissa) ? total.scale / total.mantissa : total.mantissa === 0 ? 0 : NaN;
      for (let d = r * valueDim; d < (r + 1) * valueDim; d++) out[d] = sums[d]! * factor;
      if (lse) lse[lseRowOf(r)] = total.lse ?? logOf(total.mantissa, total.exponent);
    }
    return lse ? { out, lse } : out;
  }

  /**
   * The wire form, little-endian: 4 bytes "FSAP"; a version byte, 1; a byte that is 1 if there is `raised`, else 0; 2
   * bytes of 0; uint32 rows; uint32 valueDim; float64 mantissas; float64 outs; int32 exponents; bytes of `raised`. With
   * an origin the version byte is 2, and uint32 shard and float64 epoch follow.
   *
   * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE) for an origin that is none.
   */
  toBytes(origin?: StateOrigin): NewUint8Array {
    const own = originOf(origin);
    const { out, mantissa, exponent, raised } = checkedParts(this, 'the state');
    const [rows, elements] = [lengthOf(mantissa), lengthOf(out)];
    const bytes = new Uint8Array(HEADER + rows * 12 + elements * 8 + (raised ? rows : 0));
    const view = new DataView(bytes.buffer);
    bytes.set([...wireHeader(MAGIC), raised ? 1 : 0]);
    view.setUint32(8, rows, true);
    view.setUint32(12, rows === 0 ? 0 : elements / rows, true);
    let at = HEADER;
    for (let r = 0; r < rows; r++, at += 8) view.setFloat64(at, mantissa[r]!, true);
    for (let i = 0; i < elements; i++, at += 8) view.setFloat64(at, out[i]!, true);
    for (let r = 0; r < rows; r++, at += 4) view.setInt32(at, exponent[r]!, true);
    if (raised) copyInto(bytes, raised, at);
    return withOrigin(bytes, MAGIC, own);
  }

  /**
   * Reads bytes that {@link toBytes} wrote, on any machine, in version 1 or 2.
   *
   * @throws TypeError (ERR_INVALID_ARG_TYPE) for anything but a Uint8Array.
   * @throws RangeError (ERR_INVALID_ARG_VALUE) for bytes that toBytes() of this version does not write.
   */
  static fromBytes(bytes: Uint8Array): AttentionPartial {
    const { view, origin } = wireView(bytes, MAGIC, HEADER, true);
    const flags = [view.getUint8(5), view.getUint8(6), view.getUint8(7)] as const;
    const [isRaised, ...reserved] = flags;
    if (isRaised > 1 || reserved.some((byte) => byte !== 0)) {
      throw wrongValue('flags of this version', 'bytes', flags.join(', '));
    }
    const [rows, valueDim] = [view.getUint32(8, true), view.getUint32(12, true)];
    const length = HEADER + rows * (12 + 8 * valueDim + isRaised);
    if (view.byteLength !== length) {
      throw wrongValue(`${length} bytes for ${rows} rows of ${valueDim}`, 'bytes', String(view.byteLength));
    }
    let at = HEADER;
    const double = () => view.getFloat64((at += 8) - 8, true);
    const mantissa = Float64Array.from({ length: rows }, double);
    const out = Float64Array.from({ length: rows * valueDim }, double);
    const exponent = Int32Array.from({ length: rows }, () => view.getInt32((at += 4) - 4, true));
    const raised = isRaised === 1 ? new Uint8Array(view.buffer.slice(at, length)) : undefined;
    const state = new AttentionPartial(out, mantissa, exponent, raised);
    checkedParts(state, 'bytes');
    return origin === undefined ? state : Object.assign(state, { origin });
  }
}

/** Where a row has its sink, and its place in lse. `heads` is needed for sinks, and for an lse that is transposed. */
function rowFinders(options: FinishOptions, rows: number) {
  const { sinks, heads, queries = 1, layout = 'bhsd', lse } = options;
  if (sinks !== undefined) perHead(sinks, count(heads, 'heads, beside sinks,'), 'sinks');
  count(queries, 'queries');
  const positionsFirst = layoutFlag(layout, 'bshd', 'bhsd');
  const isLseTransposed = positionsFirst === 1 && queries > 1 && lse !== undefined && lse !== false;
  if (isLseTransposed) count(heads, "heads, beside lse and layout 'bshd',");
  if ((sinks !== undefined || isLseTransposed) && rows % (heads! * queries) !== 0) {
    throw wrongValue(`a divisor of the state's ${rows} rows`, 'heads · queries', `${heads} · ${queries}`);
  }
  const headOf = (r: number): number => (positionsFirst ? r : Math.floor(r / queries)) % heads!;
  return {
    sinkOf: sinks && ((r: number): number => sinks[headOf(r)]!),
    lseRowOf: isLseTransposed ? headsFirst(heads!, queries) : (r: number) => r,
  };
}
