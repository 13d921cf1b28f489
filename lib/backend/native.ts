/**
 * All that needs Node: loads the native addon once, or keeps the reason for its absence. portable.ts has the same
 * exports for places without Node.
 */
import { availableParallelism, cpus } from 'node:os';
import type { BackendName, Kernels } from './backend.js';
import { loadAddon } from './load-addon.js';

/** Sizes in bytes, 0 where unknown. */
export interface Caches {
  readonly l1d: number;
  readonly l2: number;
  readonly l3: number;
}

/** The addon's description of this machine. */
export interface Machine {
  readonly processor: string;
  readonly features: readonly string[];
  readonly caches: Caches;
}

/** The sizes in bytes from which other algorithms are used; Infinity: never. Every plan gives the same bits. */
export interface Plan {
  /** Rows that are read twice, instead of being stored and scaled. */
  readonly twoPassBytes: number;
  /** Rows read twice whose results go past the caches into memory. */
  readonly streamBytes: number;
  /** Calls whose work is shared among threads. */
  readonly parallelBytes: number;
}

/** The kernels, each on a thread of Node's pool. A kernel stops at its next block when the flag is raised. */
export type Jobs = {
  readonly [name in keyof Kernels]: (stop: Int32Array, ...args: readonly unknown[]) => Promise<void>;
};

export interface Addon {
  /** The instruction sets that can be used here, best first. */
  readonly backends: readonly BackendName[];
  kernels(isa: BackendName): Kernels;
  jobs(isa: BackendName): Jobs;
  machine(): Machine;
  /**
   * Returns or sets the number of threads that share work in the process. With `unlessSet` only the first call sets it.
   */
  threads(n?: number, unlessSet?: boolean): number;
  /**
   * Prepares the memory of a shared buffer to be read from end to end, and counts it as JavaScript's until the buffer
   * is collected. Returns how many bytes behind a multiple of 64 it begins.
   */
  prepare(memory: Uint8Array, buffer: object): number;
  /** Returns memory to the system now, and not at the next garbage collection. Its contents are lost. */
  release(memory: Uint8Array): void;
  /** Returns or sets the plan of the process. */
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
    return loadAddon();
  } catch (error) {
    return { addon: null, error: (error as Error).message };
  }
}

/** The name of the processor, without the addon's help. */
export function processor(): string {
  try {
    return cpus()[0]?.model.trim() || process.arch;
  } catch {
    return process.arch; // Deno without the permission to ask
  }
}

/** How many threads can run at the same time. */
export function parallelism(): number {
  try {
    return availableParallelism();
  } catch {
    return 1;
  }
}

/** A variable of the environment; undefined where it may not be read, as in Deno without --allow-env. */
export function environment(name: string): string | undefined {
  try {
    return process.env[name];
  } catch {
    return undefined;
  }
}
