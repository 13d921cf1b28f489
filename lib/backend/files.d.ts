/** dist/files.js, which scripts/static-files.mjs writes when the package is made (`imports` of package.json). */
declare module '#files' {
  type Load = (require: (path: string) => unknown) => unknown;

  /** By <platform>-<arch>: how each binary for it is loaded, `require` being given its path. */
  export const binaries: Readonly<Record<string, readonly Load[]>>;

  /** The path of the worker thread's file. */
  export function worker(): string;
}
