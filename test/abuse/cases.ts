/** The abuse of each call of operators.ts: lies, loss of memory before, during and after the call, getters, proxies. */
import type { Api } from '../fuzz/case.js';
import { isArray, plain } from '../fuzz/judge.js';
import { handmade } from './handmade.js';
import type { Arrays, Operator, Options } from './operator.js';
import { operators } from './operators.js';
import { lies, losses, placedIn, type Loss, type Placed } from './placements.js';

export interface AbuseCase {
  readonly name: string;
  /** True if no other case is of this kind, so that every sample has it. */
  readonly isOwnKind?: boolean;
  /** Resolves to the fault, or to undefined. */
  run(api: { sync: Api; promises: Api }): Promise<string | undefined>;
}

interface Ended {
  readonly result?: string;
  readonly error?: unknown;
}

/** All numbers of a result, for a comparison. */
function numbersOf(value: unknown, depth = 0): string {
  if (isArray(value)) {
    const { buffer, byteLength, constructor } = plain(value);
    return `${constructor.name} ${Buffer.from(buffer as ArrayBuffer, 0, byteLength).toString('latin1')}`;
  }
  if (typeof value !== 'object' || value === null || depth > 3) return String(value);
  return Object.entries(value)
    .map(([name, each]) => `${name}: ${numbersOf(each, depth + 1)}`)
    .join('\n');
}

interface Given {
  readonly arrays: Arrays;
  readonly options: Options;
  readonly lists: Record<string, unknown[]>;
}

async function end(operator: Operator, api: Api, given: Given, afterwards?: () => void): Promise<Ended> {
  try {
    const returned = operator.call(api, given.arrays, given.options, given.lists);
    afterwards?.();
    const result = await returned;
    return { result: numbersOf(operator.results ? operator.results(result as never, given.arrays) : result) };
  } catch (error) {
    return { error };
  }
}

const honest = new Map<string, Promise<string>>();

/** The result of the call without abuse. */
function honestly(operator: Operator, api: Api, key: string): Promise<string> {
  let result = honest.get(key);
  if (result === undefined) {
    const { given } = place(operator, false);
    result = end(operator, api, given).then(({ result: numbers, error }) => {
      if (numbers === undefined) throw error;
      return numbers;
    });
    honest.set(key, result);
  }
  return result;
}

function place(
  operator: Operator,
  isAlone: boolean,
  change: Record<string, (placed: Placed['array']) => Placed['array']> = {},
) {
  const placed = Object.entries(operator.arrays()).map(([name, master]) => [name, placedIn(master, isAlone)] as const);
  const arrays = Object.fromEntries(placed.map(([name, { array }]) => [name, change[name]?.(array) ?? array]));
  const given: Given = { arrays, options: operator.options(arrays), lists: operator.lists?.() ?? {} };
  return { given, touched: () => placed.find(([, { isUntouched }]) => !isUntouched())?.[0] };
}

const CODES = ['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_VALUE', 'ERR_OUT_OF_RANGE'];
const isCoded = (error: unknown): boolean =>
  (error instanceof TypeError || error instanceof RangeError) &&
  CODES.includes((error as unknown as { code: string }).code);
const describe = (error: unknown) =>
  `${String(error)} (code ${String((error as { code?: unknown } | undefined)?.code)})`.split('\n', 1)[0]!;

/** 'same': the usual result. 'type': a TypeError. 'coded': the usual result, or an error with a code. */
type Wanted = 'same' | 'type' | 'coded';

function judge({ result, error }: Ended, wanted: Wanted, right: string): string | undefined {
  if (error !== undefined) {
    if (!isCoded(error)) return `an error without a code: ${describe(error)}`;
    if (wanted === 'same') return `an error: ${describe(error)}`;
    return wanted === 'type' && !(error instanceof TypeError) ? `no TypeError but ${describe(error)}` : undefined;
  }
  if (wanted === 'type') return 'no error';
  return result === right ? undefined : 'another result';
}

interface Plan {
  readonly name: string;
  readonly operator: Operator;
  readonly isLater: boolean;
  readonly wanted: Wanted;
  /** Places the call's arrays, and spoils them. */
  make(): { given: Given; touched: () => string | undefined; afterwards?: () => void };
}

