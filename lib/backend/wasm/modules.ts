/** The compiled modules by name. Where files can be read, a module is read and compiled when it is first used. */
import type { Module } from './engine.js';

export interface Provided {
  readonly name: string;
  readonly module: Module;
}

const compiled = new Map<string, Module>();
let read: ((name: string) => Module) | undefined;

/** Makes a module known, or a function that finds modules. */
export function provide({ name, module }: Provided): void {
  compiled.set(name, module);
}
export function provideAll(find: (name: string) => Module): void {
  read = find;
}

export const isProvided = (name: string): boolean => read !== undefined || compiled.has(name);

export function moduleOf(name: string): Module {
  let module = compiled.get(name);
  if (module === undefined) compiled.set(name, (module = read!(name)));
  return module;
}
