/** Turns the sums of a query row into results: an output with its log-sum-exp, or a state. */
import { withSink } from '../../attention/sink.js';
import { NO_EXPONENT, type AttentionKernel, type AttentionShape } from '../../backend/backend.js';
import { extendedExp } from '../../math/exp.js';
import { extended, isOrdinary, nearOne } from '../../math/extended.js';
import { lnBy1p } from '../../math/log.js';
import { LN2, LN2_LOW } from '../../math/powers.js';

/** The arrays of a call that get results: out, lse, and the sums, mantissas and exponents of a state. */
export type Results =
  Parameters<AttentionKernel<Float32Array>> extends [...infer _Inputs, infer O, infer L, infer S, infer M, infer E]
    ? [O, L, S, M, E]
    : never;

/** log(mantissa · 2^exponent), with the steps of native/attention/attention.h. */
export function logOfSum(mantissa: number, exponent: number): number {
  if (!isOrdinary(mantissa)) return mantissa === 0 ? -Infinity : mantissa;
  const [m, e] = nearOne(mantissa, exponent);
  return e * LN2 + (lnBy1p(m) + e * LN2_LOW);
}

/** The sums of a query row: of its weights, mantissa · 2^exponent, and of its weighted values, out · 2^exponent. */
export interface RowSums {
  mantissa: number;
  exponent: number;
  readonly out: Float64Array;
}

/**
 * Replaces the sums of columns in which all visible keys have one value by that value times the sum of the weights.
 * Sums of rounded products can miss it: native/attention/attention_values.h. If one key is visible, the sum of the
 * weights becomes exp of that key's score, which is returned.
 */
export function shareValues(
  sums: RowSums,
  visible: Uint8Array,
  valueOf: (key: number) => Float64Array,
  scoreOf: (key: number) => number,
): number | undefined {
  const first = visible.indexOf(1);
  const common = new Float32Array(valueOf(first)); // 0 where there is none
  let key = visible.indexOf(1, first + 1);
  let onlyScore: number | undefined;
  if (key < 0) {
    onlyScore = scoreOf(first);
    [sums.mantissa, sums.exponent] = extendedExp(onlyScore);
  }
  for (let isAny = true; isAny && key >= 0; key = visible.indexOf(1, key + 1)) {
    const value = valueOf(key);
    isAny = false;
    for (let d = 0; d < common.length; d++) {
      if (!Object.is(Math.fround(value[d]!), common[d])) common[d] = 0;
      isAny ||= !Object.is(common[d], 0);
    }
  }
  for (let d = 0; d < common.length; d++) {
    if (!Object.is(common[d], 0)) sums.out[d] = sums.mantissa * common[d]!;
  }
  return onlyScore;
}

/** Where a query row's results go, with its sink and known log-sum-exp. */
interface ResultRow {
  /** The row of the output or state. */
  readonly row: number;
  /** The row of lse. */
  readonly lseRow: number;
  readonly sink: number | undefined;
  /** The log-sum-exp without the sink, if it is known without the sum. */
  readonly lse: number | undefined;
}

/** Writes the results of a query row. */
export function finish(s: AttentionShape, results: Results, target: ResultRow, sums: RowSums): void {
  const [out, lse, stateSums] = results;
  if (stateSums) {
    writeState(s, results, target.row, sums);
    return;
  }
  const { mantissa, exponent, out: values } = sums;
  const plain = { mantissa, exponent, scale: 1, lse: target.lse };
  const total = target.sink === undefined ? plain : withSink(plain, target.sink);
  if (lse) lse[target.lseRow] = total.lse ?? logOfSum(total.mantissa, total.exponent);
  const inverse = isOrdinary(total.mantissa) ? total.scale / total.mantissa : total.mantissa === 0 ? 0 : NaN;
  for (let d = 0; d < s.valueDim; d++) out![target.row * s.valueDim + d] = values[d]! * inverse;
}

function writeState(s: AttentionShape, results: Results, row: number, { mantissa, exponent, out }: RowSums): void {
  const [, , sums, mantissas, exponents] = results;
  const [m, e] = extended(mantissa, exponent);
  const factor = isOrdinary(m) ? m / mantissa : m === 0 ? 0 : NaN; // a power of two
  for (let d = 0; d < s.valueDim; d++) sums![row * s.valueDim + d] = out[d]! * factor;
  mantissas![row] = m;
  exponents![row] = Math.abs(e) < 2 ** 31 - 1 ? e : NO_EXPONENT;
}