function caseOf({ name, operator, isLater, wanted, make }: Plan): AbuseCase {
  const form = isLater ? 'promise' : 'sync';
  return {
    name: `${operator.name}, ${form}: ${name}`,
    async run({ sync, promises }) {
      const api = isLater ? promises : sync;
      const right = await honestly(operator, api, `${operator.name}, ${form}`);
      const { given, touched, afterwards } = make();
      const what = judge(await end(operator, api, given, afterwards), wanted, right);
      const where = touched();
      return what ?? (where === undefined ? undefined : `memory around ${where} was written`);
    },
  };
}

/** An object like `options` whose property is read through a getter. */
function withGetter<O extends object>(target: O, name: string, before: () => void): O {
  const value: unknown = target[name as keyof O];
  return Object.defineProperty(target, name, { get: () => (before(), value), enumerable: true, configurable: true });
}

function* plansOf(operator: Operator, isLater: boolean): Generator<Plan> {
  const names = Object.keys(operator.arrays());
  const plan = (name: string, wanted: Wanted, make: Plan['make']): Plan => ({ name, operator, isLater, wanted, make });
  for (const array of names) {
    for (const [lie, tell] of Object.entries(lies))
      yield plan(`${array} with ${lie}`, 'same', () => place(operator, false, { [array]: tell }));
    yield plan(`a proxy of ${array}`, 'coded', () => place(operator, false, { [array]: (x) => new Proxy(x, {}) }));
    for (const [loss, lose] of Object.entries(losses)) {
      yield plan(`${array} ${loss} before`, 'type', () => {
        const made = place(operator, true);
        lose(made.given.arrays[array]!);
        return made;
      });
      if (isLater) yield* afterwards(operator, array, loss, lose, plan);
    }
    for (const loss of ['detached', 'shrunk']) yield* getters(operator, array, loss, losses[loss]!, plan);
  }
  yield plan('options behind a proxy', 'coded', () => {
    const { given, touched } = place(operator, false);
    return { given: { ...given, options: new Proxy(given.options, {}) }, touched };
  });
}

type Make = (name: string, wanted: Wanted, make: Plan['make']) => Plan;

function* afterwards(operator: Operator, array: string, loss: string, lose: Loss, plan: Make): Generator<Plan> {
  for (const [when, wait] of [
    ['as soon as the promise is there', (f: () => void) => f()],
    ['a turn later', (f: () => void) => void setImmediate(f)],
  ] as const) {
    yield plan(`${array} ${loss} ${when}`, 'coded', () => {
      const made = place(operator, true);
      return { ...made, afterwards: () => wait(() => lose(made.given.arrays[array]!)) };
    });
  }
}

/** Each option, and some elements of each list, take the array's memory away when they are read. */
function* getters(operator: Operator, array: string, loss: string, lose: Loss, plan: Make): Generator<Plan> {
  const once = (made: { given: Given }) => {
    let done = false;
    return () => {
      if (!done) lose(made.given.arrays[array]!);
      done = true;
    };
  };
  for (const option of Object.keys(operator.options(operator.arrays()))) {
    yield plan(`${array} ${loss} by reading ${option}`, 'coded', () => {
      const made = place(operator, true);
      withGetter(made.given.options, option, once(made));
      return made;
    });
  }
  for (const [list, values] of Object.entries(operator.lists?.() ?? {})) {
    for (const at of new Set([0, values.length - 1])) {
      yield plan(`${array} ${loss} by reading ${list}[${at}]`, 'coded', () => {
        const made = place(operator, true);
        withGetter(made.given.lists[list]!, String(at), once(made));
        return made;
      });
    }
  }
}

export function allCases(): AbuseCase[] {
  const cases: AbuseCase[] = [];
  for (const operator of operators) {
    for (const isLater of operator.hasPromise ? [false, true] : [false])
      for (const plan of plansOf(operator, isLater)) cases.push(caseOf(plan));
  }
  return [...cases, ...handmade.map(([name, run]) => ({ name, isOwnKind: true, run }))];
}
