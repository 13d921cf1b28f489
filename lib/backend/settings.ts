/**
 * The settings of the native addon from the environment, read once, at first use: FLASH_SOFTMAX_THREADS, and the
 * thresholds of the plan in the file that FLASH_SOFTMAX_PROFILE names (`flash-softmax tune` writes one). They change
 * the speed, and no bit of any result. A wrong setting is an error on every machine, with an addon or not.
 */
import { describe, wrongValue } from '../call/errors.js';
import { environment, native, parallelism } from './native.js';
import { readProfile } from './profile.js';

export const MAX_THREADS = 1024;

export interface Settings {
  /** The source of the plan: 'built-in' or the path of a profile. */
  readonly planSource: string;
  /** FLASH_SOFTMAX_THREADS. */
  readonly threads: number | undefined;
}

let settled: Settings | undefined;

/** Applies the settings at the first call. Throws a RangeError (ERR_INVALID_ARG_VALUE) for a wrong setting. */
export function settings(): Settings {
  return (settled ??= settle(environment('FLASH_SOFTMAX_THREADS'), environment('FLASH_SOFTMAX_PROFILE')));
}

function settle(threads: string | undefined, path: string | undefined): Settings {
  const asked = threads ? threadsFrom(threads) : undefined;
  const profile = path ? readProfile(path) : undefined;
  const { addon } = native();
  // One pool serves the process: an earlier setting stays.
  addon?.threads(asked ?? Math.min(parallelism(), MAX_THREADS), true);
  if (addon && profile) {
    const { twoPassBytes, streamBytes, parallelBytes } = { ...addon.plan(), ...profile };
    addon.plan(twoPassBytes, streamBytes, parallelBytes);
  }
  return { planSource: path || 'built-in', threads: asked };
}

function threadsFrom(text: string): number {
  const n = /^\d+$/.test(text) ? Number(text) : 0;
  if (n >= 1 && n <= MAX_THREADS) return n;
  throw wrongValue(`an integer from 1 to ${MAX_THREADS}`, 'FLASH_SOFTMAX_THREADS', describe(text));
}
