/** Attention sinks: a sink is one more key, with a score of its own and the value 0. */
import { extendedExp } from '../math/exp.js';
import { isOrdinary, powerOfTwo } from '../math/extended.js';

/** The sum of the weights of a query row: mantissa · 2^exponent. */
export interface WeightSum {
  readonly mantissa: number;
  readonly exponent: number;
  /** The factor of the weighted values that belong to this sum. */
  readonly scale: number;
  /** The log-sum-exp, if it is known without the sum. */
  readonly lse: number | undefined;
}

/** Adds a sink's weight. If the sink has all of the weight, its score is the log-sum-exp. */
export function withSink(sum: WeightSum, sink: number): WeightSum {
  const { mantissa, exponent, scale, lse } = sum;
  if (sink === -Infinity) return sum;
  if (!(Math.abs(sink) < Infinity)) return { mantissa: mantissa + sink, exponent, scale, lse: undefined };
  const [sinkMantissa, sinkExponent] = extendedExp(sink);
  const top = mantissa === 0 ? sinkExponent : Math.max(exponent, sinkExponent);
  const keysFactor = factorOf(mantissa, exponent - top);
  const sinkFactor = powerOfTwo(Math.max(-1100, sinkExponent - top));
  return {
    mantissa: mantissa * keysFactor + sinkMantissa * sinkFactor,
    exponent: top,
    scale: scale * keysFactor,
    lse: keysFactor === 0 ? sink : sinkFactor === 0 ? lse : undefined,
  };
}

/** The power of two that brings a sum to another exponent; 1 for NaN and Infinity, which have none. */
function factorOf(mantissa: number, shift: number): number {
  if (mantissa === 0) return 0;
  return isOrdinary(mantissa) ? powerOfTwo(Math.max(-1100, shift)) : 1;
}
