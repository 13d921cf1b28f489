import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const all = 'test/**/*.test.ts';

/** Files that measure time, or how many threads are at work: they have the machine for themselves, after all others. */
const alone = ['test/native/pool.test.ts', 'test/call/promises.test.ts', 'test/cli/tune.test.ts'];

export default defineConfig({
  // An example that a test imports asks for the package by its name.
  resolve: { alias: { 'flash-softmax/sampling': fileURLToPath(new URL('./lib/sampling.ts', import.meta.url)) } },
  test: {
    testTimeout: 120_000, // rows of many millions against the oracle, on machines of any speed
    hookTimeout: 120_000,
    reporters: ['default', './test/support/reporter.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'together',
          include: [all],
          exclude: alone,
          maxWorkers: availableParallelism(),
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: { name: 'alone', include: alone, maxWorkers: 1, fileParallelism: false, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
