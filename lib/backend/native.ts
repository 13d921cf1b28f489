/**
 * What is Node's own: loads the native addon once, or keeps the reason why it is absent. portable.ts has the same exports
 * for places without Node.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BackendName, Kernels } from './backend.js';

/** Sizes in bytes, 0 where unknown. */
export interface Caches {
  readonly l1d: number;
  readonly l2: number;
  readonly l3: number;
}

/** What the addon finds out about this machine. */
export interface Machine {
  readonly processor: string;
  readonly features: readonly string[];
  readonly caches: Caches;
}

/** From how many bytes on another algorithm is used; Infinity: never. Every plan gives the same bits. */
export interface Plan {
  /** Rows that are read twice, instead of being stored and scaled. */
  readonly twoPassBytes: number;
  /** Rows read twice whose results go past the caches into memory. */
  readonly streamBytes: number;
  /** Calls whose work is shared among threads. */
  readonly parallelBytes: number;
}

/** The kernels, each on a thread of Node's pool; one that sees the flag raised stops at its next block. */
export type Jobs = { readonly [name in keyof Kernels]: (stop: Int32Array, ...args: readonly unknown[]) => Promise<void> };

export interface Addon {
  /** The instruction sets that can be used here, best first. */
  readonly backends: readonly BackendName[];
  kernels(isa: BackendName): Kernels;
  jobs(isa: BackendName): Jobs;
  machine(): Machine;
  /** Tells, or sets, how many threads the process shares work among; `unlessSet`: the first to set it has it. */
  threads(n?: number, unlessSet?: boolean): number;
  /** Makes the best of memory that is to be read from end to end; how many bytes behind a multiple of 64 it begins. */
  prepare(memory: Uint8Array): number;
  /** Gives memory whose contents nobody needs back to the system, now and not at the next garbage collection. */
  release(memory: Uint8Array): void;
  /** Tells, or sets, the plan of the process. */
  plan(): Plan;
  plan(twoPassBytes: number, streamBytes: number, parallelBytes: number): Plan;
}

export type Native =
  | { readonly addon: Addon; readonly path: string; readonly error?: never }
  | { readonly addon: null; readonly path?: never; readonly error: string };

let loaded: Native | undefined;

export function native(): Native {
  return (loaded ??= load());
}

function load(): Native {
  try {
    const require = createRequire(import.meta.url);
    const { resolve } = require('node-gyp-build') as { resolve(root: string): string };
    const path = resolve(packageRoot(require));
    return { addon: require(path) as Addon, path };
  } catch (error) {
    // Loaders explain themselves over several lines; the first says what is wrong.
    return { addon: null, error: String(error instanceof Error ? error.message : error).split('\n', 1)[0]! };
  }
}

/**
 * The nearest directory upwards that is this package: this file runs from dist/ as well as from lib/backend/. Out of a
 * bundle there is none, and the package that is installed for the bundle is asked for.
 */
export function packageRoot(require: NodeJS.Require = createRequire(import.meta.url)): string {
  for (let directory = dirname(fileURLToPath(import.meta.url)); ; directory = dirname(directory)) {
    const manifest = join(directory, 'package.json');
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).name === 'flash-softmax') return directory;
    if (directory === dirname(directory)) return dirname(require.resolve('flash-softmax/package.json'));
  }
}

/** The name of the processor, without the addon's help. */
export const processor = (): string => cpus()[0]?.model.trim() || process.arch;

/** How many threads can run at the same time. */
export const parallelism = (): number => availableParallelism();

export const environment = (name: string): string | undefined => process.env[name];

export const readText = (path: string): string => readFileSync(path, 'utf8');
