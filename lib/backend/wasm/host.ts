/**
 * WebAssembly where files can be read: modules are read and compiled when they are first used. portable-host.ts has the
 * same exports for places where modules must be fetched first.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { wasm as listed } from '#files';
import type { Backend } from '../backend.js';
import { packageRoot } from '../load-addon.js';
import { engine, obstacle } from './engine.js';
import { provideAll, type Provided } from './modules.js';
import type { inRegion } from './regions.js';
import { wasmBackend } from './wasm.js';

/** The backend, or the reason for its absence as a clause. */
export type Wasm =
  | {
      readonly backend: Backend;
      /** Whether all modules are there. */
      readonly isWhole: boolean;
      /** A new array in memory that kernels use where it is. */
      readonly allocate: typeof inRegion;
      /** The compiled module of an operator, for another thread. */
      readonly moduleFor: (operator: string) => Provided;
      readonly error?: never;
    }
  | (Readonly<Partial<Record<'backend' | 'isWhole' | 'allocate' | 'moduleFor', never>>> & { readonly error: string });

let found: Wasm | undefined;

export const wasm = (): Wasm => (found ??= find());

/** Replaces what was found by a backend of modules that were given. */
export const register = (given: Wasm): Wasm => (found = given);

function find(): Wasm {
  const error = obstacle();
  if (error !== undefined) return { error };
  const path = pathOf('softmax');
  if (path === undefined) return { error: 'the package has no modules for it here' };
  provideAll((name) => new engine!.Module(readFileSync(pathOf(name)!)));
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
