/**
 * Chooses the backend, once, at first use: the best instruction set that the addon can use here, JavaScript without the
 * addon, or the backend that FLASH_SOFTMAX_BACKEND names.
 */
import { describe, wrongValue } from '../call/errors.js';
import { BACKEND_NAMES, type Backend, type BackendName, type BackendOf } from './backend.js';
import { environment, native } from './native.js';
import { settings } from './settings.js';
import { wasm } from './wasm/host.js';

/**
 * Calls with no more elements than this go to JavaScript: a call into native code costs more than the work. Only the
 * length of the array decides, on every machine with the addon alike, so that one call always gives the same bits. They
 * are JavaScript's bits, which differ from native ones in the last place. A backend that is named always runs.
 */
export const JS_MAX_ELEMENTS = 64;

export interface Choice {
  readonly name: BackendName;
  /** The reason for the choice, as a clause. */
  readonly reason: string;
  /** Up to how many elements JavaScript runs instead. */
  readonly jsMaxElements: number;
}

/**
 * The scalar kernels are the exact and slow reference for the others; prebuilt binaries do not contain them.
 */
const NO_VECTORS =
  'this processor has no vector instructions that the addon could use, and the others beat scalar code';

/** The choice among available backends, best first, where `wanted` is the value of FLASH_SOFTMAX_BACKEND. */
export function choose(available: readonly BackendName[], wanted: string | undefined): Choice {
  if (wanted !== undefined && wanted !== '') {
    const name = find(available, wanted, 'FLASH_SOFTMAX_BACKEND');
    return { name, reason: 'FLASH_SOFTMAX_BACKEND asks for it', jsMaxElements: 0 };
  }
  const name = available.find((each) => each !== 'scalar') ?? 'js';
  if (name === 'js' || name === 'wasm') {
    const why = native().addon ? NO_VECTORS : 'the native addon is absent';
    const { error } = wasm();
    return { name, reason: error === undefined ? why : `${why}, and so is WebAssembly: ${error}`, jsMaxElements: 0 };
  }
  return {
    name,
    reason: 'the best that this processor and its operating system allow',
    jsMaxElements: JS_MAX_ELEMENTS,
  };
}

export function find(available: readonly BackendName[], wanted: string, what: string): BackendName {
  const name = available.find((each) => each === wanted);
  if (name !== undefined) return name;
  const { error } = native();
  const reasons = [error && `no native addon: ${error}`, wasm().error && `no WebAssembly: ${wasm().error}`];
  const why = reasons.some(Boolean) ? ` (${reasons.filter(Boolean).join('; ')})` : '';
  throw wrongValue(`one of ${available.join(', ')}`, what, describe(wanted) + why);
}

/** The backends of this machine, best first; JavaScript is always the last. */
export function availableBackends(): BackendName[] {
  const isas = native().addon?.backends ?? [];
  const isWasm = wasm().error === undefined;
  return BACKEND_NAMES.filter((name) => name === 'js' || (name === 'wasm' ? isWasm : isas.includes(name)));
}

/**
 * Throws where FLASH_SOFTMAX_REQUIRE_NATIVE asks for the addon and there is none: JavaScript must not run unnoticed.
 */
function requireNative(wanted: string | undefined): void {
  if (wanted === undefined || wanted === '' || wanted === '0') return;
  if (wanted !== '1') throw wrongValue('1 or 0', 'FLASH_SOFTMAX_REQUIRE_NATIVE', describe(wanted));
  const { error } = native();
  if (error === undefined) return;
  throw Object.assign(new Error(`FLASH_SOFTMAX_REQUIRE_NATIVE is set and there is no native addon: ${error}`), {
    code: 'ERR_DLOPEN_FAILED',
  });
}

/** The kernels of each instruction set that was asked for. */
const tables = new Map<BackendName, Backend>();

export function tableOf(name: Exclude<BackendName, 'js'>): Backend {
  if (name === 'wasm') return wasm().backend!;
  let table = tables.get(name);
  if (table === undefined) tables.set(name, (table = { name, ...native().addon!.kernels(name) }));
  return table;
}

export interface Chosen {
  readonly choice: Choice;
  /** Absent where JavaScript was chosen. */
  readonly table: Backend | undefined;
}

let chosen: Chosen | undefined;

/** Chooses again at the next call: WebAssembly modules have been provided. */
export function chooseAgain(): void {
  chosen = undefined;
  mixed = new WeakMap();
}

/** Tables for places that have some of the WebAssembly modules: the kernels of the others are JavaScript's. */
let mixed = new WeakMap<object, BackendOf<never>>();

function withTwins(table: Backend, js: BackendOf<never>): BackendOf<never> {
  let all = mixed.get(js);
  if (all === undefined) mixed.set(js, (all = { ...js, ...table }));
  return all;
}

/** The kernels that run: those of JavaScript where others are missing. */
const kernelsFrom = <Kernels extends BackendOf<never>>(table: Backend | undefined, js: Kernels): Kernels => {
  if (table === undefined) return js;
  return (table.name === 'wasm' && !wasm().isWhole ? withTwins(table, js) : table) as BackendOf<never> as Kernels;
};

function selected(): Chosen {
  if (chosen === undefined) {
    requireNative(environment('FLASH_SOFTMAX_REQUIRE_NATIVE'));
    const { threads } = settings();
    const choice = choose(availableBackends(), environment('FLASH_SOFTMAX_BACKEND'));
    if (choice.name === 'wasm') wasm().threads!(threads, true);
    chosen = { choice, table: choice.name === 'js' ? undefined : tableOf(choice.name) };
  }
  return chosen;
}

/** For programs that compare backends: what runs now, a backend by its name, and what runs from here on. */
export const inForce = (): Chosen => selected();
export function chosenBackend(name: BackendName): Chosen {
  const choice = choose(availableBackends(), name);
  return { choice, table: name === 'js' ? undefined : tableOf(name) };
}
export function runOn(wanted: Chosen): void {
  chosen = wanted;
}

/**
 * The choice in force. Throws a RangeError if FLASH_SOFTMAX_BACKEND names a backend that is not available, or another
 * setting is wrong; an Error (ERR_DLOPEN_FAILED) if FLASH_SOFTMAX_REQUIRE_NATIVE is 1 and the addon is absent.
 */
export const choice = (): Choice => selected().choice;

/**
 * The backend in force; `js` are the kernels of the same operators in JavaScript. The caller brings them, so that a
 * bundle of one function has the kernels of one operator.
 */
export const backend = <Kernels extends BackendOf<never>>(js: Kernels): Kernels => kernelsFrom(selected().table, js);

/** The backend for a call with so many elements. */
export function backendFor<Kernels extends BackendOf<never>>(elements: number, js: Kernels): Kernels {
  const { choice, table } = selected();
  return elements <= choice.jsMaxElements ? js : kernelsFrom(table, js);
}
