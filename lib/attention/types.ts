/** The types of numbers that attention takes, and the options about them. */
import { lengthOf } from '../call/arrays.js';
import type { Float16ArrayLike, LogitArray } from '../call/types.js';
import type { Half } from '../math/half.js';

/** What numbers are, and how they are summed. */
export interface TypeOptions {
  /** What the bits of a Uint16Array are, in all arrays of the type of `q`. For a Uint16Array only, and needed there. */
  dtype?: 'float16' | 'bfloat16' | undefined;
  /**
   * 'float32': scores, weights and sums of a part of the keys are floats, where their rounding does not show;
   * 'float64': all are doubles, at four times the cost, and more for few queries. Default: 'float64' for float64
   * inputs, and where weights or scores are asked for, which need it; else 'float32'.
   */
  accumulate?: 'float32' | 'float64' | undefined;
}
export const TYPE_OPTIONS = ['dtype', 'accumulate'] as const;

/** Slopes, sinks and biases beside queries in an A are floats; doubles too beside doubles. */
type Reals<A> = A extends Float64Array ? Float32Array | Float64Array : Float32Array;
/** A bias may be halves, too, of the type of the queries. */
type BiasFor<A> = Reals<A> | (A extends Uint16Array ? Uint16Array : A extends Float16ArrayLike ? A : never);

/** The options O of a call whose queries are in an A. */
export type TypedOptions<O, A extends LogitArray = LogitArray> = Omit<O, 'alibi' | 'bias' | 'sinks'> &
  TypeOptions & {
    /** A score loses slope · distance: `true` (ALiBi's slopes), or a slope for each query head. Default: none. */
    alibi?: boolean | Reals<A> | undefined;
    /** Added to the scores, after scale and softcap; −Infinity masks. One of the shapes of `mask`. Default: none. */
    bias?: BiasFor<A> | undefined;
  } & ('sinks' extends keyof O
    ? {
        /** A score for each query head that takes part with a value of 0. Default: none. */
        sinks?: Reals<A> | undefined;
      }
    : unknown);

/** The options behind kernel arguments of another name. */
export const WIDE_NAMES = { wideSlopes: 'alibi', wideSinks: 'sinks', wideBias: 'bias' } as const;

/** Writes halves as floats. */
export function widenInto(floats: Float32Array, bits: Uint16Array, { toFloat }: Half): void {
  for (let i = 0, n = lengthOf(bits); i < n; i++) floats[i] = toFloat(bits[i]!);
}
