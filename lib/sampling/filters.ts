/** The checks of the filters of sampling. */
import { count, positive } from '../call/checks.js';
import { describe, wrongType, wrongValue } from '../call/errors.js';
import { checkOptions } from '../call/options.js';
import { finite, fraction } from '../call/values.js';
import { DEFAULTS, FILTER_ORDERS, type FilterName, type FilterOptions } from './filter-options.js';
import { listOf, type Given } from './options.js';
import { perRow, RowNumbers } from './per-row.js';

export interface Mirostat {
  readonly version: 1 | 2;
  readonly tau: RowNumbers;
  readonly eta: RowNumbers;
  readonly mu: RowNumbers | undefined;
}

type Numbers =
  Exclude<FilterName, 'xtc' | 'mirostat'> | 'xtcThreshold' | 'xtcProbability' | 'minKeep' | 'range' | 'exponent';

/** Checked filters. */
export interface CheckedFilters extends Readonly<Record<Numbers, RowNumbers>> {
  readonly mirostat: Mirostat | undefined;
  /** The filters that change something, in their order. */
  readonly order: readonly FilterName[];
  /** Whether the kernel of sampling has these filters, in this order. */
  readonly isNative: boolean;
  /** How far below the largest a logit of each row may be, as another filter has found. */
  readonly distances?: Float64Array;
}

const topKOf = (value: unknown, name: string): number => count(value, name, 0);
const keepOf = (value: unknown, name: string): number => count(value, name, 1);
const temperatureOf = (value: unknown, name: string): number => positive(value, name, true);
const aboveZero = (value: unknown, name: string): number => positive(value, name);

/** The numbers of filters that are not given, by their names. */
const ABSENT = /* @__PURE__ */ (() => {
  const none = (name: string, value: number): RowNumbers => new RowNumbers(name, value);
  return {
    temperature: none('temperature', DEFAULTS.temperature),
    topNSigma: none('topNSigma', DEFAULTS.topNSigma),
    topH: none('topH', DEFAULTS.topH),
    topK: none('topK', DEFAULTS.topK),
    topP: none('topP', DEFAULTS.topP),
    minP: none('minP', DEFAULTS.minP),
    typicalP: none('typicalP', DEFAULTS.typicalP),
    epsilonCutoff: none('epsilonCutoff', DEFAULTS.epsilonCutoff),
    etaCutoff: none('etaCutoff', DEFAULTS.etaCutoff),
    xtcThreshold: none('xtc.threshold', 1),
    xtcProbability: none('xtc.probability', 0),
    minKeep: none('minKeep', 1),
    range: none('dynamicTemperature.range', 0),
    exponent: none('dynamicTemperature.exponent', 1),
  } satisfies Record<Numbers, RowNumbers>;
})();

/** Checks all filters; their lists are copied. */
export function checkedFilters(given: Given<FilterOptions>, mirostat: unknown): CheckedFilters {
  const xtc = groupOf(given.xtc, 'xtc', ['threshold', 'probability']);
  const dynamic = groupOf(given.dynamicTemperature, 'dynamicTemperature', ['range', 'exponent']);
  const of = (name: Exclude<FilterName, 'xtc' | 'mirostat'> | 'minKeep', check: typeof fraction): RowNumbers =>
    given[name] === undefined ? ABSENT[name] : perRow(given[name], name, check);
  const numbers: Record<Numbers, RowNumbers> = {
    temperature: of('temperature', temperatureOf),
    topNSigma: of('topNSigma', finite),
    topH: of('topH', fraction),
    topK: of('topK', topKOf),
    topP: of('topP', fraction),
    minP: of('minP', fraction),
    typicalP: of('typicalP', fraction),
    epsilonCutoff: of('epsilonCutoff', fraction),
    etaCutoff: of('etaCutoff', fraction),
    xtcThreshold: xtc === undefined ? ABSENT.xtcThreshold : perRow(xtc.threshold, 'xtc.threshold', fraction),
    xtcProbability: xtc === undefined ? ABSENT.xtcProbability : perRow(xtc.probability, 'xtc.probability', fraction),
    minKeep: of('minKeep', keepOf),
    range: dynamic === undefined ? ABSENT.range : perRow(dynamic.range, ABSENT.range.name, temperatureOf),
    exponent: perRow(dynamic?.exponent ?? 1, ABSENT.exponent.name, temperatureOf),
  };
  const state = mirostatOf(mirostat);
  const order = orderOf(given.order, (name) => isActive(numbers, state, name));
  return { ...numbers, mirostat: state, order, isNative: isNative(order, numbers) };
}

