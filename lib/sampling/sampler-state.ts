/** The state of a sampler, and its checks. */
import { wrongType, wrongValue } from '../call/errors.js';
import { listOf } from './options.js';
import { tokensOf } from './penalty-options.js';
import { keyOf } from './random.js';

/** The result of `save`, for JSON. It does not contain options. Version 2 has what version 1 lacks. */
export interface SamplerState {
  readonly version: 1 | 2;
  /** The seed in decimal. */
  readonly seed: string;
  readonly step: number;
  readonly history: readonly number[];
  /** Version 2: where each run of the prompt's tokens begins and ends in the history. */
  readonly prompt?: readonly (readonly [from: number, to: number])[];
  /** Version 2: the state of mirostat, if it has drawn. */
  readonly mu?: number;
}

/** Checked copies of all parts. Throws for anything but a state. */
export function checkState(state: SamplerState, describe: (value: unknown) => string) {
  const { version, seed, step, history, prompt, mu } = state;
  if (version !== 1 && version !== 2) throw wrongValue('version 1 or 2', 'state', describe(version));
  if (typeof seed !== 'string' || !/^\d{1,20}$/.test(seed)) {
    throw wrongValue('a seed in decimal', 'state.seed', describe(seed));
  }
  if (!(Number.isInteger(step) && step >= 0 && step < 2 ** 32)) {
    throw wrongValue('an integer from 0 to 2^32 − 1', 'state.step', describe(step));
  }
  if (version === 2 && mu !== undefined && !Number.isFinite(mu)) {
    throw wrongValue('a finite number', 'state.mu', describe(mu));
  }
  const key = keyOf(BigInt(seed));
  const tokens = tokensOf(history, 'state.history');
  if (version === 1) return { seed: key, step, history: tokens, prompt: [], mu: undefined };
  return { seed: key, step, history: tokens, prompt: runsOf(prompt, tokens.length), mu };
}

/** Checked copies of runs: in order, apart from one another, within n tokens. */
function runsOf(prompt: unknown, n: number): [number, number][] {
  if (!Array.isArray(prompt)) throw wrongType('pairs [from, to]', 'state.prompt', prompt);
  let last = 0;
  return listOf(prompt, 'state.prompt', (pair, i): [number, number] => {
    const [from, to]: unknown[] = tokensOf(pair, `state.prompt[${i}]`);
    const isRun = typeof from === 'number' && typeof to === 'number' && last <= from && from < to && to <= n;
    if (!isRun) throw wrongValue('a run of the history', `state.prompt[${i}]`, String(pair));
    last = to;
    return [from, to];
  });
}
