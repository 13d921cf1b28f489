/**
 * Ends the run's output with a line that scripts read: `N passed, N failed`. Skipped tests are listed by name before
 * it.
 */
import type { Reporter, TestCase, TestModule } from 'vitest/node';

export default class Totals implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const having = (state: string): TestCase[] => tests.filter((test) => test.result().state === state);

    for (const test of having('skipped')) console.log(`skipped: ${test.fullName}`);

    // A module that does not load, and a hook that throws, have no failed test.
    const broken = modules
      .flatMap((module) => [module, ...module.children.allSuites()])
      .filter((each) => each.errors().length > 0);
    const failed = having('failed').length + broken.length + errors.length;
    console.log(`${having('passed').length} passed, ${failed} failed`);
  }
}
