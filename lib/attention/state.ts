/** The state of a partial attention: sums of exponentials and of values weighted with them, and how states are added. */
import { outOfRange, wrongType, wrongValue } from '../call/arguments.js';
import { copyInto, copyOf, isDetached, lengthOf } from '../call/arrays.js';
import { withSink } from '../js/attention/attention-results.js';
import { isWithin, type Unified } from '../softmax/exp-sum.js';
import { checkRows, statesOf } from '../softmax/exp-sum-state.js';
import { extended, isOrdinary, logOf, powerOfTwo } from '../math/extended.js';
import { count } from '../call/options.js';
import { types } from '../call/types.js';
import type { NewFloat32Array, NewFloat64Array, NewInt32Array, NewUint8Array, Returned } from '../call/types.js';
import { wireHeader, wireView } from '../call/wire.js';
import type { AttentionResult, ResultWithLse, WithLse, WithoutLse } from './dense.js';
import { allocate } from './memory.js';
import { copyOptions, layoutFlag, perHead, resultsOf } from './options.js';
import type { AttentionParts, FinishOptions } from './state-types.js';

export type { AttentionParts, FinishOptions } from './state-types.js';

const { isFloat64Array, isInt32Array, isUint8Array } = types;

/** flash-softmax, attention, partial. */
const WIRE = { magic: 'FSAP', version: 1 };
const HEADER = 16;

/**
 * The state of attention over some keys, a row for each query row: Σ exp(score) = mantissa · 2^exponent, the mantissa in
 * [1, 2), and Σ exp(score) · value = out · 2^exponent. 0 where there is nothing to add; NaN and Infinity have the exponent 0. With
 * `unifiedMax` the mantissa has whatever size goes with the shared exponent.
 */
export class AttentionPartial implements AttentionParts {
  /** [rows, valueDim], not divided by the sum of the weights: {@link finish} does that. */
  readonly out: NewFloat64Array;
  readonly mantissa: NewFloat64Array;
  readonly exponent: NewInt32Array;
  /** With `unifiedMax` only: 1 for a row that lies outside `range`, and has an exponent of its own. */
  readonly raised?: NewUint8Array;

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
    return emptyState(rows, count(valueDim, 'valueDim'));
  }

  /**
   * The output of attention over all keys that have been added, [rows, valueDim], and the log-sum-exp of each row if `lse` asks for
   * it. `sinks` are counted here, and so once.
   *
   * Rows lie as in the output of the call that made the state. So does `lse`, one number a row, unless layout 'bshd',
   * `heads` and `queries` are given: then it is [batch, heads, queries], as {@link attention} and {@link
   * decodeAttention} give it for either layout. A row that has seen one key has the value of that key, and its score
   * to 2⁻⁵¹ of max(1, |score|).
   */
  finish<Lse extends true | Float64Array, Out extends Float32Array = NewFloat32Array>(
    options: FinishOptions<Out> & WithLse<Lse>,
  ): ResultWithLse<Out, Lse>;
  finish<Out extends Float32Array = NewFloat32Array>(options?: FinishOptions<Out> & WithoutLse): Returned<Out>;
  finish(options?: FinishOptions): Float32Array | AttentionResult;
  finish(options: FinishOptions = {}): Float32Array | AttentionResult {
    const own = copyOptions(options, ['sinks', 'out', 'lse', 'heads', 'queries', 'layout'], true);
    const { sinks, heads, queries = 1, layout = 'bhsd', out: givenOut, lse: givenLse } = own;
    const { out: sums, mantissa, exponent } = partialOf(this, 'the state');
    const rows = lengthOf(mantissa);
    const valueDim = rows === 0 ? 0 : lengthOf(sums) / rows;
    if (sinks !== undefined) perHead(sinks, count(heads, 'heads, beside sinks,'), 'sinks');
    count(queries, 'queries');
    const positionsFirst = layoutFlag(layout, 'bshd', 'bhsd');
    const isLseMoved = positionsFirst === 1 && queries > 1 && givenLse !== undefined && givenLse !== false;
    if (isLseMoved) count(heads, "heads, beside lse and layout 'bshd',");
    if ((sinks !== undefined || isLseMoved) && rows % (heads! * queries) !== 0) {
      throw wrongValue(`a divisor of the state's ${rows} rows`, 'heads · queries', `${heads} · ${queries}`);
    }
    const inputs = { 'out of the state': sums, 'mantissa of the state': mantissa, 'exponent of the state': exponent };
    const { out, lse } = resultsOf(givenOut, givenLse, rows, valueDim, { ...inputs, sinks: sinks ?? null });
    const lseAt = isLseMoved ? headsFirst(heads!, queries) : (r: number) => r;
    for (let r = 0; r < rows; r++) {
      let [m, e] = extended(mantissa[r]!, exponent[r]!);
      let scale = isOrdinary(mantissa[r]!) ? m / mantissa[r]! : 1;
      let known: number | undefined;
      if (sinks !== undefined) {
        const sink = sinks[(positionsFirst ? r : Math.floor(r / queries)) % heads!]!;
        ({ mantissa: m, exponent: e, scale, lse: known } = withSink(m, e, scale, sink));
      }
      const factor = isOrdinary(m) ? scale / m : m === 0 ? 0 : NaN;
      for (let d = r * valueDim; d < (r + 1) * valueDim; d++) out[d] = sums[d]! * factor;
      if (lse) lse[lseAt(r)] = known ?? logOf(m, e);
    }
    return lse ? { out, lse } : out;
  }

  /**
   * The wire form, little-endian: 4 bytes "FSAP"; a version byte, 1; a byte that is 1 if there is `raised`, else 0; 2 bytes of 0; uint32
   * rows; uint32 valueDim; float64 mantissas; float64 outs; int32 exponents; bytes of `raised`.
   */
  toBytes(): NewUint8Array {
    const { out, mantissa, exponent, raised } = partialOf(this, 'the state');
    const [rows, elements] = [lengthOf(mantissa), lengthOf(out)];
    const bytes = new Uint8Array(HEADER + rows * 12 + elements * 8 + (raised ? rows : 0));
    const view = new DataView(bytes.buffer);
    bytes.set([...wireHeader(WIRE), raised ? 1 : 0]);
    view.setUint32(8, rows, true);
    view.setUint32(12, rows === 0 ? 0 : elements / rows, true);
    let at = HEADER;
    for (let r = 0; r < rows; r++, at += 8) view.setFloat64(at, mantissa[r]!, true);
    for (let i = 0; i < elements; i++, at += 8) view.setFloat64(at, out[i]!, true);
    for (let r = 0; r < rows; r++, at += 4) view.setInt32(at, exponent[r]!, true);
    if (raised) copyInto(bytes, raised, at);
    return bytes;
  }

  /**
   * What {@link toBytes} wrote, on any machine.
   *
   * @throws TypeError (ERR_INVALID_ARG_TYPE) for what is no Uint8Array.
   * @throws RangeError (ERR_INVALID_ARG_VALUE) for bytes that toBytes() of this version does not write.
   */
  static fromBytes(bytes: Uint8Array): AttentionPartial {
    const view = wireView(bytes, WIRE, HEADER, true);
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
    const raised = isRaised === 1 ? new Uint8Array(view.buffer.slice(at)) : undefined;
    const state = new AttentionPartial(out, mantissa, exponent, raised);
    partialOf(state, 'bytes');
    return state;
  }
}

