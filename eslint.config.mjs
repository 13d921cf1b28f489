/**
 * What a person should not have to look for: lines over 120 columns, files over 300 lines, data spread into arguments.
 * eslint-suppressions.json lists what the tree had before there was a limit, by file and number. It only shrinks:
 * `npm run lint` takes from it what is mended, and nothing adds to it.
 */
import tseslint from 'typescript-eslint';

/** A caller's list may have a million elements, and arguments are on the stack: 'Maximum call stack size exceeded'. */
const noSpreadData = {
  selector: ':matches(CallExpression, NewExpression) > SpreadElement.arguments:not([argument.name="rest"])',
  message: 'Data is never spread into arguments. Only a rest parameter called `rest`, of a fixed few, may be.',
};

const limits = {
  'max-len': ['error', { code: 120, tabWidth: 2 }],
  'max-lines': ['error', { max: 300 }],
};

/** Sees lines alone: for C++, and what TypeScript need not read. */
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
  { ignores: ['**/node_modules', 'build', 'dist', 'docs', 'prebuilds', 'coverage'] },
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
  { files: ['lib/**/*.ts'], rules: { 'no-restricted-syntax': ['error', noSpreadData] } },
);
