/** What a person should not have to look for. Formatting and length of files come with the house of families. */
import tseslint from 'typescript-eslint';

/** A list of the caller's may have a million elements, and arguments go on the stack: 'Maximum call stack size exceeded'. */
const noSpreadData = {
  selector: ':matches(CallExpression, NewExpression) > SpreadElement.arguments:not([argument.name="rest"])',
  message: 'Data is never spread into arguments. Only a rest parameter called `rest`, of a fixed few, may be.',
};

export default tseslint.config({
  files: ['lib/**/*.ts'],
  languageOptions: { parser: tseslint.parser },
  linterOptions: { reportUnusedDisableDirectives: 'error' },
  rules: { 'no-restricted-syntax': ['error', noSpreadData] },
});