/** A copy of an option that has numbers of its own. */
function groupOf(value: unknown, name: string, names: readonly string[]): Record<string, unknown> | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'object') throw wrongType('an object', name, value);
  checkOptions(value, names);
  return { ...value };
}

function mirostatOf(value: unknown): Mirostat | undefined {
  const given = groupOf(value, 'mirostat', ['version', 'tau', 'eta', 'mu']);
  if (given === undefined) return undefined;
  const { version, tau, eta, mu } = given;
  if (version !== 1 && version !== 2) throw wrongValue('1 or 2', 'mirostat.version', describe(version));
  return {
    version,
    tau: perRow(tau ?? 5, 'mirostat.tau', aboveZero),
    eta: perRow(eta ?? 0.1, 'mirostat.eta', temperatureOf),
    mu: mu === undefined || mu === null ? undefined : perRow(mu, 'mirostat.mu', finite),
  };
}

function isActive(numbers: Record<Numbers, RowNumbers>, mirostat: Mirostat | undefined, name: FilterName): boolean {
  if (name === 'mirostat') return mirostat !== undefined;
  if (name === 'xtc') return numbers.xtcProbability.some((p) => p > 0);
  if (name === 'topNSigma') return numbers.topNSigma.some((n) => n > 0);
  const isChanged = numbers[name] !== ABSENT[name] && numbers[name].some((value) => value !== DEFAULTS[name]);
  return name === 'temperature' ? isChanged || numbers.range.some((range) => range > 0) : isChanged;
}

const NAMES = Object.keys(DEFAULTS) as FilterName[];

/** The active filters in the caller's order. */
function orderOf(order: unknown, isActive: (name: FilterName) => boolean): readonly FilterName[] {
  const active = NAMES.filter(isActive);
  if (order === undefined || order === null) return active;
  const names = typeof order === 'string' ? namedOrder(order) : listedOrder(order);
  for (const name of active) {
    if (!names.includes(name)) throw wrongValue(`a list with '${name}', which is given,`, 'order', 'one without it');
  }
  return names.filter((name) => active.includes(name));
}

function namedOrder(name: string): readonly FilterName[] {
  if (Object.hasOwn(FILTER_ORDERS, name)) return FILTER_ORDERS[name as keyof typeof FILTER_ORDERS];
  throw wrongValue(`an array, ${Object.keys(FILTER_ORDERS).map(describe).join(' or ')}`, 'order', describe(name));
}

function listedOrder(order: unknown): readonly FilterName[] {
  if (!Array.isArray(order)) throw wrongType('an array of names of filters', 'order', order);
  const seen: FilterName[] = [];
  return listOf(order, 'order', (name) => {
    if (typeof name !== 'string') throw wrongType('names of filters', 'order', name);
    if (!Object.hasOwn(DEFAULTS, name)) throw wrongValue(`only ${NAMES.join(', ')}`, 'order', describe(name));
    if (seen.includes(name as FilterName)) throw wrongValue('each name once', 'order', `${describe(name)} twice`);
    seen.push(name as FilterName);
    return name as FilterName;
  });
}

/** The filters of the kernel, in its order. */
const NATIVE: readonly FilterName[] = ['temperature', 'topK', 'topP', 'minP', 'typicalP', 'epsilonCutoff'];

/** Whether filters are the kernel's in its order. topK keeps the same tokens before the temperature, and after minP. */
export function isNative(order: readonly FilterName[], { range, minKeep }: Record<Numbers, RowNumbers>): boolean {
  if (range.some((value) => value > 0) || minKeep.some((value) => value > 1)) return false;
  const isFirst = order[0] === 'topK' && order[1] === 'temperature';
  const inKernelsOrder = isFirst ? ['temperature' as const, 'topK' as const, ...order.slice(2)] : order;
  const places = inKernelsOrder.map((name) => NATIVE.indexOf(name));
  return places.every((place, i) => place >= 0 && (i === 0 || place > places[i - 1]!));
}

/** Throws unless each filter has one number, or one a row. */
export function checkFilterRows(filters: CheckedFilters, rows: number): void {
  for (const value of Object.values(filters)) if (value instanceof RowNumbers) value.checkRows(rows);
  const { mirostat } = filters;
  mirostat?.tau.checkRows(rows);
  mirostat?.eta.checkRows(rows);
  mirostat?.mu?.checkRows(rows);
}
