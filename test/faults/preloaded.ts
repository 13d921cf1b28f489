/** The library that makes calls of the system fail (faults.c), and programs that run under it. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { backends, nativeBackends } from '../support/backends.js';
import { cache, root } from '../support/emulated.js';
import { tool, type Tool } from '../support/tools.js';

const { header } = process.report.getReport() as { header: object };
const glibc: Tool = {
  name: 'glibc',
  available: process.platform === 'linux' && 'glibcVersionRuntime' in header,
  path: '',
};

/** The best native backend, and those that have threads of another kind. */
export const unlike = backends.filter((name) => name === nativeBackends[0] || name === 'wasm' || name === 'js');

/** What the tests need. */
export const tools: readonly Tool[] = [glibc, tool('gcc', ['gcc', '--version'])];

/** Whether the rest of the tests can run: elsewhere names of the system's calls differ. */
export const canPreload = glibc.available;

export const entry = join(root, 'dist', 'index.js');
export const program = join(root, 'dist', 'cli.js');

/** Compiles the library; returns its path. */
export function library(): string {
  expect(existsSync(entry), 'dist/ is there (npm run compile)').toBe(true);
  const path = join(cache, `faults-${process.pid}.so`);
  mkdirSync(cache, { recursive: true });
  const flags = ['-O1', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC'];
  const { status, stderr } = spawnSync('gcc', [...flags, '-o', path, join(root, 'test/faults/faults.c'), '-ldl'], {
    encoding: 'utf8',
  });
  expect([status, stderr]).toEqual([0, '']);
  return path;
}

/** Runs Node to its end. */
export function node(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    env: { ...process.env, FLASH_SOFTMAX_BACKEND: undefined, ...env },
    timeout: 60_000,
  });
  return { status, signal, stdout, stderr };
}
