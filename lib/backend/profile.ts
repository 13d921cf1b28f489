/** The file that FLASH_SOFTMAX_PROFILE names: thresholds of the addon's plan. */
import { readFileSync } from 'node:fs';
import { describe, wrongValue } from '../call/errors.js';
import type { Plan } from './native.js';

export const PROFILE_VERSION = 1;

const THRESHOLDS = ['twoPassBytes', 'streamBytes', 'parallelBytes'] as const;

/** The thresholds of a profile. A threshold that it does not name stays as it is. */
type Profile = Partial<Record<keyof Plan, number>>;

/** A profile is {"version": 1, "twoPassBytes": …, "streamBytes": …, "parallelBytes": …}, null meaning never. */
export function readProfile(path: string): Profile {
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
    text = readFileSync(path, 'utf8');
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
