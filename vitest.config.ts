import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 120_000, // rows of many millions against the oracle, on machines of any speed
    reporters: ['default', './test/setup/reporter.ts'],
  },
});
