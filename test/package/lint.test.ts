/**
 * The linter finds nothing that eslint-suppressions.json does not excuse, and the formatters leave well-formed files
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
    const results = await linter.lintFiles(['.']);
    const found = results.flatMap(({ filePath, messages }) =>
      messages.map(({ line, message }) => `${path.relative(root, filePath)}:${line} ${message}`),
    );
    expect(found).toEqual([]);
    const files = results.map(({ filePath }) => path.relative(root, filePath).split(path.sep)[0]);
    expect(files.length).toBeGreaterThan(300);
    expect(files).toEqual(expect.arrayContaining(['lib', 'native', 'test', 'scripts', 'examples', 'bench']));
  }, 120_000);

  it('excuses sizes and includes alone, and nothing in test/', () => {
    const suppressions = JSON.parse(read('eslint-suppressions.json')) as Suppressions;
    const rules = Object.values(suppressions).flatMap((file) => Object.keys(file));
    for (const rule of rules) expect(rule).toMatch(/^(max-(len|lines|lines-per-function|params)|includes\/downhill)$/);
    expect(Object.keys(suppressions).filter((file) => file.startsWith('test/'))).toEqual([]);
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

  it('finds functions over 60 lines, of the library and of scripts', async () => {
    const withLines = (count: number) => `export const f = () => {\n${'//\n'.repeat(count - 2)}};\n`;
    for (const file of ['lib/new.ts', 'scripts/new.mjs']) {
      expect(await lint(withLines(60), file)).toEqual([]);
      expect(await lint(withLines(61), file)).toEqual(['max-lines-per-function']);
    }
    expect(await lint(withLines(61), 'test/new.test.ts')).toEqual([]);
  }, 60_000);

  it('finds functions of the library with more than 5 parameters', async () => {
    const rule = 'max-params';
    expect(await lint('export const f = (a: 0, b: 0, c: 0, d: 0, e: 0) => [a, b, c, d, e];')).toEqual([]);
    expect(await lint('export const f = (a: 0, b: 0, c: 0, d: 0, e: 0, g: 0) => [a, b, c, d, e, g];')).toEqual([rule]);
    expect(await lint('export type F = (a: 0, b: 0, c: 0, d: 0, e: 0, g: 0) => void;')).toEqual([rule]);
  }, 60_000);

  const upward: [file: string, include: string][] = [
    ['simd/new.h', '../math/any.h'],
    ['math/new.h', '../rows/any.h'],
    ['rows/new.h', '../softmax/any.h'],
    ['softmax/new.h', '../sampling/any.h'],
    ['attention/new.h', '../sampling/any.h'],
    ['sampling/new.h', '../selection/any.h'],
    ['sampling/new.h', '../platform/any.h'],
    ['math/new.h', '../host/node/any.h'],
    ['rows/new.h', '../isa/any.h'],
  ];
  it.each(upward)('finds that native/%s includes %s', async (file, include) => {
    expect(await lint(`#include "${include}"\n`, `native/${file}`)).toEqual(['includes/downhill']);
  });

  const downward: [file: string, include: string][] = [
    ['math/new.h', '../simd/any.h'],
    ['softmax/new.h', '../rows/any.h'],
    ['attention/new.h', '../softmax/any.h'],
    ['attention/new.h', 'any.h'],
    ['sampling/new.h', '../operators.def'],
    ['platform/new.cc', '../rows/any.h'],
    ['host/node/new.cc', '../../platform/any.h'],
  ];
  it.each(downward)('lets native/%s include %s', async (file, include) => {
    expect(await lint(`#include "${include}"\n`, `native/${file}`)).toEqual([]);
  });

  it('finds a chain of includes that is too long', async () => {
    const text = '#include "../isa/table.inc"\n';
    const rule = 'includes/floors';
    const limited = (most: number) =>
      new ESLint({ cwd: root, overrideConfig: { files: ['native/**/*.cc'], rules: { [rule]: ['error', most] } } });
    const filePath = path.join(root, 'native/host/new.cc');
    const [low] = await limited(2).lintText(text, { filePath });
    expect(low!.messages).toMatchObject([{ ruleId: rule, line: 1 }]);
    expect(low!.messages[0]!.message).toMatch(/ above 2: host\/new\.cc → isa\/table\.inc → .*math\/storage\.h\.$/);
    const [high] = await limited(99).lintText(text, { filePath });
    expect(high!.messages).toEqual([]);
  });
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
