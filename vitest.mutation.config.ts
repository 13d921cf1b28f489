/** The tests that tell mutants of lib/call/ apart: quick ones, in this process. stryker.config.mjs runs them. */
import path from 'node:path';
import { defineConfig } from 'vitest/config';

const library = (entry: string) => path.join(import.meta.dirname, 'lib', `${entry}.ts`);

const names = [
  'call/arguments',
  'call/checks',
  'call/option-values',
  'call/private-memory',
  'call/wire',
  'softmax/axes',
  'softmax/family-arguments',
  'softmax/masks',
];

export default defineConfig({
  resolve: {
    alias: [
      { find: /^flash-softmax$/, replacement: library('index') },
      { find: /^flash-softmax\/([\w/]+)$/, replacement: library('$1') },
    ],
  },
  test: { include: names.map((name) => `test/${name}.test.ts`), testTimeout: 120_000 },
});
