/** capabilities: the backend that runs on this machine, and the reason. */
import type { BackendName } from './backend/backend.js';
import { native, processor, type Caches, type Machine, type Plan } from './backend/native.js';
import { availableBackends, choice } from './backend/choice.js';
import { settings } from './backend/settings.js';
import { wasm } from './backend/wasm/host.js';

export interface Capabilities {
  /** The backend that runs. */
  backend: BackendName;
  /** Why it is this one. */
  reason: string;
  /** All backends that could run here, best first. */
  available: BackendName[];
  /** Calls with no more elements than this run in JavaScript, whatever the backend; 0 if it was forced. */
  jsMaxElements: number;
  /** The native addon: the file that was loaded, or why there is none. */
  native: { loaded: boolean; path?: string; error?: string };
  /** WebAssembly: whether its kernels can run here, or why not. */
  wasm: { loaded: boolean; error?: string };
  /** The name that the processor gives itself. */
  processor: string;
  /** Its features that matter here, as far as the operating system lets them be used. Empty without the addon. */
  features: string[];
  /** The caches that one core sees, in bytes; 0 where unknown, as without the addon. */
  caches: Caches;
  /**
   * How many threads may share the work of a call: {@link setThreads}. JavaScript runs on 1, WebAssembly on 1 at first.
   */
  threads: number;
  /**
   * From how many bytes on another algorithm is used (Infinity: never), and where that comes from: 'built-in', which is
   * reckoned from the caches, or the path in FLASH_SOFTMAX_PROFILE. null without the addon: JavaScript has one way
   * only.
   */
  plan: (Plan & { readonly source: string }) | null;
}

/**
 * Says which backend and instruction set run on this machine, which others it has, and why the native addon is absent
 * if it is.
 *
 * @throws RangeError (ERR_INVALID_ARG_VALUE) if FLASH_SOFTMAX_BACKEND names a backend that is not available, or
 *   FLASH_SOFTMAX_THREADS or the profile of FLASH_SOFTMAX_PROFILE makes no sense.
 * @throws Error (ERR_DLOPEN_FAILED) if FLASH_SOFTMAX_REQUIRE_NATIVE is 1 and there is no addon, as the first call of
 *   any function does then. The message ends as `native.error` does: with what is to be done.
 * @example
 * import { capabilities } from 'flash-softmax';
 * const { backend, native } = capabilities();
 * console.log(typeof backend, native.loaded || typeof native.error === 'string'); // → string true
 */
export function capabilities(): Capabilities {
  const { name, reason, jsMaxElements } = choice();
  const { addon, path, error } = native();
  const { error: noWasm } = wasm();
  const isWasm = noWasm === undefined;
  const machine = addon?.machine() ?? withoutAddon();
  return {
    backend: name,
    reason,
    available: availableBackends(),
    jsMaxElements,
    native: addon ? { loaded: true, path: path! } : { loaded: false, error: error! },
    wasm: isWasm ? { loaded: true } : { loaded: false, error: noWasm! },
    processor: machine.processor,
    features: [...machine.features],
    caches: { ...machine.caches },
    threads: threadsOf(name),
    plan: addon && { ...addon.plan(), source: settings().planSource },
  };
}

function threadsOf(name: BackendName): number {
  if (name === 'wasm') return wasm().threads!();
  return name === 'js' ? 1 : native().addon!.threads();
}

function withoutAddon(): Machine {
  return {
    processor: processor(),
    features: [],
    caches: { l1d: 0, l2: 0, l3: 0 },
  };
}
