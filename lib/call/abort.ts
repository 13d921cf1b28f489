/** AbortSignals, with one listener on each, however many calls wait for it. */
import { wrongType } from './errors.js';

/**
 * The part of an AbortSignal that no other type has: a program that compiles against it needs no types of Node or a
 * browser.
 */
export interface AbortSignalLike {
  readonly aborted: boolean;
  throwIfAborted(): void;
}

export interface AsyncOptions {
  /**
   * Stops the job. The promise rejects with the signal's reason as soon as nothing works on the arrays any more.
   */
  signal?: AbortSignalLike | undefined;
}

/** Reads `signal`. Call it before any length is taken: a getter may do anything. */
export function signalOf(options: AsyncOptions | undefined): AbortSignal | undefined {
  const signal: unknown = typeof options === 'object' && options !== null ? options.signal : undefined;
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw wrongType('an AbortSignal', 'signal', signal);
  return signal;
}

interface Waiting {
  readonly stops: Set<() => void>;
  readonly listener: () => void;
}

const waiting = new WeakMap<AbortSignal, Waiting>();

/** Calls `stop` when the signal is raised. The function that it returns ends that. */
export function onAbort(signal: AbortSignal | undefined, stop: () => void): () => void {
  if (signal === undefined) return () => {};
  const found = waiting.get(signal) ?? listen(signal);
  found.stops.add(stop);
  return () => {
    found.stops.delete(stop);
    if (found.stops.size > 0 || waiting.get(signal) !== found) return;
    waiting.delete(signal);
    signal.removeEventListener('abort', found.listener);
  };
}

function listen(signal: AbortSignal): Waiting {
  const stops = new Set<() => void>();
  const listener = () => {
    for (const stop of [...stops]) stop();
  };
  const found = { stops, listener };
  waiting.set(signal, found);
  signal.addEventListener('abort', listener);
  return found;
}