/** The place of row [batch, query, head] in the order [batch, heads, queries]. */
function headsFirst(heads: number, queries: number): (r: number) => number {
  return (r) => (Math.floor(r / (heads * queries)) * heads + (r % heads)) * queries + (Math.floor(r / heads) % queries);
}

/** A checked state, each field of which was read once. */
function partialOf(state: unknown, name: string): AttentionParts {
  const fields = fieldsOf(state, name);
  checkFields(fields, name);
  return fields;
}

/** The fields of a state, each read once. A getter may do anything: take lengths when those of all states have run. */
function fieldsOf(state: unknown, name: string): AttentionParts {
  if (typeof state !== 'object' || state === null) throw wrongType('a state { out, mantissa, exponent }', name, state);
  const { out, mantissa, exponent, raised } = state as AttentionParts;
  if (!isFloat64Array(out)) throw wrongType('a Float64Array', `${name}.out`, out);
  if (!isFloat64Array(mantissa)) throw wrongType('a Float64Array', `${name}.mantissa`, mantissa);
  if (!isInt32Array(exponent)) throw wrongType('an Int32Array', `${name}.exponent`, exponent);
  if (raised !== undefined && !isUint8Array(raised)) throw wrongType('a Uint8Array', `${name}.raised`, raised);
  return raised === undefined ? { out, mantissa, exponent } : { out, mantissa, exponent, raised };
}

/** `out`, `mantissa` and `exponent` of a state over no keys. */
export function newState(
  rows: number, valueDim: number,
): { sums: NewFloat64Array; mantissa: NewFloat64Array; exponent: NewInt32Array } {
  const sums = allocate('Float64Array', rows * valueDim, 'out');
  return { sums, mantissa: allocate('Float64Array', rows, 'mantissa'), exponent: allocate('Int32Array', rows, 'exponent') };
}

function emptyState(rows: number, valueDim: number): AttentionPartial {
  const { sums, mantissa, exponent } = newState(rows, valueDim);
  return new AttentionPartial(sums, mantissa, exponent);
}

function checkFields({ out, mantissa, exponent, raised }: AttentionParts, name: string, like?: AttentionParts): void {
  if (isDetached(out)) throw wrongType('an array that is not detached', `${name}.out`, out);
  checkRows({ mantissa, exponent, raised }, name, like && lengthOf(like.mantissa));
  const [rows, elements] = [lengthOf(mantissa), lengthOf(out)];
  const expected = like && lengthOf(like.out);
  if (expected !== undefined && elements !== expected) {
    throw wrongValue(`${expected} elements`, `${name}.out`, String(elements));
  }
  if (rows === 0 ? elements > 0 : elements % rows !== 0) {
    throw wrongValue(`a multiple of ${rows} elements`, `${name}.out`, String(elements));
  }
  for (let r = 0; r < rows; r++) {
    if (mantissa[r]! < 0) throw outOfRange('a number from 0', `${name}.mantissa[${r}]`, mantissa[r]);
  }
}

