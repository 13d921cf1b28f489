/** dist/files.js, which scripts/static-files.mjs writes when the package is made (`imports` of package.json). */
declare module '#files' {
  type Load = (require: (path: string) => unknown) => unknown;

  /** By <platform>-<arch>: how each binary for it is loaded, `require` being given its path. */
  export const binaries: Readonly<Record<string, readonly Load[]>>;

  /** By name: the path of each WebAssembly module that was there when the package was made. */
  export const wasm: Readonly<Record<string, () => string>>;

  /** The path of the worker thread's file. */
  export function worker(): string;
}
