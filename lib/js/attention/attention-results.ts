/** What attention makes of the sums of a row: shared values, sinks, outputs and log-sum-exps, or a state. */
import { NO_EXPONENT, type AttentionKernel, type AttentionShape } from '../../backend/backend.js';
import { extended, isOrdinary, powerOfTwo } from '../../math/extended.js';
import { log1p } from '../softmax/log.js';
import { LN2, LN2_LOW, LOG2_E, octavesOf, rootOfTwo } from '../math/powers.js';

export type Results =
  Parameters<AttentionKernel> extends [...infer _First, infer O, infer L, infer S, infer M, infer E]
    ? [O, L, S, M, E]
    : never;

/** log(mantissa · 2^exponent), as native/attention/attention.h has it. */
function logOf(mantissa: number, exponent: number): number {
  if (!isOrdinary(mantissa)) return mantissa === 0 ? -Infinity : mantissa;
  let [m, e] = extended(mantissa, exponent);
  if (m > Math.SQRT2) [m, e] = [m / 2, e + 1];
  const log = m < 1 ? -log1p(1 / m - 1, 0)[0] : log1p(m - 1, 0)[0];
  return e * LN2 + (log + e * LN2_LOW);
}

/** A log-sum-exp that need not be computed from the sum. */
type KnownLse = number | undefined;

interface WithSink {
  readonly mantissa: number;
  readonly exponent: number;
  /** What the other keys' values have been multiplied by. */
  readonly scale: number;
  readonly lse: KnownLse;
}

/** exp(x) of a finite x, as native/attention/attention_values.h has it. */
function powerOfE(x: number): [mantissa: number, exponent: number] {
  const octaves = x * LOG2_E;
  if (!(Math.abs(octaves) < 2 ** 51)) return [1, octaves];
  const exponent = Math.round(octaves);
  if (!(Math.abs(octaves) < 2 ** 40)) return [rootOfTwo(octaves - exponent), exponent];
  const { whole, fraction } = octavesOf(x, 0, 1);
  return [rootOfTwo(fraction), whole];
}

/**
 * Sums with a key more, of this score and the value 0. `scale` is what the other keys' values have been multiplied by,
 * `lse` the log-sum-exp of the others, where it is known. Where the sink has all of the weight, it is the log-sum-exp.
 */
export function withSink(m: number, e: number, scale: number, sink: number, lse?: KnownLse): WithSink {
  if (sink === -Infinity) return { mantissa: m, exponent: e, scale, lse };
  if (!(Math.abs(sink) < Infinity)) return { mantissa: m + sink, exponent: e, scale, lse: undefined };
  const [power, exponent] = powerOfE(sink);
  const top = m === 0 ? exponent : Math.max(e, exponent);
  const old = m === 0 ? 0 : isOrdinary(m) ? powerOfTwo(Math.max(-1100, e - top)) : 1;
  const added = powerOfTwo(Math.max(-1100, exponent - top));
  const known = old === 0 ? sink : added === 0 ? lse : undefined;
  return { mantissa: m * old + power * added, exponent: top, scale: scale * old, lse: known };
}

export interface RowSums {
  mantissa: number;
  exponent: number;
  readonly out: Float64Array;
}

/**
 * Gives a row the value that all of its keys share, in the columns where they do, and where it sees one key the sum of
 * that key's score, which is returned. Sums of rounded products can be off: native/attention/attention_values.h.
 */
export function shareValues(
  sum: RowSums, seen: Uint8Array, value: (n: number) => Float64Array, score: (n: number) => number,
): KnownLse {
  const first = seen.indexOf(1);
  const common = Float32Array.from(value(first));
  let n = seen.indexOf(1, first + 1);
  let only: KnownLse;
  if (n < 0) {
    only = score(first);
    [sum.mantissa, sum.exponent] = powerOfE(only);
  }
  for (; n >= 0 && common.some((x) => !Object.is(x, 0)); n = seen.indexOf(1, n + 1)) {
    value(n).forEach((x, d) => {
      if (!Object.is(Math.fround(x), common[d])) common[d] = 0;
    });
  }
  common.forEach((x, d) => {
    if (!Object.is(x, 0)) sum.out[d] = sum.mantissa * x;
  });
  return only;
}

/** Where a row's results go, and what is not in its sums. */
interface RowResult {
  readonly out: number;
  readonly lse: number;
  readonly sink: number | undefined;
  readonly knownLse: KnownLse;
}

export function finish(s: AttentionShape, results: Results, row: RowResult, sum: RowSums): void {
  const [out, lse, sums, mantissas, exponents] = results;
  const at = row.out;
  let { mantissa, exponent } = sum;
  if (sums) {
    const [m, e] = extended(mantissa, exponent);
    const factor = isOrdinary(m) ? m / mantissa : m === 0 ? 0 : NaN; // a power of two
    for (let d = 0; d < s.valueDim; d++) sums[at * s.valueDim + d] = sum.out[d]! * factor;
    mantissas![at] = m;
    exponents![at] = Math.abs(e) < 2 ** 31 - 1 ? e : NO_EXPONENT;
    return;
  }
  let scale = 1;
  let known = row.knownLse;
  if (row.sink !== undefined) {
    ({ mantissa, exponent, scale, lse: known } = withSink(mantissa, exponent, scale, row.sink, known));
  }
  if (lse) lse[row.lse] = known ?? logOf(mantissa, exponent);
  const inverse = isOrdinary(mantissa) ? scale / mantissa : mantissa === 0 ? 0 : NaN;
  for (let d = 0; d < s.valueDim; d++) out![at * s.valueDim + d] = sum.out[d]! * inverse;
}
