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
import { provide, type Provided } from './backend/wasm/modules.js';
import { allowThreads, startThreads, threads } from './backend/wasm/pool.js';
import { sharedModule } from './backend/wasm/shared-module.js';
import { urlOf } from './backend/wasm/urls.js';
import { MODULE_NAMES, wasmBackend } from './backend/wasm/wasm.js';
import { startWorker } from './backend/wasm/workers.js';
import { optionsOf } from './call/options.js';
import { checkThreads } from './threads.js';

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

export interface WasmOptions {
  /**
   * How many threads share a call of many rows, up to 16, this one included. The others are workers on shared memory,
   * which a page has if it is cross-origin isolated; elsewhere, or where no worker may start, there is one thread.
   * Results are the same to the bit. Threads need the bytes of modules, not compiled ones. Default: what `setThreads`
   * or FLASH_SOFTMAX_THREADS says, or else 1.
   */
  threads?: number | undefined;
}

/** What a module of the package's root needs. */
const ROOT: readonly WasmModuleName[] = ['softmax', 'logarithms'];

/**
 * Loads modules, and lets the functions of this package use them.
 *
 * @param modules Names of modules, which are fetched from the folder wasm/ of the package, by default `softmax` and
 *   `logarithms`; or an object with a source of each: a URL, a Response, bytes, or a compiled module. More calls add
 *   more modules.
 * @param options The promise resolves when the threads are there.
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
  options: WasmOptions = {},
): Promise<BackendName> {
  const wanted = threadsIn(options);
  const sources = sourcesOf(modules);
  if (canLoad())
    use(
      await Promise.all(
        sources.map(async ([name, source]) => moduleFrom({ name, isShared: wanted > 1 }, await source)),
      ),
    );
  if (setTo(wanted)) await startThreads();
  return choice().name;
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
export function initSync(modules: Partial<Record<WasmModuleName, WasmModule>>, options: WasmOptions = {}): BackendName {
  const wanted = threadsIn(options);
  const sources = sourcesOf(modules);
  if (canLoad())
    use(
      sources.map(([name, source]) => {
        if (isModule(source)) return { name, module: source };
        if (!isBytes(source)) throw wrongType('a WebAssembly.Module or its bytes', `modules.${name}`, source);
        return compiledNow({ name, isShared: wanted > 1 }, source);
      }),
    );
  if (setTo(wanted)) void startThreads();
  return choice().name;
}

/** The number of threads that is wanted. */
function threadsIn(options: WasmOptions): number {
  const { threads: wanted } = optionsOf(options, ['threads']);
  if (wanted !== undefined) checkThreads(wanted);
  return wanted ?? threads();
}

/** Sets the number of threads. Returns whether there may be more than one. */
function setTo(wanted: number): boolean {
  if (choice().name !== 'wasm') return false;
  threads(wanted);
  return threads() > 1;
}

function use(found: readonly Provided[]): void {
  if (wasm().isWhole === true) return;
  found.forEach(provide);
  allowThreads(startWorker);
  register(wasmBackend());
  chooseAgain();
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

/** A module to be compiled, and whether threads will share its memory. */
interface Wanted {
  readonly name: string;
  readonly isShared: boolean;
}

async function moduleFrom(wanted: Wanted, source: unknown): Promise<Provided> {
  const { name } = wanted;
  if (isModule(source)) return { name, module: source };
  if (isBytes(source)) return compiled(wanted, source);
  const given = source ?? urlOf(name);
  if (given === undefined)
    throw wrongType('a module, its bytes or its URL, as CommonJS knows no place of it', `modules.${name}`, source);
  if (typeof given === 'string' || tagOf(given) === 'URL') return fetched(wanted, given);
  if (tagOf(given) === 'Response') return compiledFrom(wanted, given as FetchResponse);
  throw wrongType('a module, its bytes, a Response or a URL', `modules.${name}`, given);
}

async function fetched(wanted: Wanted, url: unknown): Promise<Provided> {
  const { fetch } = globalThis as { fetch?: (url: unknown) => Promise<unknown> };
  if (fetch === undefined)
    throw wrongType('a module or its bytes, as there is no fetch here', `modules.${wanted.name}`, url);
  return compiledFrom(wanted, (await fetch(url)) as FetchResponse);
}

/** Compiles while it downloads where the server names the type, and one module is enough. */
async function compiledFrom(wanted: Wanted, response: FetchResponse): Promise<Provided> {
  const { name, isShared } = wanted;
  if (!response.ok) throw wrongValue('a file', `modules.${name}`, `status ${response.status} from ${response.url}`);
  const isNamed = response.headers.get('content-type') === 'application/wasm';
  if (!isShared && isNamed && engine!.compileStreaming !== undefined)
    return { name, module: await engine!.compileStreaming(response) };
  return compiled(wanted, await response.arrayBuffer());
}

const bytesOf = (source: ArrayBufferView | ArrayBuffer): Uint8Array =>
  ArrayBuffer.isView(source)
    ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
    : new Uint8Array(source);

async function compiled({ name, isShared }: Wanted, source: ArrayBufferView | ArrayBuffer): Promise<Provided> {
  const bytes = bytesOf(source);
  const shared = isShared ? await engine!.compile(sharedModule(bytes)) : undefined;
  return { name, module: await engine!.compile(bytes), shared };
}

function compiledNow({ name, isShared }: Wanted, source: ArrayBufferView | ArrayBuffer): Provided {
  const bytes = bytesOf(source);
  const shared = isShared ? new engine!.Module(sharedModule(bytes)) : undefined;
  return { name, module: new engine!.Module(bytes), shared };
}
