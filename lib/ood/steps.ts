/** Work in steps: all at once, or a step at each turn of the event loop. */
import { signalOf, type AsyncOptions } from '../call/abort.js';
import { turn } from '../call/js-jobs.js';
import type { Form } from '../call/options.js';

export type Steps<R> = Generator<void, R>;

export function runAll<R>(steps: Steps<R>): R {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/**
 * The promise of a function, from its steps; the function checks its arguments and copies what it needs before the
 * first. Options stand at `optionsAt`: their signal is looked at between steps.
 */
export function inTurns<Args extends unknown[], R>(
  start: (form: Form, ...args: Args) => Steps<R>,
  optionsAt: number,
): (...args: Args) => Promise<R> {
  return async (...rest) => {
    const signal = signalOf(rest[optionsAt] as AsyncOptions | undefined);
    const steps = start('later', ...rest);
    for (;;) {
      signal?.throwIfAborted();
      const { done, value } = steps.next();
      if (done === true) return value;
      await turn();
    }
  };
}
