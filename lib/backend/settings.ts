/**
 * The settings of the native addon from the environment, read once, at first use: FLASH_SOFTMAX_THREADS, and the
 * thresholds of the plan in the file that FLASH_SOFTMAX_PROFILE names (`flash-softmax tune` writes one). They change
 * the speed, and no bit of any result. A wrong setting is an error on every machine, with an addon or not.
 */
import { describe, wrongValue } from '../call/errors.js';
import { environment, native, parallelism, readText, type Plan } from './native.js';

export const MAX_THREADS = 1024;
export const PROFILE_VERSION = 1;

const THRESHOLDS = ['twoPassBytes', 'streamBytes', 'parallelBytes'] as const;

/** The thresholds of a profile. A threshold that it does not name stays as it is. */
type Profile = Partial<Record<keyof Plan, number>>;

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

/** A profile is {"version": 1, "twoPassBytes": …, "streamBytes": …, "parallelBytes": …}, null meaning never. */
function readProfile(path: string): Profile {
  const entries = Object.entries(parse(path));
  const complain = (expected: string, field: string, received: unknown) =>
    wrongValue(expected, `${field} in the profile '${path}'`, describe(received));

  const version = entries.find(([name]) => name === 'version')?.[1];
  if (version !== PROFILE_VERSION) throw complain(String(PROFILE_VERSION), 'version', version);
  const profile: Profile = {};
  for (const [name, value] of entries) {
    if (name === 'version') continue;
    if (name === 'processor') {
      // for people
      if (typeof value !== 'string') throw complain('a string', name, value);
      continue;
    }
    const threshold = THRESHOLDS.find((each) => each === name);
    if (threshold === undefined)
      throw complain(`only version, processor, ${THRESHOLDS.join(', ')}`, 'the fields', name);
    if (value !== null && !(Number.isSafeInteger(value) && (value as number) >= 0)) {
      throw complain('a whole number of bytes or null', name, value);
    }
    profile[threshold] = value === null ? Infinity : (value as number);
  }
  return profile;
}

function parse(path: string): object {
  let text: string;
  try {
    text = readText(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw wrongValue('a file that can be read', 'FLASH_SOFTMAX_PROFILE', `'${path}' (${code})`);
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw wrongValue('JSON', `the profile '${path}'`, `text that is none (${(error as Error).message})`);
  }
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed;
  throw wrongValue('an object', `the profile '${path}'`, describe(parsed));
}
