/** The types of a partial attention's state. */
import type { ResultOptions } from './options.js';

export interface FinishOptions<Out extends Float32Array = Float32Array> extends ResultOptions<Out> {
  /** For `sinks`, which have an entry for each head, and for `lse` with layout 'bshd': the query heads. */
  heads?: number | undefined;
  /** For `sinks`, and for `lse` with layout 'bshd': query positions of each sequence. Default: 1. */
  queries?: number | undefined;
  /**
   * For `sinks`, `lse` and more than one query: how rows lie, as in the call that made the state. With 'bshd' and
   * `queries`, `lse` is [batch, heads, queries], as attention() has it. Default: 'bhsd', with which an lse has the
   * place of its row.
   */
  layout?: 'bhsd' | 'bshd' | undefined;
}

/** What the results are that a state is made from. */
export interface FromOptions {
  /** The base of the logarithms in `lse`: 2 for FlashInfer; above 0, and not 1. Default: e. */
  base?: number | undefined;
  /** For `lse` with layout 'bshd': the query heads. */
  heads?: number | undefined;
  /** For `lse` with layout 'bshd': query positions of each sequence. Default: 1. */
  queries?: number | undefined;
  /**
   * How rows lie: with 'bshd', `heads` and `queries`, `out` is [batch, queries, heads, valueDim] and `lse` [batch,
   * heads, queries], as attention() has them. Default: 'bhsd', with which `lse` has the place of its row.
   */
  layout?: 'bhsd' | 'bshd' | undefined;
}

/** The arrays of a state, as they arrive in a message from another thread. */
export interface AttentionParts {
  readonly out: Float64Array;
  readonly mantissa: Float64Array;
  readonly exponent: Int32Array;
  readonly raised?: Uint8Array;
}
