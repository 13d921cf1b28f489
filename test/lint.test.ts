/** The linter finds nothing in lib/: its rules and their reasons are in eslint.config.mjs. */
import path from 'node:path';
import { ESLint } from 'eslint';
import { expect, it } from 'vitest';
import { root } from './setup/emulated.js';

const linter = new ESLint({ cwd: root });

it('finds nothing in lib/', async () => {
  const results = await linter.lintFiles(['lib']);
  const found = results.flatMap(({ filePath, messages }) => messages.map(({ line, message }) => `${path.relative(root, filePath)}:${line} ${message}`));
  expect(found).toEqual([]);
  expect(results.length).toBeGreaterThan(50);
}, 60_000);

it('finds data that is spread into arguments', async () => {
  const lint = async (code: string) => (await linter.lintText(code, { filePath: path.join(root, 'lib', 'index.ts') }))[0]!.messages.length;
  expect(await lint('declare const list: number[]; Math.max(...list);')).toBe(1);
  expect(await lint('declare const list: number[]; new Array(0, ...list.slice(1));')).toBe(1);
  expect(await lint('export const all = (f: (...rest: number[]) => void, ...rest: number[]) => f(...rest);')).toBe(0);
}, 60_000);
