/**
 * Functions that are composed of calls of kernels: one text runs at once, or as a promise that gives the event loop a
 * turn between its steps.
 */
import type { AsyncOptions } from './abort.js';
import { signalOf } from './abort.js';
import { bytesPerElement, copyInto, isShared, lengthOf, viewOf } from './arrays.js';
import { runNow, type Call } from './call.js';
import { turn } from './js-jobs.js';
import { checkWhole, newLike, type CallerArray } from './memory.js';
import { offLoop } from './off-loop.js';
import type { PrivateMemory } from './private-memory.js';
import type { Form } from './options.js';

/** Yields a call to be run, or nothing where others may have a turn. */
export type Steps<R> = Generator<Call<unknown> | undefined, R, unknown>;

/** Runs all steps at once. A step that throws ends them: their `finally` blocks run. */
export function runSteps<R>(steps: Steps<R>): R {
  try {
    for (;;) {
      const { done, value } = steps.next();
      if (done) return value;
      if (value !== undefined) runNow(value);
    }
  } finally {
    steps.return(undefined as R);
  }
}

/**
 * The promise of a composed function. Options stand at `optionsAt` among its arguments, as for `later`. If a call
 * throws or the signal is raised, the generator's `finally` blocks run.
 */
export function stepsLater<Args extends unknown[], R>(
  make: (form: Form, ...args: Args) => Steps<R>,
  optionsAt: number,
): (...args: Args) => Promise<R> {
  return async (...rest) => {
    const signal = signalOf(rest[optionsAt] as AsyncOptions | undefined);
    const steps = make('later', ...rest);
    signal?.throwIfAborted();
    try {
      for (;;) {
        const { done, value } = steps.next();
        if (done) return value;
        if (value === undefined) await turn();
        else await offLoop(value, signal);
        signal?.throwIfAborted();
      }
    } finally {
      steps.return(undefined as R);
    }
  };
}

/** Bytes copied between two turns of the event loop. */
const SLICE = 2 ** 20;

/**
 * A caller's array itself, or for a promise a copy that no one else can write, made in slices: in `memory`, if that is
 * given. Takes the length when it is called: call it for all arrays before the first of their copies is made.
 */
export const privately = <A extends ArrayBufferView>(
  form: Form,
  view: A,
  name: string,
  memory?: PrivateMemory,
): Generator<undefined, A> => (form === 'now' || isShared(view) ? itself(view) : ownCopy(view, name, memory));

/** A copy of a caller's array, for a promise made in slices. Takes the length when it is called. */
export const ownCopy = <A extends ArrayBufferView>(
  view: A,
  name: string,
  memory?: PrivateMemory,
): Generator<undefined, A> => copyOf(view, { view, name, length: lengthOf(view) }, memory);

function* itself<A>(view: A): Generator<undefined, A> {
  return view;
}

function* copyOf<A extends ArrayBufferView>(
  view: A,
  caller: CallerArray,
  memory: PrivateMemory | undefined,
): Generator<undefined, A> {
  const copy = memory?.like(view, caller.length) ?? newLike(view, caller.length, false);
  const step = SLICE / bytesPerElement(view);
  for (let at = 0; at < caller.length; at += step) {
    if (at > 0) yield undefined;
    checkWhole(caller);
    copyInto(copy, viewOf(view, at, Math.min(caller.length, at + step)), at);
  }
  return copy as unknown as A;
}
