/**
 * flash-softmax/wasm: loads the WebAssembly kernels where no file can be read, as in browsers and edge workers. Node,
 * Deno and Bun find them without it.
 *
 * JavaScript runs until `init` or `initSync` has modules; from then on the functions of all entry points use them.
 * Their results are those of the native kernels to the bit, and differ from JavaScript's in the last place.
 */
import { describe, wrongType, wrongValue } from './call/errors.js';
import type { BackendName } from './backend/backend.js';
import { choice, chooseAgain } from './backend/choice.js';
import { engine, obstacle, type Module } from './backend/wasm/engine.js';
import { register, wasm } from './backend/wasm/host.js';
import { provide } from './backend/wasm/modules.js';
import { urlOf } from './backend/wasm/urls.js';
import { MODULE_NAMES, wasmBackend } from './backend/wasm/wasm.js';

/**
 * The modules: `softmax` (softmax, softmaxBackward, expSum, normalize), `logarithms` (logSoftmax, logSumExp,
 * crossEntropy and its variants), `losses` (stableMax and the other functions of flash-softmax/losses), and those of
 * the entry points of their names. Functions of a module that is not there run in JavaScript.
 */
export type WasmModuleName =
  'softmax' | 'logarithms' | 'losses' | 'attention' | 'sampling' | 'detection' | 'routing' | 'head';

/**
 * A module that is compiled (a WebAssembly.Module, as `import module from './x.wasm'` gives on edge workers), or its
 * bytes.
 */
export type WasmModule = object;

/** A module, its URL, or a Response with it. */
export type WasmSource = string | WasmModule | PromiseLike<WasmModule>;

/** What a module of the package's root needs. */
const ROOT: readonly WasmModuleName[] = ['softmax', 'logarithms'];

/**
 * Loads modules, and lets the functions of this package use them.
 *
 * @param modules Names of modules, which are fetched from the folder wasm/ of the package, by default `softmax` and
 *   `logarithms`; or an object with a source of each: a URL, a Response, bytes, or a compiled module. More calls add
 *   more modules.
 * @returns The backend that runs from now on: 'wasm', or another where the engine has no relaxed SIMD, or the native
 *   addon runs. `capabilities()` says why.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) or RangeError (ERR_INVALID_ARG_VALUE) for a wrong name or source; and the
 *   errors of `fetch` and WebAssembly. The promise rejects with these.
 * @example
 * import { init } from 'flash-softmax/wasm';
 * console.log(typeof (await init())); // 'wasm' in a browser with relaxed SIMD → string
 */
export async function init(
  modules: readonly WasmModuleName[] | Partial<Record<WasmModuleName, WasmSource>> = ROOT,
): Promise<BackendName> {
  const sources = sourcesOf(modules);
  if (!canLoad()) return choice().name;
  const found = await Promise.all(
    sources.map(async ([name, source]) => ({ name, module: await moduleFrom(name, await source) })),
  );
  return use(found);
}

/**
 * The same at once, for modules that are compiled, or whose bytes are there: what flash-softmax/wasm/inline exports.
 * Browsers may refuse to compile large modules on the main thread; these are small enough.
 *
 * @returns The backend that runs from now on, as for {@link init}.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) or RangeError (ERR_INVALID_ARG_VALUE) for a wrong name or module.
 * @example
 * import { initSync } from 'flash-softmax/wasm';
 * import { softmax } from 'flash-softmax/wasm/inline';
 * console.log(typeof initSync({ softmax })); // → string
 */
export function initSync(modules: Partial<Record<WasmModuleName, WasmModule>>): BackendName {
  const sources = sourcesOf(modules);
  if (!canLoad()) return choice().name;
  return use(
    sources.map(([name, source]) => {
      if (isModule(source)) return { name, module: source };
      if (!isBytes(source)) throw wrongType('a WebAssembly.Module or its bytes', `modules.${name}`, source);
      return { name, module: new engine!.Module(source as Uint8Array) };
    }),
  );
}

function use(found: readonly { name: string; module: Module }[]): BackendName {
  if (wasm().isWhole !== true) {
    found.forEach(provide);
    register(wasmBackend());
    chooseAgain();
  }
  return choice().name;
}

/** Whether modules can run here, and are not all there. */
function canLoad(): boolean {
  const error = obstacle();
  if (error === undefined) return wasm().isWhole !== true;
  register({ error });
  chooseAgain();
  return false;
}

function sourcesOf(modules: unknown): [name: string, source: unknown][] {
  if (typeof modules !== 'object' || modules === null)
    throw wrongType('an array of names or an object of modules', 'modules', modules);
  const sources: [string, unknown][] = Array.isArray(modules)
    ? modules.map((name): [string, unknown] => [name as string, undefined])
    : Object.entries(modules);
  for (const [name] of sources)
    if (!MODULE_NAMES.includes(name))
      throw wrongValue(`one of ${MODULE_NAMES.join(', ')}`, 'the name of a module', describe(name));
  return sources;
}

const tagOf = (value: unknown): string => Object.prototype.toString.call(value).slice(8, -1);
const isModule = (value: unknown): value is Module => tagOf(value) === 'WebAssembly.Module';
const isBytes = (value: unknown): value is Uint8Array =>
  ArrayBuffer.isView(value) || tagOf(value) === 'ArrayBuffer' || tagOf(value) === 'SharedArrayBuffer';

interface FetchResponse {
  readonly ok: boolean;
  readonly status: number;
  readonly url: string;
  readonly headers: { get(name: string): string | null };
  arrayBuffer(): Promise<ArrayBuffer>;
}

async function moduleFrom(name: string, source: unknown): Promise<Module> {
  if (isModule(source)) return source;
  if (isBytes(source)) return engine!.compile(source);
  const given = source ?? urlOf(name);
  if (given === undefined)
    throw wrongType('a module, its bytes or its URL, as CommonJS knows no place of it', `modules.${name}`, source);
  if (typeof given === 'string' || tagOf(given) === 'URL') return fetched(name, given);
  if (tagOf(given) === 'Response') return compiledFrom(name, given as FetchResponse);
  throw wrongType('a module, its bytes, a Response or a URL', `modules.${name}`, given);
}

async function fetched(name: string, url: unknown): Promise<Module> {
  const { fetch } = globalThis as { fetch?: (url: unknown) => Promise<unknown> };
  if (fetch === undefined) throw wrongType('a module or its bytes, as there is no fetch here', `modules.${name}`, url);
  return compiledFrom(name, (await fetch(url)) as FetchResponse);
}

/** Compiles while it downloads where the server names the type. */
async function compiledFrom(name: string, response: FetchResponse): Promise<Module> {
  if (!response.ok) throw wrongValue('a file', `modules.${name}`, `status ${response.status} from ${response.url}`);
  const isNamed = response.headers.get('content-type') === 'application/wasm';
  if (isNamed && engine!.compileStreaming !== undefined) return engine!.compileStreaming(response);
  return engine!.compile(await response.arrayBuffer());
}
