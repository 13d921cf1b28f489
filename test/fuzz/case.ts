/** What a case is: a call that can be made on any backend, with memory of its own each time, and how its results are judged. */
import type { Draw } from './draw.js';
import type { Outcome } from './judge.js';
import type { AnyArray, Arena } from './memory.js';

/** The functions of the public interface by name; those of flash-softmax/promises have the same names. */
export type Api = Readonly<Record<string, (...args: unknown[]) => unknown>>;

export interface Case {
  /** The call in a line. */
  readonly text: string;
  /** About how many elements a call works on. */
  readonly elements: number;
  /** Makes the call; with the functions of flash-softmax/promises what it returns is a promise. */
  invoke(api: Api, arena: Arena): unknown;
  /** The arrays that a result is made of, by name. */
  outputs(result: never): Record<string, AnyArray>;
  /** Whether flash-softmax/promises has it. */
  readonly hasPromise: boolean;
  /** Whether JavaScript gives the bits of native code. */
  readonly isSameEverywhere: boolean;
  /** 'error': the call is wrong in some way. 'judged': `check` knows whether an error is right. */
  readonly expects: 'value' | 'error' | 'judged';
  /** What is wrong with results, in words. */
  check?(outcome: Outcome, isNative: boolean): string | undefined;
}

/** Makes a case of one operator; `limit` is the most elements of a row, and few when a failure is made smaller. */
export type Maker = (draw: Draw, limit: number) => Case;

/** Goes on with values, some of which may be promises. Of several errors, the first in order, as without promises. */
export function chain(values: readonly unknown[], then: (values: readonly unknown[]) => unknown): unknown {
  if (!values.some((value) => value instanceof Promise)) return then(values);
  return Promise.allSettled(values).then((settled) => {
    const failed = settled.find(({ status }) => status === 'rejected');
    if (failed) throw (failed as PromiseRejectedResult).reason;
    return then(settled.map((each) => (each as PromiseFulfilledResult<unknown>).value));
  });
}
