/** Runs one case on every backend and returns its faults. */
import type { Loaded } from './backends.js';
import type { Api, Case } from './case.js';
import { Draw } from './draw.js';
import { differenceOf, faultOfError, isArray, plain, type Outcome } from './judge.js';
import { makers, operatorOf } from './makers.js';
import { Arena, type AnyArray } from './memory.js';

export interface Settings {
  readonly seed: number;
  /** The most elements of a row. */
  readonly limit: number;
  /** Only ordinary arrays, and options without getters. */
  readonly isPlain: boolean;
}

export interface Finding {
  readonly operator: string;
  readonly text: string;
  readonly what: string;
}

export interface Verdict {
  readonly operator: string;
  readonly calls: number;
  readonly elements: number;
  readonly findings: readonly Finding[];
}

/** Calls with more elements are shared among threads. Each run has another number of threads. */
const SHARED = 2 ** 16;

export const operatorOfCase = (seed: number, number: number): string => operatorOf(new Draw(seed, number));

export function makeCase(number: number, { seed, limit }: Settings): { operator: string; case: Case } {
  const draw = new Draw(seed, number);
  const operator = operatorOf(draw);
  return { operator, case: makers[operator]!(draw, limit) };
}

/** Results can be such nonsense, for example indices beyond a row, that the oracle throws. */
function checked(fuzzCase: Case, outcome: Outcome, isNative: boolean): string | undefined {
  try {
    return fuzzCase.check?.(outcome, isNative);
  } catch (error) {
    return `a result that cannot be judged: ${String(error)}`;
  }
}

async function outcomeOf(fuzzCase: Case, api: Api, arena: Arena, isLater: boolean): Promise<Outcome> {
  try {
    const returned = fuzzCase.invoke(api, arena);
    const result = isLater ? await returned : returned;
    const arrays = Object.entries(fuzzCase.outputs(result as never)).filter(([, array]) => isArray(array));
    return { arrays: Object.fromEntries(arrays.map(([name, array]) => [name, plain(array as AnyArray)])) };
  } catch (error) {
    const { name, code, message } = error as { name: string; code: unknown; message: string };
    return { arrays: {}, error: { name, code, message } };
  }
}

export async function runCase(number: number, settings: Settings, backends: readonly Loaded[]): Promise<Verdict> {
  const { operator, case: fuzzCase } = makeCase(number, settings);
  const findings: Finding[] = [];
  const find = (what: string | undefined) =>
    void (what === undefined || findings.push({ operator, text: fuzzCase.text, what }));
  const chances = new Draw(settings.seed, number, 1);
  const [wantsPromise, wantsDefault] = [fuzzCase.hasPromise && chances.chance(0.2), chances.chance(0.2)];
  let calls = 0;

  const run = async (backend: Loaded, stream: number, isLater: boolean): Promise<Outcome> => {
    const draw = new Draw(settings.seed, number, 2 + stream);
    if (fuzzCase.elements > SHARED) backend.setThreads(draw.pick([1, 2, 3]));
    const arena = new Arena(draw, settings.isPlain);
    const outcome = await outcomeOf(fuzzCase, isLater ? backend.promises : backend.sync, arena, isLater);
    const name = `${backend.name}${isLater ? ', as a promise' : ''}`;
    for (const fault of arena.faults(outcome.error !== undefined)) find(`${name}: ${fault}`);
    if (outcome.error) find(prefixed(name, faultOfError(outcome.error)));
    calls++;
    return outcome;
  };

  const outcomes = new Map<string, Outcome>();
  for (const [i, backend] of backends.entries()) {
    if (backend.name !== 'default') outcomes.set(backend.name, await run(backend, i, false));
  }
  const first = backends.find(({ name, isNative }) => isNative && name !== 'default');
  const native = first && outcomes.get(first.name);
  const js = outcomes.get('js');
  for (const [name, outcome] of outcomes) {
    if (native && outcome !== native && (name !== 'js' || fuzzCase.isSameEverywhere || outcome.error || native.error))
      find(prefixed(`${first.name} and ${name} differ`, differenceOf(native, outcome, name !== 'js')));
  }
  for (const [i, backend] of backends.entries()) {
    if (backend.name === 'default' && wantsDefault) {
      const outcome = await run(backend, i, false);
      const differences = [native, js].map((other) => other && differenceOf(other, outcome, other !== js));
      if (!differences.includes(undefined)) find(`default differs from all: ${differences.join('; ')}`);
    } else if (wantsPromise && (backend === first || backend.name === 'js')) {
      find(
        prefixed(
          `${backend.name}: the promise differs`,
          differenceOf(outcomes.get(backend.name)!, await run(backend, 100 + i, true), backend.isNative),
        ),
      );
    }
  }

  for (const [outcome, isNative, name] of [
    [native, true, first?.name],
    [js, false, 'js'],
  ] as const) {
    if (outcome === undefined) continue;
    if (fuzzCase.expects === 'error' && !outcome.error) find(`${name}: no error`);
    if (fuzzCase.expects === 'value' && outcome.error) find(`${name}: ${outcome.error.message}`);
    if (fuzzCase.expects !== 'error' && (!outcome.error || fuzzCase.expects === 'judged'))
      find(prefixed(name!, checked(fuzzCase, outcome, isNative)));
  }
  return { operator, calls, elements: calls * fuzzCase.elements, findings };
}

const prefixed = (prefix: string, what: string | undefined) => (what === undefined ? undefined : `${prefix}: ${what}`);
