/**
 * The compiled modules by name. Where files can be read, a module is read and compiled when it is first used. Memory
 * that threads share needs a module of its own (shared-module.ts).
 */
import { wrongState } from '../../call/errors.js';
import { engine, type Module } from './engine.js';
import { sharedModule } from './shared-module.js';

export interface Provided {
  readonly name: string;
  readonly module: Module;
  /** The module for shared memory. */
  readonly shared?: Module | undefined;
}

const compiled = new Map<string, Module>();
const shared = new Map<string, Module>();
let read: ((name: string) => Uint8Array) | undefined;

/** Makes a module known, or a function that reads modules. */
export function provide({ name, module, shared: other }: Provided): void {
  compiled.set(name, module);
  if (other !== undefined) shared.set(name, other);
}
export function provideAll(find: (name: string) => Uint8Array): void {
  read = find;
}

export const isProvided = (name: string): boolean => read !== undefined || compiled.has(name);
/** Whether there is the module for shared memory. */
export const isShareable = (name: string): boolean => read !== undefined || shared.has(name);

export function moduleOf(name: string, isShared = false): Module {
  const known = isShared ? shared : compiled;
  let module = known.get(name);
  if (module === undefined) {
    const bytes = read!(name);
    try {
      module = new engine!.Module(isShared ? sharedModule(bytes) : bytes);
    } catch (error) {
      throw wrongState(
        'a whole WebAssembly module',
        `${name}.wasm`,
        `bytes that are none (${(error as Error).message})`,
      );
    }
    known.set(name, module);
  }
  return module;
}
