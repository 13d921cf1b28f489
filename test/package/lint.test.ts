/**
 * The linter finds nothing that eslint-suppressions.json does not excuse, and the formatters leave what is well formed
 * alone. Rules and their reasons are in eslint.config.mjs.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ESLint } from 'eslint';
import * as prettier from 'prettier';
import { describe, expect, it } from 'vitest';
import { root } from '../support/emulated.js';
import { run } from '../support/run.js';
import { itWith, tool } from '../support/tools.js';

type Suppressions = Record<string, Record<string, { count: number }>>;

const linter = new ESLint({ cwd: root, applySuppressions: true });
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const lint = async (code: string, file = 'lib/index.ts') => {
  const [result] = await linter.lintText(code, { filePath: path.join(root, file) });
  return result!.messages.map(({ ruleId }) => ruleId);
};

describe('the linter', () => {
  it('finds nothing in the tree', async () => {
    const results = await linter.lintFiles(['..']);
    const found = results.flatMap(({ filePath, messages }) =>
      messages.map(({ line, message }) => `${path.relative(root, filePath)}:${line} ${message}`),
    );
    expect(found).toEqual([]);
    const files = results.map(({ filePath }) => path.relative(root, filePath).split(path.sep)[0]);
    expect(files.length).toBeGreaterThan(300);
    expect(files).toEqual(expect.arrayContaining(['lib', 'native', 'test', 'scripts', 'examples', 'bench']));
  }, 120_000);

  it('excuses lengths alone', () => {
    const suppressions = JSON.parse(read('eslint-suppressions.json')) as Suppressions;
    const rules = Object.values(suppressions).flatMap((file) => Object.keys(file));
    for (const rule of rules) expect(rule).toMatch(/^max-(len|lines)$/);
  });

  it('finds data that is spread into arguments', async () => {
    const rule = 'no-restricted-syntax';
    expect(await lint('declare const list: number[]; Math.max(...list);')).toEqual([rule]);
    expect(await lint('declare const list: number[]; new Array(0, ...list.slice(1));')).toEqual([rule]);
    expect(await lint('export const f = (g: (...rest: 0[]) => void, ...rest: 0[]) => g(...rest);')).toEqual([]);
  }, 60_000);

  it.each(['lib/new.ts', 'test/new.test.ts', 'scripts/new.mjs', 'native/softmax/new.h', 'test/native/new.cc'])(
    'finds lines over 120 columns and files over 300 lines in %s',
    async (file) => {
      expect(await lint(`// ${'x'.repeat(117)}\n`, file)).toEqual([]);
      expect(await lint(`// ${'x'.repeat(118)}\n`, file)).toEqual(['max-len']);
      expect(await lint('//\n'.repeat(300), file)).toEqual([]);
      expect(await lint('//\n'.repeat(301), file)).toEqual(['max-lines']);
    },
    60_000,
  );
});

describe('npm run format', () => {
  it.each([
    'eslint.config.mjs',
    'scripts/format.mjs',
    'test/package/lint.test.ts',
    'test/support/tools.ts',
    'lib/call/abort.ts',
  ])('leaves %s as it is', async (file) => {
    const filepath = path.join(root, file);
    const options = await prettier.resolveConfig(filepath, { editorconfig: true });
    expect(options).toMatchObject({ printWidth: 120, singleQuote: true, tabWidth: 2 });
    expect(await prettier.format(read(file), { ...options, filepath })).toBe(read(file));
  });

  const clangFormat = tool('clang-format-19', ['clang-format-19', '--version']);
  for (const file of ['native/platform/plan.cc', 'native/kernels.h']) {
    itWith(clangFormat, `leaves ${file} as it is`, async () => {
      expect(await run(clangFormat.path, [path.join(root, file)])).toBe(read(file));
    });
  }
});
