/** The options of samplers. */
import { wrongType } from '../call/errors.js';
import { FILTER_NAMES, type FilterOptions, type MirostatOptions } from './filter-options.js';
import { listOf } from './options.js';
import { PENALTY_OPTIONS, type PenaltyOptions, type Tokens } from './penalty-options.js';
import { isList } from './per-row.js';
import type { MASKED_OPTIONS } from './rows.js';

type OneRowFilterOptions = Omit<FilterOptions, (typeof MASKED_OPTIONS)[number]>;

export interface SamplerOptions extends PenaltyOptions, OneRowFilterOptions {
  /**
   * The key of the generator, as for `sample`. Default: another one for each sampler; {@link Sampler.save} tells it.
   */
  seed?: number | bigint | null | undefined;
  /** Tokens that end the sequence: {@link Sampler.finished}. Default: none. */
  stop?: Tokens | number | null | undefined;
  /** The last filter; the sampler keeps its state `mu`, which is `mirostat.mu` at first. Default: none. */
  mirostat?: MirostatOptions | null | undefined;
  /** How many tokens the output has at least: until then the tokens of `stop` are banned. Default: 0. */
  minTokens?: number | null | undefined;
}

export interface SampleAllOptions {
  /** The length of a row. Default: the length of `logits` by the number of samplers. */
  readonly cols?: number | null | undefined;
}

export const SAMPLER_FILTERS = [...FILTER_NAMES, 'mirostat'] as const;
export const SAMPLER_OPTIONS = [...PENALTY_OPTIONS, ...SAMPLER_FILTERS, 'seed', 'stop', 'minTokens'];

/** An option that later changes of the caller's objects cannot reach. */
export function ownOption(value: unknown, name: string): unknown {
  if (isList(value)) return ownList(value, name);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, isList(each) ? ownList(each, `${name}.${key}`) : each]),
  );
}

const ownList = (list: ArrayLike<unknown>, name: string): unknown[] =>
  listOf(list, name, (each, i) => {
    if (each === undefined) throw wrongType('no hole', `${name}[${i}]`, each);
    return each;
  });
