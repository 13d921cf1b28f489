/**
 * Test files for an emulated processor, bundled with the library that they test, `vitest` replaced by plain.ts. Their
 * folder looks like the package: the addon in build/Release, dist/ beside it, the tests in test/ as here.
 */
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type BuildOptions } from 'esbuild';
import { expect } from 'vitest';
import { run } from './run.js';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const cache = path.join(root, 'node_modules', '.cache', 'flash-softmax');

const copy = (from: string, to: string) => {
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, { recursive: true });
};

/** Options of esbuild for bundles that Node runs beside the package's dependency. */
export const bundled = {
  bundle: true,
  external: ['node-gyp-build'],
  platform: 'node',
  format: 'esm',
  target: 'node20',
  logLevel: 'silent',
} satisfies BuildOptions;

/** Makes `folder` such a package, with the addon that is there or a copy of `addon`. */
export async function layOut(folder: string, tests: readonly string[], addon?: string): Promise<void> {
  mkdirSync(path.join(folder, 'test'), { recursive: true });
  const parts = ['package.json', 'dist', 'test/call/workers', 'test/call/mid-job.mjs', 'test/corpus.json'];
  for (const part of parts) copy(path.join(root, part), path.join(folder, part));
  if (addon) copy(addon, path.join(folder, 'build', 'Release', path.basename(addon)));
  await build({
    entryPoints: tests.map((name) => path.join(root, 'test', `${name}.test.ts`)),
    outbase: path.join(root, 'test'),
    outdir: path.join(folder, 'test'),
    outExtension: { '.js': '.mjs' },
    alias: { vitest: fileURLToPath(new URL('./plain.ts', import.meta.url)) },
    ...bundled,
  });
}

/** Lines of a report (TAP) and of qemu that do not help to find a failure. */
const chatter = /^\s*(ok \d|# Subtest|---$|\.\.\.$|duration_ms|type:|location:|\d+\.\.\d+$|qemu-\w+: warning)/;

/**
 * Runs a test file, with shorter rows for an emulated processor, and returns the number of tests that passed.
 * `emulator` is a command line up to the script: qemu, its options, Node.
 */
export async function runTests(emulator: readonly string[], folder: string, name: string): Promise<number> {
  const [program, ...args] = [...emulator, path.join(folder, 'test', `${name}.test.mjs`)];
  const report = await run(program!, args, {
    cwd: folder,
    env: { FLASH_SOFTMAX_TEST_LONGEST: '4096', FLASH_SOFTMAX_BACKEND: undefined },
  }).catch((error: Error) => {
    throw new Error(
      error.message
        .split('\n')
        .filter((line) => !chatter.test(line))
        .join('\n'),
    );
  });
  expect(report, 'a summary').toMatch(/^# fail 0$/m);
  return Number(/^# pass (\d+)$/m.exec(report)![1]);
}

export interface Capabilities {
  backend: string;
  available: string[];
  native: { loaded: boolean; error?: string };
}

/** The capabilities() of the built package on an emulated processor. */
export async function capabilitiesOn(emulator: readonly string[], folder: string): Promise<Capabilities> {
  const entry = path.join(folder, 'dist', 'index.js');
  const print = '({ capabilities }) => console.log(JSON.stringify(capabilities()))';
  const script = `import(${JSON.stringify(entry)}).then(${print})`;
  const [program, ...args] = [...emulator, '--eval', script];
  return JSON.parse(await run(program!, args, { env: { FLASH_SOFTMAX_BACKEND: undefined } })) as Capabilities;
}
