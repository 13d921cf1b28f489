/**
 * The package on its way to users: binaries of `npm run prebuild`, the tarball with and without them, other versions of
 * Node, and projects that install it.
 */
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll } from 'vitest';
import { cache, root } from '../support/emulated.js';
import { run } from '../support/run.js';
import { tool, type Tool } from '../support/tools.js';

export const nodes = ['20.20.2', '22.23.3', '24.21.0', '26.10.0'];
export const cross = tool('aarch64-linux-gnu-g++', ['aarch64-linux-gnu-g++', '--version']);
export const qemu = tool('qemu-aarch64', ['qemu-aarch64', '--version']);
export const compiler = tool('g++', ['g++', '--version']);
export const readelf = tool('readelf', ['readelf', '--version']);
export const linux: Tool = {
  name: 'linux',
  available: process.platform === 'linux' && process.arch === 'x64',
  path: '',
};

/** A folder that is removed after the tests of a file. */
export function temporary(): string {
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'flash-softmax-pack-')));
  afterAll(() => rmSync(folder, { recursive: true, force: true }), 300_000); // hundreds of MB of node_modules
  return folder;
}

/** One hash of all sources of the binaries. */
function inputs(): string {
  const hash = createHash('sha256');
  const files = readdirSync(path.join(root, 'native'), { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => path.join('native', name));
  for (const name of [...files, 'binding.gyp', 'scripts/prebuild.mjs', 'scripts/check-binary.mjs']) {
    const file = path.join(root, name);
    if (statSync(file).isFile()) hash.update(name).update(readFileSync(file));
  }
  return hash.digest('hex').slice(0, 12);
}

/** Runs `body` while nothing else runs under the same lock, in this process or another one. */
export async function exclusively<T>(name: string, body: () => Promise<T>): Promise<T> {
  const lock = `${name}.lock`;
  mkdirSync(path.dirname(lock), { recursive: true });
  while (!isTaken(lock)) {
    const age = existsSync(lock) ? Date.now() - statSync(lock).mtimeMs : 0;
    if (age > 60_000) rmSync(lock, { recursive: true, force: true });
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  // A running process keeps the lock fresh; the lock of a killed run grows old.
  const beat = setInterval(() => utimesSync(lock, new Date(), new Date()), 10_000);
  try {
    return await body();
  } finally {
    clearInterval(beat);
    rmSync(lock, { recursive: true, force: true });
  }
}

function isTaken(lock: string): boolean {
  try {
    mkdirSync(lock);
    return true;
  } catch {
    return false;
  }
}

/** Makes `made` once, even if several test files ask for it at the same time. */
async function once(made: string, make: (unfinished: string) => Promise<void>): Promise<string> {
  if (existsSync(made)) return made;
  return exclusively(made, async () => {
    if (existsSync(made)) return made;
    const unfinished = `${made}.unfinished`;
    rmSync(unfinished, { recursive: true, force: true });
    await make(unfinished);
    renameSync(unfinished, made);
    return made;
  });
}

const built = (): Promise<string> =>
  once(path.join(cache, `built-${inputs()}`), async (folder) => {
    await run(process.execPath, [
      path.join(root, 'scripts', 'prebuild.mjs'),
      'x64',
      ...(cross.available ? ['arm64'] : []),
      `--out=${path.join(folder, 'prebuilds')}`,
      `--kernels=${path.join(folder, 'kernels')}`,
    ]);
  });

/** The folder of binaries, for x64 and arm64 Linux. It also tests that they can be built. */
export const prebuilds = async (): Promise<string> => path.join(await built(), 'prebuilds');

/** The folder of the libraries of kernels that the arm64 binary is made of. */
export const arm64Kernels = async (): Promise<string> => path.join(await built(), 'kernels', 'linux-arm64');

/** The folder of another Node. */
export async function node(arch: 'x64' | 'arm64', version: string): Promise<string> {
  return (await run(process.execPath, [path.join(root, 'scripts', 'fetch-node.mjs'), arch, version])).trim();
}

export interface Tarballs {
  /** Tarballs of the package with binaries and without, and of its one dependency. */
  readonly full: string;
  readonly plain: string;
  readonly dependency: string;
}

/** Packs the package twice into `folder`, with dist/ as it is now. */
export async function pack(folder: string): Promise<Tarballs> {
  const tree = path.join(folder, 'tree');
  for (const part of [
    'package.json',
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'CMakeLists.txt',
    'cmake',
    'native',
    'dist',
  ]) {
    const from = path.join(root, part);
    if (existsSync(from)) cpSync(from, path.join(tree, part), { recursive: true });
  }
  const packed = async (from: string, name: string): Promise<string> => {
    const [{ filename }] = JSON.parse(
      await run('npm', ['pack', from, '--ignore-scripts', '--json'], { cwd: folder }),
    ) as [{ filename: string }];
    renameSync(path.join(folder, filename), path.join(folder, name));
    return path.join(folder, name);
  };
  const nameFiles = () => run(process.execPath, [path.join(root, 'scripts', 'static-files.mjs'), tree]);
  await nameFiles();
  const plain = await packed(tree, 'plain.tgz');
  cpSync(await prebuilds(), path.join(tree, 'prebuilds'), { recursive: true });
  await nameFiles();
  const full = await packed(tree, 'full.tgz');
  return {
    full,
    plain,
    dependency: await packed(path.join(root, 'node_modules', 'node-gyp-build'), 'node-gyp-build.tgz'),
  };
}

/** An empty project that depends on the tarball and on the tarball of its dependency, so that nothing is fetched. */
export function project(folder: string, tarball: string, { dependency }: Tarballs): string {
  mkdirSync(folder, { recursive: true });
  const dependencies = { 'flash-softmax': `file:${tarball}`, 'node-gyp-build': `file:${dependency}` };
  const overrides = { 'node-gyp-build': `file:${dependency}` };
  const manifest = {
    name: 'project',
    version: '1.0.0',
    private: true,
    dependencies,
    pnpm: { overrides },
    resolutions: overrides,
  };
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify(manifest));
  return folder;
}

export const npmInstall = (folder: string): Promise<string> =>
  run('npm', ['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: folder });

export interface Answer {
  readonly backend: string;
  readonly native: { loaded: boolean; path?: string; error?: string };
  readonly values: number[];
}

const CALL = `
  const { native, backend } = capabilities();
  const values = [...softmax(Float32Array.of(0, 0, -Infinity))];
  console.log(JSON.stringify({ native, backend, values }))`;

/** The answer of the installed package, imported and required, to the Node of a command line. */
export async function ask(
  command: readonly string[],
  folder: string,
  env: Record<string, string | undefined> = {},
): Promise<Answer> {
  const [program, ...args] = command;
  const answers = await Promise.all(
    [
      `import { capabilities, softmax } from 'flash-softmax'; ${CALL}`,
      `const { capabilities, softmax } = require('flash-softmax'); ${CALL}`,
    ].map(async (script, i) => {
      const kind = `--input-type=${['module', 'commonjs'][i]}`;
      return JSON.parse(
        await run(program!, [...args, kind, '--eval', script], {
          cwd: folder,
          env: { FLASH_SOFTMAX_BACKEND: undefined, ...env },
        }),
      ) as Answer;
    }),
  );
  if (JSON.stringify(answers[0]) !== JSON.stringify(answers[1]))
    throw new Error(`import and require differ: ${JSON.stringify(answers)}`);
  return answers[0]!;
}