/** Gives the rows of a state the exponent of unifiedMax, where they lie in its range. */
export function unifyPartial({ out, mantissa, exponent }: AttentionPartial, unified: Unified): AttentionPartial {
  const rows = mantissa.length;
  const raised = new Uint8Array(rows);
  for (let r = 0; r < rows; r++) {
    const m = mantissa[r]!;
    if (isOrdinary(m)) {
      if (!isWithin(unified, m, exponent[r]!)) {
        raised[r] = 1;
        continue;
      }
      scaleRow(out, mantissa, r, powerOfTwo(exponent[r]! - unified.exponent));
    }
    exponent[r] = unified.exponent;
  }
  return new AttentionPartial(out, mantissa, exponent, raised);
}

function scaleRow(out: Float64Array, mantissa: Float64Array, r: number, factor: number): void {
  const valueDim = out.length / mantissa.length;
  mantissa[r]! *= factor;
  for (let d = r * valueDim; d < (r + 1) * valueDim; d++) out[d]! *= factor;
}

/**
 * Adds states over different keys, row by row: the state over all of these keys.
 *
 * Powers of two are applied exactly, so that each addition of two states rounds each number once (2^-53). Two states give the same
 * bits either way round; n of them, in any order and grouping, agree within n − 1 such roundings. A state over no keys changes
 * nothing. If all states came with the same `unifiedMax`, rows that none has raised are added without looking at exponents.
 *
 * @param states One or more, with the same numbers of rows and of elements; or one array of them, of any length.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for what is no state, and for detached arrays.
 * @throws RangeError (ERR_INVALID_ARG_VALUE) for no states, or ones that do not fit.
 */
export function mergeAttentionPartials(states: readonly AttentionParts[]): AttentionPartial;
export function mergeAttentionPartials(...states: readonly AttentionParts[]): AttentionPartial;
export function mergeAttentionPartials(
  ...states: readonly (AttentionParts | readonly AttentionParts[])[]
): AttentionPartial {
  const all = statesOf(states).map((state, i) => fieldsOf(state, `states[${i}]`));
  const [first, ...others] = all as [AttentionParts, ...AttentionParts[]];
  all.forEach((state, i) => checkFields(state, `states[${i}]`, i === 0 ? undefined : first));
  const isUnified = all.every((state) => state.raised !== undefined);
  const raised = isUnified ? copyOf(first.raised!) : undefined;
  const total = new AttentionPartial(copyOf(first.out), copyOf(first.mantissa), copyOf(first.exponent), raised);
  const rows = total.mantissa.length;
  for (const other of others) {
    for (let r = 0; r < rows; r++) {
      if (isUnified && total.exponent[r] === other.exponent[r] && (total.raised![r]! | other.raised![r]!) === 0) addRow(total, other, r, 1, 1);
      else {
        if (isUnified) total.raised![r] = 1;
        mergeRow(total, other, r);
      }
    }
  }
  for (let r = 0; r < rows; r++) if (!isUnified || total.raised![r] === 1) settle(total, r);
  return total;
}

function addRow(total: AttentionPartial, other: AttentionParts, r: number, own: number, its: number): void {
  const valueDim = total.out.length / total.mantissa.length;
  total.mantissa[r] = total.mantissa[r]! * own + other.mantissa[r]! * its;
  for (let d = r * valueDim; d < (r + 1) * valueDim; d++) total.out[d] = total.out[d]! * own + other.out[d]! * its;
}

function mergeRow(total: AttentionPartial, other: AttentionParts, r: number): void {
  const [m, n] = [total.mantissa[r]!, other.mantissa[r]!];
  if (n === 0) return;
  if (m === 0) {
    total.exponent[r] = other.exponent[r]!;
    addRow(total, other, r, 0, 1);
  } else if (!isOrdinary(m) || !isOrdinary(n)) addRow(total, other, r, 1, 1);
  else {
    settle(total, r);
    const [canonical, e] = extended(n, other.exponent[r]!);
    const top = Math.max(total.exponent[r]!, e);
    addRow(total, other, r, powerOfTwo(total.exponent[r]! - top), (canonical / n) * powerOfTwo(e - top));
    total.exponent[r] = top;
  }
  settle(total, r);
}

/** Brings a row into canonical form. */
function settle(state: AttentionPartial, r: number): void {
  const m = state.mantissa[r]!;
  const [canonical, e] = extended(m, state.exponent[r]!);
  if (!(Math.abs(e) < 2 ** 31)) throw outOfRange('an exponent of 32 bits', `the sum of row ${r}`, e);
  if (isOrdinary(m) && canonical !== m) scaleRow(state.out, state.mantissa, r, canonical / m);
  state.exponent[r] = e;
}
