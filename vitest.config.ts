import { availableParallelism } from 'node:os';
import path from 'node:path';
import { defineConfig } from 'vitest/config';
import LongestFirst from './test/support/sequencer.js';

const all = 'test/**/*.test.ts';

/** Files that measure time, or the number of threads at work. They run one at a time, after all others. */
const alone = ['native/pool', 'call/event-loop', 'call/promises', 'cli/tune'].map((name) => `test/${name}.test.ts`);

/** The WebAssembly backend runs in tests on Node 20 too. Later versions need no flag, and some know it no more. */
const execArgv = /^v2[01]\./.test(process.version) ? ['--experimental-wasm-relaxed-simd'] : [];

const library = (entry: string) => path.join(import.meta.dirname, 'lib', `${entry}.ts`);

export default defineConfig({
  // An example that a test imports asks for the package by its name.
  resolve: {
    alias: [
      { find: /^flash-softmax$/, replacement: library('index') },
      { find: /^flash-softmax\/([\w/]+)$/, replacement: library('$1') },
    ],
  },
  test: {
    testTimeout: 120_000, // the oracle takes long for millions of elements on a slow machine
    hookTimeout: 120_000,
    reporters: ['default', './test/support/reporter.ts'],
    sequence: { sequencer: LongestFirst },
    execArgv,
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
