/**
 * Stands in for 'vitest' where vitest is too heavy, which is inside an emulated processor: the few names that test
 * files of numbers use, on Node's own runner, with vitest's own `expect`. Test files are bundled against it.
 */
import { after, afterEach, before, beforeEach, describe, it as nodeIt } from 'node:test';
import { chai, JestAsymmetricMatchers, JestChaiExpect, JestExtend } from '@vitest/expect';

chai.use(JestExtend);
chai.use(JestChaiExpect);
chai.use(JestAsymmetricMatchers);

export const expect = Object.assign((value: unknown, message?: string) => chai.expect(value, message), chai.expect);
export { after as afterAll, afterEach, before as beforeAll, beforeEach, describe };

/** A processor in software is some fifty times slower: vitest's time limits do not apply. */
const run = (name: string, body: () => void | Promise<void>) => nodeIt(name, () => body());
export const it = Object.assign(run, { runIf: (condition: unknown) => (condition ? run : () => {}) });

/** A bundle has its modules once, and its process the environment that it was started with. */
export const vi = { resetModules() {}, stubEnv() {}, unstubAllEnvs() {} };
