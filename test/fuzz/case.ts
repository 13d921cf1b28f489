/** A case: a call that runs on any backend, each time in its own memory, and the judgement of its results. */
import type { Draw } from './draw.js';
import type { Outcome } from './judge.js';
import type { AnyArray, Arena } from './memory.js';

/** The public functions by name. flash-softmax/promises has the same names. */
export type Api = Readonly<Record<string, (...args: unknown[]) => unknown>>;

export interface Case {
  /** The call in a line. */
  readonly text: string;
  /** The approximate number of elements that a call works on. */
  readonly elements: number;
  /** Makes the call; returns a promise with the functions of flash-softmax/promises. */
  invoke(api: Api, arena: Arena): unknown;
  /** The arrays of a result, by name. */
  outputs(result: never): Record<string, AnyArray>;
  /** True if flash-softmax/promises has the function. */
  readonly hasPromise: boolean;
  /** True if JavaScript gives the bits of native code. */
  readonly isSameEverywhere: boolean;
  /** 'error': the call has a fault. 'judged': `check` decides whether an error is right. */
  readonly expects: 'value' | 'error' | 'judged';
  /** The fault of the results, in words. */
  check?(outcome: Outcome, isNative: boolean): string | undefined;
}

/**
 * Makes a case of one operator. `limit` is the most elements of a row; it is low when a failing case is made smaller.
 */
export type Maker = (draw: Draw, limit: number) => Case;

/** Continues with values that may be promises. Of several errors it throws the first in order, as sync calls do. */
export function chain(values: readonly unknown[], then: (values: readonly unknown[]) => unknown): unknown {
  if (!values.some((value) => value instanceof Promise)) return then(values);
  return Promise.allSettled(values).then((settled) => {
    const failed = settled.find(({ status }) => status === 'rejected');
    if (failed) throw (failed as PromiseRejectedResult).reason;
    return then(settled.map((each) => (each as PromiseFulfilledResult<unknown>).value));
  });
}
