/** elasticMargins: random margins for marginCrossEntropy. */
import type { AsyncOptions } from '../call/abort.js';
import { elementsOf, isDetached, kindOf, newArray } from '../call/arrays.js';
import { count, oneOf, positive } from '../call/checks.js';
import { describe, wrongType, wrongValue, outOfRange } from '../call/errors.js';
import { checkOptions, FORM_OPTIONS, type Form } from '../call/options.js';
import { seedOf, type SeedOptions } from '../call/seed.js';
import { runSteps, type Steps } from '../call/steps.js';
import type { NewFloat32Array } from '../call/types.js';
import { finite } from '../call/values.js';
import { ln } from '../math/log.js';
import { block, philox, PURPOSE, uniformOf, type Key } from '../math/philox.js';

export interface ElasticMarginsOptions extends SeedOptions {
  /** Which loss the margins are for: it decides the defaults. Default: 'arc'. */
  kind?: 'arc' | 'cos' | undefined;
  /** The mean of the margins, finite. Default: 0.5 for 'arc', 0.35 for 'cos'. */
  mean?: number | undefined;
  /** Their standard deviation, finite and from 0 on. Default: 0.05; with `plus` 0.0175 for 'arc', 0.02 for 'cos'. */
  std?: number | undefined;
  /** The + form: the row with the largest cosine gets the smallest margin, and so on. Default: false. */
  plus?: boolean | undefined;
  /** For `plus`: the cosine of each row's target, no NaN. */
  cosines?: Float32Array | Float64Array | readonly number[] | undefined;
}

const NAMES = ['kind', 'mean', 'std', 'plus', 'cosines', 'seed', 'step', 'firstRow'] as const;

/**
 * Margins drawn from a normal distribution, one for each row (ElasticFace, Boutros et al., arXiv 2109.09416): the
 * `margin` of marginCrossEntropy with kind 'arc' or 'cos'. The draws are this package's Philox4x32-10 by Marsaglia's
 * polar method: the same for the same seed, step and row on every machine.
 *
 * With `plus` (ElasticFace-Arc+, -Cos+) the drawn margins are sorted, and rows get them by their cosines: the largest
 * cosine, the sample that is easiest already, gets the smallest margin. Equal cosines keep the order of rows.
 *
 * @param rows The number of margins: an integer from 0.
 * @param options `kind`, `mean`, `std`, `plus`, `cosines`; `seed`, `step` and `firstRow` as those of
 *   flash-softmax/sampling.
 * @returns A new Float32Array.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type, an option of another name, `plus` without
 *   cosines. @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a number that makes no sense.
 * @example
 * import { elasticMargins } from 'flash-softmax/losses';
 * const [first, second] = elasticMargins(2, { kind: 'cos', seed: 1, step: 3 });
 * console.log(first.toFixed(4), second.toFixed(4)); // → 0.3569 0.2979
 */
export function elasticMargins(rows: number, options?: ElasticMarginsOptions): NewFloat32Array {
  return runSteps(elasticMarginsSteps('now', rows, options));
}

export function elasticMarginsSteps(
  form: Form,
  rows: number,
  options?: ElasticMarginsOptions & AsyncOptions,
): Steps<NewFloat32Array> {
  checkOptions(options, [...NAMES, ...FORM_OPTIONS[form]]);
  const given = { ...options };
  const { plus = false, kind = 'arc' } = given;
  if (typeof plus !== 'boolean') throw wrongType('true or false', 'plus', plus);
  const isArc = oneOf(kind, ['arc', 'cos'], 'kind') === 'arc';
  const cosines = given.cosines === undefined ? undefined : cosinesOf(given.cosines);
  const n = count(rows, 'rows', 0);
  const mean = finite(given.mean ?? (isArc ? 0.5 : 0.35), 'mean');
  const std = positive(given.std ?? (!plus ? 0.05 : isArc ? 0.0175 : 0.02), 'std', true);
  if (plus && cosines === undefined) throw wrongType('cosines beside plus', 'options', undefined);
  if (!plus && cosines !== undefined) throw wrongValue('no value', 'cosines without plus', 'an array');
  if (cosines !== undefined && cosines.length !== n) {
    throw wrongValue(`${n} elements, one a row,`, 'cosines', String(cosines.length));
  }
  return draw({ ...seedOf(given, n), mean, std, cosines }, newArray('Float32Array', n) as NewFloat32Array);
}

function cosinesOf(cosines: unknown): number[] {
  const kind = kindOf(cosines);
  if (kind !== 'Float32Array' && kind !== 'Float64Array' && !Array.isArray(cosines)) {
    throw wrongType('a Float32Array, a Float64Array or an array', 'cosines', cosines);
  }
  if (kind !== undefined && isDetached(cosines as Float32Array)) {
    throw wrongType('an array that has its memory', 'cosines', cosines);
  }
  const copy = elementsOf(cosines as ArrayLike<unknown>);
  copy.forEach((value, i) => {
    if (typeof value !== 'number') throw wrongType('numbers', 'cosines', value);
    if (value !== value) throw outOfRange('numbers', 'cosines', `${describe(value)} at ${i}`);
  });
  return copy as number[];
}

/** A normal variate of a row: Marsaglia's polar method, an attempt a block. */
function normal(key: Key, step: number, row: number): number {
  for (let attempt = 0; ; attempt++) {
    block[0] = attempt;
    block[1] = row;
    block[2] = step;
    block[3] = PURPOSE.margin;
    philox(key);
    const v = 2 * uniformOf(block[0], block[1]) - 1;
    const w = 2 * uniformOf(block[2], block[3]) - 1;
    const s = v * v + w * w;
    if (s < 1 && s > 0) return v * Math.sqrt((-2 * ln(s)) / s);
  }
}

interface Draws extends ReturnType<typeof seedOf> {
  readonly mean: number;
  readonly std: number;
  readonly cosines: readonly number[] | undefined;
}

/** Rows drawn between two turns of the event loop. */
const PIECE = 4096;

function* draw({ key, step, firstRow, mean, std, cosines }: Draws, margins: NewFloat32Array): Steps<NewFloat32Array> {
  for (let row = 0; row < margins.length; row++) {
    if (row > 0 && row % PIECE === 0) yield undefined;
    margins[row] = mean + std * normal(key, step, firstRow + row);
  }
  if (cosines === undefined) return margins;
  const sorted = margins.slice().sort();
  const order = Uint32Array.from(cosines, (_, row) => row).sort((a, b) => cosines[b]! - cosines[a]! || a - b);
  order.forEach((row, rank) => (margins[row] = sorted[rank]!));
  return margins;
}
