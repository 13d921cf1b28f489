/**
 * Mutation tests of lib/call/ (https://stryker-mutator.io), which nothing else of the repository needs:
 *
 *     npm i --no-save @stryker-mutator/core@9 @stryker-mutator/vitest-runner@9     (10 needs Node 22)
 *     npx stryker run [--mutate lib/call/values.ts]
 *
 * Tests that start processes of the built package see no mutants, and are left out (vitest.mutation.config.ts).
 */
export default {
  testRunner: 'vitest',
  vitest: { configFile: 'vitest.mutation.config.ts', related: false },
  plugins: ['@stryker-mutator/vitest-runner'],
  mutate: ['lib/call/*.ts', '!lib/call/types.ts', '!lib/call/portable-jobs.ts', '!lib/call/flash-softmax-worker.ts'],
  coverageAnalysis: 'perTest',
  concurrency: 1,
  inPlace: false,
  symlinkNodeModules: true,
  ignorePatterns: ['/build/obj.target', '/guides', '/bench', '/examples', '/wasm', '/prebuilds'],
  reporters: ['clear-text', 'json'],
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
  jsonReporter: { fileName: 'node_modules/.cache/flash-softmax/mutation.json' },
  tempDirName: 'node_modules/.cache/flash-softmax/stryker',
  cleanTempDir: 'always',
  thresholds: { high: 95, low: 90, break: 90 },
};
