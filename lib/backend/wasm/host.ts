/**
 * WebAssembly where files can be read: modules are read and compiled when they are first used. portable-host.ts has the
 * same exports for places where modules must be fetched first.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { wasm as listed } from '#files';
import type { Backend } from '../backend.js';
import { packageRoot } from '../load-addon.js';
import { obstacle } from './engine.js';
import type { copyInHome, inHome } from './homes.js';
import { provideAll, type Provided } from './modules.js';
import { allowThreads, type threads } from './pool.js';
import type { inRegion } from './regions.js';
import { wasmBackend } from './wasm.js';
import { startWorker } from './workers.js';

/** The backend, or the reason for its absence as a clause. */
export type Wasm =
  | {
      readonly backend: Backend;
      /** Whether all modules are there. */
      readonly isWhole: boolean;
      /** A new array in memory that kernels use where it is. */
      readonly allocate: typeof inRegion;
      /** A new array that its owner keeps from call to call, in such memory. */
      readonly keep: typeof inHome;
      readonly keepCopy: typeof copyInHome;
      /** Returns how many threads share a call, and sets it; with `unlessSet` only the first call sets it. */
      readonly threads: typeof threads;
      /** The compiled module of an operator, for another thread. */
      readonly moduleFor: (operator: string) => Provided;
      readonly error?: never;
    }
  | (Readonly<
      Partial<Record<'backend' | 'isWhole' | 'allocate' | 'keep' | 'keepCopy' | 'threads' | 'moduleFor', never>>
    > & {
      readonly error: string;
    });

let found: Wasm | undefined;

export const wasm = (): Wasm => (found ??= find());

/** Replaces what was found by a backend of modules that were given. */
export const register = (given: Wasm): Wasm => (found = given);

function find(): Wasm {
  const error = obstacle();
  if (error !== undefined) return { error };
  const path = pathOf('softmax');
  if (path === undefined) return { error: 'the package has no modules for it here' };
  provideAll((name) => readFileSync(pathOf(name)!));
  allowThreads(startWorker);
  return wasmBackend();
}

/** The file of a module: in the package, or where a tracer or a bundler has put it. */
function pathOf(name: string): string | undefined {
  const root = packageRoot();
  const path = root === undefined ? listed[name]?.() : join(root, 'wasm', `${name}.wasm`);
  try {
    return path !== undefined && existsSync(path) ? path : undefined;
  } catch {
    return undefined; // Deno without the permission to read
  }
}
