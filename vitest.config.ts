import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { alias: { 'flash-softmax/sampling': new URL('./lib/sampling.ts', import.meta.url).pathname } }, // for an example that a test imports
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 120_000, // rows of many millions against the oracle, on machines of any speed
    reporters: ['default', './test/setup/reporter.ts'],
  },
});
