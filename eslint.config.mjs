/**
 * Finds what a reviewer should not have to look for: long lines, files and functions, many parameters, data spread into
 * arguments, includes of native/ that go up. eslint-suppressions.json excuses what was there before the limit, by file
 * and number. `npm run lint` takes out of it what is mended; nothing adds to it.
 */
import tseslint from 'typescript-eslint';
import nativeIncludes from './scripts/lint/native-includes.mjs';

/** A caller's list may have a million elements, and arguments are on the stack: 'Maximum call stack size exceeded'. */
const noSpreadData = {
  selector: ':matches(CallExpression, NewExpression) > SpreadElement.arguments:not([argument.name="rest"])',
  message: 'Data is never spread into arguments. Only a rest parameter called `rest`, of a fixed few, may be.',
};

const limits = {
  'max-len': ['error', { code: 120, tabWidth: 2 }],
  'max-lines': ['error', { max: 300 }],
};

const functionLines = { 'max-lines-per-function': ['error', { max: 60, skipBlankLines: false, skipComments: false }] };

/** The longest chain of includes below native/isa/, whose files include the vectors and then every kernel. */
const INCLUDE_FLOORS = 9;

/** Reads lines alone, of C++ and of tables. */
const lines = {
  meta: { name: 'lines', version: '1' },
  parse(text) {
    const all = text.split(/\r?\n/);
    const end = { line: all.length, column: all.at(-1).length };
    const loc = { start: { line: 1, column: 0 }, end };
    return { type: 'Program', body: [], tokens: [], comments: [], sourceType: 'module', range: [0, text.length], loc };
  },
};

export default tseslint.config(
  {
    ignores: [
      '**/node_modules',
      'build',
      'dist',
      'docs',
      'guides/{reference,.vitepress/cache}',
      'prebuilds',
      'coverage',
    ],
  },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.{ts,mts,cts}'],
    languageOptions: { parser: tseslint.parser },
    rules: limits,
  },
  { files: ['**/*.{js,mjs,cjs}'], rules: limits },
  {
    files: ['{native,test,bench}/**/*.{cc,h,def,inc}'],
    languageOptions: { parser: lines },
    rules: limits,
  },
  {
    files: ['native/**/*.{cc,h,def,inc}'],
    plugins: { includes: nativeIncludes },
    rules: { 'includes/downhill': 'error' },
  },
  {
    files: ['native/**/*.{cc,h,def}'],
    ignores: ['native/isa/**'],
    rules: { 'includes/floors': ['error', INCLUDE_FLOORS] },
  },
  {
    files: ['lib/**/*.ts'],
    rules: { ...functionLines, 'no-restricted-syntax': ['error', noSpreadData] },
  },
  // A table that scripts/operators.mjs writes has as many lines as there are operators.
  { files: ['lib/backend/wasm/signatures.ts'], rules: { 'max-lines': 'off' } },
  // The kernels of lib/js/ take the parameters of native/operators.def in order.
  { files: ['lib/**/*.ts'], ignores: ['lib/js/**'], rules: { 'max-params': ['error', { max: 5 }] } },
  { files: ['scripts/**/*.mjs'], rules: functionLines },
);
