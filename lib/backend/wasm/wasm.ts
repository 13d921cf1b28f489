/** The kernels of WebAssembly, as a backend. */
import type { Backend } from '../backend.js';
import { copyInHome, inHome } from './homes.js';
import type { Wasm } from './host.js';
import { functionOf } from './kernels.js';
import { isProvided, moduleOf } from './modules.js';
import { kernelsOf } from './parameters.js';
import { threads } from './pool.js';
import { inRegion } from './regions.js';
import { SIGNATURES } from './signatures.js';

/** The names of all modules. */
export const MODULE_NAMES: readonly string[] = [...new Set(SIGNATURES.map(([, module]) => module))];

/** The kernels of all modules that are there. Each module is instantiated when a kernel of it is first called. */
export function wasmBackend(): Wasm {
  const table: Record<string, unknown> = { name: 'wasm' };
  for (const signature of SIGNATURES)
    for (const kernel of kernelsOf(signature)) if (isProvided(kernel.module)) table[kernel.kernel] = functionOf(kernel);
  return {
    backend: table as unknown as Backend,
    isWhole: MODULE_NAMES.every(isProvided),
    allocate: inRegion,
    keep: inHome,
    keepCopy: copyInHome,
    threads,
    moduleFor: (operator) => {
      const name = SIGNATURES.find(([each]) => each === operator)![1];
      return { name, module: moduleOf(name) };
    },
  };
}
